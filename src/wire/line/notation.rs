//! The notation: `TYPE key=value key="two words" list=[a, "b c"]`. The one reader and the one writer
//! of it; what a line means is known elsewhere.
//!
//! A value has no type of its own: `5` and `"5"` are the same [`Value::Word`], a number where the
//! field is one. Only what stands within braces is JSON and typed. What is written is quoted
//! whenever it is more than a plain word, and strings have the same escapes everywhere, so that a
//! client needs one reader of strings.

mod write;

use std::borrow::Cow;
use std::fmt;

use crate::limits::{JSON_DEPTH_MAX, LINE_PAIRS_MAX, TYPE_BYTES_MAX};
use crate::wire::json::{self, Object, Value};
pub use write::{Writer, is_plain, write_text};

/// A line taken apart. Values without escapes are borrowed from it.
#[derive(Debug, PartialEq)]
pub struct Line<'a> {
    pub kind: &'a str,
    pub fields: Object<'a>,
}

/// A line that is none, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Takes a line apart that comes without its end.
pub fn parse(line: &str) -> Result<Line<'_>, Malformed> {
    // Quoting or not: what a terminal or a log would obey is never raw. The tab is white space.
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Malformed("control characters are written as \\uXXXX"));
    }
    let mut reader = Reader { rest: line };
    let kind = reader.kind()?;
    let mut fields: Vec<(Cow<'_, str>, Value<'_>)> = Vec::new();
    while reader.goes_on(fields.is_empty())? {
        let key = reader.key()?;
        if fields.iter().any(|(name, _)| name == key) {
            return Err(Malformed("a key stands here twice"));
        }
        if LINE_PAIRS_MAX <= fields.len() {
            return Err(Malformed("a line has at most 64 pairs"));
        }
        let value = reader.value()?;
        // The line itself is the first level.
        if JSON_DEPTH_MAX <= value.levels() {
            return Err(Malformed("it is nested too deep"));
        }
        fields.push((key.into(), value));
    }
    Ok(Line { kind, fields: Object::of(fields) })
}

