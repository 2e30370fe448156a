//! The line carrier, from its page alone: mSIM 2 after HELLO ([`Script`]), and lines by hand
//! ([`Hand`]).

use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::{Line, Packet};

/// Answers' fields that are numbers or flags; a plain word does not show it.
const NUMBERS: [&str; 18] = [
    "message_id",
    "previous_message_id",
    "time",
    "last_message_id",
    "read_till_id",
    "delivered_till_id",
    "my_read_till_id",
    "unread_messages",
    "retry_after",
    "highest-supported-layer",
    "reply_to",
    "target_id",
    "edited",
    "id_till",
    "created",
    "changed",
    "members",
    "retention",
];
const FLAGS: [&str; 6] = ["more", "federated", "dialog", "online", "deleted", "open"];

/// A client of mSIM 2 in lines. It has one session, and one layer: that of its HELLO.
#[derive(Debug)]
pub struct Script {
    pub line: Line,
    seq: u32,
    pub own: Option<String>,
}

impl Script {
    pub fn connect(
        address: SocketAddr,
        layer: u32,
        session: Option<&str>,
    ) -> Result<Script, String> {
        let mut line = Line::connect(address)?;
        let named = session.map_or(String::new(), |s| format!(" session={s}"));
        line.send(format!("HELLO highest-supported-layer={layer}{named}\r\n").as_bytes())?;
        let answer = receive(&mut line)?.ok_or("the stream ended instead of a HELLO")?;
        if !answer.starts_with("200 HELLO ") && layer > 0 {
            return Err(format!("no HELLO but {answer}"));
        }
        Ok(Script { line, seq: 0, own: session.map(str::to_owned) })
    }

    /// `session`: only where it is not the connection's own.
    pub fn send(
        &mut self,
        seq: Option<u32>,
        session: Option<&str>,
        kind: &str,
        body: &[u8],
    ) -> Result<u32, String> {
        self.seq += 1;
        let seq = seq.unwrap_or(self.seq);
        let mut text = format!("{kind} seq={seq}");
        if let Some(session) = session {
            let _ = write!(text, " session={}", quoted(session, '"'));
            self.own = Some(session.to_owned());
        }
        let body = if body.is_empty() { b"{}" } else { body };
        let body: Map<String, Value> =
            serde_json::from_slice(body).map_err(|e| format!("no fields: {e}"))?;
        for (at, (key, value)) in body.iter().enumerate() {
            let quote = if (self.seq as usize + at).is_multiple_of(2) { '"' } else { '\'' };
            let value = match value {
                Value::Null => continue,
                Value::String(text) => quoted(text, quote),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => value.to_string(),
            };
            let _ = write!(text, "{}{key}={value}", if at == 2 { ", " } else { " " });
        }
        self.line.send(format!("{text}\n").as_bytes())?;
        Ok(seq)
    }

    /// The next packet; `None` at the end of the stream.
    pub fn receive(&mut self) -> Result<Option<Packet>, String> {
        let Some(line) = receive(&mut self.line)? else { return Ok(None) };
        let (first, rest) = line.split_once(' ').ok_or_else(|| format!("no packet: {line}"))?;
        let (kind, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut body = fields(rest).map_err(|e| format!("{e} in {line}"))?;
        let seq = match body.remove("seq") {
            None => 0,
            Some(seq) => seq.as_str().and_then(|s| s.parse().ok()).ok_or("a seq of another's")?,
        };
        let (status, session) = match first {
            "PUSH" if seq == 0 => (200, self.own.clone()),
            "ERROR-MALFORMED" => return Err(line),
            status => (status.parse().map_err(|_| format!("no status: {line}"))?, None),
        };
        let body = Value::Object(body);
        Ok(Some(Packet { layer: None, session, seq, kind: kind.into(), status, body }))
    }
}

/// Lines as somebody types them.
#[derive(Debug)]
pub struct Hand {
    pub line: Line,
    ends: u32,
}

impl Hand {
    pub fn connect(address: SocketAddr) -> Result<Hand, String> {
        Ok(Hand { line: Line::connect(address)?, ends: 0 })
    }

    pub fn send(&mut self, text: &str) -> Result<(), String> {
        self.ends += 1;
        let end = if self.ends.is_multiple_of(2) { "\r\n" } else { "\n" };
        self.line.send(format!("{text}{end}").as_bytes())
    }

    /// The next line; the two that have a block with it, the ends of lines written as ` | `.
    pub fn receive(&mut self) -> Result<Option<String>, String> {
        let Some(mut line) = receive(&mut self.line)? else { return Ok(None) };
        let kind = line.split(' ').next().unwrap_or_default();
        if ["CONTACTS-GET-RESPONSE", "CONTACT-UPDATED"].contains(&kind) {
            loop {
                let next = receive(&mut self.line)?.ok_or("the stream ended within a block")?;
                line.push_str(" | ");
                line.push_str(&next);
                if next == "]" {
                    break;
                }
            }
        }
        Ok(Some(line))
    }
}

/// A line without its end, which is always a line feed alone.
fn receive(line: &mut Line) -> Result<Option<String>, String> {
    let Some(mut bytes) = line.take_until(b"\n")? else { return Ok(None) };
    bytes.pop();
    let text = String::from_utf8(bytes).map_err(|e| format!("a line that is no text: {e}"))?;
    if text.chars().any(char::is_control) {
        return Err(format!("a raw control character: {text:?}"));
    }
    Ok(Some(text))
}

/// A text as this client likes to write it: always quoted.
pub fn quoted(text: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() || c > '\u{ffff}' => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04X}");
                }
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// `key=value key="value" key=[…]`, as servers write it.
fn fields(text: &str) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or("a word without =")?;
        let value;
        (value, rest) = match after.chars().next() {
            Some('"' | '[' | '{') => one_json(after)?,
            _ => {
                let (word, rest) = after.split_at(after.find(' ').unwrap_or(after.len()));
                let plain = |c: char| {
                    c.is_ascii_alphanumeric() || "@._:+/-".contains(c) || c.is_alphabetic()
                };
                if word.is_empty() || !word.chars().all(plain) {
                    return Err(format!("{word:?} should be quoted"));
                }
                (bare(key, word)?, rest)
            }
        };
        if fields.insert(key.into(), value).is_some() {
            return Err(format!("{key} stands there twice"));
        }
        rest = match rest.strip_prefix(' ') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return Err(format!("a space before {rest:?}")),
        };
    }
    Ok(fields)
}

/// What servers write in quotes or brackets is JSON, too.
fn one_json(text: &str) -> Result<(Value, &str), String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next().ok_or("no value")?.map_err(|e| e.to_string())?;
    Ok((value, &text[values.byte_offset()..]))
}

fn bare(key: &str, word: &str) -> Result<Value, String> {
    let wrong = || format!("{key}={word}");
    Ok(match key {
        key if NUMBERS.contains(&key) => json!(word.parse::<u64>().map_err(|_| wrong())?),
        key if FLAGS.contains(&key) => json!(word.parse::<bool>().map_err(|_| wrong())?),
        _ => json!(word),
    })
}
