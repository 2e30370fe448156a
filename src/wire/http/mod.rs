//! HTTP/1.0 and 1.1 as a codec: heads by httparse, bodies by our own framing (RFC 9112). It knows
//! no paths and no meaning.
//!
//! **Where a request ends must not be a matter of opinion** (request smuggling): whatever two
//! programs could read differently is refused and ends the connection.
//!
//! Our reading: `Host` is not asked for, because nothing here depends on it. Lines end in CR LF, a
//! bare LF is an error and not half a line. A request without any length has no body (RFC 9112
//! §6.3). Equal `Content-Length`s are one. Any transfer coding but `chunked` alone is refused.

mod body;
pub mod form;
mod head;
mod response;

use std::borrow::Cow;
use std::fmt;

use crate::wire::Buffer;
use body::Body;
use head::Search;
pub use response::{CONTINUE, Manner, Response};

/// A request with all of its body.
pub struct Request {
    pub method: Method,
    /// Of the target; no query, nothing decoded.
    pub path: Box<str>,
    /// What follows the question mark, nothing decoded; [`form::value`] reads it.
    pub query: Box<str>,
    pub manner: Manner,
    pub body: Vec<u8>,
    head: Box<[u8]>,
    fields: Box<[Field]>,
    expects_continue: bool,
}

/// What is distinguished; everything else is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    Other,
}

/// Where a header lies in the head.
#[derive(Clone, Copy)]
struct Field {
    name: (u16, u16),
    value: (u16, u16),
}

/// Bytes that are no request, or one that is too large. The stream ends with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    pub fault: Fault,
    /// What is wrong, for people.
    pub why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Malformed,
    /// The request line or the headers.
    HeadTooLarge,
    BodyTooLarge,
}

/// Bytes → requests. The other way is [`Response::write`].
#[derive(Debug)]
pub struct Codec {
    body_max: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(Search),
    /// Boxed: an idle connection is between requests.
    Body(Box<(Request, Body)>),
}

impl Codec {
    /// `body_max`: bytes of a body, decoded.
    pub fn new(body_max: usize) -> Codec {
        Codec { body_max, state: State::Head(Search::default()) }
    }

    /// The next whole request; `None`: more bytes first. An error is final for the stream.
    pub fn decode(&mut self, input: &mut Buffer) -> Result<Option<Request>, Bad> {
        if let State::Head(search) = &mut self.state {
            let Some(end) = head::end(input, search)? else { return Ok(None) };
            let head: Box<[u8]> = input.as_slice()[..end].into();
            input.consume(end);
            let request = head::parse(head)?;
            let body = Body::of(&request, self.body_max)?;
            self.state = State::Body(Box::new((request, body)));
        }
        let State::Body(partial) = &mut self.state else { return Ok(None) };
        let (request, body) = &mut **partial;
        if !body.read(input, &mut request.body)? {
            return Ok(None);
        }
        let done = std::mem::replace(&mut self.state, State::Head(Search::default()));
        let State::Body(done) = done else { return Ok(None) };
        Ok(Some(done.0))
    }

    /// Whether a request has begun and not ended.
    pub fn is_unfinished(&self, input: &Buffer) -> bool {
        !input.is_empty() || matches!(self.state, State::Body(_))
    }

    /// Bytes of a request that has begun and that are no longer in the input.
    pub fn held(&self) -> usize {
        match &self.state {
            State::Head(_) => 0,
            State::Body(partial) => partial.0.head.len() + partial.0.body.len(),
        }
    }

    /// Whether the client waits for `100 Continue` before it sends the body. True once a request.
    pub fn takes_continue(&mut self) -> bool {
        match &mut self.state {
            State::Head(_) => false,
            State::Body(partial) => std::mem::take(&mut partial.0.expects_continue),
        }
    }
}

impl Request {
    /// A header's value; several of the same name are one, separated by commas (RFC 9110 §5.3).
    /// What is not UTF-8 is replaced.
    pub fn field(&self, name: &'static str) -> Option<Cow<'_, str>> {
        let mut values = self.values(name).map(String::from_utf8_lossy);
        let first = values.next()?;
        Some(values.fold(first, |all, next| format!("{all}, {next}").into()))
    }

    /// Whether a header that is a list of words has this one, in any case.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        let is = |item: &[u8]| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes());
        self.values(name).any(|value| value.split(|b| *b == b',').any(is))
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |f| self.part(f.name).eq_ignore_ascii_case(name.as_bytes()))
            .map(|f| self.part(f.value))
    }

    fn part(&self, (from, to): (u16, u16)) -> &[u8] {
        self.head.get(usize::from(from)..usize::from(to)).unwrap_or_default()
    }
}

impl fmt::Debug for Request {
    /// Without query, headers and body, which hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

const fn malformed(why: &'static str) -> Bad {
    Bad { fault: Fault::Malformed, why }
}

#[cfg(test)]
mod tests;
