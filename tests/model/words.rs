//! What can be said, in plain texts and numbers, and the same in the words of the rules.

use msimd::domain::access::Access;
use msimd::domain::id::{AccountNo, Address, ChatId, Login, MessageId, Seq};
use msimd::domain::words::{
    ChatChange, ChatDraft, Command, ContactDraft, Digest, Draft, Envelope, KeyId, Kind,
    ProfileDraft, Sealed, Span, SpanKind, Verifier, Whom,
};

use super::HOME;

pub(super) type Key = [u8; 16];

/// Who says something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Operator,
    Nobody,
    Person(Me),
}

/// Somebody with one of their sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Me {
    pub(super) no: u32,
    pub(super) key: Key,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Send(Letter),
    Mark { read: bool, chat: Option<String>, id: u64 },
    MarkBoth { chat: String, delivered: Option<u64>, read: Option<u64> },
    MarkAt { chat: String, delivered: Option<u32>, read: Option<u32> },
    Chats { before: u64, count: u32 },
    Unread { count: u32 },
    Newest,
    Edit { chat: String, id: u64, text: String, bold: bool },
    Delete { chat: String, id: u64, for_all: bool },
    Clear { chat: String, for_all: bool, till: Option<u32> },
    AddContact(Slip),
    ChangeContact(Slip),
    RemoveContact(String),
    AskContact { who: String, note: String },
    AnswerContact { who: String, accept: bool },
    Block { who: String, on: bool },
    Profile(Said),
    Keep { chat: Option<String>, card: String },
    Subscribe { chat: String, want: Option<Access>, note: String },
    Subscriptions { after: Option<ChatId>, count: u32 },
    Subscription(String),
    Subscribers { chat: String, after: Option<AccountNo>, count: u32 },
    Typing { chat: String, on: bool },
    Create(Plan),
    Change { chat: String, facts: Facts },
    Remove { chat: String, is_space: bool },
    Members { chat: String, after: Option<String>, count: u32 },
    Invite { chat: String, who: String, access: Option<Access>, note: String },
    Join(String),
    Leave(String),
    Kick { chat: String, who: String, ban: bool },
    SetAccess { chat: String, who: Option<String>, access: Access },
    LogOut,
    Register(String),
    Order(Order),
}

/// What only the operator says.
#[derive(Clone, Debug)]
pub(super) enum Order {
    AddUser(String),
    SetPassword(String),
    DisableUser(String),
    EnableUser(String),
    RemoveUser(String),
    Users,
    AddApp { login: String, name: Option<String> },
    Apps(String),
    RevokeApp { login: String, name: String },
}

#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) to: String,
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) cookie: Option<String>,
    pub(super) reply_to: u64,
}

/// What is said of oneself.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) name: Option<String>,
    pub(super) note: Option<String>,
    pub(super) card: Option<String>,
    pub(super) access: Option<Access>,
}

/// A contact as it is wanted.
#[derive(Clone, Debug)]
pub(super) struct Slip {
    pub(super) who: String,
    pub(super) name: Option<String>,
    pub(super) group: Option<Vec<String>>,
    pub(super) note: Option<String>,
    pub(super) dialog: Option<bool>,
}

/// A group, a channel or a space as it is wanted.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) is_channel: bool,
    pub(super) is_space: bool,
    pub(super) login: Option<String>,
    /// The space that it is to be in.
    pub(super) space: Option<String>,
    pub(super) name: String,
    pub(super) about: String,
    pub(super) open: Option<bool>,
    pub(super) default: Option<Access>,
    pub(super) card: String,
}

/// What is to be changed of a chat's facts.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) name: Option<String>,
    pub(super) about: Option<String>,
    pub(super) open: Option<bool>,
    pub(super) default: Option<Access>,
    pub(super) card: Option<String>,
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text, HOME).unwrap()
}

/// Bold from end to end.
pub(super) fn bold_spans(text: &str) -> Box<[Span]> {
    let end = text.len() as u32;
    [Span { start: 0, end, kind: SpanKind::Bold, value: None }].into()
}

