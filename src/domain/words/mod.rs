//! The whole vocabulary between the translators and the core: what can be asked, answered and
//! refused here, what is told in [`view`], what is written in [`text`]. No protocol's spelling and
//! no byte layout is known here.
//!
//! A word belongs here when a second protocol could use it. Adding a variant breaks every
//! translator at compile time, on purpose: none may say nothing by accident.

mod draft;
mod file;
pub mod moving;
mod refusal;
mod secret;
pub mod text;
pub mod view;

use std::sync::Arc;

use crate::domain::access::Access;
use crate::domain::id::{
    AccountNo, Address, ChatId, Login, MessageId, Seq, SessionId, SessionKey, Timestamp,
};
use crate::domain::name::Name;

pub use crate::domain::nouns::{ChatKind, ContactState, Mark};
pub use draft::{ChatChange, ChatDraft, ContactDraft, ProfileDraft};
pub use file::{FileKey, Spool, StoredFile, Upload, is_file_name};
pub use refusal::Refusal;
pub use secret::{Digest, Envelope, KeyId, Proof, Sealed, SessionKind, Verifier};
pub use text::{Act, Kind, Notice, Span, SpanKind};
pub use view::{
    AppPasswordView, Audience, Bulletin, Changed, ChatInfo, ChatView, ContactView, Event,
    ExtraView, Face, GroupPart, MemberView, MessageView, Move, MyselfView, News, Outcome,
    PersonView, ProfileView, RosterView, SpaceView, SubscriberView, SubscriptionView, UserView,
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
        /// What the account begins with.
        start: Option<Box<Start>>,
    },
    /// Another password for the account that says it. It is hashed before this is said.
    ChangePassword {
        verifier: Verifier,
    },
    /// Another login for the account that says it. The one before leads to it for good.
    ChangeLogin {
        login: Login,
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
    /// Asks somebody to be a contact, and makes them one of mine meanwhile.
    RequestContact {
        who: Address,
        note: Box<str>,
    },
    /// Takes or leaves somebody's request.
    AnswerContact {
        who: Address,
        accept: bool,
    },
    /// From then on nothing of theirs reaches me, and nothing tells them of me or of this.
    Block {
        who: Address,
        on: bool,
    },
    UpdateProfile(Box<ProfileDraft>),
    /// Keeps something about a chat for its author alone; about themselves without a chat. Empty
    /// removes it.
    Keep {
        chat: Option<Address>,
        card: Box<str>,
    },
    /// That I am writing something, or not any more. Never stored.
    Typing {
        chat: Address,
        on: bool,
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
    /// Whether I may write there: what is to be sent takes long to come.
    MaySend {
        chat: Address,
    },
    /// A message that is a file.
    SendFile {
        chat: Address,
        file: Box<StoredFile>,
    },
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
    /// Both marks at once, each where it is given.
    MarkBoth {
        chat: Address,
        delivered: Option<MessageId>,
        read: Option<MessageId>,
    },
    /// The same by place. A place that is none, or lies behind, moves nothing.
    MarkAt {
        chat: Address,
        delivered: Option<Seq>,
        read: Option<Seq>,
    },
    /// Another text for a message of mine.
    Edit {
        chat: Address,
        id: MessageId,
        text: Arc<str>,
        spans: Box<[Span]>,
    },
    Delete {
        chat: Address,
        id: MessageId,
        whom: Whom,
    },
    /// Deletes what there is of a chat, at once.
    Clear {
        chat: Address,
        whom: Whom,
        /// Up to and with this place; `None`: all of it.
        till: Option<Seq>,
    },
    CreateChat(ChatDraft),
    ChangeChat {
        chat: Address,
        change: ChatChange,
    },
    /// With a space's general chat go the space and all its chats.
    RemoveChat {
        chat: Address,
        /// It is meant as a space, and has to be one.
        is_space: bool,
    },
    /// Who is in a group or a channel, and how far each has come.
    Members {
        chat: Address,
        after: Option<Address>,
        count: u32,
    },
    Invite {
        chat: Address,
        who: Address,
        access: Option<Access>,
        /// For the invited, who may be told in other ways than by a message.
        note: Box<str>,
    },
    Join {
        chat: Address,
    },
    /// Takes up a chat, or what there is of it for me: begins a direct one before anything is
    /// written in it, joins a group that lets me in, asks those who may let me in where it does not.
    Subscribe {
        chat: Address,
        /// What I want of it; `None`: what newcomers have.
        want: Option<Access>,
        /// For those who decide.
        note: Box<str>,
    },
    /// What my chats are like for me, in any order, those after `after`. Which of them that is
    /// depends on nothing but the chats.
    Subscriptions {
        after: Option<ChatId>,
        count: u32,
    },
    /// The same for one chat, whether I am in it or not.
    Subscription {
        chat: Address,
    },
    /// Those in a chat, a direct one too, as its members see each other.
    Subscribers {
        chat: Address,
        after: Option<AccountNo>,
        count: u32,
    },
    /// That this session has a chat open, or not any more. Never stored.
    Watch {
        chat: Address,
        on: bool,
    },
    /// Whether this session counts as its user being here. Never stored.
    Appear {
        on: bool,
        /// The client's name for itself; empty: it has none.
        agent: Box<str>,
    },
    /// That this session hears of everybody here: who is made, comes, goes, has another name. Or
    /// not any more. Never stored.
    Follow {
        on: bool,
    },
    /// For everybody else who has relayed something at the same table; who does so for the first
    /// time sits there from then on. Never stored.
    Relay {
        table: Box<str>,
        text: Arc<str>,
    },
    Leave {
        chat: Address,
    },
    /// `ban`: and may not come back.
    Kick {
        chat: Address,
        who: Address,
        ban: bool,
    },
    /// What somebody is given; without `who`, what I want of it.
    SetAccess {
        chat: Address,
        who: Option<Address>,
        access: Access,
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
    /// A piece of an account that comes from another server.
    Import(Box<moving::Piece>),
}

/// What is only read: answered from a snapshot, off the engine's thread.
#[derive(Clone, Debug)]
pub enum Query {
    Contacts {
        after: Option<Address>,
        count: u32,
        /// With those who are in nobody's list.
        unlisted: bool,
    },
    History {
        chat: Address,
        range: Range,
    },
    /// Every message of every chat of mine above `after`, ascending. `own`: with what I did for myself
    /// alone. Notices are asked for by themselves.
    Rewind {
        after: MessageId,
        count: u32,
        own: bool,
    },
    /// Messages with these words in their text, newest first, of one chat or of all of mine.
    Search {
        text: Box<str>,
        chat: Option<Address>,
        before: MessageId,
        count: u32,
    },
    Chat {
        chat: Address,
    },
    /// The spaces that I am in, or one of them.
    Spaces {
        space: Option<Address>,
    },
    /// Messages by their places, `since` included and `before` not: the newest `count`, ascending.
    /// Only what has a place.
    Page {
        chat: Address,
        since: Seq,
        before: Seq,
        count: u32,
    },
    /// What I was told in notices, by place, as with `Page`.
    Notices {
        since: Seq,
        before: Seq,
        count: u32,
    },
    /// Whom or what a number is for.
    Name {
        of: Handle,
    },
    /// What I keep about myself, and my own rules.
    Myself,
    /// Somebody's profile; without `who`, mine.
    Profile {
        who: Option<Address>,
    },
    /// People by number, those after `after`: everybody here, or those whom I keep, write with and
    /// share groups with.
    People {
        everybody: bool,
        after: AccountNo,
        count: u32,
    },
    /// Groups with those who are in them, those after `after`: mine and those that I am invited to,
    /// or one of which I may know.
    Rosters {
        chat: Option<Address>,
        after: Option<ChatId>,
    },
}

/// What protocols name people and chats by that do not do it by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle {
    Person(AccountNo),
    /// By the random number that stands for it elsewhere.
    PublicPerson(u64),
    Chat(ChatId),
    PublicChat(u64),
}

/// What a new account begins with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub profile: ProfileDraft,
    /// What it keeps about itself; see [`Command::Keep`].
    pub card: Box<str>,
    /// It logs in at once: its coming is all that is told of it.
    pub logs_in: bool,
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
    /// 0 for none.
    pub reply_to: MessageId,
    pub spans: Box<[Span]>,
    /// Of a blob.
    pub mime: Option<Box<str>>,
}

