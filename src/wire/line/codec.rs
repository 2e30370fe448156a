//! Lines: read as `wire::lines` cuts them, sent with `\n`.

use super::malformed;
use crate::wire::lines::{Cutter, Flaw};
use crate::wire::{self, Broken, Buffer, Farewell};

/// One line without its end; from the server also an answer's line with the block that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet(pub String);

/// Bytes ⇄ lines.
#[derive(Debug)]
pub struct Codec(Cutter);

impl Codec {
    pub fn new(max_packet_bytes: usize) -> Codec {
        Codec(Cutter::new(max_packet_bytes))
    }
}

impl wire::Codec for Codec {
    type Packet = Packet;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Packet>, Broken<Packet>> {
        let (message, why) = match self.0.cut(input) {
            Ok(line) => return Ok(line.map(Packet)),
            Err(Flaw::TooLong) => ("a line is longer than this server accepts", Farewell::TooLarge),
            Err(Flaw::NoText) => ("a line is UTF-8", Farewell::Malformed),
        };
        Err(Broken { last: Some(malformed(message)), why })
    }

    fn encode(&mut self, packet: &Packet, out: &mut Vec<u8>) {
        out.reserve(packet.0.len() + 1);
        out.extend_from_slice(packet.0.as_bytes());
        out.push(b'\n');
    }
}
