//! Bytes ⇄ packets of mSIM 2: known answers by hand, round trips, every input whole and byte by
//! byte, seeded garbage. The frames here are built by code of their own: a codec that misreads what
//! it miswrites would agree with itself.

mod websocket;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use msimd::config::Config;
use msimd::domain::id::SessionId;
use msimd::domain::words::Reply;
use msimd::wire::json;
use msimd::wire::msim2::packet::ERROR;
use msimd::wire::msim2::{Carrier, Dialogue, Packet, Type, tcp, ws};
use msimd::wire::{Buffer, Codec, Dialogue as _, Farewell, House};
use websocket::{CONTINUE_END, PING, TEXT, TEXT_BEGIN, ws_frame};

const MAX: usize = 65_536;

/// Small, seeded, and not for secrets (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// 0..below.
    fn below(&mut self, below: usize) -> usize {
        (self.roll() >> 33) as usize % below
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll() as u8).collect()
    }
}

/// What came out of a decoder, in a form that can be compared.
#[derive(Debug, Default, PartialEq)]
struct Read {
    packets: Vec<Packet>,
    end: Option<(Option<Packet>, Farewell)>,
    chatter: Vec<u8>,
    left: usize,
}

/// Feeds `bytes` in pieces of the given sizes, the last one for all the rest.
fn read<C: Codec<Packet = Packet>>(codec: &mut C, bytes: &[u8], pieces: &[usize]) -> Read {
    let mut input = Buffer::default();
    let mut out = Read::default();
    let mut rest = bytes;
    let mut pieces = pieces.iter().copied();
    let mut size = pieces.next().unwrap_or(rest.len());
    while !rest.is_empty() && out.end.is_none() {
        let (piece, later) = rest.split_at(size.clamp(1, rest.len()));
        rest = later;
        size = pieces.next().unwrap_or(size);
        input.extend(piece);
        drain(codec, &mut input, &mut out);
    }
    out.left = if out.end.is_none() { input.len() } else { 0 };
    out
}

fn drain<C: Codec<Packet = Packet>>(codec: &mut C, input: &mut Buffer, out: &mut Read) {
    loop {
        let before = input.len();
        let decoded = codec.decode(input);
        codec.chatter(&mut out.chatter);
        match decoded {
            Ok(Some(packet)) => out.packets.push(packet),
            Ok(None) => break,
            Err(broken) => {
                out.end = Some((broken.last, broken.why));
                break;
            }
        }
        assert!(input.len() < before, "a packet was made of nothing");
    }
}

/// Whole, byte by byte, and in random pieces: always the same.
fn read_every_way<C: Codec<Packet = Packet>>(codec: impl Fn() -> C, bytes: &[u8]) -> Read {
    let whole = read(&mut codec(), bytes, &[]);
    assert_eq!(read(&mut codec(), bytes, &[1]), whole, "byte by byte");
    let mut dice = Dice(bytes.len() as u64 + 1);
    let pieces: Vec<usize> = (0..64).map(|_| 1 + dice.below(50)).collect();
    assert_eq!(read(&mut codec(), bytes, &pieces), whole, "in pieces {pieces:?}");
    whole
}

fn tcp_codec() -> tcp::Codec {
    tcp::Codec::new(MAX)
}

