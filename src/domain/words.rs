//! The whole vocabulary between the translators and the core, on two screens: what can be asked,
//! answered, refused, and told. No protocol's spelling and no byte layout is known here.
//!
//! A word belongs here when a second protocol could use it. Adding a variant breaks every
//! translator at compile time, on purpose: none may say nothing by accident.

use std::sync::Arc;

use crate::domain::id::{
    AccountNo, Address, Login, MessageId, Seq, SessionId, SessionKey, Timestamp,
};

/// What a client, or the operator, wants changed or told by the one thread that changes anything.
#[derive(Debug)]
pub enum Command {
    /// A new account. The password is hashed before this is said.
    Register {
        login: Login,
        verifier: Verifier,
        invite: Option<Box<str>>,
        /// The password again, where it is to answer challenges.
        envelope: Option<Envelope>,
    },
    /// A salt that was never given before, for logging in by challenge.
    Challenge,
    /// A new session for an account whose password was proven; see `engine::auth`.
    LogIn(Proof),
    /// Ends the session that says it.
    LogOut,
    AddContact(ContactDraft),
    ChangeContact(ContactDraft),
    RemoveContact {
        who: Address,
    },
    /// Newest chat first, those whose last message is older than `before`.
    Chats {
        before: MessageId,
        count: u32,
    },
    /// Unread messages of all chats: the newest `count`, ascending.
    Unread {
        count: u32,
    },
    Send(Draft),
    /// Moves my delivered mark; without `chat` the message names it.
    MarkDelivered {
        chat: Option<Address>,
        id: MessageId,
    },
    /// Moves my read mark, and with it the delivered one.
    MarkRead {
        chat: Option<Address>,
        id: MessageId,
    },
    /// The newest id of any chat of mine: where a client's repair from history ends.
    Newest,
    Operator(Order),
}

/// What only the operator may ask, over the management socket or on the file itself.
#[derive(Debug)]
pub enum Order {
    AddUser {
        login: Login,
        verifier: Verifier,
    },
    Users,
    SetPassword {
        login: Login,
        verifier: Verifier,
    },
    /// A disabled account keeps everything and can do nothing; its sessions end.
    DisableUser {
        login: Login,
    },
    EnableUser {
        login: Login,
    },
    /// The login is never given again; the messages stay with those who got them.
    RemoveUser {
        login: Login,
    },
    /// A random password for one device, which can be taken back; see `engine::vault`.
    AddAppPassword {
        login: Login,
        /// A name is found where none is given.
        name: Option<Box<str>>,
        digest: Digest,
        envelope: Envelope,
    },
    AppPasswords {
        login: Login,
    },
    /// Ends the sessions that were made with it, too.
    RevokeAppPassword {
        login: Login,
        name: Box<str>,
    },
    /// A code that lets `uses` people register, with the expiry that the context's limits set.
    Invite {
        uses: u32,
    },
}

/// What is only read: answered from a snapshot, off the engine's thread.
#[derive(Clone, Debug)]
pub enum Query {
    Contacts {
        after: Option<Address>,
        count: u32,
    },
    History {
        chat: Address,
        range: Range,
    },
    /// Every message of every chat of mine above `after`, ascending.
    Rewind {
        after: MessageId,
        count: u32,
    },
}

/// A part of a chat. Both bounds are exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// `MessageId(0)` is the beginning.
    pub after: MessageId,
    /// `MessageId::END` is the end.
    pub before: MessageId,
    /// Only from the first message at or after this time on.
    pub since: Option<Timestamp>,
    pub count: u32,
    pub take: Take,
}

/// Which end of a range its `count` is taken from. Answers ascend either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    First,
    Last,
}

/// A message before it has an id.
#[derive(Clone, Debug)]
pub struct Draft {
    pub chat: Address,
    pub kind: Kind,
    pub text: Arc<str>,
    pub cookie: Option<Box<str>>,
}

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

/// A password's hash with its parameters and salt, as it is stored (PHC string form).
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(pub Box<str>);

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// The SHA-256 of an app password. Enough for one: with 120 random bits nobody finds it by trying,
/// however fast that goes, while slow hashes are for passwords that people think of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// Which key something was sealed under. Tells nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId(pub u32);

/// A password as only the holder of a key can read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub key: KeyId,
    pub bytes: Box<[u8]>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({:?}, ..)", self.key)
    }
}

/// A password on its way to being sealed. What is sealed is bound to its account and its name, and
/// the rules are the first to know these.
pub struct Envelope(Seal);

type Seal = Box<dyn FnOnce(AccountNo, &str) -> Sealed + Send + Sync>;

impl Envelope {
    pub fn new(seal: impl FnOnce(AccountNo, &str) -> Sealed + Send + Sync + 'static) -> Envelope {
        Envelope(Box::new(seal))
    }

    /// Once only: sealing takes random bytes that must not serve twice.
    pub fn seal(self, account: AccountNo, name: &str) -> Sealed {
        (self.0)(account, name)
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Envelope(..)")
    }
}

/// That somebody's password was checked just now. Only `engine::auth` can make one.
#[derive(Clone, Debug)]
pub struct Proof {
    pub(in crate::domain) account: AccountNo,
    pub(in crate::domain) kind: SessionKind,
    /// The app password that it was.
    pub(in crate::domain) app: Option<Box<str>>,
    /// What the password matched, where it was the account's own.
    pub(in crate::domain) verifier: Option<Verifier>,
}

