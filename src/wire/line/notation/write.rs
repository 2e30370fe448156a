//! Writing: everything that is more than a plain word is quoted, so that a line is a line to
//! everybody.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::wire::json::{Object, Value};

/// A line under way, or a part of one.
#[derive(Debug)]
pub struct Writer {
    out: String,
}

impl Writer {
    pub fn new(start: &str) -> Writer {
        Writer { out: start.to_owned() }
    }

    /// A word that is plain by nature: a type, a status.
    pub fn word(mut self, word: &str) -> Writer {
        self.out.push(' ');
        self.out.push_str(word);
        self
    }

    pub fn text(mut self, key: &str, text: &str) -> Writer {
        self.key(key);
        write_text(text, &mut self.out);
        self
    }

    pub fn number(mut self, key: &str, number: u64) -> Writer {
        self.key(key);
        write_number(number, &mut self.out);
        self
    }

    /// Every field of an object, the inner ones as JSON.
    pub fn fields(mut self, object: &Object<'_>) -> Writer {
        for (key, value) in object.fields() {
            self.key(key);
            match value {
                Value::Text(text) | Value::Word(text) => write_text(text, &mut self.out),
                value => write_json(value, &mut self.out),
            }
        }
        self
    }

    /// `[`, one `...key=value` a line, `]`; an empty line between two records.
    pub fn records<'r, R, F>(mut self, records: R) -> Writer
    where
        R: IntoIterator<Item = F>,
        F: IntoIterator<Item = (&'static str, Cow<'r, str>)>,
    {
        self.out.push_str("\n[");
        for (at, record) in records.into_iter().enumerate() {
            if 0 < at {
                self.out.push('\n');
            }
            for (key, text) in record {
                self.out.push_str("\n...");
                self.out.push_str(key);
                self.out.push('=');
                write_text(&text, &mut self.out);
            }
        }
        self.out.push_str("\n]");
        self
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The text, without the end of its last line.
    pub fn finish(self) -> String {
        self.out
    }

    fn key(&mut self, key: &str) {
        self.out.push(' ');
        self.out.push_str(key);
        self.out.push('=');
    }
}

/// Whether a text is written without quotes.
pub fn is_plain(text: &str) -> bool {
    let plain = |c: char| match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "@._:+/-".contains(c),
        false => c.is_alphabetic(),
    };
    !text.is_empty() && text.chars().all(plain)
}

/// A text, quoted where it is more than a plain word.
pub fn write_text(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        write_quoted(text, out);
    }
}

fn write_quoted(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let raw = !(c == '"' || c == '\\' || c.is_control() || c == '\u{2028}' || c == '\u{2029}');
        if raw {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + c.len_utf8();
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', c]),
            c => {
                // A String takes everything.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

fn write_number(number: u64, out: &mut String) {
    let _ = write!(out, "{number}");
}

/// JSON on one line, its strings as everywhere here.
fn write_json(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Flag(true) => out.push_str("true"),
        Value::Flag(false) => out.push_str("false"),
        Value::Whole(number) => write_number(*number, out),
        Value::Negative(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Fraction(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Text(text) | Value::Word(text) => write_quoted(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if 0 < at {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (at, (key, value)) in object.fields().enumerate() {
                if 0 < at {
                    out.push(',');
                }
                write_quoted(key, out);
                out.push(':');
                write_json(value, out);
            }
            out.push('}');
        }
    }
}
