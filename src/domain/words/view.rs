//! What people get to see, each in their own words, and who hears of what.

use std::sync::{Arc, OnceLock};

use crate::domain::access::Access;
use crate::domain::id::{AccountNo, ChatId, MessageId, Seq, SessionKey, Timestamp};
use crate::domain::name::Name;
use crate::domain::nouns::Mark;
use crate::domain::words::{
    ChatKind, ContactState, KeyId, Kind, Notice, ProfileDraft, Refusal, Reply, Span, StoredFile,
};

/// A chat as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatView {
    pub chat: Name,
    pub unread: u32,
    pub last: MessageId,
    /// How far the other side has read and received; in a group the least of the others.
    pub read: MessageId,
    pub delivered: MessageId,
    pub my_read: MessageId,
    /// What only groups and channels have.
    pub group: Option<Box<GroupPart>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPart {
    pub kind: ChatKind,
    pub name: Box<str>,
    pub mode: Access,
}

/// A chat's own facts, as one person sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatInfo {
    pub chat: Name,
    pub kind: ChatKind,
    pub name: Box<str>,
    pub about: Box<str>,
    /// The general chat of the space it belongs to.
    pub space: Option<Name>,
    pub open: bool,
    pub default_access: Access,
    /// What the reader wants and is given; `None` for somebody without a part, and where nobody in
    /// particular is told.
    pub part: Option<(Access, Access)>,
    pub members: u32,
    pub owner: Option<Name>,
    pub created: Timestamp,
    pub public_id: u64,
    /// Of a direct chat: whether the other side is here and when they last were; `None` where it
    /// is not known or not shared.
    pub online: Option<bool>,
    pub last_seen: Option<Timestamp>,
    /// Days that its owner wants messages kept at most; 0: as the server keeps them.
    pub retention: u32,
    /// Where a change is told: whose it was.
    pub changed_by: Option<Name>,
}

/// Somebody's part in a group or a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    pub who: Name,
    pub want: Access,
    pub given: Access,
    pub delivered: MessageId,
    pub read: MessageId,
}

/// A chat as one person has it, by places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionView {
    pub chat: Name,
    pub id: ChatId,
    pub kind: ChatKind,
    /// What the reader wants and is given; `None` for somebody without a part.
    pub part: Option<(Access, Access)>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub open: bool,
    pub default_access: Access,
    /// The place of the last message.
    pub last: Seq,
    pub read: Seq,
    pub received: Seq,
    /// What has this place or a lower one is gone for the reader.
    pub cleared: Seq,
    /// Of a direct chat: the other side's.
    pub face: Face,
    /// What the reader keeps about it.
    pub card: Option<Box<str>>,
    /// Of a direct chat: whether the other side is here. Of a group: whether anybody has it open.
    pub online: bool,
    /// Of a direct chat, where it is shared: when the other side was last seen, and with what.
    pub last_seen: Option<(Timestamp, Box<str>)>,
}

/// What others see of a person, or members of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Face {
    pub name: Box<str>,
    /// See `words::ProfileDraft`.
    pub card: Option<Box<str>>,
}

/// Somebody in a chat, by places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberView {
    pub who: Name,
    pub no: AccountNo,
    pub want: Access,
    pub given: Access,
    pub read: Seq,
    pub received: Seq,
    /// These three of the reader alone.
    pub cleared: Seq,
    pub card: Option<Box<str>>,
    pub updated: Timestamp,
    pub face: Face,
    /// Has the chat open.
    pub watching: bool,
}

/// What somebody keeps about themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MyselfView {
    pub who: Name,
    pub face: Face,
    pub card: Option<Box<str>>,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// What others may do in a direct chat that they begin.
    pub access: Access,
    /// The place of the last notice.
    pub last: Seq,
}

/// A space and those of its chats that the reader may know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceView {
    /// Its general chat comes first.
    pub chats: Vec<ChatInfo>,
}

/// Somebody in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonView {
    pub who: Name,
    /// False also where it is not shared.
    pub online: bool,
}

/// A group and those in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterView {
    pub chat: Name,
    pub name: Box<str>,
    /// What the space is called that it belongs to.
    pub space: Option<Box<str>>,
    /// Nobody where the reader is not in it.
    pub members: Vec<Name>,
    /// Whose invitation the reader has not answered yet.
    pub invited_by: Option<Name>,
}

