//! The other end of the management socket: one HTTP request a connection, over a Unix socket.
//!
//! Only what our own server sends is understood: a status line and a body with a length.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::limits::{ADMIN_ANSWER_BYTES_MAX, HTTP_HEAD_BYTES_MAX};

/// What came back.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// Asks, and waits as long as it takes: a backup of a large database takes minutes.
pub(super) fn ask(socket: &Path, method: &str, path: &str, body: &Value) -> io::Result<Response> {
    let mut stream = UnixStream::connect(socket)?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: msimd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n\
         {body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    let most = HTTP_HEAD_BYTES_MAX as u64 + ADMIN_ANSWER_BYTES_MAX;
    stream.take(most).read_to_end(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> io::Result<Response> {
    let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .ok_or_else(|| odd("the answer ended within its head"))?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| odd("the head is no text"))?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.get(2..5)?.parse().ok())
        .ok_or_else(|| odd("this is no HTTP answer"))?;
    let length: usize = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| odd("the answer has no length"))?;
    let body = body.get(..length).ok_or_else(|| odd("the answer was cut short"))?;
    let body = match body {
        [] => Value::Null,
        body => serde_json::from_slice(body).map_err(|_| odd("the answer is no JSON"))?,
    };
    Ok(Response { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        let response = parse(whole).unwrap();
        assert_eq!((response.status, response.body["a"].as_u64()), (201, Some(1)));
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").is_err());
    }
}
