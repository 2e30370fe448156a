//! Layer 4: life (mSIM 2.0, «Основные возможности» and «Работа с историей (старый черновик)»):
//! typing, presence, profiles, requests and blocks, what was written beside plain text, edits,
//! deletions, search.
//!
//! Our reading: a record that tells of a change is a message of the chain with a `type`, and the
//! push that tells of it has the same body as history.

use super::fields::{bound, chat, count, id, named, person, short_text};
use super::layer2::seen;
use super::record;
use super::refusal::Fault;
use super::{Keep, Understood, time, written};
use crate::domain::id::{Address, MessageId, Timestamp};
use crate::domain::words::{Command, MessageView, ProfileDraft, ProfileView, Query, Refusal, Whom};
use crate::limits::{
    PROFILE_LINK_BYTES_MAX, REQUEST_NOTE_BYTES_MAX, SEARCH_BYTES_MAX, SEARCH_COUNT_MAX,
};
use crate::wire::json::{Object, ObjectWriter};
use crate::wire::{House, What};

/// What layer 4 lets a client ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    TypingStarted,
    TypingEnd,
    ProfileGet,
    ProfileUpdate,
    DialogUpdate,
    MessageEdit,
    MessageDelete,
    ChatDelete,
    ChatSearch,
    ContactAsk,
    ContactAccept,
    ContactDecline,
    ContactBlock,
    ContactUnblock,
}

impl Request {
    pub const ALL: [Request; 14] = [
        Request::TypingStarted,
        Request::TypingEnd,
        Request::ProfileGet,
        Request::ProfileUpdate,
        Request::DialogUpdate,
        Request::MessageEdit,
        Request::MessageDelete,
        Request::ChatDelete,
        Request::ChatSearch,
        Request::ContactAsk,
        Request::ContactAccept,
        Request::ContactDecline,
        Request::ContactBlock,
        Request::ContactUnblock,
    ];

    pub fn parse(text: &str) -> Option<Request> {
        Request::ALL.into_iter().find(|request| request.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Request::TypingStarted => "TYPING-STARTED",
            Request::TypingEnd => "TYPING-END",
            Request::ProfileGet => "PROFILE-GET",
            Request::ProfileUpdate => "PROFILE-UPDATE",
            Request::DialogUpdate => "DIALOG-UPDATE",
            Request::MessageEdit => "MESSAGE-EDIT",
            Request::MessageDelete => "MESSAGE-DELETE",
            Request::ChatDelete => "CHAT-DELETE",
            Request::ChatSearch => "CHAT-SEARCH",
            Request::ContactAsk => "CONTACT-REQUEST",
            Request::ContactAccept => "CONTACT-ACCEPT",
            Request::ContactDecline => "CONTACT-DECLINE",
            Request::ContactBlock => "CONTACT-BLOCK",
            Request::ContactUnblock => "CONTACT-UNBLOCK",
        }
    }
}

pub(super) fn understand(request: Request, body: &Object<'_>, house: &House) -> Understood {
    let command = match request {
        Request::TypingStarted => Command::Typing { chat: chat(body, house)?, on: true },
        Request::TypingEnd => Command::Typing { chat: chat(body, house)?, on: false },
        Request::ProfileGet => {
            let who = named(body, "contact_id", house)?;
            return Ok((What::Query(Query::Profile { who }), Keep::Nothing));
        }
        Request::ProfileUpdate => Command::UpdateProfile(Box::new(profile(body)?)),
        Request::DialogUpdate => dialog(body, house)?,
        Request::MessageEdit => {
            let (chat, id) = message_of(body, house)?;
            let text = written::plain(body, house)?;
            Command::Edit { chat, id, text, spans: written::spans(body)?.unwrap_or_default() }
        }
        Request::MessageDelete => {
            let (chat, id) = message_of(body, house)?;
            Command::Delete { chat, id, whom: whom(body)? }
        }
        Request::ChatDelete => {
            Command::Clear { chat: chat(body, house)?, whom: whom(body)?, till: None }
        }
        Request::ChatSearch => return search(body, house),
        Request::ContactAsk => {
            let note = short_text(body, "note", REQUEST_NOTE_BYTES_MAX)?.unwrap_or_default();
            Command::RequestContact { who: person(body, house)?, note }
        }
        Request::ContactAccept => {
            Command::AnswerContact { who: person(body, house)?, accept: true }
        }
        Request::ContactDecline => {
            Command::AnswerContact { who: person(body, house)?, accept: false }
        }
        Request::ContactBlock => Command::Block { who: person(body, house)?, on: true },
        Request::ContactUnblock => Command::Block { who: person(body, house)?, on: false },
    };
    Ok((What::Command(command), Keep::Nothing))
}

fn message_of(body: &Object<'_>, house: &House) -> Result<(Address, MessageId), Fault> {
    let chat = chat(body, house)?;
    match id(body, "message_id")? {
        Some(id) => Ok((chat, id)),
        None => Err(Fault::new(Refusal::MissingField, "message_id")),
    }
}

