//! One account as lines of JSON, for moving to another server: what `msimd export` writes and
//! `msimd import` reads. docs/operating.md, «Moving an account», describes the lines.
//!
//! Both go in pages: an export never holds a read transaction for longer than a page, an import
//! never the engine for longer than a batch, and neither is ever whole in memory.

mod export;
mod import;
mod places;

use crate::domain::words::{ChatKind, ContactState, Kind, SpanKind};

pub use export::{ExportError, page};
pub use import::piece;
pub use places::Places;

/// Raised when an earlier msimd could not read an export; a further field is no new format. 2: some
/// records have no place of their own. Earlier ones are read as well.
pub const FORMAT: u64 = 2;

const KINDS: [(Kind, &str); 13] = [
    (Kind::Text, "text"),
    (Kind::Formatted, "formatted"),
    (Kind::Blob, "blob"),
    (Kind::File, "file"),
    (Kind::Edited, "edited"),
    (Kind::Deleted, "deleted"),
    (Kind::Joined, "joined"),
    (Kind::Left, "left"),
    (Kind::Invited, "invited"),
    (Kind::Renamed, "renamed"),
    (Kind::Access, "access"),
    (Kind::Created, "created"),
    (Kind::Cleared, "cleared"),
];

const CHATS: [(ChatKind, &str); 4] = [
    (ChatKind::Direct, "direct"),
    (ChatKind::Group, "group"),
    (ChatKind::Channel, "channel"),
    (ChatKind::Circle, "circle"),
];

const CONTACTS: [(ContactState, &str); 4] = [
    (ContactState::Plain, "plain"),
    (ContactState::Requested, "requested"),
    (ContactState::Pending, "pending"),
    (ContactState::Blocked, "blocked"),
];

const SPANS: [(SpanKind, &str); 13] = [
    (SpanKind::Heading, "heading"),
    (SpanKind::Color, "color"),
    (SpanKind::Font, "font"),
    (SpanKind::Highlight, "highlight"),
    (SpanKind::Bold, "bold"),
    (SpanKind::Italic, "italic"),
    (SpanKind::Underline, "underline"),
    (SpanKind::Strike, "strike"),
    (SpanKind::Link, "link"),
    (SpanKind::Code, "code"),
    (SpanKind::CodeBlock, "code-block"),
    (SpanKind::Spoiler, "spoiler"),
    (SpanKind::Quote, "quote"),
];

/// A word for a variant; every variant has one.
fn word<T: Copy + PartialEq>(words: &[(T, &'static str)], what: T) -> &'static str {
    words.iter().find(|(known, _)| *known == what).map_or("unknown", |(_, word)| word)
}

fn meant<T: Copy>(words: &[(T, &'static str)], text: &str) -> Option<T> {
    words.iter().find(|(_, word)| *word == text).map(|(known, _)| *known)
}

#[cfg(test)]
mod tests;
