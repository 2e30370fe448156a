//! WebSocket (RFC 6455): text messages in and out of its frames, for the protocols that come over
//! it.
//!
//! tungstenite's protocol engine reads the frames, fed from memory, one whole frame at a time; it
//! exists only between the fragments of one message, so an idle socket has none. What this side
//! sends is never masked nor fragmented, and written straight to the output.

use std::fmt;
use std::io::{self, Cursor, Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tungstenite::error::Error;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader, Utf8Bytes};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

use crate::wire::{Buffer, Farewell};

/// RFC 6455 §1.3.
const HANDSHAKE_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Pings without a pong, or within one unfinished message, after which the peer is gone.
const PINGS_MAX: u8 = 2;
/// How much the engine reads at once: it lives for a message only, but zeroes what it reserves.
const ENGINE_READ_BYTES: usize = 1024;

/// The value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
pub fn accept_key(key: &str) -> String {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(HANDSHAKE_GUID.as_bytes());
    BASE64_STANDARD.encode(hash.finish())
}

/// Bytes ⇄ text messages, after the upgrade.
pub(in crate::wire) struct Frames {
    max_message_bytes: usize,
    /// There between the fragments of one message only.
    engine: Option<Box<WebSocketContext>>,
    /// Pongs that wait for [`Frames::chatter`].
    pongs: Vec<u8>,
    /// Pings since the last pong.
    pings_silent: u8,
    /// Whether a message's last fragment is still to come, and for how many pings already.
    is_unfinished: bool,
    pings_unfinished: u8,
    /// The code of the peer's close frame, to be given back.
    peer_closed: Option<CloseCode>,
}

/// Why no more messages come.
#[derive(Debug)]
pub(in crate::wire) enum Stop {
    /// The peer has said so.
    Closed,
    TooLarge,
    Binary,
    Wrong(Error),
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

impl Frames {
    /// `max_message_bytes`: of a whole message.
    pub(in crate::wire) fn new(max_message_bytes: usize) -> Frames {
        Frames {
            max_message_bytes,
            engine: None,
            pongs: Vec::new(),
            pings_silent: 0,
            is_unfinished: false,
            pings_unfinished: 0,
            peer_closed: None,
        }
    }

    /// The next whole message.
    pub(in crate::wire) fn next(&mut self, input: &mut Buffer) -> Result<Option<Utf8Bytes>, Stop> {
        while let Some((header, length)) = self.frame(input.as_slice())? {
            let message = self.read(&header, &input.as_slice()[..length]);
            input.consume(length);
            match message.map_err(stop)? {
                Some(Message::Text(text)) => return Ok(Some(text)),
                Some(Message::Binary(_)) => return Err(Stop::Binary),
                Some(Message::Pong(_)) => self.pings_silent = 0,
                Some(Message::Close(frame)) => {
                    self.peer_closed = frame.map(|frame| frame.code);
                    return Err(Stop::Closed);
                }
                // Pings were answered; bare frames are never read.
                Some(Message::Ping(_) | Message::Frame(_)) | None => {}
            }
        }
        Ok(None)
    }

    /// What the frames themselves want sent after [`Frames::next`].
    pub(in crate::wire) fn chatter(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.pongs);
        self.pongs = Vec::new();
    }

    /// Asks for a sign of life. False: the peer is gone, or never comes to the end of a message.
    pub(in crate::wire) fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        if PINGS_MAX <= self.pings_silent || PINGS_MAX <= self.pings_unfinished {
            return false;
        }
        self.pings_silent += 1;
        self.pings_unfinished += u8::from(self.engine.is_some());
        write_frame(Frame::ping(Vec::new()), out);
        true
    }

    /// Whether there was a pong since the last ping.
    pub(in crate::wire) fn is_answered(&self) -> bool {
        self.pings_silent == 0
    }

    /// The close frame. `malformed`: the code for what the protocol above calls so.
    pub(in crate::wire) fn close(&self, why: Farewell, malformed: CloseCode, out: &mut Vec<u8>) {
        let code = match why {
            Farewell::Malformed => malformed,
            Farewell::TooLarge => CloseCode::Size,
            Farewell::Unsupported => CloseCode::Unsupported,
            Farewell::Done => self.peer_closed.unwrap_or(CloseCode::Normal),
            Farewell::GivenUp | Farewell::GoingAway => CloseCode::Away,
        };
        write_frame(Frame::close(Some(CloseFrame { code, reason: "".into() })), out);
    }

    /// The header and the whole length of the frame at the front, if all of it is there.
    fn frame(&self, bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, Stop> {
        let mut cursor = Cursor::new(bytes);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(stop)? else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if self.max_message_bytes < length {
            return Err(Stop::TooLarge);
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
            self.pings_unfinished = 0;
        }
        self.is_unfinished = is_unfinished;
        Ok(message)
    }

    fn new_engine(&self) -> WebSocketContext {
        let config = WebSocketConfig::default()
            .read_buffer_size(ENGINE_READ_BYTES)
            .max_message_size(Some(self.max_message_bytes))
            .max_frame_size(Some(self.max_message_bytes));
        WebSocketContext::new(Role::Server, Some(config))
    }
}

/// One text message, whose parts follow one another.
pub(in crate::wire) fn write_text(parts: &[&[u8]], out: &mut Vec<u8>) {
    // The frame's header needs the length of what follows.
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let opcode = OpCode::Data(Data::Text);
    let header = FrameHeader { is_final: true, opcode, ..FrameHeader::default() };
    out.reserve(header.len(length as u64) + length);
    header.format(length as u64, out).expect("a Vec takes everything");
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn write_frame(frame: Frame, out: &mut Vec<u8>) {
    frame.format(out).expect("a Vec takes everything");
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

fn stop(error: Error) -> Stop {
    match error {
        Error::Capacity(_) => Stop::TooLarge,
        other => Stop::Wrong(other),
    }
}