fn ws_codec() -> ws::Codec {
    ws::Codec::new(3, MAX)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let pairs = digits.as_bytes().chunks_exact(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    pairs.map(|pair| byte(pair).expect("hexadecimal digits")).collect()
}

const HELLO: &str = "00000001
    00000000000000000000000000000000 00000000000000000000000000000000
    00000001 05 48454c4c4f 0000000000000014 0000
    7b2270726f746f636f6c2d6c61796572 223a337d";

const HELLO_ANSWER: &str = "00000001
    00000000000000000000000000000000 00000000000000000000000000000000
    00000001 05 48454c4c4f 00000000000000b8 00c8";

fn house(name: &str) -> Arc<House> {
    Arc::new(House { name: name.into(), config: Arc::new(Config::for_tests()) })
}

#[test]
fn hello_on_tcp_is_what_the_protocol_document_shows() {
    let read = read_every_way(tcp_codec, &unhex(HELLO));
    let [packet] = &read.packets[..] else { panic!("{read:?}") };
    assert_eq!((packet.layer, packet.session, packet.seq), (1, None, 1));
    assert_eq!((packet.kind.as_str(), packet.status), ("HELLO", 0));
    assert_eq!(&*packet.body, br#"{"protocol-layer":3}"#);

    let mut dialogue = Dialogue::new(house("localhost"), Carrier::Tcp);
    let mut out = Vec::new();
    dialogue.on_packet(packet.clone(), &mut out);
    dialogue.on_reply(Ok(Reply::Done), &mut out);
    let mut bytes = Vec::new();
    tcp_codec().encode(&out[0], &mut bytes);
    let mut expected = unhex(HELLO_ANSWER);
    expected.extend_from_slice(
        br#"{"highest-supported-layer":5,"servername":"localhost","federated":false,"supported-auth-methods":["AUTH-PLAIN"],"supported-register-methods":["REGISTER-PLAIN","REGISTER-INSTRUCTIONS"]}"#,
    );
    assert_eq!(bytes, expected);

    // The document shows both frames, the answer's body only up to where its line ends.
    let shown = shown_bytes(include_str!("../docs/msim2.md"));
    let both = [unhex(HELLO), bytes].concat();
    assert!(unhex(HELLO).len() + unhex(HELLO_ANSWER).len() < shown.len());
    assert_eq!(shown, &both[..shown.len()]);
}

/// The bytes that stand at the beginning of the lines of the document's first block.
fn shown_bytes(document: &str) -> Vec<u8> {
    let block = document.split("```").nth(1).expect("a block");
    let is_pair = |word: &&str| word.len() == 2 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let of_line = |line: &str| {
        let words: Vec<_> =
            line.get(..47).unwrap_or(line).split_whitespace().map(str::to_owned).collect();
        words.into_iter().take_while(|word| is_pair(&word.as_str())).collect::<String>()
    };
    unhex(&block.lines().map(of_line).collect::<String>())
}

/// One frame of the TCP carrier.
fn tcp_frame(layer: u32, session: [u8; 32], seq: u32, kind: &[u8], body: &[u8]) -> Vec<u8> {
    let mut frame = layer.to_be_bytes().to_vec();
    frame.extend(session);
    frame.extend(seq.to_be_bytes());
    frame.push(kind.len() as u8);
    frame.extend(kind);
    frame.extend((body.len() as u64).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(body);
    frame
}

#[test]
fn tcp_frames_follow_one_another() {
    let mut bytes = tcp_frame(3, [7; 32], 1, b"MESSAGE-SEND", b"{\"a\":1}");
    bytes.extend(tcp_frame(u32::MAX, [0; 32], u32::MAX, b"X", b""));
    bytes.extend(tcp_frame(0, [0xFF; 32], 3, &[b'A'; 64], b"not JSON: the dialogue's business"));
    bytes.extend(b"\0\0\0");
    let read = read_every_way(tcp_codec, &bytes);
    let kinds: Vec<_> = read.packets.iter().map(|p| p.kind.as_str().to_owned()).collect();
    assert_eq!(kinds, ["MESSAGE-SEND".to_owned(), "X".to_owned(), "A".repeat(64)]);
    assert_eq!(read.packets[0].session, Some(SessionId::new([7; 32])));
    assert_eq!((read.packets[1].layer, read.packets[1].session), (u32::MAX, None));
    assert_eq!((read.end, read.left), (None, 3));
}

#[test]
fn a_requests_status_means_nothing() {
    let mut bytes = tcp_frame(1, [0; 32], 1, b"HELLO", b"");
    let status = bytes.len() - 2;
    bytes[status..].copy_from_slice(&[0x01, 0xF7]);
    assert_eq!(read_every_way(tcp_codec, &bytes).packets[0].status, 0);
}

#[test]
fn what_is_no_tcp_frame_is_told_with_its_number_and_ends_the_stream() {
    let good = tcp_frame(1, [0; 32], 1, b"HELLO", b"");
    let cases: [(Vec<u8>, u32); 7] = [
        (tcp_frame(1, [0; 32], 0, b"HELLO", b""), 0),
        (tcp_frame(1, [0; 32], 9, b"", b""), 9),
        (tcp_frame(1, [0; 32], 9, &[b'A'; 65], b""), 9),
        (tcp_frame(1, [0; 32], 9, &[b'A'; 255], b""), 9),
        (tcp_frame(1, [0; 32], 9, b"hello", b""), 9),
        (tcp_frame(1, [0; 32], 9, b"A B", b""), 9),
        // Somebody's browser: where the number should be stands "ser-".
        (
            b"GET / HTTP/1.1\r\nHost: im.test\r\nUser-Agent: somebody\r\n\r\n".to_vec(),
            u32::from_be_bytes(*b"Agen"),
        ),
    ];
    for (bad, seq) in cases {
        // What came before is still there, and nothing after it is read.
        let bytes = [&good[..], &bad, &good].concat();
        let read = read_every_way(tcp_codec, &bytes);
        assert_eq!(read.packets.len(), 1);
        let Some((Some(last), Farewell::Malformed)) = read.end else { panic!("{:?}", read.end) };
        assert_eq!((last.kind, last.layer, last.session), (ERROR, 1, None));
        assert_eq!(last.status, 400);
        assert!(last.body.starts_with(br#"{"reason":"malformed-packet","message":""#));
        assert_eq!(last.seq, seq);
    }
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_comes() {
    for length in [MAX as u64 + 1, 1 << 32, u64::MAX] {
        let mut bytes = tcp_frame(9, [7; 32], 5, b"MESSAGE-SEND", b"");
        let at = bytes.len() - 10;
        bytes[at..at + 8].copy_from_slice(&length.to_be_bytes());
        let read = read_every_way(tcp_codec, &bytes);
        let Some((Some(last), Farewell::TooLarge)) = read.end else { panic!("{:?}", read.end) };
        assert_eq!((last.layer, last.session), (5, Some(SessionId::new([7; 32]))));
        assert_eq!((last.seq, last.kind.as_str(), last.status), (5, "MESSAGE-SEND", 413));
        assert!(last.body.starts_with(br#"{"reason":"packet-too-large""#));
    }
    let largest = tcp_frame(1, [0; 32], 1, b"HELLO", &vec![b' '; MAX]);
    let read = read(&mut tcp_codec(), &largest, &[4096]);
    assert_eq!(read.packets[0].body.len(), MAX);
}

fn some_packet(dice: &mut Dice) -> Packet {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    const KNOWN: [&str; 4] = ["HELLO", "MESSAGE-SEND", "CONTACTS-GET", "AUTH-PLAIN"];
    let length = 1 + dice.below(64);
    let random: Vec<u8> = (0..length).map(|_| LETTERS[dice.below(LETTERS.len())]).collect();
    let known = KNOWN[dice.below(KNOWN.len())].as_bytes();
    let kind = if dice.below(2) == 0 { &random } else { known };
    let session = (dice.below(3) > 0).then(|| {
        let mut bytes = [1; 32];
        bytes.copy_from_slice(&dice.bytes(32));
        SessionId::new(bytes)
    });
    let length = dice.below(300);
    Packet {
        layer: dice.roll() as u32,
        session,
        seq: (dice.roll() as u32).max(1),
        kind: Type::parse(kind).expect("a type"),
        status: 0,
        body: dice.bytes(length).into(),
    }
}

#[test]
fn what_tcp_encodes_it_decodes() {
    let mut dice = Dice(0x5EED);
    for _ in 0..200 {
        let packets: Vec<Packet> = (0..1 + dice.below(4)).map(|_| some_packet(&mut dice)).collect();
        let mut bytes = Vec::new();
        for packet in &packets {
            tcp_codec().encode(packet, &mut bytes);
        }
        let read = read_every_way(tcp_codec, &bytes);
        assert_eq!(read.packets, packets);
        assert_eq!((read.end, read.left), (None, 0));
    }
}

/// Feeds noise and says whether that panicked.
fn survives<C: Codec<Packet = Packet>>(codec: impl Fn() -> C, bytes: &[u8]) {
    let calm = catch_unwind(AssertUnwindSafe(|| {
        let read = read_every_way(&codec, bytes);
        let mut out = Vec::new();
        let mut dialogue = Dialogue::new(house("im.test"), Carrier::Tcp);
        for packet in read.packets {
            dialogue.on_packet(packet, &mut out);
            dialogue.on_reply(Ok(Reply::Done), &mut out);
        }
        let mut written = Vec::new();
        out.iter().for_each(|packet| codec().encode(packet, &mut written));
    }));
    assert!(calm.is_ok(), "these bytes: {bytes:02x?}");
}

#[test]
fn noise_never_panics() {
    let mut dice = Dice(0x0D1CE);
    let tcp_seed =
        [unhex(HELLO), tcp_frame(3, [7; 32], 2, b"MESSAGE-SEND", b"{\"text\":5}")].concat();
    let ws_seed = [
        ws_frame(TEXT, br#"{"type":"HELLO","seq":1,"body":{"protocol-layer":3}}"#),
        ws_frame(TEXT_BEGIN, b"{\"type\":"),
        ws_frame(PING, b"x"),
        ws_frame(CONTINUE_END, b"\"CHATS-GET\",\"seq\":2}"),
    ]
    .concat();
    for _ in 0..1000 {
        let length = dice.below(200);
        let noise = dice.bytes(length);
        survives(tcp_codec, &noise);
        survives(ws_codec, &noise);
        for (seed, is_tcp) in [(&tcp_seed, true), (&ws_seed, false)] {
            let mut mutant = seed.clone();
            for _ in 0..=dice.below(4) {
                let at = dice.below(mutant.len());
                mutant[at] = if dice.below(2) == 0 { dice.roll() as u8 } else { b'"' };
            }
            mutant.truncate(1 + dice.below(mutant.len()));
            if is_tcp { survives(tcp_codec, &mutant) } else { survives(ws_codec, &mutant) }
        }
    }
}

#[test]
fn json_noise_is_read_as_serde_json_reads_it() {
    let mut dice = Dice(0x150);
    let seed = br#"{"a":[1,-2,3.5e1,true,null,{"b":"\u00e9\n\ud83d\ude00x"}],"c":"","d":{}}"#;
    let letters = b"{}[]:,\"\\u0019dte.-+ \n\xc3\xa9";
    for _ in 0..20_000 {
        let mut mutant = seed.to_vec();
        for _ in 0..=dice.below(3) {
            let at = dice.below(mutant.len());
            match dice.below(3) {
                0 => drop(mutant.remove(at)),
                1 => mutant.insert(at, letters[dice.below(letters.len())]),
                _ => mutant[at] = letters[dice.below(letters.len())],
            }
        }
        let theirs = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&mutant);
        let ours = json::object(&mutant);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", String::from_utf8_lossy(&mutant));
    }
}
