//! mSIM 2.0 over WebSocket: one JSON object a text message.
//!
//! tungstenite's protocol engine reads the frames, fed from memory, one whole frame at a time; it
//! exists only between the fragments of one message, so an idle socket has none. What this side
//! sends is never masked nor fragmented, and written straight to the output.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Cursor, Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tungstenite::error::Error;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

use super::packet::{self, Packet, Type};
use super::refusal::MALFORMED;
use crate::limits::PING_SECS;
use crate::wire::json::{self, ObjectWriter};
use crate::wire::{self, Broken, Buffer, Farewell};

/// RFC 6455 §1.3.
const HANDSHAKE_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Beats without a pong, or within one unfinished message, after which the peer is gone.
const BEATS_MAX: u8 = 2;
/// How much the engine reads at once: it lives for a message only, but zeroes what it reserves.
const ENGINE_READ_BYTES: usize = 1024;

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
pub fn accept_key(key: &str) -> String {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(HANDSHAKE_GUID.as_bytes());
    BASE64_STANDARD.encode(hash.finish())
}

/// Bytes ⇄ packets, after the upgrade.
pub struct Codec {
    /// The URL's: every packet of this socket has it.
    layer: u32,
    max_packet_bytes: usize,
    /// There between the fragments of one message only.
    engine: Option<Box<WebSocketContext>>,
    /// Pongs that wait for [`wire::Codec::chatter`].
    pongs: Vec<u8>,
    /// Beats since the last pong.
    beats_silent: u8,
    /// Whether a message's last fragment is still to come, and for how many beats already.
    is_unfinished: bool,
    beats_unfinished: u8,
    /// The code of the peer's close frame, to be given back.
    peer_closed: Option<CloseCode>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl Codec {
    /// `layer`: of the URL. `max_packet_bytes`: of a whole message.
    pub fn new(layer: u32, max_packet_bytes: usize) -> Codec {
        Codec {
            layer,
            max_packet_bytes,
            engine: None,
            pongs: Vec::new(),
            beats_silent: 0,
            is_unfinished: false,
            beats_unfinished: 0,
            peer_closed: None,
        }
    }

    /// The header and the whole length of the frame at the front, if all of it is there.
    fn frame(&self, bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, Broken<Packet>> {
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| broken(&error))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if self.max_packet_bytes < length {
            return Err(Broken { last: None, why: Farewell::TooLarge });
        }
        let Some(end) = usize::try_from(cursor.position()).ok().and_then(|n| n.checked_add(length))
        else {
            return Ok(None);
        };
        Ok((end <= bytes.len()).then_some((header, end)))
    }

    /// What one whole frame completes, if it completes anything.
    fn read(&mut self, header: &FrameHeader, frame: &[u8]) -> Result<Option<Message>, Error> {
        let mut engine = self.engine.take().unwrap_or_else(|| Box::new(self.new_engine()));
        let mut memory = Memory { input: frame, output: Vec::new() };
        let message = match engine.read(&mut memory) {
            Ok(message) => Some(message),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => return Err(error),
        };
        if let Some(Message::Ping(_)) = message {
            engine.flush(&mut memory)?;
            self.pongs.append(&mut memory.output);
        }
        // A control frame may stand between the fragments of a message.
        let is_control = matches!(header.opcode, OpCode::Control(_));
        let is_unfinished = if is_control { self.is_unfinished } else { !header.is_final };
        if is_unfinished {
            self.engine = Some(engine);
        } else {
            self.beats_unfinished = 0;
        }
        self.is_unfinished = is_unfinished;
        Ok(message)
    }

    fn new_engine(&self) -> WebSocketContext {
        let config = WebSocketConfig::default()
            .read_buffer_size(ENGINE_READ_BYTES)
            .max_message_size(Some(self.max_packet_bytes))
            .max_frame_size(Some(self.max_packet_bytes));
        WebSocketContext::new(Role::Server, Some(config))
    }
}

impl wire::Codec for Codec {
    type Packet = Packet;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Packet>, Broken<Packet>> {
        while let Some((header, length)) = self.frame(input.as_slice())? {
            let message = self.read(&header, &input.as_slice()[..length]);
            input.consume(length);
            match message.map_err(|error| broken(&error))? {
                Some(Message::Text(text)) => return packet(self.layer, text.as_str()).map(Some),
                Some(Message::Binary(_)) => {
                    return Err(Broken { last: None, why: Farewell::Unsupported });
                }
                Some(Message::Pong(_)) => self.beats_silent = 0,
                Some(Message::Close(frame)) => {
                    self.peer_closed = frame.map(|frame| frame.code);
                    return Err(Broken { last: None, why: Farewell::Done });
                }
                // Pings were answered; bare frames are never read.
                Some(Message::Ping(_) | Message::Frame(_)) | None => {}
            }
        }
        Ok(None)
    }

