//! The request line and the headers.

use super::{Bad, Fault, Field, Manner, Method, Request, malformed};
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};
use crate::wire::Buffer;

const LINE_TOO_LONG: Bad =
    Bad { fault: Fault::HeadTooLarge, why: "the request line is longer than 8 KiB" };
const HEADERS_TOO_LONG: Bad =
    Bad { fault: Fault::HeadTooLarge, why: "the headers are longer than 8 KiB" };
const TOO_MANY_HEADERS: Bad = Bad { fault: Fault::HeadTooLarge, why: "more than 64 headers" };

/// How far the head at the front was looked at, so that one that comes byte by byte is read once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    /// Bytes looked at.
    at: usize,
    /// Those of the request line with its end; 0 while that is not there.
    line: usize,
}

const LINE_END: usize = b"\r\n".len();

/// How many bytes the head at the front has, once all of it is there.
pub(super) fn end(input: &mut Buffer, search: &mut Search) -> Result<Option<usize>, Bad> {
    // RFC 9112 §2.2: empty lines before a request are ignored.
    while search.at == 0 && input.as_slice().starts_with(b"\r\n") {
        input.consume(LINE_END);
    }
    let bytes = input.as_slice();
    if bytes == b"\r" {
        // Half an empty line, perhaps.
        return Ok(None);
    }
    while let Some(offset) = bytes[search.at..].iter().position(|b| *b == b'\n') {
        let line = search.at..search.at + offset + 1;
        if !bytes[..line.end].ends_with(b"\r\n") {
            return Err(malformed("a line of the head does not end in CR LF"));
        }
        search.at = line.end;
        if search.line == 0 {
            search.line = line.end;
        }
        search.check(line.end)?;
        if bytes[..line.end].ends_with(b"\r\n\r\n") {
            *search = Search::default();
            return Ok(Some(line.end));
        }
    }
    search.at = bytes.len();
    search.check(bytes.len())?;
    Ok(None)
}

impl Search {
    /// `seen`: bytes of the head that are there.
    fn check(&self, seen: usize) -> Result<(), Bad> {
        let line = if self.line == 0 { seen } else { self.line };
        if HTTP_HEAD_BYTES_MAX + LINE_END < line {
            return Err(LINE_TOO_LONG);
        }
        // The empty line at the end is none of the headers'.
        if HTTP_HEAD_BYTES_MAX + LINE_END < seen - line {
            return Err(HEADERS_TOO_LONG);
        }
        Ok(())
    }
}

/// A head with its last empty line. The body is empty yet.
pub(super) fn parse(head: Box<[u8]>) -> Result<Request, Bad> {
    let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(&head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(malformed("the head ends too early")),
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_MANY_HEADERS),
        Err(httparse::Error::Version) => return Err(malformed("only HTTP/1.0 and 1.1 are spoken")),
        Err(_) => return Err(malformed("the head is not well-formed")),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(malformed("the request line is not complete"));
    };
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "OPTIONS" => Method::Options,
        _ => Method::Other,
    };
    let (path, query) = path_of(target);
    let (path, query) = (path.into(), query.into());
    let place = |part: &[u8]| {
        // The limits on a head keep every place in it below 2^16.
        let from = (part.as_ptr() as usize).saturating_sub(head.as_ptr() as usize);
        (from as u16, (from + part.len()) as u16)
    };
    let fields = parsed.headers.iter();
    let fields = fields
        .map(|h| Field { name: place(h.name.as_bytes()), value: place(h.value.trim_ascii()) })
        .collect();
    let manner = Manner { is_1_0: minor == 0, keep_alive: false, without_body: false };
    let mut request = Request {
        method,
        path,
        query,
        manner,
        body: Vec::new(),
        head,
        fields,
        expects_continue: false,
    };
    request.manner.without_body = method == Method::Head;
    // RFC 9112 §9.3.
    request.manner.keep_alive = !request.lists("connection", "close")
        && (minor == 1 || request.lists("connection", "keep-alive"));
    request.expects_continue = minor == 1 && request.lists("expect", "100-continue");
    Ok(request)
}

/// RFC 9112 §3.2: a target is a path, or a whole URI as proxies send it. The second part is its
/// query.
fn path_of(target: &str) -> (&str, &str) {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let target = match rest.map(|rest| rest.find('/').map(|slash| &rest[slash..])) {
        None => target,
        Some(None) => "/",
        Some(Some(path)) => path,
    };
    let target = target.split('#').next().unwrap_or_default();
    target.split_once('?').unwrap_or((target, ""))
}
