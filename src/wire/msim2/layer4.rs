//! Layer 4: life (mSIM 2.0, «Основные возможности» and «Работа с историей (старый черновик)»):
//! typing, presence, profiles, requests and blocks, what was written beside plain text, edits,
//! deletions, search.
//!
//! Our reading: a record that tells of a change is a message of the chain with a `type`, and the
//! push that tells of it has the same body as history.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::layer2::{address, count, named, short_text};
use super::layer3::{self, bound, chat};
use super::refusal::Fault;
use super::{Keep, Understood, layer1, layer5, time};
use crate::domain::id::{Address, MessageId, Timestamp};
use crate::domain::words::{
    Command, ContactState, ContactView, ExtraView, Kind, MessageView, ProfileDraft, ProfileView,
    Query, Refusal, Span, SpanKind, Whom,
};
use crate::limits::{
    MIME_BYTES_MAX, PROFILE_LINK_BYTES_MAX, REQUEST_NOTE_BYTES_MAX, SEARCH_BYTES_MAX,
    SEARCH_COUNT_MAX, SPANS_MAX,
};
use crate::wire::json::{Object, ObjectWriter, Value};
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
        Request::ProfileUpdate => Command::UpdateProfile(profile(body)?),
        Request::DialogUpdate => dialog(body, house)?,
        Request::MessageEdit => {
            let (chat, id) = message_of(body, house)?;
            let text = plain(body, house)?;
            Command::Edit { chat, id, text, spans: spans(body)?.unwrap_or_default() }
        }
        Request::MessageDelete => {
            let (chat, id) = message_of(body, house)?;
            Command::Delete { chat, id, whom: whom(body)? }
        }
        Request::ChatDelete => Command::Clear { chat: chat(body, house)?, whom: whom(body)? },
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

fn person(body: &Object<'_>, house: &House) -> Result<Address, Fault> {
    named(body, "contact_id", house)?.ok_or(Fault::new(Refusal::MissingField, "id"))
}

fn message_of(body: &Object<'_>, house: &House) -> Result<(Address, MessageId), Fault> {
    let chat = chat(body, house)?;
    match id(body, "message_id")? {
        Some(id) => Ok((chat, id)),
        None => Err(Fault::new(Refusal::MissingField, "message_id")),
    }
}

/// A message's id. No chat has a message 0, and the core says so.
fn id(body: &Object<'_>, field: &'static str) -> Result<Option<MessageId>, Fault> {
    match body.integer(field)? {
        None => Ok(None),
        Some(Ok(id)) => Ok(Some(MessageId(id))),
        Some(Err(_)) => Err(Fault::new(Refusal::BadRange, field)),
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
    })
}

/// What MESSAGE-SEND says is written.
pub(super) struct Written {
    pub(super) kind: Kind,
    pub(super) text: Arc<str>,
    pub(super) spans: Box<[Span]>,
    pub(super) mime: Option<Box<str>>,
    pub(super) reply_to: MessageId,
}

impl Written {
    pub(super) fn text(body: &Object<'_>, house: &House) -> Result<Written, Fault> {
        Ok(Written {
            kind: Kind::Text,
            text: plain(body, house)?,
            spans: Box::default(),
            mime: None,
            reply_to: MessageId(0),
        })
    }
}

/// A message's text, within its limits.
fn plain(body: &Object<'_>, house: &House) -> Result<Arc<str>, Fault> {
    let text = body.text_required("text")?;
    if text.is_empty() {
        return Err(Fault::new(Refusal::TextEmpty, "text"));
    }
    if house.config.limits.max_text_bytes < text.len() {
        return Err(Fault::new(Refusal::TextTooLong, "text"));
    }
    Ok(Arc::from(text))
}

/// Text, formatted text or a blob. Files have packets of their own.
pub(super) fn written(body: &Object<'_>, house: &House) -> Result<Written, Fault> {
    let reply_to = id(body, "reply_to")?.unwrap_or_default();
    let spans = spans(body)?.filter(|spans| !spans.is_empty());
    let written = match body.text("type")? {
        None | Some("text") if spans.is_some() => return Err(Fault::bad("spans")),
        None | Some("text") => Written::text(body, house)?,
        Some("formatted") => Written {
            kind: Kind::Formatted,
            spans: spans.unwrap_or_default(),
            ..Written::text(body, house)?
        },
        Some("blob") if spans.is_some() => return Err(Fault::bad("spans")),
        Some("blob") => blob(body, house)?,
        Some(_) => return Err(Fault::bad("type")),
    };
    Ok(Written { reply_to, ..written })
}

fn blob(body: &Object<'_>, house: &House) -> Result<Written, Fault> {
    let mime = short_text(body, "mime", MIME_BYTES_MAX)?;
    let mime = mime.ok_or(Fault::new(Refusal::MissingField, "mime"))?;
    let bytes = layer1::from_base64(body.text_required("blob")?).ok_or(Fault::bad("blob"))?;
    if bytes.is_empty() {
        return Err(Fault::new(Refusal::TextEmpty, "blob"));
    }
    if house.config.limits.max_blob_bytes < bytes.len() {
        return Err(Fault::new(Refusal::TextTooLong, "blob"));
    }
    // Whichever alphabet it came in, it is kept and told in one.
    let text = Arc::from(STANDARD.encode(bytes));
    let (kind, spans, reply_to) = (Kind::Blob, Box::default(), MessageId(0));
    Ok(Written { kind, text, spans, mime: Some(mime), reply_to })
}

