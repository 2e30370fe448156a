//! Noise at every door: any bytes, cut anywhere, and packets that are almost right. The server
//! neither falls nor hangs, and whoever behaves notices nothing.

use std::net::SocketAddr;

use serde_json::json;

use crate::client::tcp::{self, User};
use crate::client::{Line, ws};
use crate::noise::Noise;
use crate::talk::stage::{Stage, serve};

/// Connections of noise each test makes at each door.
const TRIES: usize = 250;

/// Somebody who behaves.
fn behave(address: SocketAddr) {
    let mut alice = User::enter(address, "alice").expect("alice enters");
    let mut bob = User::enter(address, "bob").expect("bob enters");
    let body = json!({ "chat_id": "bob", "text": "amid all this noise" });
    alice.get("MESSAGE-SEND", &body).expect("a message is sent");
    let push = bob.hear().expect("a message comes");
    assert_eq!(push.body["text"], "amid all this noise");
}

/// Writes in pieces, says that that was all, and reads whatever comes until the server ends it.
fn pour(address: SocketAddr, bytes: &[u8], noise: &mut Noise) -> Result<Vec<u8>, String> {
    let mut line = Line::connect(address)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = 1 + noise.below(rest.len());
        // The server may have closed by now, which is its good right.
        if line.send(&rest[..n]).is_err() {
            break;
        }
        rest = &rest[n..];
    }
    line.shut();
    line.rest()
}

fn try_all(seed: u64, make: impl Fn(&mut Noise) -> Vec<u8>, door: fn(&Stage) -> SocketAddr) {
    let mut stage = serve(&[]);
    behave(stage.tcp());
    let address = door(&stage);
    let mut noise = Noise::new(seed);
    for i in 0..TRIES {
        let bytes = make(&mut noise);
        let answer = pour(address, &bytes, &mut noise);
        assert!(answer.is_ok(), "seed {seed}, try {i}: {answer:?} to {bytes:02x?}");
    }
    behave(stage.tcp());
    stage.stop().expect("the server stops in order");
}

/// A few bytes changed, lost, doubled or made up.
fn spoil(mut bytes: Vec<u8>, noise: &mut Noise) -> Vec<u8> {
    for _ in 0..=noise.below(4) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = noise.below(bytes.len());
        match noise.below(5) {
            0 => bytes[at] ^= 1 << noise.below(8),
            1 => bytes[at] = noise.next() as u8,
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let end = (at + noise.below(40)).min(bytes.len());
                let doubled = bytes[at..end].to_vec();
                bytes.splice(at..at, doubled);
            }
        }
    }
    bytes
}

const BODIES: [&str; 5] = [
    "{}",
    r#"{"login":"alice","password":"c2VjcmV0"}"#,
    r#"{"chat_id":"bob","text":"hi","cookie":"c"}"#,
    r#"{"highest-supported-layer":3}"#,
    r#"{"chat_id":"bob","id_from":0,"id_till":-1,"count":[[[[{"a":"\ud83d\udc38"}]]]]}"#,
];
const TYPES: [&str; 6] =
    ["HELLO", "AUTH-PLAIN", "MESSAGE-SEND", "CHAT-HISTORY", "REGISTER-INSTRUCTIONS", "NOPE"];

fn frame(noise: &mut Noise) -> Vec<u8> {
    let (kind, body) = (noise.pick(&TYPES).as_bytes(), noise.pick(&BODIES).as_bytes());
    let mut session = [0; 32];
    if noise.one_in(2) {
        noise.fill(&mut session);
    }
    tcp::frame(noise.below(5) as u32, &session, noise.below(3) as u32, kind, 0, body)
}

