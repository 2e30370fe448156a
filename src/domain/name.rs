//! What people and chats are called when somebody is told of them: their address, and beside it the
//! numbers that other protocols name them by.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::domain::id::{AccountNo, ChatId};

/// An address on its way to a client. Reads as text; two are the same when their texts are.
#[derive(Clone)]
pub struct Name(Arc<Called>);

struct Called {
    text: Box<str>,
    tag: Tag,
}

/// Whom or what a name is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tag {
    /// Not known: the address is of another server, or was written by somebody.
    #[default]
    Unknown,
    Person {
        no: AccountNo,
        public_id: u64,
    },
    /// A group or a channel.
    Chat {
        id: ChatId,
        /// The general chat of the space it belongs to.
        space: Option<ChatId>,
        public_id: u64,
    },
}

impl Name {
    pub fn new(text: impl Into<Box<str>>, tag: Tag) -> Name {
        Name(Arc::new(Called { text: text.into(), tag }))
    }

    pub fn tag(&self) -> Tag {
        self.0.tag
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.text
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name::new(text, Tag::Unknown)
    }
}

impl Default for Name {
    fn default() -> Name {
        Name::from("")
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Name {}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
