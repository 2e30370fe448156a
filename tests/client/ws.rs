//! mSIM 2 over WebSocket (mSIM 2 §4), its frames made by hand (RFC 6455).

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::Response;
use super::{Line, Packet};

/// RFC 6455 §1.3: the example's key and its answer, so that nothing need be computed here.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Debug)]
pub struct Ws {
    pub line: Line,
    seq: u32,
}

/// What may come on an open socket.
#[derive(Clone, Debug)]
pub enum Heard {
    Packet(Packet),
    Pong(Vec<u8>),
    /// The server's close frame and its code.
    Close(Option<u16>),
    End,
}

/// One frame of a client. `mask` off is a client's error.
pub fn frame(fin: bool, opcode: u8, mask: bool, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let bit = if mask { 0x80 } else { 0 };
    let mut bytes = vec![if fin { 0x80 } else { 0 } | opcode];
    match payload.len() {
        n @ 0..126 => bytes.push(bit | n as u8),
        n @ 126..65_536 => {
            bytes.push(bit | 126);
            bytes.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            bytes.push(bit | 127);
            bytes.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    if mask {
        bytes.extend_from_slice(&KEY);
        bytes.extend(payload.iter().enumerate().map(|(i, b)| b ^ KEY[i % 4]));
    } else {
        bytes.extend_from_slice(payload);
    }
    bytes
}

impl Ws {
    /// Connects and upgrades; anything but 101 is an error.
    pub fn connect(address: SocketAddr, layer: u32, session: Option<&str>) -> Result<Ws, String> {
        let session = session.map_or(String::new(), |s| format!("X-Session: {s}\r\n"));
        Ok(Ws { line: upgrade(address, &format!("/v{layer}/ws"), &session)?, seq: 0 })
    }

    /// `session`: only where it is not the socket's own.
    pub fn send(
        &mut self,
        seq: Option<u32>,
        session: Option<&str>,
        kind: &str,
        body: &str,
    ) -> Result<u32, String> {
        self.seq += 1;
        let seq = seq.unwrap_or(self.seq);
        let session = session.map_or(String::new(), |s| format!(r#","session":{}"#, json!(s)));
        let body = if body.is_empty() { String::new() } else { format!(r#","body":{body}"#) };
        let text = format!(r#"{{"type":{},"seq":{seq}{session}{body}}}"#, json!(kind));
        self.line.send(&frame(true, 1, true, text.as_bytes()))?;
        Ok(seq)
    }

    /// The next thing that means something; pings of the server are answered on the way.
    pub fn receive(&mut self) -> Result<Heard, String> {
        Ok(match message(&mut self.line)? {
            Message::Text(text) => Heard::Packet(packet(&text)?),
            Message::Pong(payload) => Heard::Pong(payload),
            Message::Close(code) => Heard::Close(code),
            Message::End => Heard::End,
        })
    }
}

/// Whatever is said in texts, see [`Heard`].
#[derive(Clone, Debug)]
pub enum Message {
    Text(String),
    Pong(Vec<u8>),
    Close(Option<u16>),
    End,
}

/// Connects and upgrades; `headers`: further ones, each with its end of line.
pub fn upgrade(address: SocketAddr, target: &str, headers: &str) -> Result<Line, String> {
    let mut http = super::http::Http::connect(address)?;
    http.line.send(
        format!(
            "GET {target} HTTP/1.1\r\nHost: im.test\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
             {headers}\r\n"
        )
        .as_bytes(),
    )?;
    let response = http.receive()?.ok_or("the stream ended instead of an upgrade")?;
    check_upgrade(&response)?;
    Ok(http.line)
}

/// The next message on an upgraded line; pings of the server are answered on the way.
pub fn message(line: &mut Line) -> Result<Message, String> {
    let mut whole = Vec::new();
    loop {
        let Some(head) = line.take(2)? else { return Ok(Message::End) };
        if head[1] & 0x80 != 0 {
            return Err("a masked frame from the server".into());
        }
        if head[0] & 0x70 != 0 {
            return Err("a frame with extension bits nobody agreed on".into());
        }
        let length = match head[1] {
            126 => number(line, 2)?,
            127 => number(line, 8)?,
            n => u64::from(n),
        };
        let payload = match length {
            0 => Vec::new(),
            n => line.take(n as usize)?.ok_or("the stream ended within a frame")?,
        };
        match head[0] & 15 {
            0 | 1 => {
                whole.extend_from_slice(&payload);
                if head[0] & 0x80 != 0 {
                    return String::from_utf8(whole)
                        .map(Message::Text)
                        .map_err(|e| format!("a text frame that is none: {e}"));
                }
            }
            8 => {
                let code = payload.get(..2).map(|c| u16::from_be_bytes([c[0], c[1]]));
                return Ok(Message::Close(code));
            }
            9 => line.send(&frame(true, 10, true, &payload))?,
            10 => return Ok(Message::Pong(payload)),
            other => return Err(format!("a frame of opcode {other}")),
        }
    }
}

fn number(line: &mut Line, n: usize) -> Result<u64, String> {
    let bytes = line.take(n)?.ok_or("the stream ended within a frame")?;
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn check_upgrade(response: &Response) -> Result<(), String> {
    if response.status != 101 {
        let body = String::from_utf8_lossy(&response.body);
        return Err(format!("no upgrade but {} {body}", response.status));
    }
    if response.header("sec-websocket-accept") != Some(ACCEPT) {
        return Err(format!("the wrong accept key: {:?}", response.headers));
    }
    if response.header("sec-websocket-extensions").is_some() {
        return Err("an extension nobody asked for".into());
    }
    Ok(())
}

/// `{"type","seq","session"?,"status","body"?}`; pushes have seq 0 and no need of a status.
fn packet(text: &str) -> Result<Packet, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|e| format!("not a packet ({e}): {text}"))?;
    let seq = value["seq"].as_u64().ok_or_else(|| format!("a packet without seq: {text}"))?;
    Ok(Packet {
        layer: None,
        session: value["session"].as_str().map(str::to_owned),
        seq: u32::try_from(seq).map_err(|_| format!("seq out of range: {text}"))?,
        kind: value["type"].as_str().ok_or_else(|| format!("no type: {text}"))?.into(),
        status: value["status"].as_u64().unwrap_or(if seq == 0 { 200 } else { 0 }) as u16,
        body: value["body"].clone(),
    })
}
