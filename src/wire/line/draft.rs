//! The first draft of mSIM 2 (seed 002): its packets in the core's words.
//!
//! Fields are read by mSIM 2's own readers under the names that those have, so that both faces keep
//! the same rules and limits.

use std::borrow::Cow;

use super::DRAFT_LAYER;
use super::Packet;
use super::notation::{Line, Writer};
use super::record;
use crate::domain::id::{Login, SessionId};
use crate::domain::words::{Event, MessageView, Refusal, Reply};
use crate::limits::{PASSWORD_BYTES_MAX, SEATS_PER_CONNECTION_MAX};
use crate::wire::json::{Object, Value};
use crate::wire::msim2::refusal::{Fault, Wrong, retry_after};
use crate::wire::msim2::{self, Request as Asked, layer2, layer3, layer4, time};
use crate::wire::said::in_words;
use crate::wire::{Credentials, House, Told, What};

/// What a connection has done in the draft.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The last CONNECT's, until the first CONNECT-CONTINUE.
    challenge: Option<Box<Challenge>>,
    /// Who is logged in.
    me: Option<Login>,
    /// Sessions made here that are no longer the connection's and end with it all the same.
    left: Vec<SessionId>,
}

#[derive(Debug)]
struct Challenge {
    login: Option<Login>,
    salt: Box<str>,
}

/// What a client may ask here and be answered, if only with nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Connect,
    ConnectContinue,
    Register,
    Message,
    MessageRead,
    TypingStarted,
    TypingEnd,
    ContactsGet,
    ContactsAdd,
    ContactsChange,
    ContactsDelete,
    ProfileUpdate,
}

/// A request whose answer is under way.
#[derive(Debug)]
pub(super) struct Question {
    request: Request,
    /// Who is about to be logged in, or to get a salt.
    login: Option<Login>,
}

impl Request {
    fn parse(text: &str) -> Option<Request> {
        Some(match text {
            "CONNECT" => Request::Connect,
            "CONNECT-CONTINUE" => Request::ConnectContinue,
            "REGISTER" => Request::Register,
            "MESSAGE" => Request::Message,
            "MESSAGE-READ" => Request::MessageRead,
            "TYPING-STARTED" => Request::TypingStarted,
            "TYPING-END" => Request::TypingEnd,
            "CONTACTS-GET" => Request::ContactsGet,
            "CONTACTS-ADD" => Request::ContactsAdd,
            "CONTACTS-CHANGE" => Request::ContactsChange,
            "CONTACTS-DELETE" => Request::ContactsDelete,
            "PROFILE-UPDATE" => Request::ProfileUpdate,
            _ => return None,
        })
    }

    /// What it is answered with where it is not refused, and nothing else is to be said.
    fn done(self) -> Option<&'static str> {
        match self {
            Request::Connect | Request::ConnectContinue => Some("CONNECT-OK"),
            Request::Register => Some("REGISTER-OK"),
            Request::ContactsAdd => Some("CONTACTS-ADD-OK"),
            Request::ContactsChange => Some("CONTACTS-CHANGE-OK"),
            Request::ContactsDelete => Some("CONTACTS-DELETE-OK"),
            Request::ProfileUpdate => Some("PROFILE-UPDATE-OK"),
            Request::Message
            | Request::MessageRead
            | Request::TypingStarted
            | Request::TypingEnd
            | Request::ContactsGet => None,
        }
    }

    fn failed(self) -> Option<&'static str> {
        match self {
            Request::Connect | Request::ConnectContinue => Some("CONNECT-FAILED"),
            Request::Register => Some("REGISTER-FAILED"),
            Request::Message => Some("MESSAGE-SEND-FAILED"),
            Request::ContactsGet => Some("CONTACTS-GET-FAILED"),
            Request::ContactsAdd => Some("CONTACTS-ADD-FAILED"),
            Request::ContactsChange => Some("CONTACTS-CHANGE-FAILED"),
            Request::ContactsDelete => Some("CONTACTS-DELETE-FAILED"),
            Request::ProfileUpdate => Some("PROFILE-UPDATE-FAILED"),
            Request::MessageRead | Request::TypingStarted | Request::TypingEnd => None,
        }
    }
}

impl Question {
    pub(super) fn logs_in(&self) -> bool {
        self.request == Request::ConnectContinue
    }

    pub(super) fn needs_session(&self) -> bool {
        match self.request {
            Request::Connect | Request::ConnectContinue | Request::Register => false,
            Request::Message
            | Request::MessageRead
            | Request::TypingStarted
            | Request::TypingEnd
            | Request::ContactsGet
            | Request::ContactsAdd
            | Request::ContactsChange
            | Request::ContactsDelete
            | Request::ProfileUpdate => true,
        }
    }
}