fn whom(body: &Object<'_>) -> Result<Whom, Fault> {
    match body.text_required("for")? {
        "me" => Ok(Whom::Me),
        "all" => Ok(Whom::All),
        _ => Err(Fault::bad("for")),
    }
}

fn dialog(body: &Object<'_>, house: &House) -> Result<Command, Fault> {
    let chat = chat(body, house)?;
    let (delivered, read) = (id(body, "delivered_till")?, id(body, "read_till")?);
    if delivered.is_none() && read.is_none() {
        return Err(Fault::new(Refusal::MissingField, "read_till"));
    }
    Ok(Command::MarkBoth { chat, delivered, read })
}

fn search(body: &Object<'_>, house: &House) -> Understood {
    let text = body.text_required("query")?;
    if text.trim().is_empty() {
        return Err(Fault::new(Refusal::TextEmpty, "query"));
    }
    if SEARCH_BYTES_MAX < text.len() {
        return Err(Fault::new(Refusal::TextTooLong, "query"));
    }
    let chat = named(body, "chat_id", house)?;
    let before = bound(body, "id_till")?.unwrap_or(MessageId::END);
    let count = count(body, SEARCH_COUNT_MAX)?.unwrap_or(SEARCH_COUNT_MAX);
    Ok((What::Query(Query::Search { text: text.into(), chat, before, count }), Keep::Nothing))
}

fn profile(body: &Object<'_>) -> Result<ProfileDraft, Fault> {
    // How long each may be is the core's to say; a packet bounds them all.
    let text = |field| Ok::<_, Fault>(body.text(field)?.map(Box::from));
    let texts = |field| {
        let list = body.texts(field)?;
        Ok::<_, Fault>(list.map(|list| list.into_iter().map(Box::from).collect()))
    };
    Ok(ProfileDraft {
        name: text("name")?,
        short_name: text("short_name")?,
        full_name: text("full_name")?,
        note: text("note")?,
        photo: short_text(body, "photo", PROFILE_LINK_BYTES_MAX)?,
        gallery: texts("gallery")?,
        contacts: texts("contacts")?,
        birthday: text("birthday")?,
        access: None,
        card: None,
    })
}

/// The answer to PROFILE-GET.
pub(super) fn profile_view(view: &ProfileView, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    object.text("id", &view.who);
    profile_fields(&view.fields, &mut object);
    object.number("created", view.created.secs());
    if view.changed != Timestamp(0) {
        object.number("changed", view.changed.secs());
    }
    seen(view.online, view.last_seen, &mut object);
}

fn profile_fields(fields: &ProfileDraft, object: &mut ObjectWriter<'_>) {
    let texts = [
        ("name", &fields.name),
        ("short_name", &fields.short_name),
        ("full_name", &fields.full_name),
        ("note", &fields.note),
        ("photo", &fields.photo),
        ("birthday", &fields.birthday),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            object.text(field, text);
        }
    }
    for (field, list) in [("gallery", &fields.gallery), ("contacts", &fields.contacts)] {
        if let Some(list) = list {
            object.texts(field, list.iter().map(|text| &**text));
        }
    }
}

/// The answer to CHAT-SEARCH. What does not fit is found again from where this ends.
pub(super) fn found(
    messages: &[MessageView],
    more: bool,
    till: MessageId,
    layer: u32,
    body: &mut Vec<u8>,
) {
    let (fitting, _bytes) = record::fitting(messages.iter());
    let kept = &messages[..fitting];
    let cut = kept.len() < messages.len();
    let mut object = ObjectWriter::new(body);
    let mut array = object.array("data");
    for view in kept {
        record::message(view, layer, array.object());
    }
    drop(array);
    let till = if cut { kept.last().map_or(till, |last| last.id) } else { till };
    object.flag("more", more || cut).number("id_till", till.0);
}

/// The answer to an edit or a deletion: the record that tells of it.
pub(super) fn recorded(id: MessageId, time: Timestamp, body: &mut Vec<u8>) {
    ObjectWriter::new(body).number("message_id", id.0).number("time", time.secs());
}

pub(super) fn typing(chat: &str, from: &str, body: &mut Vec<u8>) {
    ObjectWriter::new(body).text("chat_id", chat).text("from", from);
}

pub(super) fn presence(who: &str, online: bool, at: Timestamp, body: &mut Vec<u8>) {
    ObjectWriter::new(body).text("id", who).text("at", &time::zoned(at)).flag("online", online);
}

pub(super) fn profile_changed(who: &str, changed: &ProfileDraft, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    object.object("contact").text("id", who).text("contact_id", who);
    profile_fields(changed, &mut object.object("profile"));
}

/// A push about one person, with what they said where they said something.
pub(super) fn about(who: &str, note: Option<&str>, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    object.text("id", who).text("contact_id", who);
    if let Some(note) = note {
        object.text("note", note);
    }
}
