//! Tinode 0.5 over WebSocket and over long polling, as its README has them: packets are JSON texts,
//! read here with nothing but a reader of JSON.
//!
//! Like the client of 2016, a long poll has two connections: one that always has a poll waiting,
//! and one that says things.

use std::net::SocketAddr;

use serde_json::Value;

use super::Line;
use super::http::{Http, Response};
use super::ws::{self, Message, frame};

/// The API key of every example of 2016.
pub const KEY: &str = "AQEAAAABAAD_rAp4DJh05a1HAwFT3A6K";

#[derive(Debug)]
pub enum Tinode {
    Socket(Line),
    Poll(Poll),
}

#[derive(Debug)]
pub struct Poll {
    poller: Http,
    sender: Http,
    /// What every further request is for.
    target: String,
    /// The answer that told the session's secret.
    first: Option<Value>,
    /// The session is gone.
    is_over: bool,
}

/// What may come.
#[derive(Clone, Debug)]
pub enum Heard {
    Packet(Value),
    Pong(Vec<u8>),
    Close(Option<u16>),
    End,
}

impl Tinode {
    /// `more`: further parts of the query, such as `&id=77`.
    pub fn socket(address: SocketAddr, key: &str, more: &str) -> Result<Tinode, String> {
        let target = format!("/v0/channels?apikey={key}{more}");
        Ok(Tinode::Socket(ws::upgrade(address, &target, "Origin: http://elsewhere.test\r\n")?))
    }

    pub fn poll(address: SocketAddr, key: &str, more: &str) -> Result<Tinode, String> {
        let (mut poller, sender) = (Http::connect(address)?, Http::connect(address)?);
        let target = format!("/v0/channels/lp?apikey={key}{more}");
        ask(&mut poller, "GET", &target, "")?;
        let response = answer(&mut poller)?.ok_or("the stream ended instead of a session")?;
        if response.status != 201 {
            return Err(format!("no session but {}", said(&response)));
        }
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let first = packet(&text)?;
        let sid = first["ctrl"]["params"]["sid"].as_str().ok_or("a session without a secret")?;
        let target = format!("{target}&sid={sid}");
        ask(&mut poller, "GET", &target, "")?;
        let first = Some(first);
        Ok(Tinode::Poll(Poll { poller, sender, target, first, is_over: false }))
    }

    /// Says a text, whatever it is.
    pub fn send(&mut self, text: &[u8]) -> Result<(), String> {
        match self {
            Tinode::Socket(line) => line.send(&frame(true, 1, true, text)),
            Tinode::Poll(poll) => {
                let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
                ask(&mut poll.sender, "POST", &poll.target, text)?;
                let response = answer(&mut poll.sender)?.ok_or("the stream ended")?;
                match (response.status, response.body.len()) {
                    (200, 0) => Ok(()),
                    _ => Err(format!("it was not taken: {}", said(&response))),
                }
            }
        }
    }

    /// The next thing that comes.
    pub fn receive(&mut self) -> Result<Heard, String> {
        let line = match self {
            Tinode::Socket(line) => line,
            Tinode::Poll(poll) => return poll.receive(),
        };
        Ok(match ws::message(line)? {
            Message::Text(text) => Heard::Packet(packet(&text)?),
            Message::Pong(payload) => Heard::Pong(payload),
            Message::Close(code) => Heard::Close(code),
            Message::End => Heard::End,
        })
    }

    pub fn line(&mut self) -> &mut Line {
        match self {
            Tinode::Socket(line) => line,
            Tinode::Poll(poll) => &mut poll.sender.line,
        }
    }
}

impl Poll {
    fn receive(&mut self) -> Result<Heard, String> {
        if let Some(first) = self.first.take() {
            return Ok(Heard::Packet(first));
        }
        while !self.is_over {
            let Some(response) = answer(&mut self.poller)? else { break };
            if response.status != 200 {
                break;
            }
            // The next one waits before this one is looked at.
            self.is_over = ask(&mut self.poller, "GET", &self.target, "").is_err();
            if !response.body.is_empty() {
                let text = String::from_utf8_lossy(&response.body).into_owned();
                return packet(&text).map(Heard::Packet);
            }
        }
        self.is_over = true;
        Ok(Heard::End)
    }
}

