//! What the server keeps, as it keeps it: one struct a table row. `store::rows` knows how they lie
//! on the disk; the rules change them.

use std::sync::Arc;

use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId, Seq, Timestamp};
use crate::domain::words::{Digest, Kind, Sealed, SessionKind, Verifier};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub no: AccountNo,
    pub address: Address,
    /// `None` for a correspondent on another server and for an account that was removed.
    pub verifier: Option<Verifier>,
    pub state: AccountState,
    pub created: Timestamp,
    /// Random; what Tinode's `usr…` shows, so that it tells nothing of the number.
    pub public_id: u64,
}

impl Account {
    pub fn login(&self) -> &Login {
        &self.address.login
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AccountState {
    #[default]
    Active = 0,
    Disabled = 1,
    /// A tombstone: the login is never given again.
    Removed = 2,
    /// Lives on another server; here only so that chats and contacts can name it.
    Remote = 3,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub account: AccountNo,
    pub kind: SessionKind,
    pub created: Timestamp,
    /// Written at most once a day: it only decides when an unused session expires.
    pub used: Timestamp,
    /// The app password it was made with.
    pub app: Option<Box<str>>,
}

/// A password of an account that the server can read back, to answer challenges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Empty for the account's own password, else that of an app password.
    pub name: Box<str>,
    pub sealed: Sealed,
    /// What an app password is checked against where it is sent as it is; the account's own has a
    /// verifier instead.
    pub digest: Option<Digest>,
    pub created: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub who: Address,
    pub name: Box<str>,
    pub group: Vec<Box<str>>,
    pub note: Option<Box<str>>,
    pub dialog: bool,
    pub state: ContactState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ContactState {
    #[default]
    Plain = 0,
    Requested = 1,
    Pending = 2,
    Blocked = 3,
}

/// A chat's own row. Direct chats have none: everything about them follows from their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    pub id: ChatId,
    pub kind: ChatKind,
    pub address: Address,
    pub name: Box<str>,
    pub default_access: Access,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ChatKind {
    #[default]
    Direct = 0,
    Group = 1,
    Channel = 2,
    Circle = 3,
}

/// The one permission model: letters R W P S D O X (seed 004), want ∧ given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(pub u8);

impl Access {
    pub const READ: Access = Access(1);
    pub const WRITE: Access = Access(2);
    pub const PRESENCE: Access = Access(4);
    pub const SHARE: Access = Access(8);
    pub const DELETE: Access = Access(16);
    pub const OWN: Access = Access(32);
    pub const BANNED: Access = Access(64);
    /// What both sides of a direct chat have: R W P D.
    pub const DIRECT: Access = Access(1 | 2 | 4 | 16);

    pub fn has(self, letter: Access) -> bool {
        self.0 & letter.0 == letter.0
    }
}

/// One account's part in one chat. The marks are coalesced: see `store`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub want: Access,
    pub given: Access,
    pub delivered: Mark,
    pub read: Mark,
    /// What lies at or before it is gone for this member ("delete for me").
    pub cleared: MessageId,
}

/// How far somebody is in a chat: the message and its place, so that counts need no reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub id: MessageId,
    pub seq: Seq,
}

/// A message as it is kept: the one write of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub chat: ChatId,
    pub id: MessageId,
    pub previous: MessageId,
    pub seq: Seq,
    pub time: Timestamp,
    pub from: AccountNo,
    pub kind: Kind,
    pub text: Arc<str>,
    pub cookie: Option<Arc<str>>,
}

/// The end of a chat, derived from its last record; all zero for a chat without messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub id: MessageId,
    pub seq: Seq,
    pub time: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    pub uses: u32,
    pub expires: Timestamp,
}