    fn encode(&mut self, packet: &Packet, out: &mut Vec<u8>) {
        // The frame's header needs the length of what follows.
        let body: &[u8] = if packet.body.is_empty() { b"{}" } else { &packet.body };
        let envelope = envelope(packet);
        let length = envelope.len() + body.len() + 1;
        let opcode = OpCode::Data(Data::Text);
        let header = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
        out.reserve(header.len(length as u64) + length);
        header.format(length as u64, out).expect("a Vec takes everything");
        out.extend_from_slice(&envelope);
        out.extend_from_slice(body);
        out.push(b'}');
    }

    fn chatter(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.pongs);
        self.pongs = Vec::new();
    }

    fn beat_secs(&self) -> Option<u64> {
        Some(PING_SECS)
    }

    fn on_beat(&mut self, out: &mut Vec<u8>) -> bool {
        if BEATS_MAX <= self.beats_silent || BEATS_MAX <= self.beats_unfinished {
            return false;
        }
        self.beats_silent += 1;
        self.beats_unfinished += u8::from(self.engine.is_some());
        write_frame(Frame::ping(Vec::new()), out);
        true
    }

    fn farewell(&mut self, why: Farewell, out: &mut Vec<u8>) {
        let code = match why {
            Farewell::Malformed => CloseCode::Protocol,
            Farewell::TooLarge => CloseCode::Size,
            Farewell::Unsupported => CloseCode::Unsupported,
            Farewell::Done => self.peer_closed.unwrap_or(CloseCode::Normal),
            Farewell::GoingAway => CloseCode::Away,
        };
        write_frame(Frame::close(Some(CloseFrame { code, reason: "".into() })), out);
    }
}

/// A message up to its body.
fn envelope(packet: &Packet) -> Vec<u8> {
    let mut envelope = Vec::with_capacity(160);
    let mut object = ObjectWriter::new(&mut envelope);
    object.text("type", packet.kind.as_str());
    object.number("seq", packet.seq.into()).number("status", packet.status.into());
    if let Some(session) = &packet.session {
        object.text("session", &session.to_hex());
    }
    drop(object);
    // The brace comes after the body, which is JSON already.
    envelope.pop();
    envelope.extend_from_slice(b",\"body\":");
    envelope
}

fn write_frame(frame: Frame, out: &mut Vec<u8>) {
    frame.format(out).expect("a Vec takes everything");
}

/// The packet of one text message.
fn packet(layer: u32, text: &str) -> Result<Packet, Broken<Packet>> {
    let mut envelope = Envelope::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_map(Filler(&mut envelope)).and_then(|()| reader.end());
    // Where the number could be read, the peer is told it.
    let seq = envelope.seq.unwrap_or(0);
    if let Err(error) = read {
        return Err(malformed(seq, &error.to_string()));
    }
    let kind = envelope.kind.as_ref().and_then(|kind| Type::parse(kind.as_bytes()));
    let Some(kind) = kind else {
        return Err(malformed(seq, "\"type\" is 1 to 64 upper-case letters, digits and -"));
    };
    if seq == 0 {
        return Err(malformed(seq, "\"seq\" is a whole number from 1"));
    }
    let session = envelope.session.as_ref().and_then(|text| packet::named_session(text));
    let body = envelope.body.map_or_else(Vec::new, |body| body.get().into());
    Ok(Packet { layer, session, seq, kind, status: 0, body: body.into() })
}

/// The fields of a message that are ours; of two alike the last counts, `null` is absent.
#[derive(Default)]
struct Envelope<'a> {
    kind: Option<Cow<'a, str>>,
    seq: Option<u32>,
    session: Option<Cow<'a, str>>,
    body: Option<&'a RawValue>,
}

/// Fills an envelope, so that what was read before an error is not lost.
struct Filler<'e, 'a>(&'e mut Envelope<'a>);

impl<'de> Visitor<'de> for Filler<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(json::Text(name)) = fields.next_key()? {
            match name.as_ref() {
                "type" => self.0.kind = fields.next_value::<Option<json::Text<'_>>>()?.map(|t| t.0),
                "seq" => self.0.seq = fields.next_value()?,
                "session" => {
                    self.0.session = fields.next_value::<Option<json::Text<'_>>>()?.map(|t| t.0);
                }
                "body" => self.0.body = fields.next_value()?,
                _ => drop(fields.next_value::<json::Value<'_>>()?),
            }
        }
        Ok(())
    }
}

/// A stream of the bytes at hand: the engine never waits for more.
struct Memory<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(into)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn malformed(seq: u32, why: &str) -> Broken<Packet> {
    let last = super::error_packet(seq, MALFORMED.body(Some(why), None));
    Broken { last: Some(last), why: Farewell::Malformed }
}

/// What the engine's errors mean to the peer.
fn broken(error: &Error) -> Broken<Packet> {
    match error {
        Error::Capacity(_) => Broken { last: None, why: Farewell::TooLarge },
        other => malformed(0, &other.to_string()),
    }
}
