//! The words of a line: designators and options.

use super::term::{Names, fill};

/// `layer=1 session=bob rest`: what stands before a packet.
#[derive(Debug, Default)]
pub struct Options<'a> {
    given: Vec<(&'a str, String)>,
    /// What follows them.
    pub rest: &'a str,
}

impl<'a> Options<'a> {
    pub fn of(text: &'a str, names: &Names) -> Result<Options<'a>, String> {
        let mut options = Options { given: Vec::new(), rest: text.trim() };
        loop {
            let (word, rest) = options.rest.split_once(' ').unwrap_or((options.rest, ""));
            match word.split_once('=') {
                Some((name, value)) if name.bytes().all(|b| b.is_ascii_lowercase()) => {
                    options.given.push((name, fill(value, names)?));
                    options.rest = rest.trim_start();
                }
                _ => return Ok(options),
            }
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    pub fn number(&self, name: &str) -> Result<Option<u32>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("not a number: {name}={text}"));
        self.text(name).map(parse).transpose()
    }
}

/// Whether a talk has its lines as they are.
pub fn by_hand(designator: &str) -> bool {
    ["nc", "tags"].contains(&carrier_of(designator))
}

/// `alice2:tcp/b< …` as `alice2:tcp/b` and the rest.
pub fn designator(line: &str) -> Option<(&str, &str)> {
    let end = line
        .find(|c: char| !c.is_ascii_alphanumeric() && c != ':' && c != '/')
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    name.contains(':').then_some((name, rest))
}

pub fn device_of(designator: &str) -> &str {
    designator.split(':').next().unwrap_or_default()
}

/// `alice2:tcp` is a device of alice.
pub fn account_of(designator: &str) -> String {
    device_of(designator).trim_end_matches(|c: char| c.is_ascii_digit()).into()
}

pub fn carrier_of(designator: &str) -> &str {
    let rest = designator.split(':').nth(1).unwrap_or_default();
    rest.split('/').next().unwrap_or_default()
}

/// Whether a word is a packet's type, as opposed to a status.
pub fn is_type(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
}
