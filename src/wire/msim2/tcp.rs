//! mSIM 2.0 over TCP: binary frames, integers big-endian.
//!
//! ```text
//! layer u32 | session [32] | sequence u32 | type: u8 length + bytes | length u64 | status u16 | body
//! ```

use super::packet::{self, Packet, Type, in_force};
use super::refusal::{MALFORMED, PACKET_TOO_LARGE};
use crate::domain::id::SessionId;
use crate::limits::TYPE_BYTES_MAX;
use crate::wire::{self, Broken, Buffer, Farewell};

/// What stands before the type: layer, session, sequence number, the type's length.
const HEAD: usize = 4 + 32 + 4 + 1;
/// What stands between type and body: length, status.
const TAIL: usize = 8 + 2;

/// Bytes ⇄ packets.
#[derive(Debug)]
pub struct Codec {
    max_packet_bytes: usize,
}

/// A frame whose head is here, and whose body may not be.
struct Frame {
    layer: u32,
    session: Option<SessionId>,
    seq: u32,
    kind: Type,
    start: usize,
    end: usize,
}

impl Codec {
    /// `max_packet_bytes`: a body longer than that is not read.
    pub fn new(max_packet_bytes: usize) -> Codec {
        Codec { max_packet_bytes }
    }

    fn frame(&self, bytes: &[u8]) -> Result<Option<Frame>, Broken<Packet>> {
        let mut cursor = Cursor(bytes);
        let (Some(layer), Some(session), Some(seq), Some([kind_len])) =
            (cursor.take::<4>(), cursor.take::<32>(), cursor.take::<4>(), cursor.take::<1>())
        else {
            return Ok(None);
        };
        let seq = u32::from_be_bytes(seq);
        let kind_len = usize::from(kind_len);
        if seq == 0 {
            return Err(malformed(0, "a request is numbered from 1"));
        }
        if kind_len == 0 || TYPE_BYTES_MAX < kind_len {
            return Err(malformed(seq, "a type has 1 to 64 bytes"));
        }
        let Some((kind, tail)) = cursor.0.split_at_checked(kind_len) else { return Ok(None) };
        let Some(kind) = Type::parse(kind) else {
            return Err(malformed(seq, "a type is upper-case letters, digits and -"));
        };
        let Some(length) = Cursor(tail).take::<8>() else { return Ok(None) };
        let layer = u32::from_be_bytes(layer);
        let session = packet::session_of(session);
        let length = usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX);
        if self.max_packet_bytes < length {
            return Err(too_large(layer, session, seq, kind));
        }
        let start = HEAD + kind_len + TAIL;
        Ok(Some(Frame { layer, session, seq, kind, start, end: start + length }))
    }
}

impl wire::Codec for Codec {
    type Packet = Packet;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Packet>, Broken<Packet>> {
        let Some(frame) = self.frame(input.as_slice())? else { return Ok(None) };
        let Some(body) = input.as_slice().get(frame.start..frame.end) else { return Ok(None) };
        // A status in a request means nothing (decision 13).
        let packet = Packet {
            layer: frame.layer,
            session: frame.session,
            seq: frame.seq,
            kind: frame.kind,
            status: 0,
            body: body.to_vec().into(),
        };
        input.consume(frame.end);
        Ok(Some(packet))
    }

    fn encode(&mut self, packet: &Packet, out: &mut Vec<u8>) {
        // No type that exists is longer: it was checked, or is ours.
        let kind = packet.kind.as_str().as_bytes();
        let kind_end = HEAD + kind.len();
        let mut head = [0; HEAD + TYPE_BYTES_MAX + TAIL];
        head[..4].copy_from_slice(&packet.layer.to_be_bytes());
        if let Some(session) = &packet.session {
            head[4..36].copy_from_slice(session.bytes());
        }
        head[36..40].copy_from_slice(&packet.seq.to_be_bytes());
        head[40] = kind.len() as u8;
        head[HEAD..kind_end].copy_from_slice(kind);
        head[kind_end..kind_end + 8].copy_from_slice(&(packet.body.len() as u64).to_be_bytes());
        head[kind_end + 8..kind_end + TAIL].copy_from_slice(&packet.status.to_be_bytes());
        out.reserve(kind_end + TAIL + packet.body.len());
        out.extend_from_slice(&head[..kind_end + TAIL]);
        out.extend_from_slice(&packet.body);
    }
}

/// Reads from the front of bytes.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }
}

fn malformed(seq: u32, why: &str) -> Broken<Packet> {
    let last = super::error_packet(seq, MALFORMED.body(Some(why), None));
    Broken { last: Some(last), why: Farewell::Malformed }
}

fn too_large(layer: u32, session: Option<SessionId>, seq: u32, kind: Type) -> Broken<Packet> {
    let layer = in_force(layer).max(1);
    let status = PACKET_TOO_LARGE.status;
    let body = PACKET_TOO_LARGE.body(None, None).into();
    let last = Packet { layer, session, seq, kind, status, body };
    Broken { last: Some(last), why: Farewell::TooLarge }
}
