//! mSIM 2.0 over WebSocket: one JSON object a text message.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tungstenite::protocol::frame::coding::CloseCode;

use super::packet::{self, Packet, Type};
use super::refusal::MALFORMED;
use crate::limits::PING_SECS;
use crate::wire::json::{self, ObjectWriter};
use crate::wire::ws::{Frames, Stop, write_text};
use crate::wire::{self, Broken, Buffer, Farewell};

pub use crate::wire::ws::accept_key;

/// Bytes ⇄ packets, after the upgrade.
#[derive(Debug)]
pub struct Codec {
    /// The URL's: every packet of this socket has it.
    layer: u32,
    frames: Frames,
}

impl Codec {
    /// `layer`: of the URL. `max_packet_bytes`: of a whole message.
    pub fn new(layer: u32, max_packet_bytes: usize) -> Codec {
        Codec { layer, frames: Frames::new(max_packet_bytes) }
    }
}

impl wire::Codec for Codec {
    type Packet = Packet;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Packet>, Broken<Packet>> {
        let Some(text) = self.frames.next(input).map_err(broken)? else { return Ok(None) };
        packet(self.layer, text.as_str()).map(Some)
    }

    fn encode(&mut self, packet: &Packet, out: &mut Vec<u8>) {
        let body: &[u8] = if packet.body.is_empty() { b"{}" } else { &packet.body };
        write_text(&[&envelope(packet), body, b"}"], out);
    }

    fn chatter(&mut self, out: &mut Vec<u8>) {
        self.frames.chatter(out);
    }

    fn beat_secs(&self) -> Option<u64> {
        Some(PING_SECS)
    }

    fn on_beat(&mut self, out: &mut Vec<u8>) -> bool {
        self.frames.ping(out)
    }

    fn farewell(&mut self, why: Farewell, out: &mut Vec<u8>) {
        self.frames.close(why, CloseCode::Protocol, out);
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

fn malformed(seq: u32, why: &str) -> Broken<Packet> {
    let last = super::error_packet(seq, MALFORMED.body(Some(why), None));
    Broken { last: Some(last), why: Farewell::Malformed }
}

/// What the end of the frames means to the peer.
fn broken(stop: Stop) -> Broken<Packet> {
    match stop {
        Stop::Closed => Broken { last: None, why: Farewell::Done },
        Stop::TooLarge => Broken { last: None, why: Farewell::TooLarge },
        Stop::Binary => Broken { last: None, why: Farewell::Unsupported },
        Stop::Wrong(error) => malformed(0, &error.to_string()),
    }
}