impl Draft {
    /// A text and nothing else.
    pub fn text(chat: Address, text: Arc<str>, cookie: Option<Box<str>>) -> Draft {
        let (reply_to, spans, mime) = (MessageId(0), Box::default(), None);
        Draft { chat, kind: Kind::Text, text, cookie, reply_to, spans, mime }
    }
}

/// For whom something is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Me,
    All,
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
        who: Name,
    },
    Registered {
        who: Name,
        created: Timestamp,
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
    /// The record that an edit or a deletion left in its chain.
    Recorded {
        id: MessageId,
        time: Timestamp,
    },
    /// What a search found; all of it lies at or above `till`, and from there it goes on where
    /// there is `more`.
    Found {
        messages: Vec<MessageView>,
        more: bool,
        till: MessageId,
    },
    Chat(Box<ChatInfo>),
    Members {
        members: Vec<MemberView>,
        more: bool,
    },
    Spaces {
        spaces: Vec<SpaceView>,
        more: bool,
    },
    Profile(Box<ProfileView>),
    Subscribed {
        subscription: Box<SubscriptionView>,
        /// I was not in it before.
        is_new: bool,
    },
    Subscriptions {
        subscriptions: Vec<SubscriptionView>,
        more: bool,
    },
    Subscribers {
        subscribers: Vec<SubscriberView>,
        more: bool,
    },
    Myself(Box<MyselfView>),
    Name(Name),
    /// Where the bytes of a file go.
    Upload(Upload),
    /// Whether more is to come.
    Received {
        more: bool,
    },
    Stored(Box<StoredFile>),
    /// Of a file; empty at its end.
    Bytes(Arc<[u8]>),
    People {
        people: Vec<PersonView>,
        /// After whom it goes on.
        more: Option<AccountNo>,
    },
    Rosters {
        rosters: Vec<RosterView>,
        /// After which it goes on.
        more: Option<ChatId>,
    },
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
