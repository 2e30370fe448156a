//! What travels on a connection: texts that came, and what the server says (Tinode 0.5, «Server to
//! client messages»), which is written here.
//!
//! Fields come in the README's order. Those that have nothing to say are left out, and so are
//! `seq`, `read`, `recv` and `clear` where they are 0. Every packet but {pres} and {info} has a
//! moment, which whoever makes it knows: nothing here has a clock.

use std::fmt;
use std::sync::Arc;

use super::meta::Meta;
use super::names::Topic;
use super::reply::{Status, retry_after};
use super::time::stamp;
use crate::domain::access::Access;
use crate::domain::id::Timestamp;
use crate::domain::words::Refusal;
use crate::wire::json::ObjectWriter;

/// One message, in either direction.
#[derive(Clone, PartialEq, Eq)]
pub enum Packet {
    /// A client's, not read yet: see [`super::request::Request::parse`]. What is no text at all is
    /// an empty one, which is malformed like any other.
    Said(Box<str>),
    Ctrl(Box<Ctrl>),
    Data(Box<Data>),
    Meta(Box<Meta>),
    Pres(Box<Pres>),
    Info(Box<Info>),
    /// One of ours that is told to many, as [`Packet::to_json`] has written it.
    Written(Arc<[u8]>),
}

/// What came may be a password.
impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Packet::Said(text) => write!(f, "Said({} bytes)", text.len()),
            Packet::Ctrl(ctrl) => ctrl.fmt(f),
            Packet::Data(data) => data.fmt(f),
            Packet::Meta(meta) => meta.fmt(f),
            Packet::Pres(pres) => pres.fmt(f),
            Packet::Info(info) => info.fmt(f),
            Packet::Written(json) => f.write_str(&String::from_utf8_lossy(json)),
        }
    }
}

impl Packet {
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        self.write(&mut out);
        out
    }

    /// Appends the JSON of it.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Packet::Said(text) => out.extend_from_slice(text.as_bytes()),
            Packet::Ctrl(ctrl) => ctrl.write(ObjectWriter::new(out).object("ctrl")),
            Packet::Data(data) => data.write(ObjectWriter::new(out).object("data")),
            Packet::Meta(meta) => meta.write(ObjectWriter::new(out).object("meta")),
            Packet::Pres(pres) => pres.write(ObjectWriter::new(out).object("pres")),
            Packet::Info(info) => info.write(ObjectWriter::new(out).object("info")),
            Packet::Written(json) => out.extend_from_slice(json),
        }
    }
}

/// What came of a request, or an event of the connection itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ctrl {
    pub id: Option<Box<str>>,
    /// The topic's real name where it is known, else as it came.
    pub topic: Option<Box<str>>,
    pub status: Status,
    pub params: Params,
    pub ts: Timestamp,
}

/// What a {ctrl} says beside its code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Params {
    #[default]
    Nothing,
    /// The first packet of a connection. `sid`: of a long poll.
    Hello { build: Box<str>, sid: Option<Box<str>> },
    /// Who has logged in.
    LoggedIn { uid: u64 },
    /// Of the message that was accepted.
    Seq(u64),
    /// What the topic is really called, where it was asked for under another name: the SDK looks
    /// for it here and nowhere else.
    Named(Topic),
    /// A new account.
    Account(Box<Account>),
    /// Seconds after which it may be tried again.
    RetryAfter(u32),
}

/// A new account as its owner is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: u64,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub defacs: Defacs,
    pub public: Option<Json>,
    pub private: Option<Json>,
}

/// The access of newcomers: of those logged in, and of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defacs {
    pub auth: Access,
    pub anon: Access,
}

/// What somebody wants of a topic, and is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acs {
    pub want: Access,
    pub given: Access,
}

/// JSON of which only clients know the meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// As a client of Tinode wrote it, and well-formed: it was read before it was kept.
    Kept(Arc<str>),
    /// A text, of whatever protocol. It becomes a JSON string.
    Text(Arc<str>),
}

/// A message, or an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    pub topic: Topic,
    /// `None`: the server itself.
    pub from: Option<u64>,
    pub ts: Timestamp,
    pub seq: u64,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Json(Json),
    /// On `me` only.
    Invite(Box<Invite>),
}

/// What `me` tells of a topic that somebody is, or may be, let into (Tinode 0.5, «me topic»).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    pub topic: Topic,
    /// Whom it is about.
    pub user: u64,
    pub act: Act,
    pub acs: Acs,
    /// From {sub} or {set}.
    pub info: Option<Json>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// You are subscribed.
    Info,
    /// You may subscribe.
    Join,
    /// May they?
    Approve,
}

/// That something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pres {
    /// Where it is told.
    pub topic: Topic,
    /// Whom or what it is about.
    pub src: Topic,
    pub what: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// With what the client calls itself, where it does.
    On(Option<Box<str>>),
    Off(Option<Box<str>>),
    UserAgent(Box<str>),
    Updated,
    Message(u64),
    Read(u64),
    Received(u64),
    Deleted(u64),
}

/// Somebody's {note}.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    pub topic: Topic,
    pub from: u64,
    pub what: Noted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    KeyPress,
    Read(u64),
    Received(u64),
}

impl Ctrl {
    pub fn new(status: Status, ts: Timestamp) -> Ctrl {
        Ctrl { id: None, topic: None, status, params: Params::Nothing, ts }
    }

