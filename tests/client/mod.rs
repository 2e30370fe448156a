//! Test clients, one per carrier, written from the protocol's pages alone: they share no code with
//! the server, because a codec that misreads what it miswrites agrees with itself.
//!
//! Blocking sockets with a deadline on every read; errors are sentences for the test's report.

pub mod http;
pub mod line;
pub mod tags;
pub mod tcp;
pub mod tinode;
pub mod ws;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long any single answer may take before a test calls it missing.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A packet as it came from the server, whatever carried it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// TCP only.
    pub layer: Option<u32>,
    /// 64 hexadecimal digits; `None` where it was absent or all zero.
    pub session: Option<String>,
    pub seq: u32,
    pub kind: String,
    pub status: u16,
    pub body: Value,
}

impl Packet {
    /// Pushes carry 0 where answers carry their request's number; an ERROR may carry 0 too.
    pub fn is_push(&self) -> bool {
        self.seq == 0 && self.kind != "ERROR"
    }
}

/// A socket with what was read from it and not used yet.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Line {
    pub fn connect(address: SocketAddr) -> Result<Line, String> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .map_err(|e| format!("cannot connect to {address}: {e}"))?;
        Line::over(stream)
    }

    pub fn over(stream: TcpStream) -> Result<Line, String> {
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        Ok(Line { stream, ahead: Vec::new() })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|e| format!("cannot send: {e}"))
    }

    /// Ends the sending half only.
    pub fn shut(&mut self) {
        // A peer that has closed already is as good.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Exactly `n` bytes; `None` when the stream ended before the first of them.
    pub fn take(&mut self, n: usize) -> Result<Option<Vec<u8>>, String> {
        let deadline = Instant::now() + PATIENCE;
        while self.ahead.len() < n {
            if !self.fill(deadline)? {
                if self.ahead.is_empty() {
                    return Ok(None);
                }
                return Err(format!("the stream ended within {n} bytes: {:02x?}", self.ahead));
            }
        }
        Ok(Some(self.ahead.drain(..n).collect()))
    }

    /// Everything up to and with `end`; `None` when the stream ended before the first byte.
    pub fn take_until(&mut self, end: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|w| w == end) {
                return Ok(Some(self.ahead.drain(..at + end.len()).collect()));
            }
            if !self.fill(deadline)? {
                if self.ahead.is_empty() {
                    return Ok(None);
                }
                let text = String::from_utf8_lossy(&self.ahead);
                return Err(format!("the stream ended within a head: {text:?}"));
            }
        }
    }

    /// Everything until the stream ends.
    pub fn rest(&mut self) -> Result<Vec<u8>, String> {
        self.rest_within(PATIENCE)
    }

    pub fn rest_within(&mut self, time: Duration) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + time;
        while self.fill(deadline)? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// False at the end of the stream. A reset counts as the end: what was read stays valid.
    fn fill(&mut self, deadline: Instant) -> Result<bool, String> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("nothing came in time".into());
        }
        self.stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
        let mut scratch = [0; 16 * 1024];
        match self.stream.read(&mut scratch) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.ahead.extend_from_slice(&scratch[..n]);
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err("nothing came in time".into())
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(true),
            Err(e) => Err(format!("cannot read: {e}")),
        }
    }
}

/// An empty body counts as null, everything else must be JSON.
pub fn body_of(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes)
        .map_err(|e| format!("a body that is not JSON ({e}): {:?}", String::from_utf8_lossy(bytes)))
}

/// RFC 4648 §4, padded.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word =
            three.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            if i <= three.len() {
                text.push(char::from(LETTERS[(word >> (18 - 6 * i)) as usize & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// 64 hexadecimal digits as 32 bytes.
pub fn session_bytes(hex: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(format!("not a session id: {hex:?}"));
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).map_err(|e| e.to_string())?;
    }
    Ok(bytes)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_test_clients_base64_gives_the_rfcs_examples() {
    let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
    for (plain, coded) in pairs {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}
