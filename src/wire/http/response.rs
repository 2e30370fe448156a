//! Responses, written into one buffer so that head and body leave in one segment.

use std::io::Write;

/// What a request's version and method make of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub is_1_0: bool,
    /// Whether the connection outlives the response.
    pub keep_alive: bool,
    /// HEAD: the head only, with the length that the body would have.
    pub without_body: bool,
}

impl Manner {
    /// For the response to bytes that were no request.
    pub const LAST: Manner = Manner { is_1_0: false, keep_alive: false, without_body: false };
}

/// A response being written.
#[derive(Debug)]
pub struct Response<'a> {
    out: &'a mut Vec<u8>,
    manner: Manner,
}

impl<'a> Response<'a> {
    /// The status line, and what `manner` says of the connection.
    pub fn write(status: u16, manner: Manner, out: &'a mut Vec<u8>) -> Response<'a> {
        out.reserve(256);
        let mut response = Response { out, manner };
        response.push(&[b"HTTP/1.1 "]);
        response.number(status.into());
        response.push(&[b" ", phrase(status).as_bytes(), b"\r\n"]);
        match (manner.keep_alive, manner.is_1_0) {
            (true, false) => response,
            (true, true) => response.field("Connection", "keep-alive"),
            (false, _) if status == 101 => response,
            (false, _) => response.field("Connection", "close"),
        }
    }

    /// A header. `value` is ours or was checked: it holds no line end.
    pub fn field(mut self, name: &str, value: &str) -> Response<'a> {
        self.push(&[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        self
    }

    /// Ends a response that cannot have a body: 204, 101 (RFC 9110 §8.6).
    pub fn end(mut self) {
        self.push(&[b"\r\n"]);
    }

    /// Ends a 101 that makes the connection a WebSocket.
    pub fn upgrade(self, accept: &str) {
        let response = self.field("Connection", "Upgrade").field("Upgrade", "websocket");
        response.field("Sec-WebSocket-Accept", accept).end();
    }

    pub fn body(mut self, kind: &str, body: &[u8]) {
        self.push(&[b"Content-Length: "]);
        self.number(body.len());
        self.push(&[b"\r\n"]);
        if !body.is_empty() {
            self.push(&[b"Content-Type: ", kind.as_bytes(), b"\r\n"]);
        }
        self.push(&[b"\r\n", if self.manner.without_body { &[] } else { body }]);
    }

    fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }

    fn number(&mut self, n: usize) {
        // Writing to a Vec does not fail.
        let _ = write!(self.out, "{n}");
    }
}

/// What a client that waits for it is told before it sends the body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// For people; programs read the number.
fn phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Other",
    }
}
