//! Tinode's packets on a stream of this process: a long poll's line. Its carrier takes requests and
//! gives responses, and in between the same dialogue talks as on a socket.
//!
//! A frame is the length of a text, four bytes big-endian, and the text. A text that is no UTF-8 is
//! handed up as an empty one, which is as malformed: unlike a socket, a request that went wrong
//! ends nothing.

use super::packet::Packet;
use crate::wire::{self, Broken, Buffer, Farewell};

/// Bytes ⇄ packets.
#[derive(Debug)]
pub struct Codec {
    max_packet_bytes: usize,
}

impl Codec {
    /// `max_packet_bytes`: of a text.
    pub fn new(max_packet_bytes: usize) -> Codec {
        Codec { max_packet_bytes }
    }
}

impl wire::Codec for Codec {
    type Packet = Packet;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Packet>, Broken<Packet>> {
        let Some((length, rest)) = input.as_slice().split_first_chunk() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if self.max_packet_bytes < length {
            return Err(Broken { last: None, why: Farewell::TooLarge });
        }
        let Some(text) = rest.get(..length) else { return Ok(None) };
        let said = Packet::Said(std::str::from_utf8(text).unwrap_or_default().into());
        input.consume(4 + length);
        Ok(Some(said))
    }

    fn encode(&mut self, packet: &Packet, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        packet.write(out);
        let length = u32::try_from(out.len() - start - 4).expect("no packet has gigabytes");
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Timestamp;
    use crate::wire::Codec as _;
    use crate::wire::tinode::packet::Ctrl;
    use crate::wire::tinode::reply::Status;
    use crate::wire::tinode::testing::read_every_way;

    fn codec() -> Codec {
        Codec::new(1000)
    }

    fn frame(text: &[u8]) -> Vec<u8> {
        [&(text.len() as u32).to_be_bytes(), text].concat()
    }

    #[test]
    fn texts_follow_one_another() {
        let bytes = [
            frame("{\"é\":1}\n".as_bytes()),
            frame(b""),
            frame(b"\xff{}"),
            frame(&[b' '; 1000]),
            b"\0\0".to_vec(),
        ];
        let read = read_every_way(codec, &bytes.concat());
        let said = ["{\"é\":1}\n", "", "", &" ".repeat(1000)].map(|t| Packet::Said(t.into()));
        assert_eq!(read.packets, said);
        assert_eq!((read.end, read.left), (None, 2));
    }

    #[test]
    fn a_text_over_the_limit_is_refused_before_it_comes() {
        for length in [1001, u32::MAX] {
            let read = read_every_way(codec, &length.to_be_bytes());
            assert_eq!(read.end, Some(Farewell::TooLarge));
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let texts = ["", "{}", "[1, 2]", &"é".repeat(400)];
        let packets: Vec<_> = texts.into_iter().map(|text| Packet::Said(text.into())).collect();
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| codec().encode(packet, &mut bytes));
        assert_eq!(read_every_way(codec, &bytes).packets, packets);
        let ctrl = Packet::Ctrl(Box::new(Ctrl::new(Status::OK, Timestamp(0))));
        let mut bytes = Vec::new();
        codec().encode(&ctrl, &mut bytes);
        assert_eq!(bytes, frame(&ctrl.to_json()));
    }
}