impl Proof {
    /// For `engine::auth`, after a verifier has matched, and for tests of the rules.
    pub(crate) fn of(account: AccountNo, kind: SessionKind) -> Proof {
        Proof { account, kind, app: None, verifier: None }
    }

    /// The same for a password that matched this verifier: it counts only while it is the account's.
    pub(crate) fn by(account: AccountNo, verifier: Verifier) -> Proof {
        Proof { verifier: Some(verifier), ..Proof::of(account, SessionKind::Person) }
    }

    /// The same for the app password of this name.
    pub(crate) fn of_app(account: AccountNo, name: Box<str>) -> Proof {
        Proof { account, kind: SessionKind::Application, app: Some(name), verifier: None }
    }

    pub fn account(&self) -> AccountNo {
        self.account
    }
}

/// The three levels of authorization (seed 000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionKind {
    #[default]
    Person = 0,
    Application = 1,
    Server = 2,
}

/// Who says a command.
#[derive(Clone, Copy, Debug)]
pub enum Actor {
    Nobody,
    Session { account: AccountNo, key: SessionKey },
    Operator,
}

#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    LoggedIn {
        session: SessionId,
        account: AccountNo,
    },
    Contacts {
        contacts: Vec<ContactView>,
        more: bool,
    },
    Chats {
        chats: Vec<ChatView>,
        more: bool,
    },
    Messages {
        messages: Vec<MessageView>,
        more: bool,
    },
    /// `repeated`: the cookie was known, this is the first message's answer again.
    Sent {
        id: MessageId,
        seq: Seq,
        time: Timestamp,
        repeated: bool,
    },
    Newest(MessageId),
    /// 16 random hexadecimal digits, `-`, and a number that only grows, over restarts too.
    Challenge {
        salt: Box<str>,
    },
    Users(Vec<UserView>),
    Invite(Box<str>),
    /// The name of a new one.
    AppPassword(Box<str>),
    AppPasswords(Vec<AppPasswordView>),
}

/// Why a command is not done. No text: each protocol has its own words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The packet names no session where one is needed.
    NoSession,
    UnknownSession,
    BadField,
    MissingField,
    BadLogin,
    BadPassword,
    LoginTaken,
    RegistrationClosed,
    BadInvite,
    WrongCredentials,
    /// Try again after so many whole seconds, at least 1.
    TooManyAttempts {
        retry_after: u32,
    },
    TooManyRequests {
        retry_after: u32,
    },
    /// 64 sessions on one connection.
    TooManySessions,
    TooManyContacts,
    TooManyAppPasswords,
    NoSuchAccount,
    NoSuchContact,
    NoSuchAppPassword,
    AlreadyThere,
    NoSuchChat,
    NoSuchMessage,
    BadRange,
    BadDate,
    TextEmpty,
    TextTooLong,
    FieldTooLong,
    NoFederation,
    NotAllowed,
    /// The disk has less free space than must stay.
    DiskFull,
    /// The outcome is unknown or the server is stopping: try again, with the same cookie.
    Unavailable,
}

/// A chat as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatView {
    pub chat: Arc<str>,
    pub unread: u32,
    pub last: MessageId,
    /// How far the other side has read and received; in a group the least of the others.
    pub read: MessageId,
    pub delivered: MessageId,
    pub my_read: MessageId,
}

/// A message as one of its readers sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    pub chat: Arc<str>,
    pub from: Arc<str>,
    pub id: MessageId,
    /// The message before it in its chat, 0 for the first.
    pub previous: MessageId,
    pub seq: Seq,
    pub time: Timestamp,
    pub kind: Kind,
    pub text: Arc<str>,
    /// For the author only.
    pub cookie: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactView {
    pub who: Arc<str>,
    pub name: Box<str>,
    pub group: Vec<Box<str>>,
    pub note: Option<Box<str>>,
    pub dialog: bool,
    /// `None` where it is not known or not shared.
    pub last_seen: Option<Timestamp>,
}

/// Which fields of a contact have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub name: bool,
    pub group: bool,
    pub note: bool,
    pub dialog: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    pub account: AccountNo,
    pub login: Box<str>,
    pub created: Timestamp,
    pub last_seen: Option<Timestamp>,
    pub disabled: bool,
    pub sessions: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPasswordView {
    pub name: Box<str>,
    pub created: Timestamp,
    pub sealed_under: KeyId,
}

/// Something that happened, in the words of one who hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Message(MessageView),
    ContactCreated(ContactView),
    ContactUpdated {
        contact: ContactView,
        changed: Changed,
    },
    ContactRemoved {
        who: Arc<str>,
    },
    ChatsChanged(Vec<ChatView>),
    /// `user` has read `chat` up to `id`.
    ReadTill {
        chat: Arc<str>,
        id: MessageId,
        user: Arc<str>,
    },
}

/// Who hears an event: settled when the command is applied, not when it is delivered.
#[derive(Clone, Debug)]
pub struct News {
    pub to: AccountNo,
    /// The session that caused it, where that one is answered instead.
    pub except: Option<SessionKey>,
    pub event: Arc<Event>,
}

/// What came of one command.
#[derive(Debug)]
pub struct Outcome {
    pub reply: Result<Reply, Refusal>,
    pub news: Vec<News>,
    /// Sessions that ended by it.
    pub ended: Vec<SessionKey>,
}

impl Outcome {
    pub fn of(reply: Result<Reply, Refusal>) -> Outcome {
        Outcome { reply, news: Vec::new(), ended: Vec::new() }
    }
}
