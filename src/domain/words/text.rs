//! What is written: kinds of records, and the spans of formatted text.

use crate::domain::access::Access;

/// What a record of a chat is. The numbers lie on the disk and never change meaning.
///
/// Edits, deletions, joins and renames are records of the chain themselves, so that a client that
/// syncs the chain learns of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    #[default]
    Text = 0,
    Formatted = 1,
    Blob = 2,
    File = 3,
    Edited = 4,
    Deleted = 5,
    Joined = 6,
    Left = 7,
    Invited = 8,
    Renamed = 9,
    Access = 10,
    /// A group's or a channel's first record.
    Created = 11,
    /// What was there before is gone: for everybody, or in somebody's own chain for them alone.
    Cleared = 12,
    /// In somebody's own chain: what happened about a chat that they are not in yet, or that
    /// others ask them to decide; see [`Notice`].
    Notice = 13,
}

/// What a notice tells its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    pub act: Act,
    /// What the one it is about is given; what they want is the record's `access`.
    pub given: Access,
}

/// The numbers lie on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Act {
    /// They may join, or take up what was begun with them.
    Invited = 1,
    /// Somebody wants more of a chat than they are given, and the reader may give it.
    Asked = 2,
    /// What they wanted of a chat they have now.
    Admitted = 3,
}

impl Kind {
    /// Whether such a record of a chat has a place of its own in the count of its messages. What
    /// tells of the chat itself and of who is in it has the place of what came before it: nobody
    /// has to read it, and the counts of those who read by place have no holes.
    pub fn has_place(self) -> bool {
        match self {
            Kind::Text
            | Kind::Formatted
            | Kind::Blob
            | Kind::File
            | Kind::Edited
            | Kind::Deleted
            | Kind::Invited
            | Kind::Notice => true,
            Kind::Joined
            | Kind::Left
            | Kind::Renamed
            | Kind::Access
            | Kind::Created
            | Kind::Cleared => false,
        }
    }
}

/// A stretch of formatted text, in bytes of its UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
    pub kind: SpanKind,
    pub value: Option<Box<str>>,
}

/// The numbers lie on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SpanKind {
    Heading = 1,
    Color = 2,
    Font = 3,
    Highlight = 4,
    Bold = 5,
    Italic = 6,
    Underline = 7,
    Strike = 8,
    Link = 9,
    Code = 10,
    CodeBlock = 11,
    Spoiler = 12,
    Quote = 13,
}

impl SpanKind {
    pub const ALL: [SpanKind; 13] = [
        SpanKind::Heading,
        SpanKind::Color,
        SpanKind::Font,
        SpanKind::Highlight,
        SpanKind::Bold,
        SpanKind::Italic,
        SpanKind::Underline,
        SpanKind::Strike,
        SpanKind::Link,
        SpanKind::Code,
        SpanKind::CodeBlock,
        SpanKind::Spoiler,
        SpanKind::Quote,
    ];
}
