//! mSIM 2 in WebSocket's messages: RFC 6455's known answers, fragments, pings, what ends a socket.

use super::*;

/// One masked frame, as a client sends it. `first`: the flags and the operation.
pub(super) fn ws_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(super) const TEXT: u8 = 0x81;
pub(super) const TEXT_BEGIN: u8 = 0x01;
const CONTINUE: u8 = 0x00;
pub(super) const CONTINUE_END: u8 = 0x80;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

#[test]
fn the_accept_key_is_the_rfcs() {
    // RFC 6455 §1.3.
    assert_eq!(ws::accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn the_rfcs_masked_hello_is_read() {
    // RFC 6455 §5.7: "Hello" is text, but no packet.
    let bytes = unhex("81 85 37 fa 21 3d 7f 9f 4d 51 58");
    let read = read_every_way(ws_codec, &bytes);
    let Some((Some(last), Farewell::Malformed)) = read.end else { panic!("{:?}", read.end) };
    assert_eq!((last.kind, last.seq, last.status), (ERROR, 0, 400));
}

#[test]
fn websocket_messages_are_packets_of_the_urls_layer() {
    let session = "ab".repeat(32);
    let messages = [
        r#"{"type":"HELLO","seq":1}"#.to_owned(),
        format!(r#"{{"body":{{"a":[1, 2]}},"session":"{session}","seq":4294967295,"type":"X-1"}}"#),
        r#" {"type":"HELLO","seq":2,"session":"","body":null,"more":{"x":[{}]}} "#.to_owned(),
        r#"{"type":"HELLO","seq":3,"session":null,"session":"?","seq":4,"body":[]}"#.to_owned(),
        r#"{"\u0074ype":"\u0048ELLO","seq":5,"body":{"\ud83d\ude00":1}}"#.to_owned(),
    ];
    let bytes: Vec<u8> = messages.iter().flat_map(|m| ws_frame(TEXT, m.as_bytes())).collect();
    let read = read_every_way(ws_codec, &bytes);
    assert_eq!((&read.end, read.left, read.packets.len()), (&None, 0, 5));
    let packet = |i: usize| {
        let p: &Packet = &read.packets[i];
        assert_eq!((p.layer, p.status), (3, 0));
        let body = String::from_utf8(p.body.to_vec()).unwrap();
        (p.kind.as_str().to_owned(), p.seq, p.session, body)
    };
    assert_eq!(packet(0), ("HELLO".into(), 1, None, "".into()));
    let named = Some(SessionId::new([0xAB; 32]));
    assert_eq!(packet(1), ("X-1".into(), u32::MAX, named, r#"{"a":[1, 2]}"#.into()));
    assert_eq!(packet(2), ("HELLO".into(), 2, None, "".into()));
    // A text that cannot be a session is one that nobody has.
    let nobodys = Some(SessionId::new([0xFF; 32]));
    assert_eq!(packet(3), ("HELLO".into(), 4, nobodys, "[]".into()));
    assert_eq!(packet(4), ("HELLO".into(), 5, None, r#"{"\ud83d\ude00":1}"#.into()));
}

#[test]
fn malformed_websocket_messages_are_told_and_end_the_socket() {
    let cases = [
        ("{}", 0),
        ("[]", 0),
        ("", 0),
        ("5", 0),
        (r#"{"type":"HELLO"}"#, 0),
        (r#"{"type":"HELLO","seq":0}"#, 0),
        (r#"{"type":"HELLO","seq":1.0}"#, 0),
        (r#"{"type":"HELLO","seq":"1"}"#, 0),
        (r#"{"type":"HELLO","seq":true}"#, 0),
        (r#"{"type":"HELLO","seq":-1}"#, 0),
        (r#"{"type":"HELLO","seq":4294967296}"#, 0),
        (r#"{"type":"HELLO","seq":null}"#, 0),
        (r#"{"seq":7}"#, 7),
        (r#"{"seq":7,"type":5}"#, 7),
        (r#"{"seq":7,"type":"hello"}"#, 7),
        (r#"{"seq":7,"type":""}"#, 7),
        (r#"{"seq":7,"type":"HELLO"} x"#, 7),
        (r#"{"seq":7,"type":"HELLO","session":5}"#, 7),
        (r#"{"seq":7,"type":"HELLO","x":"\ud800"}"#, 7),
        (r#"{"seq":7,"type":"HELLO","body":{]}"#, 7),
        (r#"{"seq":7,"type":"HELLO","body":"#, 7),
    ];
    for (text, seq) in cases {
        let read = read_every_way(ws_codec, &ws_frame(TEXT, text.as_bytes()));
        assert!(read.packets.is_empty(), "{text}");
        let Some((Some(last), Farewell::Malformed)) = read.end else { panic!("{text}") };
        assert_eq!((last.kind, last.seq, last.status), (ERROR, seq, 400), "{text}");
        assert!(last.body.starts_with(br#"{"reason":"malformed-packet","message":""#));
    }
}

#[test]
fn fragments_make_one_message_and_pings_may_stand_between_them() {
    let text = "{\"type\":\"HELLO\",\"seq\":1,\"body\":{\"a\":\"é\"}}".as_bytes();
    // Cut within a character.
    let cut = text.len() - 4;
    let bytes = [
        ws_frame(TEXT_BEGIN, &text[..5]),
        ws_frame(PING, b"are you there"),
        ws_frame(CONTINUE, &text[5..cut]),
        ws_frame(CONTINUE, b""),
        ws_frame(PONG, b""),
        ws_frame(CONTINUE_END, &text[cut..]),
        ws_frame(PING, b""),
        ws_frame(TEXT, br#"{"type":"HELLO","seq":2}"#),
    ]
    .concat();
    let read = read_every_way(ws_codec, &bytes);
    assert_eq!(read.end, None);
    assert_eq!(read.packets.iter().map(|p| p.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(&*read.packets[0].body, "{\"a\":\"é\"}".as_bytes());
    assert_eq!(read.chatter, b"\x8a\x0dare you there\x8a\x00");
}

#[test]
fn what_a_websocket_may_not_send_ends_it_with_the_right_code() {
    let unmasked = b"\x81\x02{}".to_vec();
    let mut half_taken = ws_frame(TEXT_BEGIN, &vec![b' '; 40_000]);
    half_taken.extend(ws_frame(CONTINUE_END, &vec![b' '; 40_000]));
    let mut announced = vec![TEXT, 0x80 | 127];
    announced.extend((MAX as u64 + 1).to_be_bytes());
    announced.extend([0; 4]);
    let mut boundless = announced.clone();
    boundless[2..10].fill(0x7F);
    let cases = [
        (ws_frame(BINARY, b"x"), Farewell::Unsupported, 1003),
        (announced, Farewell::TooLarge, 1009),
        (boundless, Farewell::TooLarge, 1009),
        (half_taken, Farewell::TooLarge, 1009),
        (unmasked, Farewell::Malformed, 1002),
        (ws_frame(0xC1, b"{}"), Farewell::Malformed, 1002),
        (ws_frame(0x83, b"{}"), Farewell::Malformed, 1002),
        (ws_frame(CONTINUE_END, b"{}"), Farewell::Malformed, 1002),
        (ws_frame(TEXT, b"\xff"), Farewell::Malformed, 1002),
        (ws_frame(PING, &[0; 126]), Farewell::Malformed, 1002),
        (ws_frame(0x09, b""), Farewell::Malformed, 1002),
        (ws_frame(CLOSE, b"\x03"), Farewell::Malformed, 1002),
        (ws_frame(CLOSE, &[0x03, 0xE9, b'b', b'y', b'e']), Farewell::Done, 1001),
        (ws_frame(CLOSE, &[0x0F, 0xA1]), Farewell::Done, 4001),
        (ws_frame(CLOSE, &[0x00, 0x05]), Farewell::Done, 1002),
        (ws_frame(CLOSE, b""), Farewell::Done, 1000),
    ];
    for (bytes, why, code) in cases {
        let read = read_every_way(ws_codec, &bytes);
        let (last, said) = read.end.expect("an end");
        assert_eq!(said, why);
        assert_eq!(last.is_some(), why == Farewell::Malformed);
        let mut codec = ws_codec();
        self::read(&mut codec, &bytes, &[]);
        let mut out = Vec::new();
        codec.farewell(said, &mut out);
        let [high, low] = u16::to_be_bytes(code);
        assert_eq!(out, [CLOSE, 2, high, low], "{why:?}");
    }
    let mut out = Vec::new();
    ws_codec().farewell(Farewell::GoingAway, &mut out);
    assert_eq!(out, [CLOSE, 2, 0x03, 0xE9]);
}

#[test]
fn websocket_packets_are_written_as_the_protocol_document_shows() {
    let packet = |session, seq, status, body: &str| Packet {
        layer: 3,
        session,
        seq,
        kind: Type::parse(b"MESSAGE-SEND").expect("a type"),
        status,
        body: body.as_bytes().to_vec().into(),
    };
    let text = |packet: &Packet| {
        let mut out = Vec::new();
        ws_codec().encode(packet, &mut out);
        assert_eq!(out[0], TEXT);
        let head = match out[1] {
            126 => 4,
            127 => 10,
            length => {
                assert_eq!(usize::from(length), out.len() - 2);
                2
            }
        };
        String::from_utf8(out[head..].to_vec()).unwrap()
    };
    let answer = r#"{"type":"MESSAGE-SEND","seq":7,"status":200,"body":{"message_id":7}}"#;
    assert_eq!(text(&packet(None, 7, 200, r#"{"message_id":7}"#)), answer);
    let hex = "a1".repeat(32);
    let push =
        format!(r#"{{"type":"MESSAGE-SEND","seq":0,"status":200,"session":"{hex}","body":{{}}}}"#);
    assert_eq!(text(&packet(Some(SessionId::new([0xA1; 32])), 0, 200, "")), push);
    for size in [10, 100, 1000, 65_000, 70_000, 2_000_000] {
        let body = format!("{{\"a\":\"{}\"}}", "x".repeat(size));
        let written: serde_json::Value =
            serde_json::from_str(&text(&packet(None, 1, 200, &body))).unwrap();
        assert_eq!(written["body"]["a"].as_str().map(str::len), Some(size));
    }
}

#[test]
fn a_socket_that_answers_no_ping_is_given_up_after_a_minute() {
    let mut codec = ws_codec();
    assert_eq!(codec.beat_secs(), Some(30));
    let mut out = Vec::new();
    // Any pong counts, asked for or not.
    for _ in 0..10 {
        assert!(codec.on_beat(&mut out));
        assert_eq!(read(&mut codec, &ws_frame(PONG, b""), &[]).end, None);
    }
    assert_eq!(out, b"\x89\x00".repeat(10));
    assert!(codec.on_beat(&mut out) && codec.on_beat(&mut out));
    // Other packets are no pong.
    read(&mut codec, &ws_frame(TEXT, br#"{"type":"HELLO","seq":2}"#), &[]);
    assert!(!codec.on_beat(&mut out));
}

#[test]
fn a_message_that_never_ends_is_given_up_though_pings_are_answered() {
    let mut codec = ws_codec();
    let mut out = Vec::new();
    read(&mut codec, &ws_frame(TEXT_BEGIN, b"{"), &[]);
    let mut beats = 0;
    while codec.on_beat(&mut out) {
        read(&mut codec, &ws_frame(PONG, b""), &[]);
        read(&mut codec, &ws_frame(CONTINUE, b" "), &[]);
        beats += 1;
    }
    assert_eq!(beats, 2);
}

#[test]
fn what_websocket_encodes_is_read_back() {
    let mut dice = Dice(0xBEEF);
    for _ in 0..200 {
        let mut packet = some_packet(&mut dice);
        packet.layer = 3;
        let body = serde_json::json!({ "a": String::from_utf8_lossy(&packet.body) });
        packet.body = body.to_string().into_bytes().into();
        let mut bytes = Vec::new();
        ws_codec().encode(&packet, &mut bytes);
        let head = match bytes[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let read = read_every_way(ws_codec, &ws_frame(TEXT, &bytes[head..]));
        assert_eq!(read.packets, [packet]);
    }
}