impl State {
    /// `None`: there is nothing to ask, and `out` has what there is to say.
    pub(super) fn understand(
        &mut self,
        line: Line<'_>,
        house: &House,
        out: &mut Vec<Packet>,
    ) -> Option<(Question, Result<What, Refusal>)> {
        let Some(request) = Request::parse(line.kind) else {
            out.push(not_implemented(line.kind));
            return None;
        };
        let mut fields = line.fields;
        let mut login = None;
        let what = match request {
            Request::Connect => {
                self.challenge = None;
                fields.text_required("login").map_err(Fault::from).map(|text| {
                    login = house.own_login(text);
                    What::Challenge { login: login.clone() }
                })
            }
            Request::ConnectContinue => match self.challenge.take() {
                // There is nothing to guess and nobody to ask.
                None => {
                    out.extend(refused(request, Refusal::WrongCredentials));
                    return None;
                }
                Some(challenge) => {
                    login = challenge.login.clone();
                    self.log_in(*challenge, &fields)
                }
            },
            Request::Register => register(&fields, house),
            Request::Message => {
                let body = renamed(&mut fields, &["to", "text", "cookie"], "to", "chat_id");
                asked(Asked::Three(layer3::Request::MessageSend), &body, house)
            }
            Request::MessageRead => {
                let body = renamed(&mut fields, &["id"], "id", "message_id");
                asked(Asked::Three(layer3::Request::ReadChat), &body, house)
            }
            Request::TypingStarted => typing(layer4::Request::TypingStarted, &mut fields, house),
            Request::TypingEnd => typing(layer4::Request::TypingEnd, &mut fields, house),
            Request::ContactsGet => contacts(layer2::Request::Get, fields, house),
            Request::ContactsAdd => contacts(layer2::Request::Add, fields, house),
            Request::ContactsChange => contacts(layer2::Request::Change, fields, house),
            Request::ContactsDelete => contacts(layer2::Request::Delete, fields, house),
            Request::ProfileUpdate => {
                asked(Asked::Four(layer4::Request::ProfileUpdate), &fields, house)
            }
        };
        Some((Question { request, login }, what.map_err(|fault| fault.refusal)))
    }

    fn log_in(&self, challenge: Challenge, fields: &Object<'_>) -> Result<What, Fault> {
        let hash = fields.text_required("hash")?;
        let hash = hash_of(hash).ok_or(Fault::bad("hash"))?;
        if SEATS_PER_CONNECTION_MAX <= self.left.len() {
            return Err(Fault::new(Refusal::TooManySessions, "hash"));
        }
        let Challenge { login, salt } = challenge;
        Ok(What::LogInByChallenge { login, salt, hash })
    }

    pub(super) fn on_reply(
        &mut self,
        question: Question,
        reply: Result<Reply, Refusal>,
    ) -> Option<Packet> {
        let Question { request, login } = question;
        let reply = match reply {
            Ok(reply) => reply,
            Err(refusal) => return refused(request, refusal),
        };
        match reply {
            Reply::LoggedIn { .. } => self.me = login,
            Reply::Challenge { salt } => {
                let ack = Writer::new("CONNECT-ACK").text("salt", &salt).finish();
                self.challenge = Some(Box::new(Challenge { login, salt }));
                return Some(Packet(ack));
            }
            Reply::Sent { id, .. } => {
                return Some(Packet(Writer::new("MESSAGE-SENT").number("id", id.0).finish()));
            }
            Reply::Contacts { contacts, more } => return Some(record::response(&contacts, more)),
            Reply::Done
            | Reply::Registered { .. }
            | Reply::Subscribed { .. }
            | Reply::Subscriptions { .. }
            | Reply::Subscribers { .. }
            | Reply::Myself(_)
            | Reply::Upload(_)
            | Reply::Received { .. }
            | Reply::Stored(_)
            | Reply::Bytes(_)
            | Reply::People { .. }
            | Reply::Rosters { .. }
            | Reply::Name(_)
            | Reply::Chats { .. }
            | Reply::Messages { .. }
            | Reply::Newest(_)
            | Reply::Users(_)
            | Reply::Invite(_)
            | Reply::AppPassword(_)
            | Reply::AppPasswords(_)
            | Reply::Recorded { .. }
            | Reply::Found { .. }
            | Reply::Profile(_)
            | Reply::Chat(_)
            | Reply::Members { .. }
            | Reply::Spaces { .. } => {}
        }
        request.done().map(|done| Packet(done.into()))
    }

    pub(super) fn on_told(&self, told: &Told<'_>, house: &House) -> Option<Packet> {
        let event = match told {
            Told::Event(event) => event,
            Told::Resync { .. } => return None,
        };
        match &***event {
            Event::Message(message) => self.message(message, house),
            Event::Marked { read, .. } => {
                let id = (*read)?.id;
                Some(Packet(Writer::new("MESSAGE-READ").number("id", id.0).finish()))
            }
            Event::ContactCreated(contact) => Some(record::created(contact)),
            Event::ContactUpdated { contact, changed } => record::updated(contact, *changed),
            Event::Typing { from, on, .. } => {
                let word = if *on { "TYPING-STARTED" } else { "TYPING-END" };
                Some(Packet(Writer::new(word).text("from", from).finish()))
            }
            Event::Presence { who, at, .. } => {
                let writer = Writer::new("UPDATE-LAST-SEEN").text("id", who);
                Some(Packet(writer.text("at", &time::zoned(*at)).finish()))
            }
            Event::ProfileChanged { who, changed } => record::profile_changed(who, changed),
            Event::ContactRemoved { .. }
            | Event::ChatsChanged(_)
            | Event::ContactRequested { .. }
            | Event::ContactAnswered { .. }
            | Event::ContactBlocked { .. }
            | Event::ChatChanged(_)
            | Event::ChatGone { .. }
            | Event::MyMarks { .. }
            | Event::Watching { .. }
            | Event::Awake { .. }
            | Event::FaceChanged { .. }
            | Event::AgentChanged { .. }
            | Event::Renamed { .. }
            | Event::Moved { .. }
            | Event::Relayed { .. } => None,
        }
    }

