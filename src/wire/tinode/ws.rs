//! Tinode over WebSocket: one JSON object a text message. What a text says, and whether it says
//! anything, is the dialogue's business: a malformed one is answered and the socket goes on.
//!
//! A ping goes out every [`TINODE_PING_SECS`], and [`TINODE_PONG_SECS`] after the last pong it is
//! over; nothing else that comes counts as one.

use tungstenite::error::Error;
use tungstenite::protocol::frame::coding::CloseCode;

use super::packet::Packet;
use crate::limits::{TINODE_PACKET_BYTES_MAX, TINODE_PING_SECS, TINODE_PONG_SECS};
use crate::wire::ws::{Frames, Stop, write_text};
use crate::wire::{self, Broken, Buffer, Farewell};

/// Bytes ⇄ packets, after the upgrade.
#[derive(Debug)]
pub struct Codec {
    frames: Frames,
    beat: Beat,
    /// Whether it was a text that was no UTF-8.
    is_garbled: bool,
}

/// What the next heartbeat is for.
#[derive(Clone, Copy, Debug)]
enum Beat {
    FirstPing,
    /// To look for one.
    Pong,
    Ping,
}

impl Codec {
    /// `max_packet_bytes`: of a whole message, where that is less than clients expect anyway.
    pub fn new(max_packet_bytes: usize) -> Codec {
        let frames = Frames::new(max_packet_bytes.min(TINODE_PACKET_BYTES_MAX));
        Codec { frames, beat: Beat::FirstPing, is_garbled: false }
    }

    fn broken(&mut self, stop: &Stop) -> Broken<Packet> {
        let why = match stop {
            Stop::Closed => Farewell::Done,
            Stop::TooLarge => Farewell::TooLarge,
            Stop::Binary => Farewell::Unsupported,
            Stop::Wrong(error) => {
                self.is_garbled = matches!(error, Error::Utf8(_));
                Farewell::Malformed
            }
        };
        Broken { last: None, why }
    }
}

impl wire::Codec for Codec {
    type Packet = Packet;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Packet>, Broken<Packet>> {
        match self.frames.next(input) {
            Ok(text) => Ok(text.map(|text| Packet::Said(text.as_str().into()))),
            Err(stop) => Err(self.broken(&stop)),
        }
    }

    fn encode(&mut self, packet: &Packet, out: &mut Vec<u8>) {
        match packet {
            Packet::Written(json) => write_text(&[json], out),
            Packet::Said(_)
            | Packet::Ctrl(_)
            | Packet::Data(_)
            | Packet::Meta(_)
            | Packet::Pres(_)
            | Packet::Info(_) => write_text(&[&packet.to_json()], out),
        }
    }

    fn chatter(&mut self, out: &mut Vec<u8>) {
        self.frames.chatter(out);
    }

    fn beat_secs(&self) -> Option<u64> {
        const PATIENCE: u64 = TINODE_PONG_SECS - TINODE_PING_SECS;
        Some(match self.beat {
            Beat::FirstPing => TINODE_PING_SECS,
            Beat::Pong => PATIENCE,
            Beat::Ping => TINODE_PING_SECS - PATIENCE,
        })
    }

    fn on_beat(&mut self, out: &mut Vec<u8>) -> bool {
        match self.beat {
            Beat::FirstPing | Beat::Ping => {
                self.beat = Beat::Pong;
                self.frames.ping(out)
            }
            Beat::Pong => {
                self.beat = Beat::Ping;
                self.frames.is_answered()
            }
        }
    }