/// What somebody in the directory did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// There was no such account before.
    Appeared,
    Came,
    Went,
}

/// What somebody tells of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileView {
    pub who: Name,
    pub fields: ProfileDraft,
    pub created: Timestamp,
    /// 0: never.
    pub changed: Timestamp,
    pub online: Option<bool>,
    pub last_seen: Option<Timestamp>,
}

/// A message as one of its readers sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    pub chat: Name,
    pub from: Name,
    pub id: MessageId,
    /// The message before it in its chat, 0 for the first.
    pub previous: MessageId,
    pub seq: Seq,
    pub time: Timestamp,
    pub kind: Kind,
    /// Of an edit: the message's text as it is now.
    pub text: Arc<str>,
    /// For the author only.
    pub cookie: Option<Arc<str>>,
    pub extra: Option<Box<ExtraView>>,
}

impl MessageView {
    /// Whether it concerns its reader alone.
    pub fn is_private(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.private)
    }
}

/// What only some records have; see `nouns::Extra`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraView {
    pub reply_to: MessageId,
    pub target: MessageId,
    pub person: Option<Name>,
    /// Address and name of the chat that an invitation is to.
    pub place: Option<(Name, Box<str>)>,
    pub access: Option<Access>,
    pub spans: Box<[Span]>,
    pub mime: Option<Box<str>>,
    pub edited: Timestamp,
    pub deleted: bool,
    /// Of a clearing: the place of the last message that went.
    pub reach: Seq,
    pub notice: Option<Notice>,
    pub file: Option<Box<StoredFile>>,
    /// It concerns its reader alone and is no link of the chat's chain.
    pub private: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactView {
    pub who: Name,
    pub name: Box<str>,
    pub group: Vec<Box<str>>,
    pub note: Option<Box<str>>,
    pub dialog: bool,
    pub state: ContactState,
    /// See `nouns::Contact`.
    pub unlisted: bool,
    /// `None` where it is not known or not shared.
    pub last_seen: Option<Timestamp>,
    pub online: Option<bool>,
    /// The chat's last message, where `dialog` says that the chat is open.
    pub last_message: Option<Box<MessageView>>,
}

/// Which fields of a contact have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub name: bool,
    pub group: bool,
    pub note: bool,
    pub dialog: bool,
    pub state: bool,
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
        who: Name,
    },
    ChatsChanged(Vec<ChatView>),
    /// `user` has come so far in `chat`; what has not moved is `None`.
    Marked {
        chat: Name,
        user: Name,
        read: Option<Mark>,
        delivered: Option<Mark>,
    },
    /// I have, with another session.
    MyMarks {
        chat: Name,
        read: Option<Mark>,
        delivered: Option<Mark>,
    },
    /// Somebody has a group open, or not any more.
    Watching {
        chat: Name,
        who: Name,
        on: bool,
    },
    /// The first of its members has a group open, or the last not any more.
    Awake {
        chat: Name,
        on: bool,
    },
    /// What somebody with whom I have a direct chat shows of themselves is another now.
    FaceChanged {
        who: Name,
    },
    /// Somebody goes on with another client.
    AgentChanged {
        who: Name,
        agent: Box<str>,
    },
    Typing {
        chat: Name,
        from: Name,
        on: bool,
    },
    /// Somebody came or went. `at`: when they were last seen.
    Presence {
        who: Name,
        online: bool,
        at: Timestamp,
        /// The client that they came with or had last; empty where it has no name.
        agent: Box<str>,
    },
    /// What somebody changed of what they tell of themselves.
    ProfileChanged {
        who: Name,
        changed: Box<ProfileDraft>,
    },
    ContactRequested {
        who: Name,
        note: Box<str>,
    },
    ContactAnswered {
        who: Name,
        accepted: bool,
    },
    /// On another device of mine.
    ContactBlocked {
        who: Name,
        on: bool,
    },
    /// A group's or a channel's own facts, or my part in it.
    ChatChanged(Box<ChatInfo>),
    /// I am not in that chat any more, or it is no more.
    ChatGone {
        chat: Name,
    },
    /// For those who follow everybody.
    Moved {
        who: Name,
        by: Move,
    },
    /// Somebody has another name; the old one still leads to them.
    Renamed {
        who: Name,
        old: Name,
    },
    /// For those at the table.
    Relayed {
        table: Box<str>,
        text: Arc<str>,
    },
}