    /// What I wrote on another device has no place here: there is no `to` in it.
    fn message(&self, message: &MessageView, house: &House) -> Option<Packet> {
        let is_private = message.extra.as_ref().is_some_and(|extra| extra.private);
        if is_private || self.me.as_ref().is_some_and(|me| is_of(&message.from, me, house)) {
            return None;
        }
        let writer = Writer::new("MESSAGE")
            .text("from", &message.from)
            .number("id", message.id.0)
            .text("text", &in_words(message))
            .text("time", &time::zoned(message.time));
        Some(Packet(writer.finish()))
    }

    /// A session made here is no longer the connection's.
    pub(super) fn left(&mut self, session: SessionId) {
        self.left.push(session);
    }

    pub(super) fn take_left(&mut self) -> Option<SessionId> {
        self.left.pop()
    }
}

/// Whether an address is that of an account here.
fn is_of(address: &str, login: &Login, house: &House) -> bool {
    let host = address.strip_prefix(login.as_str()).and_then(|rest| rest.strip_prefix('@'));
    host == Some(&*house.name)
}

fn not_implemented(kind: &str) -> Packet {
    Packet(Writer::new("ERROR-NOT-IMPLEMENTED").text("type", kind).finish())
}

fn refused(request: Request, refusal: Refusal) -> Option<Packet> {
    let mut writer = Writer::new(request.failed()?);
    let retry_after = retry_after(refusal);
    let says_why = match (request, refusal) {
        // A failed login is just that; one that came too soon says when to come back.
        (Request::ConnectContinue, Refusal::WrongCredentials | Refusal::TooManyAttempts { .. }) => {
            false
        }
        _ => true,
    };
    if says_why {
        writer = writer.text("reason", Wrong::from(refusal).reason);
    }
    if let Some(seconds) = retry_after {
        writer = writer.number("retry_after", seconds.into());
    }
    Some(Packet(writer.finish()))
}

/// 64 hexadecimal digits in either case.
fn hash_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(hash)
}

/// The password is plain here: its bytes are what the challenge is made of.
fn register(fields: &Object<'_>, house: &House) -> Result<What, Fault> {
    let login = house.own_login(fields.text_required("login")?);
    let login = login.ok_or(Fault::new(Refusal::BadLogin, "login"))?;
    let password = fields.text_required("password")?.as_bytes();
    if password.is_empty() || PASSWORD_BYTES_MAX < password.len() {
        return Err(Fault::new(Refusal::BadPassword, "password"));
    }
    let invite = fields.text("invite")?.map(Box::from);
    let credentials = Credentials { login: Some(login), password: password.to_vec() };
    Ok(What::Register { credentials, invite, sealed: true, start: None })
}

/// The fields of those names alone, one of them under another name.
fn renamed<'a>(
    fields: &mut Object<'a>,
    kept: &[&'static str],
    old: &'static str,
    new: &'static str,
) -> Object<'a> {
    let kept = kept.iter().filter_map(|name| {
        let value = fields.take(name)?;
        Some((Cow::Borrowed(if *name == old { new } else { *name }), value))
    });
    Object::of(kept.collect())
}

fn asked(request: Asked, body: &Object<'_>, house: &House) -> Result<What, Fault> {
    msim2::what(request, body, DRAFT_LAYER, house)
}

fn typing(request: layer4::Request, fields: &mut Object<'_>, house: &House) -> Result<What, Fault> {
    let body = renamed(fields, &["to"], "to", "chat_id");
    asked(Asked::Four(request), &body, house)
}

fn contacts(
    request: layer2::Request,
    mut fields: Object<'_>,
    house: &House,
) -> Result<What, Fault> {
    // Only what the draft has; `group` comes as a list there and mostly as a path here.
    let groups = match fields.take("group") {
        Some(Value::Word(path)) => {
            let groups = record::groups_of(&path).into_iter();
            Some(Value::Array(groups.map(|group| Value::Word(group.into())).collect()))
        }
        other => other,
    };
    let names = ["id", "name", "note", "count", "id_gt"];
    let mut kept: Vec<_> =
        names.into_iter().filter_map(|name| Some((name.into(), fields.take(name)?))).collect();
    kept.extend(groups.map(|groups| ("group".into(), groups)));
    asked(Asked::Two(request), &Object::of(kept), house)
}