fn spans(body: &Object<'_>) -> Result<Option<Box<[Span]>>, Fault> {
    let field = "spans";
    let items = match body.get(field) {
        None => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Fault::bad(field)),
    };
    if SPANS_MAX < items.len() {
        return Err(Fault::new(Refusal::TooManySpans, field));
    }
    let spans = items.iter().map(|item| match item {
        Value::Object(span) => self::span(span),
        _ => Err(Fault::bad(field)),
    });
    spans.collect::<Result<_, _>>().map(Some)
}

fn span(span: &Object<'_>) -> Result<Span, Fault> {
    let place = |field| match span.integer(field)? {
        Some(Ok(place)) => {
            u32::try_from(place).map_err(|_| Fault::new(Refusal::BadSpanRange, "spans"))
        }
        Some(Err(_)) => Err(Fault::new(Refusal::BadSpanRange, "spans")),
        None => Err(Fault::new(Refusal::MissingField, field)),
    };
    let kind = span.text_required("kind")?;
    let kind = SpanKind::ALL.into_iter().find(|k| span_name(*k) == kind);
    Ok(Span {
        start: place("start")?,
        end: place("end")?,
        kind: kind.ok_or(Fault::new(Refusal::BadSpan, "kind"))?,
        value: span.text("value")?.map(Box::from),
    })
}

fn span_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Heading => "heading",
        SpanKind::Color => "color",
        SpanKind::Font => "font",
        SpanKind::Highlight => "highlight",
        SpanKind::Bold => "bold",
        SpanKind::Italic => "italic",
        SpanKind::Underline => "underline",
        SpanKind::Strike => "strike",
        SpanKind::Link => "link",
        SpanKind::Code => "code",
        SpanKind::CodeBlock => "code-block",
        SpanKind::Spoiler => "spoiler",
        SpanKind::Quote => "quote",
    }
}

/// A record's `type`; words for a layer that has none are a text.
fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Formatted => "formatted",
        Kind::Blob => "blob",
        Kind::File => "file",
        Kind::Edited => "edited",
        Kind::Deleted => "deleted",
        Kind::Cleared => "cleared",
        Kind::Joined => "joined",
        Kind::Left => "left",
        Kind::Invited => "invited",
        Kind::Renamed => "renamed",
        Kind::Access => "access",
        Kind::Created => "created",
    }
}

/// What a message has from layer 4 on. `has_words`: it is told as what it is.
pub(super) fn extras(view: &MessageView, has_words: bool, object: &mut ObjectWriter<'_>) {
    let kind = if has_words { view.kind } else { Kind::Text };
    object.text("type", type_name(kind));
    let Some(extra) = view.extra.as_deref().filter(|_| has_words) else { return };
    if kind == Kind::Blob && !extra.deleted {
        object.text("blob", &view.text);
    }
    if let Some(mime) = &extra.mime {
        object.text("mime", mime);
    }
    if extra.reply_to != MessageId(0) {
        object.number("reply_to", extra.reply_to.0);
    }
    if extra.target != MessageId(0) {
        object.number("target_id", extra.target.0);
    }
    if !extra.spans.is_empty() {
        let mut array = object.array("spans");
        for span in &extra.spans {
            let mut object = array.object();
            object.number("start", span.start.into()).number("end", span.end.into());
            object.text("kind", span_name(span.kind));
            if let Some(value) = &span.value {
                object.text("value", value);
            }
        }
    }
    if extra.edited != Timestamp(0) {
        object.number("edited", extra.edited.secs());
    }
    if extra.deleted {
        object.flag("deleted", true);
    }
    if matches!(kind, Kind::Deleted | Kind::Cleared) {
        object.text("for", if extra.private { "me" } else { "all" });
    }
    layer5::extras(extra, object);
}

/// The bytes of texts that [`extras`] adds, with their frames, before anything is escaped.
pub(super) fn extra_len(extra: &ExtraView) -> usize {
    /// Field names, numbers and punctuation.
    const FIXED: usize = 256;
    const SPAN: usize = 64;
    let spans = extra.spans.iter().map(|s| SPAN + s.value.as_ref().map_or(0, |v| v.len()));
    FIXED
        + extra.mime.as_ref().map_or(0, |mime| mime.len())
        + extra.person.as_ref().map_or(0, |person| person.len())
        + extra.place.as_ref().map_or(0, |(address, name)| address.len() + name.len())
        + spans.sum::<usize>()
}

/// What a contact has from layer 4 on.
pub(super) fn contact_fields(view: &ContactView, layer: u32, object: &mut ObjectWriter<'_>) {
    object.text(
        "state",
        match view.state {
            ContactState::Plain => "plain",
            ContactState::Requested => "requested",
            ContactState::Pending => "pending",
            ContactState::Blocked => "blocked",
        },
    );
    if view.unlisted {
        object.flag("listed", false);
    }
    if let Some(last) = &view.last_message {
        let mut object = object.object("last_message");
        let direction = if last.from == view.who { "incoming" } else { "outgoing" };
        object.text("direction", direction);
        layer3::fields(last, layer, &mut object);
    }
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

/// Presence, where it is known and shared.
pub(super) fn seen(
    online: Option<bool>,
    last_seen: Option<Timestamp>,
    object: &mut ObjectWriter<'_>,
) {
    if let Some(at) = last_seen {
        object.text("last-seen", &time::zoned(at));
    }
    if let Some(online) = online {
        object.flag("online", online);
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
    let (fitting, _bytes) = layer3::fitting(messages.iter());
    let kept = &messages[..fitting];
    let cut = kept.len() < messages.len();
    let mut object = ObjectWriter::new(body);
    let mut array = object.array("data");
    for view in kept {
        layer3::message(view, layer, array.object());
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

/// An address that a packet names beside its chat.
pub(super) fn another(
    body: &Object<'_>,
    field: &'static str,
    house: &House,
) -> Result<Option<Address>, Fault> {
    body.text(field)?.map(|text| address(text, field, house)).transpose()
}
