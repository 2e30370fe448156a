//! Where a body ends (RFC 9112 §6, §7.1).

use super::{Bad, Fault, Request, malformed};
use crate::limits::HTTP_HEAD_BYTES_MAX;
use crate::wire::Buffer;

const TOO_LARGE: Bad = Bad { fault: Fault::BodyTooLarge, why: "the body is too large" };
/// A chunk's size with its extensions, which nobody uses.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// What of a body is still to come.
#[derive(Debug)]
pub(super) struct Body {
    rest: Rest,
    /// Bytes that it may have in all, decoded.
    max: usize,
}

#[derive(Debug)]
enum Rest {
    /// So many bytes.
    Length(usize),
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(usize),
    ChunkEnd,
    /// Headers after the last chunk, so many bytes of which were read. They are ignored.
    Trailer(usize),
}

impl Body {
    pub(super) fn of(request: &Request, max: usize) -> Result<Body, Bad> {
        let mut lengths = request.values("content-length");
        let mut codings = request.values("transfer-encoding");
        let rest = match (lengths.next(), codings.next()) {
            (None, None) => Rest::Length(0),
            (Some(_), Some(_)) => return Err(malformed("both a length and a transfer coding")),
            (Some(first), None) => {
                if lengths.any(|other| other != first) {
                    return Err(malformed("two lengths"));
                }
                let length = decimal(first)?;
                if max < length {
                    return Err(TOO_LARGE);
                }
                Rest::Length(length)
            }
            (None, Some(coding)) => {
                if request.manner.is_1_0 {
                    return Err(malformed("HTTP/1.0 has no transfer codings"));
                }
                if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
                    return Err(malformed("a transfer coding other than chunked"));
                }
                Rest::ChunkSize
            }
        };
        Ok(Body { rest, max })
    }

    /// Moves what is there of it to `body`; true once that is all.
    pub(super) fn read(&mut self, input: &mut Buffer, body: &mut Vec<u8>) -> Result<bool, Bad> {
        loop {
            match &mut self.rest {
                Rest::Length(0) => return Ok(true),
                Rest::Length(rest) => {
                    take(rest, input, body);
                    return Ok(*rest == 0);
                }
                Rest::ChunkSize => {
                    let Some(line) = line(input, CHUNK_LINE_BYTES_MAX)? else { return Ok(false) };
                    let size = chunk_size(&input.as_slice()[..line])?;
                    input.consume(line + 2);
                    if self.max - body.len() < size {
                        return Err(TOO_LARGE);
                    }
                    self.rest = if size == 0 { Rest::Trailer(0) } else { Rest::Chunk(size) };
                }
                Rest::Chunk(rest) => {
                    take(rest, input, body);
                    if 0 < *rest {
                        return Ok(false);
                    }
                    self.rest = Rest::ChunkEnd;
                }
                Rest::ChunkEnd => {
                    let Some(end) = input.as_slice().get(..2) else { return Ok(false) };
                    if end != b"\r\n" {
                        return Err(malformed("a chunk is longer than its size"));
                    }
                    input.consume(2);
                    self.rest = Rest::ChunkSize;
                }
                Rest::Trailer(read) => {
                    let Some(line) = line(input, HTTP_HEAD_BYTES_MAX)? else { return Ok(false) };
                    input.consume(line + 2);
                    *read += line + 2;
                    if line == 0 {
                        return Ok(true);
                    }
                    if HTTP_HEAD_BYTES_MAX < *read {
                        return Err(malformed("too many headers after the last chunk"));
                    }
                }
            }
        }
    }
}

fn take(rest: &mut usize, input: &mut Buffer, body: &mut Vec<u8>) {
    let n = input.len().min(*rest);
    body.extend_from_slice(&input.as_slice()[..n]);
    input.consume(n);
    *rest -= n;
}

/// The length of the line at the front without its end, once it is there.
fn line(input: &Buffer, max: usize) -> Result<Option<usize>, Bad> {
    let bytes = input.as_slice();
    let bytes = &bytes[..bytes.len().min(max + 2)];
    match bytes.iter().position(|b| *b == b'\n') {
        Some(end) if bytes[..end].ends_with(b"\r") => Ok(Some(end - 1)),
        Some(_) => Err(malformed("a line of a chunked body does not end in CR LF")),
        None if max + 2 <= bytes.len() => Err(malformed("a line of a chunked body is too long")),
        None => Ok(None),
    }
}

/// `1*DIGIT`: no sign, no list, no white space.
fn decimal(text: &[u8]) -> Result<usize, Bad> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(malformed("a length that is no decimal number"));
    }
    // Only digits are left: what does not parse is beyond any limit.
    Ok(std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).unwrap_or(usize::MAX))
}

/// `1*HEXDIG [ *( BWS ";" … ) ]`; extensions are ignored.
fn chunk_size(line: &[u8]) -> Result<usize, Bad> {
    const BAD: Bad = malformed("a chunk's size is no hexadecimal number");
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    let extended = rest.trim_ascii_start().starts_with(b";");
    let control = rest.iter().any(|b| b.is_ascii_control() && *b != b'\t');
    if size.is_empty() || (!rest.is_empty() && !extended) || control {
        return Err(BAD);
    }
    let size = std::str::from_utf8(size).map_err(|_| BAD)?;
    Ok(usize::from_str_radix(size, 16).unwrap_or(usize::MAX))
}
