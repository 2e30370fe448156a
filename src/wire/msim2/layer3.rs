//! Layer 3: chats, messages, history (mSIM 2.0, «Отправка сообщения, работа с историей»).

use super::fields::{bound, chat, count, named};
use super::record::{self, chat_kind, fitting, message};
use super::refusal::Fault;
use super::written::{Written, written};
use super::{Keep, Understood};
use crate::domain::calendar;
use crate::domain::id::{Address, MessageId, Timestamp};
use crate::domain::words::{ChatView, Command, Draft, MessageView, Query, Range, Refusal, Take};
use crate::limits::{
    ANSWER_BYTES_MAX, CHATS_COUNT_MAX, COOKIE_BYTES_MAX, HISTORY_COUNT_MAX, UNREAD_COUNT_MAX,
};
use crate::wire::json::{Object, ObjectWriter};
use crate::wire::{House, What};

/// What layer 3 lets a client ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    MessageSend,
    MessageReceiveAck,
    MessageReadAck,
    /// The same as `MessageReadAck`: the specification's table and its examples differ.
    ReadChat,
    ChatsGet,
    ChatsGetUnreadMessages,
    ChatHistory,
    HistoryRewind,
}

impl Request {
    pub const ALL: [Request; 8] = [
        Request::MessageSend,
        Request::MessageReceiveAck,
        Request::MessageReadAck,
        Request::ReadChat,
        Request::ChatsGet,
        Request::ChatsGetUnreadMessages,
        Request::ChatHistory,
        Request::HistoryRewind,
    ];

    pub fn parse(text: &str) -> Option<Request> {
        Request::ALL.into_iter().find(|request| request.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Request::MessageSend => "MESSAGE-SEND",
            Request::MessageReceiveAck => "MESSAGE-RECEIVE-ACK",
            Request::MessageReadAck => "MESSAGE-READ-ACK",
            Request::ReadChat => "READ-CHAT",
            Request::ChatsGet => "CHATS-GET",
            Request::ChatsGetUnreadMessages => "CHATS-GET-UNREAD-MESSAGES",
            Request::ChatHistory => "CHAT-HISTORY",
            Request::HistoryRewind => "HISTORY-REWIND",
        }
    }
}

pub(super) fn understand(
    request: Request,
    body: &Object<'_>,
    layer: u32,
    house: &House,
) -> Understood {
    match request {
        Request::MessageSend => send(body, layer, house),
        Request::MessageReceiveAck => {
            let (chat, id) = mark(body, house)?;
            Ok((What::Command(Command::MarkDelivered { chat, id }), Keep::Nothing))
        }
        Request::MessageReadAck | Request::ReadChat => {
            let (chat, id) = mark(body, house)?;
            Ok((What::Command(Command::MarkRead { chat, id }), Keep::Nothing))
        }
        Request::ChatsGet => {
            let before = bound(body, "last_message_id_lt")?.unwrap_or(MessageId::END);
            let count = count(body, CHATS_COUNT_MAX)?.unwrap_or(CHATS_COUNT_MAX);
            Ok((What::Command(Command::Chats { before, count }), Keep::Nothing))
        }
        Request::ChatsGetUnreadMessages => {
            let unread = Command::Unread { count: UNREAD_COUNT_MAX };
            Ok((What::Command(unread), Keep::Take(Take::Last)))
        }
        Request::ChatHistory => {
            let chat = chat(body, house)?;
            let range = range(body)?;
            Ok((What::Query(Query::History { chat, range }), Keep::Take(range.take)))
        }
        Request::HistoryRewind => {
            let field = "message_id_gt";
            let after = bound(body, field)?.ok_or(Fault::new(Refusal::MissingField, field))?;
            let count = count(body, HISTORY_COUNT_MAX)?.unwrap_or(HISTORY_COUNT_MAX);
            // A page of nothing but what a layer has no words for would lead nowhere.
            let own = layer >= 4;
            Ok((What::Query(Query::Rewind { after, count, own }), Keep::Take(Take::First)))
        }
    }
}

/// Below layer 4 there are texts alone, whatever else a body says.
fn send(body: &Object<'_>, layer: u32, house: &House) -> Understood {
    let chat = chat(body, house)?;
    let written = match layer {
        0..4 => Written::text(body, house)?,
        4.. => written(body, house)?,
    };
    let cookie = match body.text("cookie")? {
        Some("") => return Err(Fault::bad("cookie")),
        Some(cookie) if COOKIE_BYTES_MAX < cookie.len() => {
            return Err(Fault::new(Refusal::FieldTooLong, "cookie"));
        }
        cookie => cookie.map(Box::<str>::from),
    };
    let Written { kind, text, spans, mime, reply_to } = written;
    let draft = Draft { chat, kind, text, cookie: cookie.clone(), reply_to, spans, mime };
    Ok((What::Command(Command::Send(draft)), Keep::Cookie(cookie)))
}

