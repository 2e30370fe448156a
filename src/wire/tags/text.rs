//! Names and texts as parts of lines.

use std::borrow::Cow;
use std::fmt::Write;

use super::{LINE_BYTES_MAX, Line};
use crate::domain::calendar::{SECS_PER_DAY, civil};
use crate::domain::id::Timestamp;
use crate::domain::name::Name;

/// What somebody is called here.
pub(super) fn pseudo(who: &Name) -> Cow<'_, str> {
    let login = who.split_once('@').map_or(&**who, |(login, _)| login);
    escaped(login)
}

/// A name as one word: each byte of what would part it, and of the escape itself, as `%` and two
/// hexadecimal digits.
pub(super) fn escaped(name: &str) -> Cow<'_, str> {
    let parts = |c: char| c == '%' || c.is_whitespace() || c.is_control();
    if !name.contains(parts) {
        return Cow::Borrowed(name);
    }
    let mut word = String::with_capacity(name.len() + 16);
    for c in name.chars() {
        if parts(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(word, "%{byte:02X}");
            }
        } else {
            word.push(c);
        }
    }
    Cow::Owned(word)
}

/// The name that a word stands for. A `%` that is no escape stands for itself. `None`: no UTF-8.
pub(super) fn unescaped(word: &str) -> Option<Cow<'_, str>> {
    if !word.contains('%') {
        return Some(Cow::Borrowed(word));
    }
    let mut name = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                name.push((high << 4 | low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                name.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(name).ok().map(Cow::Owned)
}

/// A text of any length after the same head: a line for each of its lines, and for each part of one
/// that is too long.
pub(super) fn push_text(head: &str, text: &str, out: &mut Vec<Line>) {
    let room = LINE_BYTES_MAX.saturating_sub(head.len()).max(4);
    for line in text.split('\n') {
        let line = tamed(line.strip_suffix('\r').unwrap_or(line));
        let mut rest = &*line;
        loop {
            let mut end = rest.len().min(room);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (part, after) = rest.split_at(end);
            out.push(Line(format!("{head}{part}")));
            if after.is_empty() {
                break;
            }
            rest = after;
        }
    }
}

/// What would end a line, or move somebody's cursor, is replaced.
pub(super) fn tamed(line: &str) -> Cow<'_, str> {
    let is_wild = |c: char| c.is_control() && c != '\t';
    match line.contains(is_wild) {
        true => line.replace(is_wild, "\u{fffd}").into(),
        false => line.into(),
    }
}

/// `DD-MM-YY HH-MM-SS`, in UTC.
pub(super) fn stamp(at: Timestamp) -> String {
    let secs = at.secs();
    let (year, month, day) = civil((secs / SECS_PER_DAY).cast_signed());
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    let year = year.rem_euclid(100);
    format!("{day:02}-{month:02}-{year:02} {hour:02}-{minute:02}-{second:02}")
}

/// Numbers after the same head, in as many lines as they take.
#[derive(Debug)]
pub(super) struct Crowd {
    head: String,
    line: String,
    is_said: bool,
}

impl Crowd {
    pub(super) fn new(head: String) -> Crowd {
        Crowd { line: head.clone(), head, is_said: false }
    }

    /// One more person.
    pub(super) fn push(&mut self, no: u32, out: &mut Vec<Line>) {
        let word = format!(" 0 {no}");
        if LINE_BYTES_MAX < self.line.len() + word.len() {
            out.push(Line(std::mem::replace(&mut self.line, self.head.clone())));
            self.is_said = true;
        }
        self.line.push_str(&word);
    }

    pub(super) fn finish(self, out: &mut Vec<Line>) {
        if !self.is_said || self.line != self.head {
            out.push(Line(self.line));
        }
    }
}
