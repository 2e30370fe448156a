//! What the server keeps, as it keeps it: one struct a table row. `store::rows` knows how they lie
//! on the disk; the rules change them.

use std::sync::Arc;

use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId, Seq, Timestamp};
use crate::domain::name::{Name, Tag};
use crate::domain::words::{Digest, Kind, Notice, Sealed, SessionKind, Span, StoredFile, Verifier};

pub use crate::domain::access::Access;

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

    /// What others are told of it by.
    pub fn called(&self) -> Name {
        let tag = Tag::Person { no: self.no, public_id: self.public_id };
        Name::new(self.address.to_string(), tag)
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
    /// In nobody's list: the owner never added it. It is there because of its state alone.
    pub unlisted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ContactState {
    #[default]
    Plain = 0,
    /// The owner has asked them, and waits.
    Requested = 1,
    /// They have asked the owner, who has not decided yet.
    Pending = 2,
    /// The owner wants nothing from them.
    Blocked = 3,
}

/// What people tell of themselves. Empty stands for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub name: Box<str>,
    pub short_name: Box<str>,
    pub full_name: Box<str>,
    pub note: Box<str>,
    /// A link, or `file:` and the id of a file here.
    pub photo: Box<str>,
    pub gallery: Vec<Box<str>>,
    /// Other ways to reach them.
    pub contacts: Vec<Box<str>>,
    /// `YYYY-MM-DD`; of a firm, when it was founded.
    pub birthday: Box<str>,
    pub changed: Timestamp,
    /// What others may do in a direct chat with them that these others begin; `None`: whatever
    /// both sides of one may.
    pub access: Option<Access>,
}

/// A chat's own row. Direct chats have none: everything about them follows from their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    pub id: ChatId,
    pub kind: ChatKind,
    pub address: Address,
    pub name: Box<str>,
    pub about: Box<str>,
    /// What somebody is given who joins or is invited.
    pub default_access: Access,
    /// Whoever knows its address may join; else by invitation.
    pub open: bool,
    /// The general chat of the space it belongs to; a space's general chat names itself.
    pub space: Option<ChatId>,
    /// A tombstone: the address is never given again.
    pub removed: bool,
    pub created: Timestamp,
    /// When anything here was last changed.
    pub changed: Timestamp,
    /// Random; what protocols show that name groups by themselves, such as Tinode's `grp…`.
    pub public_id: u64,
    /// Days that its owner wants messages kept at most; 0: as the server keeps them.
    pub retention: u32,
}

impl Chat {
    /// Whether it is the general chat of a space, and so the space itself.
    pub fn is_space(&self) -> bool {
        self.space == Some(self.id)
    }

    /// What its members are told of it by.
    pub fn called(&self) -> Name {
        let tag = Tag::Chat { id: self.id, space: self.space, public_id: self.public_id };
        Name::new(self.address.to_string(), tag)
    }
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

/// One account's part in one chat. The marks are coalesced: see `store`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub want: Access,
    pub given: Access,
    pub delivered: Mark,
    pub read: Mark,
    /// What lies at or before it is gone for this member ("delete for me").
    pub cleared: MessageId,
    /// Of a direct chat: the other side takes nothing from it now. It lies here, too, because
    /// whoever writes looks at their own part and no other.
    pub unheard: bool,
    /// Of a direct chat: the other side has left it, and is back with the next message.
    pub alone: bool,
    /// Of a direct chat: they took it up before anything was said.
    pub begun: bool,
    /// Of a direct chat: they have left it. What they did to it stays done; the store shows such a
    /// part to who asks for it and to nobody else.
    pub left: bool,
    /// Of a group: whoever has to decide what becomes of this part has been left a notice, and gets
    /// no other before they have.
    pub told: bool,
}

impl Member {
    /// What they may do: what they want of what they are given.
    pub fn mode(&self) -> Access {
        self.want.and(self.given)
    }

    /// Whether they may join by taking what they are given.
    pub fn is_invited(&self) -> bool {
        self.want == Access::NONE && self.given.is_member()
    }
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
    /// Of a blob: its base64.
    pub text: Arc<str>,
    pub cookie: Option<Arc<str>>,
    /// What most messages do not have.
    pub extra: Option<Box<Extra>>,
}

/// What only some records of a chat have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// The message that it answers; 0 for none.
    pub reply_to: MessageId,
    /// Of an edit or a deletion: the message that was changed. Of a clearing for one person: how far.
    pub target: MessageId,
    /// Whom it is about, beside its author.
    pub person: Option<AccountNo>,
    /// Of an invitation: to where. Of a record in somebody's own chain: the chat it is about.
    pub place: Option<ChatId>,
    pub access: Option<Access>,
    pub spans: Box<[Span]>,
    /// Of a blob.
    pub mime: Option<Box<str>>,
    /// When its text was last changed; 0 for never.
    pub edited: Timestamp,
    /// Its text is gone; the record keeps its place in the chain.
    pub deleted: bool,
    /// Of a clearing: the place of the last message that went.
    pub reach: Seq,
    pub notice: Option<Notice>,
    /// Of a file; its name is the record's text.
    pub file: Option<Box<StoredFile>>,
}

/// A record before it has its place in a chat.
#[derive(Debug)]
pub struct Entry<'e> {
    pub kind: Kind,
    pub text: Arc<str>,
    pub cookie: Option<&'e str>,
    pub extra: Option<Box<Extra>>,
}

impl Entry<'_> {
    /// A record that tells of something; most have no text.
    pub fn telling(kind: Kind, text: &str, extra: Extra) -> Self {
        Entry { kind, text: text.into(), cookie: None, extra: Some(Box::new(extra)) }
    }
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
