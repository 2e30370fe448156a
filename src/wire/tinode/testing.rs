//! For the tests of codecs: every input whole, byte by byte and in odd pieces.

use super::packet::Packet;
use crate::wire::{Buffer, Codec, Farewell};

/// What came out of a decoder.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) packets: Vec<Packet>,
    pub(super) end: Option<Farewell>,
    pub(super) chatter: Vec<u8>,
    pub(super) left: usize,
}

/// Feeds `bytes` in pieces of the given sizes over and over; all at once where there are none.
pub(super) fn read<C: Codec<Packet = Packet>>(
    codec: &mut C,
    bytes: &[u8],
    pieces: &[usize],
) -> Read {
    let (mut input, mut out, mut rest) = (Buffer::default(), Read::default(), bytes);
    let mut sizes = pieces.iter().copied().cycle();
    while !rest.is_empty() && out.end.is_none() {
        let (piece, later) = rest.split_at(sizes.next().unwrap_or(rest.len()).min(rest.len()));
        rest = later;
        input.extend(piece);
        loop {
            let before = input.len();
            let decoded = codec.decode(&mut input);
            codec.chatter(&mut out.chatter);
            match decoded {
                Ok(Some(packet)) => out.packets.push(packet),
                Ok(None) => break,
                Err(broken) => {
                    out.end = Some(broken.why);
                    break;
                }
            }
            assert!(input.len() < before, "a packet was made of nothing");
        }
    }
    out.left = if out.end.is_none() { input.len() } else { 0 };
    out
}

pub(super) fn read_every_way<C: Codec<Packet = Packet>>(
    codec: impl Fn() -> C,
    bytes: &[u8],
) -> Read {
    let whole = read(&mut codec(), bytes, &[]);
    for pieces in [&[1][..], &[3, 1, 7, 2, 50], &[4, 13]] {
        assert_eq!(read(&mut codec(), bytes, pieces), whole, "in pieces {pieces:?}");
    }
    whole
}