pub(super) fn command(op: &Op) -> Command {
    let boxed = |text: &Option<String>| text.as_deref().map(Into::into);
    let whom = |for_all: bool| if for_all { Whom::All } else { Whom::Me };
    match op {
        Op::Send(letter) => Command::Send(Draft {
            chat: address(&letter.to),
            kind: letter.kind,
            text: letter.text.as_str().into(),
            cookie: boxed(&letter.cookie),
            reply_to: MessageId(letter.reply_to),
            spans: match letter.kind {
                Kind::Formatted => bold_spans(&letter.text),
                _ => Box::default(),
            },
            mime: (letter.kind == Kind::Blob).then(|| "image/png".into()),
        }),
        Op::Mark { read, chat, id } => {
            let (chat, id) = (chat.as_deref().map(address), MessageId(*id));
            match read {
                true => Command::MarkRead { chat, id },
                false => Command::MarkDelivered { chat, id },
            }
        }
        Op::MarkBoth { chat, delivered, read } => Command::MarkBoth {
            chat: address(chat),
            delivered: delivered.map(MessageId),
            read: read.map(MessageId),
        },
        Op::Chats { before, count } => Command::Chats { before: MessageId(*before), count: *count },
        Op::Unread { count } => Command::Unread { count: *count },
        Op::Newest => Command::Newest,
        Op::Edit { chat, id, text, bold } => {
            let spans = if *bold { bold_spans(text) } else { Box::default() };
            let (chat, id) = (address(chat), MessageId(*id));
            Command::Edit { chat, id, text: text.as_str().into(), spans }
        }
        Op::Delete { chat, id, for_all } => {
            Command::Delete { chat: address(chat), id: MessageId(*id), whom: whom(*for_all) }
        }
        Op::Clear { chat, for_all, till } => {
            let (chat, till) = (address(chat), till.map(Seq));
            Command::Clear { chat, whom: whom(*for_all), till }
        }
        Op::MarkAt { chat, delivered, read } => {
            let (delivered, read) = (delivered.map(Seq), read.map(Seq));
            Command::MarkAt { chat: address(chat), delivered, read }
        }
        Op::Keep { chat, card } => {
            let (chat, card) = (chat.as_deref().map(address), card.as_str().into());
            Command::Keep { chat, card }
        }
        Op::Subscribe { chat, want, note } => {
            let (chat, note) = (address(chat), note.as_str().into());
            Command::Subscribe { chat, want: *want, note }
        }
        Op::Subscriptions { after, count } => {
            Command::Subscriptions { after: *after, count: *count }
        }
        Op::Subscription(chat) => Command::Subscription { chat: address(chat) },
        Op::Subscribers { chat, after, count } => {
            Command::Subscribers { chat: address(chat), after: *after, count: *count }
        }
        Op::AddContact(slip) => Command::AddContact(contact(slip)),
        Op::ChangeContact(slip) => Command::ChangeContact(contact(slip)),
        Op::RemoveContact(who) => Command::RemoveContact { who: address(who) },
        Op::AskContact { who, note } => {
            Command::RequestContact { who: address(who), note: note.as_str().into() }
        }
        Op::AnswerContact { who, accept } => {
            Command::AnswerContact { who: address(who), accept: *accept }
        }
        Op::Block { who, on } => Command::Block { who: address(who), on: *on },
        Op::Profile(said) => Command::UpdateProfile(Box::new(ProfileDraft {
            name: boxed(&said.name),
            note: boxed(&said.note),
            card: boxed(&said.card),
            access: said.access,
            ..ProfileDraft::default()
        })),
        Op::Typing { chat, on } => Command::Typing { chat: address(chat), on: *on },
        Op::Create(plan) => Command::CreateChat(ChatDraft {
            is_channel: plan.is_channel,
            is_space: plan.is_space,
            name: plan.name.as_str().into(),
            about: plan.about.as_str().into(),
            login: plan.login.as_deref().map(login),
            space: plan.space.as_deref().map(address),
            open: plan.open,
            default_access: plan.default,
            card: plan.card.as_str().into(),
            retention: 0,
        }),
        Op::Change { chat, facts } => {
            let (name, about) = (boxed(&facts.name), boxed(&facts.about));
            let (open, default_access, card) = (facts.open, facts.default, boxed(&facts.card));
            let retention = None;
            let change = ChatChange { name, about, open, default_access, card, retention };
            Command::ChangeChat { chat: address(chat), change }
        }
        Op::Remove { chat, is_space } => {
            Command::RemoveChat { chat: address(chat), is_space: *is_space }
        }
        Op::Members { chat, after, count } => {
            let after = after.as_deref().map(address);
            Command::Members { chat: address(chat), after, count: *count }
        }
        Op::Invite { chat, who, access, note } => {
            let (chat, who, note) = (address(chat), address(who), note.as_str().into());
            Command::Invite { chat, who, access: *access, note }
        }
        Op::Join(chat) => Command::Join { chat: address(chat) },
        Op::Leave(chat) => Command::Leave { chat: address(chat) },
        Op::Kick { chat, who, ban } => {
            Command::Kick { chat: address(chat), who: address(who), ban: *ban }
        }
        Op::SetAccess { chat, who, access } => {
            let who = who.as_deref().map(address);
            Command::SetAccess { chat: address(chat), who, access: *access }
        }
        Op::LogOut => Command::LogOut,
        Op::Register(name) => {
            let (login, verifier) = (login(name), verifier());
            Command::Register { login, verifier, invite: None, envelope: None, start: None }
        }
        Op::Order(order) => Command::Operator(order_of(order)),
    }
}

fn order_of(order: &Order) -> msimd::domain::words::Order {
    use msimd::domain::words::Order as Said;
    match order {
        Order::AddUser(name) => Said::AddUser { login: login(name), verifier: verifier() },
        Order::SetPassword(name) => Said::SetPassword { login: login(name), verifier: verifier() },
        Order::DisableUser(name) => Said::DisableUser { login: login(name) },
        Order::EnableUser(name) => Said::EnableUser { login: login(name) },
        Order::RemoveUser(name) => Said::RemoveUser { login: login(name) },
        Order::Users => Said::Users,
        Order::AddApp { login: of, name } => Said::AddAppPassword {
            login: login(of),
            name: name.as_deref().map(Into::into),
            digest: Digest([0; 32]),
            envelope: Envelope::new(|_, name| Sealed {
                key: KeyId(7),
                bytes: name.as_bytes().into(),
            }),
        },
        Order::Apps(name) => Said::AppPasswords { login: login(name) },
        Order::RevokeApp { login: of, name } => {
            Said::RevokeAppPassword { login: login(of), name: name.as_str().into() }
        }
    }
}

fn contact(slip: &Slip) -> ContactDraft {
    ContactDraft {
        who: address(&slip.who),
        name: slip.name.as_deref().map(Into::into),
        group: slip.group.as_ref().map(|g| g.iter().map(|g| g.as_str().into()).collect()),
        note: slip.note.as_deref().map(Into::into),
        dialog: slip.dialog,
    }
}

fn login(text: &str) -> Login {
    Login::parse(text).unwrap()
}

fn verifier() -> Verifier {
    Verifier("v".into())
}