    fn farewell(&mut self, why: Farewell, out: &mut Vec<u8>) {
        let malformed = if self.is_garbled { CloseCode::Invalid } else { CloseCode::Protocol };
        self.frames.close(why, malformed, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Timestamp;
    use crate::wire::Codec as _;
    use crate::wire::tinode::packet::Ctrl;
    use crate::wire::tinode::reply::Status;
    use crate::wire::tinode::testing::{Read, read, read_every_way};

    const TEXT: u8 = 0x81;
    const PING: u8 = 0x89;
    const PONG: u8 = 0x8A;
    const CLOSE: u8 = 0x88;

    fn codec() -> Codec {
        Codec::new(1 << 16)
    }

    /// One masked frame, as a client sends it (RFC 6455 §5.2). `first`: flags and operation.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            medium => {
                frame.push(0x80 | 126);
                frame.extend((medium as u16).to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn said(read: &Read) -> Vec<&str> {
        fn text(packet: &Packet) -> &str {
            let Packet::Said(text) = packet else { panic!("{packet:?}") };
            text
        }
        read.packets.iter().map(text).collect()
    }

    #[test]
    fn every_text_is_handed_up_whatever_it_says() {
        let bytes = [
            frame(TEXT, br#"{"pub":{}}"#),
            frame(TEXT, b"no JSON at all"),
            frame(PING, b"?"),
            frame(0x01, "{\"é".as_bytes()),
            frame(0x80, b"\":1}"),
            frame(TEXT, b""),
        ]
        .concat();
        let read = read_every_way(codec, &bytes);
        assert_eq!(said(&read), [r#"{"pub":{}}"#, "no JSON at all", "{\"é\":1}", ""]);
        assert_eq!((read.end, read.left), (None, 0));
        assert_eq!(read.chatter, b"\x8a\x01?");
    }

    #[test]
    fn thirty_two_kibibytes_are_read_and_no_more() {
        let largest = vec![b' '; TINODE_PACKET_BYTES_MAX];
        let read = read(&mut codec(), &frame(TEXT, &largest), &[]);
        assert_eq!(said(&read)[0].len(), TINODE_PACKET_BYTES_MAX);
        let smaller = || Codec::new(100);
        for (bytes, codec) in [
            (frame(TEXT, &vec![b' '; TINODE_PACKET_BYTES_MAX + 1]), codec()),
            ([frame(0x01, &largest), frame(0x80, b" ")].concat(), codec()),
            (frame(TEXT, &[b' '; 101]), smaller()),
        ] {
            assert_eq!(ending(codec, &bytes), (Farewell::TooLarge, 1009));
        }
    }

    /// Why it ends, and with which code.
    fn ending(mut codec: Codec, bytes: &[u8]) -> (Farewell, u16) {
        let why = read(&mut codec, bytes, &[]).end.expect("an end");
        let mut out = Vec::new();
        codec.farewell(why, &mut out);
        assert_eq!(out[..2], [CLOSE, 2]);
        (why, u16::from_be_bytes([out[2], out[3]]))
    }

    #[test]
    fn what_may_not_come_ends_the_socket_with_its_code() {
        let cases = [
            (frame(0x82, b"x"), Farewell::Unsupported, 1003),
            (frame(TEXT, b"\xff"), Farewell::Malformed, 1007),
            ([frame(0x01, b"\xc3"), frame(0x80, b"(")].concat(), Farewell::Malformed, 1007),
            (frame(0x83, b"x"), Farewell::Malformed, 1002),
            (b"\x81\x02{}".to_vec(), Farewell::Malformed, 1002),
            (frame(CLOSE, &[0x03, 0xE9]), Farewell::Done, 1001),
            (frame(CLOSE, b""), Farewell::Done, 1000),
        ];
        for (bytes, why, code) in cases {
            assert_eq!(read_every_way(codec, &bytes).end, Some(why));
            assert_eq!(ending(codec(), &bytes), (why, code));
        }
        let mut out = Vec::new();
        codec().farewell(Farewell::GoingAway, &mut out);
        assert_eq!(out, [CLOSE, 2, 0x03, 0xE9]);
    }

    #[test]
    fn packets_are_written_one_a_frame() {
        let ctrl = Packet::Ctrl(Box::new(Ctrl::new(Status::OK, Timestamp(0))));
        let json = ctrl.to_json();
        let expected = [&[TEXT, json.len() as u8], &json[..]].concat();
        for packet in [ctrl, Packet::Written(json.into())] {
            let mut out = Vec::new();
            codec().encode(&packet, &mut out);
            assert_eq!(out, expected);
        }
    }

    /// Beats until it is given up; after each, what the client sends.
    fn lives(codec: &mut Codec, beats: usize, answer: impl Fn(usize) -> Vec<u8>) -> u64 {
        let mut secs = 0;
        for beat in 0..beats {
            secs += codec.beat_secs().expect("it has a heartbeat");
            let mut out = Vec::new();
            if !codec.on_beat(&mut out) {
                return secs;
            }
            read(codec, &answer(beat), &[]);
        }
        secs
    }

    #[test]
    fn only_pongs_keep_a_socket() {
        let pong = |_| frame(PONG, b"");
        let mut answering = codec();
        // Twenty beats are ten pings.
        assert_eq!(lives(&mut answering, 20, pong), 9 * TINODE_PING_SECS + TINODE_PONG_SECS);
        let chatty = |_| [frame(TEXT, b"{}"), frame(PING, b"")].concat();
        assert_eq!(lives(&mut codec(), 20, chatty), TINODE_PONG_SECS);
        // One pong, to the first ping.
        let once = |beat| if beat == 0 { frame(PONG, b"") } else { Vec::new() };
        assert_eq!(lives(&mut codec(), 20, once), TINODE_PING_SECS + TINODE_PONG_SECS);
    }

    #[test]
    fn a_message_without_end_is_given_up() {
        let mut codec = codec();
        read(&mut codec, &frame(0x01, b"{"), &[]);
        let drip = |_| [frame(PONG, b""), frame(0x00, b" ")].concat();
        assert_eq!(lives(&mut codec, 20, drip), 3 * TINODE_PING_SECS);
    }
}