fn request(noise: &mut Noise) -> Vec<u8> {
    let body = *noise.pick(&BODIES);
    let length = format!("Content-Length: {}\r\n", body.len());
    let chunked = "Transfer-Encoding: chunked\r\n".to_owned();
    let (header, body) = match noise.below(4) {
        0 => (chunked, format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
        1 => (length + "Connection: close\r\nExpect: 100-continue\r\n", body.to_owned()),
        2 => (length + "X-Session: 00ff\r\nOrigin: https://a.test\r\n", body.to_owned()),
        _ => (length, body.to_owned()),
    };
    let method = *noise.pick(&["POST", "POST", "POST", "GET", "OPTIONS", "PUT"]);
    let path = *noise.pick(&["HELLO", "MESSAGE-SEND", "fetch", "ws", "NOPE?x=%00"]);
    format!("{method} /v3/{path} HTTP/1.1\r\nHost: im.test\r\n{header}\r\n{body}").into_bytes()
}

fn upgraded(noise: &mut Noise) -> Vec<u8> {
    let mut bytes = format!(
        "GET /v3/ws HTTP/1.1\r\nHost: im.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        ws::KEY
    )
    .into_bytes();
    for _ in 0..noise.below(4) {
        let text = format!(
            r#"{{"type":"{}","seq":{},"body":{}}}"#,
            noise.pick(&TYPES),
            noise.below(3),
            noise.pick(&BODIES)
        );
        let opcode = *noise.pick(&[1, 1, 1, 0, 2, 8, 9, 10, 3]);
        let frame = ws::frame(!noise.one_in(5), opcode, !noise.one_in(9), text.as_bytes());
        bytes.extend(if noise.one_in(2) { spoil(frame, noise) } else { frame });
    }
    bytes
}

fn typed(noise: &mut Noise) -> Vec<u8> {
    const LINES: [&str; 8] = [
        "HELLO highest-supported-layer=3",
        "CONNECT login=alice",
        "CONNECT-CONTINUE hash=00ff",
        "REGISTER login=\"x y\" password='\\u0000'",
        "MESSAGE to=bob, text=\"hi \\\"there\\\"\" cookie=1",
        "CONTACTS-ADD id=bob group=[a, \"b c\", {\"d\":[1]}]",
        "CHAT-HISTORY seq=1 session=00 chat_id=bob id_from=0 id_till=-1",
        "",
    ];
    let mut bytes = Vec::new();
    for _ in 0..noise.below(5) {
        let line = noise.pick(&LINES).as_bytes().to_vec();
        bytes.extend(if noise.one_in(2) { spoil(line, noise) } else { line });
        bytes.extend_from_slice(if noise.one_in(2) { b"\n" } else { b"\r\n" });
    }
    bytes
}

fn numbered(noise: &mut Noise) -> Vec<u8> {
    const LINES: [&str; 20] = [
        "NEW USR carol secret",
        "IAM carol secret",
        "NEW SERV garden",
        "NEW CHAN 1 beds%20",
        "MSG 0 1 hello there",
        "MSG 1 0 ",
        "GET 0 1",
        "GET 1 2 18446744073709551615",
        "GET 0 1 4294967297",
        "INV 0 1 1 0",
        "JOIN 1 0",
        "JOIN 0 1",
        "BYE 1 0",
        "DEL 1 0",
        "RENAME %00%ff 1",
        "PSD carol%25 secret",
        "NEWFILE a 5 0 1",
        "FILE 0 1 5 aGVsbG8=",
        "JEU chess e4",
        "TOC",
    ];
    let mut bytes = if noise.one_in(2) { b"IAM alice secret\n".to_vec() } else { Vec::new() };
    for _ in 0..noise.below(8) {
        let line = noise.pick(&LINES).as_bytes().to_vec();
        bytes.extend(if noise.one_in(3) { spoil(line, noise) } else { line });
        bytes.extend_from_slice(if noise.one_in(2) { b"\n" } else { b"\r\n" });
    }
    bytes
}

#[test]
fn any_bytes_at_the_tags_door_are_survived() {
    try_all(Noise::seed(), |noise| noise.bytes(3000), Stage::tags);
}

#[test]
fn numbers_that_are_almost_right_are_survived() {
    try_all(Noise::seed(), numbered, Stage::tags);
}

#[test]
fn any_bytes_at_the_line_door_are_survived() {
    try_all(Noise::seed(), |noise| noise.bytes(3000), Stage::line);
}

#[test]
fn lines_that_are_almost_right_are_survived() {
    try_all(Noise::seed(), typed, Stage::line);
}

#[test]
fn any_bytes_at_the_tcp_door_are_survived() {
    try_all(Noise::seed(), |noise| noise.bytes(3000), Stage::tcp);
}

#[test]
fn any_bytes_at_the_http_door_are_survived() {
    try_all(Noise::seed(), |noise| noise.bytes(3000), Stage::http);
}

#[test]
fn frames_that_are_almost_right_are_survived() {
    let make = |noise: &mut Noise| {
        let mut bytes: Vec<u8> = (0..noise.below(3)).flat_map(|_| frame(noise)).collect();
        bytes.extend(spoil(frame(noise), noise));
        bytes
    };
    try_all(Noise::seed(), make, Stage::tcp);
}

#[test]
fn requests_that_are_almost_right_are_survived() {
    let make = |noise: &mut Noise| {
        let mut bytes: Vec<u8> = (0..noise.below(2)).flat_map(|_| request(noise)).collect();
        bytes.extend(spoil(request(noise), noise));
        bytes
    };
    try_all(Noise::seed(), make, Stage::http);
}

#[test]
fn websocket_frames_that_are_almost_right_are_survived() {
    try_all(Noise::seed(), upgraded, Stage::http);
}

#[test]
fn every_cut_of_a_good_conversation_is_survived() {
    let mut stage = serve(&[]);
    let mut noise = Noise::new(Noise::seed());
    let whole: Vec<u8> = (0..3).flat_map(|_| frame(&mut noise)).collect();
    let head: Vec<u8> = request(&mut noise);
    for at in 0..whole.len().min(400) {
        pour(stage.tcp(), &whole[..at], &mut noise).expect("it ends");
    }
    for at in 0..head.len().min(400) {
        pour(stage.http(), &head[..at], &mut noise).expect("it ends");
    }
    behave(stage.tcp());
    stage.stop().expect("the server stops in order");
}