fn ask(http: &mut Http, method: &str, target: &str, body: &str) -> Result<(), String> {
    let length = match method {
        "GET" => String::new(),
        _ => {
            format!("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n", body.len())
        }
    };
    let head = format!("{method} {target} HTTP/1.1\r\nHost: im.test\r\n{length}\r\n");
    http.line.send(format!("{head}{body}").as_bytes())
}

/// A response with the fields that every one of them has.
fn answer(http: &mut Http) -> Result<Option<Response>, String> {
    let Some(response) = http.receive()? else { return Ok(None) };
    let fields = [
        ("access-control-allow-origin", "*"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("expires", "0"),
    ];
    for (name, value) in fields {
        if response.header(name) != Some(value) {
            return Err(format!("{name} is {:?}: {}", response.header(name), said(&response)));
        }
    }
    Ok(Some(response))
}

fn said(response: &Response) -> String {
    format!("{} {}", response.status, String::from_utf8_lossy(&response.body).trim())
}

/// One packet with what holds for all of its kind: one message in it, and the moment it is from,
/// which presence and notes do not have.
pub fn packet(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("{text:?}: {e}"))?;
    let object = value.as_object().ok_or_else(|| format!("no object: {text}"))?;
    let mut kinds = object.iter();
    let (Some((kind, inner)), None) = (kinds.next(), kinds.next()) else {
        return Err(format!("not one message: {text}"));
    };
    let fits = match (kind.as_str(), &inner["ts"]) {
        ("ctrl" | "data" | "meta", Value::String(at)) => is_moment(at),
        ("pres" | "info", Value::Null) => true,
        _ => false,
    };
    if fits { Ok(value) } else { Err(format!("an unknown message, or one of no time: {text}")) }
}

/// `2015-10-06T18:07:29.841Z`, always as long.
fn is_moment(text: &str) -> bool {
    const LIKE: &[u8] = b"0000-00-00T00:00:00.000Z";
    text.len() == LIKE.len()
        && text.bytes().zip(LIKE).all(|(c, like)| match like {
            b'0' => c.is_ascii_digit(),
            other => c == *other,
        })
}

/// The chat of two people by their ids: the numbers' bytes, the lower number first, where the
/// lowest byte comes first in either.
pub fn chat_of(one: &str, other: &str) -> Result<String, String> {
    let mut both = [number(one)?, number(other)?];
    both.sort_by_key(|bytes| u64::from_le_bytes(*bytes));
    Ok(format!("p2p{}", base64(&both.concat())))
}

fn number(uid: &str) -> Result<[u8; 8], String> {
    let wrong = || format!("not a person: {uid:?}");
    let digits = uid.strip_prefix("usr").filter(|d| d.len() == 11).ok_or_else(wrong)?;
    let mut bits = 0_u128;
    for digit in digits.bytes() {
        let value = LETTERS.iter().position(|letter| *letter == digit).ok_or_else(wrong)?;
        bits = bits << 6 | value as u128;
    }
    // 66 bits for 64.
    Ok(((bits >> 2) as u64).to_be_bytes())
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// RFC 4648 §5, without padding.
fn base64(bytes: &[u8]) -> String {
    let padded = super::base64(bytes);
    padded.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

#[test]
fn the_readmes_chat_has_its_name() {
    let chat = "p2pOj0B3-gSBSshT8s5XBE2xw";
    assert_eq!(chat_of("usrOj0B3-gSBSs", "usrIU_LOVwRNsc").as_deref(), Ok(chat));
    assert_eq!(chat_of("usrIU_LOVwRNsc", "usrOj0B3-gSBSs").as_deref(), Ok(chat));
}

#[test]
fn moments_are_told_in_one_way() {
    assert!(is_moment("2015-10-06T18:07:29.841Z"));
    for other in ["2015-10-06T18:07:29.84Z", "2015-10-06T18:07:29Z", "2015-10-06 18:07:29.841Z"] {
        assert!(!is_moment(other), "{other}");
    }
}