    /// That something is not done; says when to try again, where that is known.
    pub fn refused(refusal: Refusal, ts: Timestamp) -> Ctrl {
        let params = retry_after(refusal).map_or(Params::Nothing, Params::RetryAfter);
        Ctrl { params, ..Ctrl::new(refusal.into(), ts) }
    }

    fn write(&self, mut object: ObjectWriter<'_>) {
        optional(&mut object, "id", self.id.as_deref());
        optional(&mut object, "topic", self.topic.as_deref());
        object.number("code", self.status.code.into()).text("text", self.status.text);
        self.params.write(&mut object);
        object.text("ts", &stamp(self.ts));
    }
}

impl Params {
    fn write(&self, ctrl: &mut ObjectWriter<'_>) {
        /// Of the protocol, as clients know it.
        const VERSION: &str = "0.5";
        if *self == Params::Nothing {
            return;
        }
        let mut object = ctrl.object("params");
        match self {
            Params::Nothing => {}
            Params::Hello { build, sid } => {
                object.text("build", build);
                optional(&mut object, "sid", sid.as_deref());
                object.text("ver", VERSION);
            }
            Params::LoggedIn { uid } => name(&mut object, "uid", Topic::User(*uid)),
            Params::Seq(seq) => drop(object.number("seq", *seq)),
            Params::Named(topic) => name(&mut object.object("info"), "name", *topic),
            Params::Account(account) => account.write(object),
            Params::RetryAfter(secs) => drop(object.number("retry_after", (*secs).into())),
        }
    }
}

impl Account {
    fn write(&self, mut object: ObjectWriter<'_>) {
        name(&mut object, "uid", Topic::User(self.uid));
        let mut info = object.object("info");
        info.text("created", &stamp(self.created)).text("updated", &stamp(self.updated));
        self.defacs.write(&mut info);
        free(&mut info, "public", self.public.as_ref());
        free(&mut info, "private", self.private.as_ref());
    }
}

impl Defacs {
    pub(super) fn write(self, object: &mut ObjectWriter<'_>) {
        let (auth, anon) = (self.auth.to_string(), self.anon.to_string());
        object.object("defacs").text("auth", &auth).text("anon", &anon);
    }
}

impl Acs {
    pub(super) fn write(self, object: &mut ObjectWriter<'_>) {
        let (want, given) = (self.want.to_string(), self.given.to_string());
        object.object("acs").text("want", &want).text("given", &given);
    }
}

impl Data {
    fn write(&self, mut object: ObjectWriter<'_>) {
        name(&mut object, "topic", self.topic);
        if let Some(from) = self.from {
            name(&mut object, "from", Topic::User(from));
        }
        object.text("ts", &stamp(self.ts)).number("seq", self.seq);
        match &self.content {
            Content::Json(json) => free(&mut object, "content", Some(json)),
            Content::Invite(invite) => invite.write(object.object("content")),
        }
    }
}

impl Invite {
    fn write(&self, mut object: ObjectWriter<'_>) {
        name(&mut object, "topic", self.topic);
        name(&mut object, "user", Topic::User(self.user));
        let act = match self.act {
            Act::Info => "info",
            Act::Join => "join",
            Act::Approve => "appr",
        };
        object.text("act", act);
        self.acs.write(&mut object);
        free(&mut object, "info", self.info.as_ref());
    }
}

impl Pres {
    fn write(&self, mut object: ObjectWriter<'_>) {
        name(&mut object, "topic", self.topic);
        name(&mut object, "src", self.src);
        let (what, seq, ua) = match &self.what {
            Change::On(ua) => ("on", 0, ua.as_deref()),
            Change::Off(ua) => ("off", 0, ua.as_deref()),
            Change::UserAgent(ua) => ("ua", 0, Some(&**ua)),
            Change::Updated => ("upd", 0, None),
            Change::Message(seq) => ("msg", *seq, None),
            Change::Read(seq) => ("read", *seq, None),
            Change::Received(seq) => ("recv", *seq, None),
            Change::Deleted(seq) => ("del", *seq, None),
        };
        object.text("what", what);
        count(&mut object, "seq", seq);
        optional(&mut object, "ua", ua.filter(|ua| !ua.is_empty()));
    }
}

impl Info {
    fn write(&self, mut object: ObjectWriter<'_>) {
        name(&mut object, "topic", self.topic);
        name(&mut object, "from", Topic::User(self.from));
        let (what, seq) = match self.what {
            Noted::KeyPress => ("kp", 0),
            Noted::Read(seq) => ("read", seq),
            Noted::Received(seq) => ("recv", seq),
        };
        object.text("what", what);
        count(&mut object, "seq", seq);
    }
}

pub(super) fn name(object: &mut ObjectWriter<'_>, field: &str, topic: Topic) {
    object.text(field, &topic.to_string());
}

pub(super) fn optional(object: &mut ObjectWriter<'_>, field: &str, text: Option<&str>) {
    if let Some(text) = text {
        object.text(field, text);
    }
}

/// A number that is there from 1 on.
pub(super) fn count(object: &mut ObjectWriter<'_>, field: &str, number: u64) {
    if number > 0 {
        object.number(field, number);
    }
}

pub(super) fn free(object: &mut ObjectWriter<'_>, field: &str, json: Option<&Json>) {
    match json {
        Some(Json::Kept(json)) => drop(object.json(field, json)),
        Some(Json::Text(text)) => drop(object.text(field, text)),
        None => {}
    }
}

#[cfg(test)]
mod tests;
