//! Lines: cut at `\n`, a `\r` before it is no part of them, empty ones are ignored; sent with `\n`.

use super::malformed;
use crate::wire::{self, Broken, Buffer, Farewell};

/// One line without its end; from the server also an answer's line with the block that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet(pub String);

/// Bytes ⇄ lines.
#[derive(Debug)]
pub struct Codec {
    /// Of a line without its end.
    bytes_max: u32,
    /// How far the unread bytes were searched for an end: they are not searched again.
    searched: u32,
}

impl Codec {
    pub fn new(max_packet_bytes: usize) -> Codec {
        Codec { bytes_max: u32::try_from(max_packet_bytes).unwrap_or(u32::MAX), searched: 0 }
    }
}

impl wire::Codec for Codec {
    type Packet = Packet;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Packet>, Broken<Packet>> {
        loop {
            let bytes = input.as_slice();
            let most = self.bytes_max as usize;
            let searched = self.searched as usize;
            let Some(at) = bytes.iter().skip(searched).position(|b| *b == b'\n') else {
                // One more may be the `\r` of an end whose `\n` is on its way.
                if most.saturating_add(1) < bytes.len() {
                    return Err(too_long());
                }
                self.searched = u32::try_from(bytes.len()).unwrap_or(0);
                return Ok(None);
            };
            let end = searched + at;
            let line = &bytes[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if most < line.len() {
                return Err(too_long());
            }
            let packet = match std::str::from_utf8(line) {
                Ok("") => None,
                Ok(line) => Some(Packet(line.to_owned())),
                Err(_) => return Err(broken("a line is UTF-8", Farewell::Malformed)),
            };
            input.consume(end + 1);
            self.searched = 0;
            if packet.is_some() {
                return Ok(packet);
            }
        }
    }

    fn encode(&mut self, packet: &Packet, out: &mut Vec<u8>) {
        out.reserve(packet.0.len() + 1);
        out.extend_from_slice(packet.0.as_bytes());
        out.push(b'\n');
    }
}

fn too_long() -> Broken<Packet> {
    broken("a line is longer than this server accepts", Farewell::TooLarge)
}

fn broken(message: &str, why: Farewell) -> Broken<Packet> {
    Broken { last: Some(malformed(message)), why }
}
