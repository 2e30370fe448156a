//! Profiles, chats and contacts as somebody wants them to be.

use crate::domain::access::Access;
use crate::domain::id::{Address, Login};

/// What somebody changes of their profile: absent fields stay, empty ones are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileDraft {
    pub name: Option<Box<str>>,
    pub short_name: Option<Box<str>>,
    pub full_name: Option<Box<str>>,
    pub note: Option<Box<str>>,
    pub photo: Option<Box<str>>,
    pub gallery: Option<Vec<Box<str>>>,
    pub contacts: Option<Vec<Box<str>>>,
    pub birthday: Option<Box<str>>,
    /// What others may do in a direct chat that they begin. Nobody else is told.
    pub access: Option<Access>,
    /// Whatever an application wants others to know, kept as it came. Empty removes it.
    pub card: Option<Box<str>>,
}

/// A group or a channel before it exists.
#[derive(Clone, Debug)]
pub struct ChatDraft {
    pub is_channel: bool,
    /// It becomes the general chat of a new space.
    pub is_space: bool,
    pub name: Box<str>,
    pub about: Box<str>,
    /// One is found where none is wanted.
    pub login: Option<Login>,
    /// The space that it belongs to, by its general chat.
    pub space: Option<Address>,
    /// As its space is where nothing is said; else closed.
    pub open: Option<bool>,
    pub default_access: Option<Access>,
    /// Whatever an application wants its members to know, kept as it came.
    pub card: Box<str>,
    /// Days that messages are kept at most; 0: as the server keeps them.
    pub retention: u32,
}

/// What is changed of a group or a channel; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct ChatChange {
    pub name: Option<Box<str>>,
    pub about: Option<Box<str>>,
    pub open: Option<bool>,
    pub default_access: Option<Access>,
    /// See [`ChatDraft`]. Empty removes it.
    pub card: Option<Box<str>>,
    pub retention: Option<u32>,
}

/// A contact as its owner wants it. Absent fields of a change stay as they are.
#[derive(Clone, Debug)]
pub struct ContactDraft {
    pub who: Address,
    pub name: Option<Box<str>>,
    /// Nested groups, outermost first.
    pub group: Option<Vec<Box<str>>>,
    /// Empty removes it.
    pub note: Option<Box<str>>,
    /// Whether a dialog with the contact is open in the owner's clients.
    pub dialog: Option<bool>,
}