fn mark(body: &Object<'_>, house: &House) -> Result<(Option<Address>, MessageId), Fault> {
    let field = "message_id";
    let chat = named(body, "chat_id", house)?;
    match body.integer(field)? {
        None => Err(Fault::new(Refusal::MissingField, field)),
        // No chat has a message 0, and the core says so.
        Some(Ok(id)) => Ok((chat, MessageId(id))),
        Some(Err(_)) => Err(Fault::new(Refusal::BadRange, field)),
    }
}

/// The five combinations that mean something; every other one is refused (decision 45).
fn range(body: &Object<'_>) -> Result<Range, Fault> {
    let (from, till) = (bound(body, "id_from")?, bound(body, "id_till")?);
    let since = match body.text("date_from")? {
        Some(text) => Some(calendar::day(text).ok_or(Fault::new(Refusal::BadDate, "date_from"))?),
        None => None,
    };
    let count = count(body, HISTORY_COUNT_MAX)?;
    let range = |after, before, since: Option<Timestamp>, take| Range {
        after,
        before,
        since,
        count: count.unwrap_or(HISTORY_COUNT_MAX),
        take,
    };
    let beginning = MessageId(0);
    match (from, till, since, count) {
        (Some(after), Some(before), None, _) => Ok(range(after, before, None, Take::First)),
        (Some(after), None, None, Some(_)) => Ok(range(after, MessageId::END, None, Take::First)),
        (None, Some(before), None, Some(_)) => Ok(range(beginning, before, None, Take::Last)),
        (None, None, since @ Some(_), Some(_)) => {
            Ok(range(beginning, MessageId::END, since, Take::First))
        }
        (_, _, Some(_), _) => Err(Fault::new(Refusal::BadRange, "date_from")),
        (Some(_), None, None, None) | (None, Some(_), None, None) | (None, None, None, _) => {
            Err(Fault::new(Refusal::BadRange, "count"))
        }
    }
}

/// The answer to MESSAGE-SEND.
pub(super) fn sent(id: MessageId, time: Timestamp, cookie: Option<&str>, body: &mut Vec<u8>) {
    body.reserve(64 + cookie.map_or(0, str::len));
    let mut object = ObjectWriter::new(body);
    if let Some(cookie) = cookie {
        object.text("cookie", cookie);
    }
    object.number("message_id", id.0).number("time", time.secs());
}

/// The answer to CHATS-GET.
pub(super) fn chats(chats: &[ChatView], more: bool, layer: u32, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    let mut array = object.array("data");
    let mut written = 0;
    for view in chats {
        if ANSWER_BYTES_MAX < array.len() {
            break;
        }
        chat_object(view, layer, array.object());
        written += 1;
    }
    drop(array);
    object.flag("more", more || written < chats.len());
}

pub(super) fn chats_changed(chats: &[ChatView], layer: u32, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    let mut array = object.array("data");
    for view in chats {
        chat_object(view, layer, array.object());
    }
}

fn chat_object(view: &ChatView, layer: u32, mut object: ObjectWriter<'_>) {
    object
        .text("id", &view.chat)
        .text("chat_id", &view.chat)
        .number("unread_messages", view.unread.into())
        .number("last_message_id", view.last.0)
        .number("read_till_id", view.read.0)
        .number("delivered_till_id", view.delivered.0)
        .number("my_read_till_id", view.my_read.0);
    if layer >= 5
        && let Some(group) = &view.group
    {
        object.text("kind", chat_kind(group.kind)).text("name", &group.name);
        object.text("mode", &group.mode.to_string());
    }
}

/// An answer with messages, ascending. One that grows too long ends early and says so: a page
/// taken from the end of its range keeps that end, so that no hole arises between it and what the
/// client asks next (decision 8).
pub(super) fn messages(
    messages: &[MessageView],
    more: bool,
    take: Take,
    layer: u32,
    body: &mut Vec<u8>,
) {
    let (kept, bytes) = match take {
        Take::First => {
            let (fitting, bytes) = fitting(messages.iter());
            (&messages[..fitting], bytes)
        }
        Take::Last => {
            let (fitting, bytes) = fitting(messages.iter().rev());
            (&messages[messages.len() - fitting..], bytes)
        }
    };
    body.reserve(32 + bytes);
    let mut object = ObjectWriter::new(body);
    let mut array = object.array("data");
    for view in kept {
        message(view, layer, array.object());
    }
    drop(array);
    object.flag("more", more || kept.len() < messages.len());
}

/// The body of MESSAGE-RECEIVE and its kin.
pub(super) fn received(view: &MessageView, layer: u32, body: &mut Vec<u8>) {
    body.reserve(record::room_for(view));
    message(view, layer, ObjectWriter::new(body));
}

pub(super) fn read_till(chat: &str, id: MessageId, user: &str, body: &mut Vec<u8>) {
    ObjectWriter::new(body).text("chat_id", chat).number("message_id", id.0).text("user", user);
}