impl Event {
    /// Whether every protocol has a word for it. Sessions of those that have not are spared what
    /// is only for the others.
    pub fn is_for_all(&self) -> bool {
        match self {
            Event::Message(message) => message.kind != Kind::Notice,
            Event::MyMarks { .. }
            | Event::Watching { .. }
            | Event::Awake { .. }
            | Event::FaceChanged { .. }
            | Event::AgentChanged { .. }
            | Event::Moved { .. }
            | Event::Renamed { .. }
            | Event::Relayed { .. } => false,
            Event::ContactCreated(_)
            | Event::ContactUpdated { .. }
            | Event::ContactRemoved { .. }
            | Event::ChatsChanged(_)
            | Event::Marked { .. }
            | Event::Typing { .. }
            | Event::Presence { .. }
            | Event::ProfileChanged { .. }
            | Event::ContactRequested { .. }
            | Event::ContactAnswered { .. }
            | Event::ContactBlocked { .. }
            | Event::ChatChanged(_)
            | Event::ChatGone { .. } => true,
        }
    }
}

/// An event on its way to those who hear it, with room for how each protocol spells it: what is
/// told to many is written once and not once for each of them.
#[derive(Debug)]
pub struct Bulletin {
    event: Event,
    spellings: Option<Box<Spellings>>,
}

/// One place for each way of writing an event that a protocol has, see [`Bulletin::spelling`].
type Spellings = [OnceLock<Arc<[u8]>>; SPELLINGS];
/// mSIM 2 has three: below layer 4, layer 4, and above.
/// Tinode has one.
const SPELLINGS: usize = 4;

impl Bulletin {
    /// For few, who are each written to in turn.
    pub fn new(event: Event) -> Bulletin {
        Bulletin { event, spellings: None }
    }

    /// For many.
    pub fn to_many(event: Event) -> Bulletin {
        Bulletin { event, spellings: Some(Box::default()) }
    }

    /// Where the bytes of one way of writing it are kept; `None` where it is not told to many.
    pub fn spelling(&self, place: usize) -> Option<&OnceLock<Arc<[u8]>>> {
        self.spellings.as_ref()?.get(place)
    }
}

impl std::ops::Deref for Bulletin {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

/// What it is spelled like is no part of what it says.
impl PartialEq for Bulletin {
    fn eq(&self, other: &Bulletin) -> bool {
        self.event == other.event
    }
}

impl PartialEq<Event> for Bulletin {
    fn eq(&self, other: &Event) -> bool {
        self.event == *other
    }
}

/// Those whom an event is for.
#[derive(Clone, Debug)]
pub enum Audience {
    One(AccountNo),
    /// All of them but one. Shared, so that a message to a thousand people is one allocation.
    Many {
        all: Arc<[AccountNo]>,
        but: Option<AccountNo>,
    },
}

impl Audience {
    pub fn accounts(&self) -> impl Iterator<Item = AccountNo> {
        let (all, but): (&[AccountNo], _) = match self {
            Audience::One(account) => (std::slice::from_ref(account), None),
            Audience::Many { all, but } => (all, *but),
        };
        all.iter().copied().filter(move |account| Some(*account) != but)
    }
}

/// Who hears an event: settled when the command is applied, not when it is delivered.
#[derive(Clone, Debug)]
pub struct News {
    pub to: Audience,
    /// The session that caused it, where that one is answered instead.
    pub except: Option<SessionKey>,
    pub event: Arc<Bulletin>,
}

impl News {
    pub fn new(to: Audience, except: Option<SessionKey>, event: Event) -> News {
        let bulletin = match &to {
            Audience::One(_) => Bulletin::new(event),
            Audience::Many { .. } => Bulletin::to_many(event),
        };
        News { to, except, event: Arc::new(bulletin) }
    }

    /// For every session of one account, but for one that is answered instead.
    pub fn to_one(to: AccountNo, except: Option<SessionKey>, event: Event) -> News {
        News::new(Audience::One(to), except, event)
    }
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