/// Where a bare word has to end.
fn ends_word(c: char) -> bool {
    c == ' ' || c == '\t' || c == ','
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn kind(&mut self) -> Result<&'a str, Malformed> {
        let kind = self.until(|c| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-'));
        let ends = self.rest.is_empty() || self.rest.starts_with([' ', '\t']);
        if kind.is_empty() || TYPE_BYTES_MAX < kind.len() || !ends {
            return Err(Malformed(
                "a line begins with a type: 1 to 64 upper-case letters, digits and -",
            ));
        }
        Ok(kind)
    }

    /// Steps over what stands between two pairs: white space, or one comma between them.
    fn goes_on(&mut self, is_first: bool) -> Result<bool, Malformed> {
        let space = self.space();
        if !is_first && self.skip(',') {
            self.space();
            return match self.rest.is_empty() {
                true => Err(Malformed("a pair follows a comma")),
                false => Ok(true),
            };
        }
        match (self.rest.is_empty(), space) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(Malformed("white space or a comma follows a value")),
        }
    }

    fn key(&mut self) -> Result<&'a str, Malformed> {
        let key =
            self.until(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'));
        if key.is_empty() || !self.skip('=') {
            return Err(Malformed("a pair is key=value, its key in a-z 0-9 _ -"));
        }
        Ok(key)
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        match self.rest.chars().next() {
            Some('[') => self.list(JSON_DEPTH_MAX),
            Some('{') => self.object(),
            _ => self.word(ends_word, false),
        }
    }

    /// Quoted or bare: the first character decides.
    fn word(&mut self, ends: fn(char) -> bool, is_in_list: bool) -> Result<Value<'a>, Malformed> {
        if let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            return self.quoted(quote, is_in_list).map(Value::Word);
        }
        match self.until(ends) {
            "" => Err(Malformed("a value is missing; the empty one is \"\"")),
            word => Ok(Value::Word(word.into())),
        }
    }

    fn quoted(&mut self, quote: char, is_in_list: bool) -> Result<Cow<'a, str>, Malformed> {
        let mut rest = &self.rest[1..];
        let mut unescaped: Option<String> = None;
        loop {
            let stop = rest.find([quote, '\\', '\t']).ok_or(Malformed("a quote is not closed"))?;
            let (before, after) = (&rest[..stop], &rest[stop + 1..]);
            match rest.as_bytes()[stop] {
                b'\\' => {
                    let (c, bytes) = escape(after, is_in_list)?;
                    let text = unescaped.get_or_insert_default();
                    text.push_str(before);
                    text.push(c);
                    rest = &after[bytes..];
                }
                b'\t' => return Err(Malformed("a tab within quotes is written as \\t")),
                _ => {
                    self.rest = after;
                    return Ok(match unescaped {
                        Some(text) => Cow::Owned(text + before),
                        None => Cow::Borrowed(before),
                    });
                }
            }
        }
    }

    /// `[a, "b c"]`: JSON, or words without their quotes.
    fn list(&mut self, levels: usize) -> Result<Value<'a>, Malformed> {
        let levels = levels.checked_sub(1).ok_or(Malformed("it is nested too deep"))?;
        let mut items = Vec::new();
        self.skip('[');
        self.space();
        if self.skip(']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            items.push(match self.rest.chars().next() {
                Some('[') => self.list(levels)?,
                Some('{') => self.object()?,
                _ => self.word(|c| ends_word(c) || c == ']', true)?,
            });
            self.space();
            if self.skip(']') {
                return Ok(Value::Array(items));
            }
            if !self.skip(',') {
                return Err(Malformed("a list has commas between its words and ] at its end"));
            }
        }
    }

    fn object(&mut self) -> Result<Value<'a>, Malformed> {
        let (object, bytes) = json::object_at_start(self.rest)
            .map_err(|_| Malformed("what stands in braces is not JSON"))?;
        self.rest = &self.rest[bytes..];
        Ok(Value::Object(object))
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let (before, rest) = self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        before
    }

    /// Whether there was any.
    fn space(&mut self) -> bool {
        !self.until(|c| c != ' ' && c != '\t').is_empty()
    }

    fn skip(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// The character that an escape means, and how many bytes it takes behind its backslash. Strings in
/// brackets may be JSON and have its escapes, too.
fn escape(text: &str, is_in_list: bool) -> Result<(char, usize), Malformed> {
    let unknown = Err(Malformed("an escape is \\\" \\' \\\\ \\n \\t or \\uXXXX"));
    match text.as_bytes().first() {
        Some(c @ (b'"' | b'\'' | b'\\')) => Ok((char::from(*c), 1)),
        Some(b'n') => Ok(('\n', 1)),
        Some(b't') => Ok(('\t', 1)),
        Some(b'u') => match code_unit(text).ok_or(Malformed("\\u has four digits"))? {
            high @ 0xD800..0xDC00 => {
                let low = text.get(5..).and_then(|next| code_unit(next.strip_prefix('\\')?));
                match low {
                    Some(low @ 0xDC00..0xE000) => {
                        let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                        char::from_u32(code).map(|c| (c, 11)).ok_or(LONE)
                    }
                    Some(_) | None => Err(LONE),
                }
            }
            code => char::from_u32(code).map(|c| (c, 5)).ok_or(LONE),
        },
        Some(b'/') if is_in_list => Ok(('/', 1)),
        Some(b'b') if is_in_list => Ok(('\u{8}', 1)),
        Some(b'f') if is_in_list => Ok(('\u{c}', 1)),
        Some(b'r') if is_in_list => Ok(('\r', 1)),
        Some(_) | None => unknown,
    }
}

const LONE: Malformed = Malformed("half a surrogate pair is no character");

/// The number in `uXXXX`.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('u')?.as_bytes().get(..4)?;
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests;
