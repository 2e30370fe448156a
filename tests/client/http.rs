//! mSIM 2 over HTTP (mSIM 2 §3): POST for packets, GET …/fetch for pushes.

use std::net::SocketAddr;

use serde_json::Value;

use super::{Line, body_of};

#[derive(Debug)]
pub struct Http {
    pub line: Line,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn json(&self) -> Result<Value, String> {
        body_of(&self.body)
    }
}

impl Http {
    pub fn connect(address: SocketAddr) -> Result<Http, String> {
        Ok(Http { line: Line::connect(address)? })
    }

    pub fn post(
        &mut self,
        layer: u32,
        session: Option<&str>,
        kind: &str,
        body: &[u8],
    ) -> Result<(), String> {
        let session = session.map_or(String::new(), |s| format!("X-Session: {s}\r\n"));
        let mut bytes = format!(
            "POST /v{layer}/{kind} HTTP/1.1\r\nHost: im.test\r\nContent-Length: {}\r\n{session}\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        self.line.send(&bytes)
    }

    pub fn fetch(&mut self, layer: u32, session: Option<&str>) -> Result<(), String> {
        let session = session.map_or(String::new(), |s| format!("X-Session: {s}\r\n"));
        self.line.send(
            format!("GET /v{layer}/fetch HTTP/1.1\r\nHost: im.test\r\n{session}\r\n").as_bytes(),
        )
    }

    /// The next response; `None` at the end of the stream.
    pub fn receive(&mut self) -> Result<Option<Response>, String> {
        let Some(head) = self.line.take_until(b"\r\n\r\n")? else { return Ok(None) };
        let head = String::from_utf8(head).map_err(|e| format!("a head that is no text: {e}"))?;
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| status_line.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| format!("not a status line: {status_line:?}"))?;
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("not a header: {line:?}"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        let length = response.header("content-length").map(str::to_owned);
        if let Some(length) = length {
            let n = length.parse().map_err(|_| format!("not a length: {length:?}"))?;
            response.body = self
                .line
                .take(n)?
                .ok_or_else(|| format!("the stream ended before a body of {n} bytes"))?;
        } else if !matches!(status, 100..200 | 204 | 304) {
            // mSIM 2 §3: Content-Length always, but on 204 and 101.
            return Err(format!("a {status} without Content-Length: {head:?}"));
        }
        Ok(Some(response))
    }
}
