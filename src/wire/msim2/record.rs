//! Messages and records as answers and pushes show them, for each layer.

use std::borrow::Cow;

use crate::domain::id::{MessageId, Timestamp};
use crate::domain::words::{ChatKind, ExtraView, Kind, MessageView, SpanKind};
use crate::limits::ANSWER_BYTES_MAX;
use crate::wire::json::{ObjectWriter, text_len};
use crate::wire::said::in_words;

/// What its reader alone has done is no message; a client that knows no such records misses
/// nothing by not hearing of them.
pub(super) fn is_for(view: &MessageView, layer: u32) -> bool {
    // What a notice tells, other packets tell, too.
    view.kind != Kind::Notice && (layer >= 4 || !view.is_private())
}

/// How many of these messages one answer holds, and about how long it becomes: it ends with the
/// one that passes its limit.
pub(super) fn fitting<'v>(
    messages: impl Iterator<Item = &'v MessageView> + Clone,
) -> (usize, usize) {
    // Counting what must be escaped reads every text once more; an ordinary page fits even if all
    // of it had to be.
    let (count, raw) =
        messages.clone().fold((0, 0), |(count, raw), view| (count + 1, raw + room_for(view)));
    if raw.saturating_mul(ESCAPED_MOST) <= ANSWER_BYTES_MAX {
        return (count, raw);
    }
    let (mut fitting, mut bytes) = (0, 0);
    for view in messages {
        if ANSWER_BYTES_MAX < bytes {
            break;
        }
        bytes += message_len(view);
        fitting += 1;
    }
    (fitting, bytes)
}

/// A message's field names, punctuation and three numbers of at most twenty digits.
const MESSAGE_FRAME_BYTES: usize = 160;

/// What one byte becomes at most: \u00xx.
const ESCAPED_MOST: usize = 6;

/// The bytes of a message's texts as they are.
fn texts_len(view: &MessageView) -> usize {
    let cookie = view.cookie.as_deref().map_or(0, str::len);
    let extra = view.extra.as_deref().map_or(0, extra_len);
    view.chat.len() + view.from.len() + view.text.len() + cookie + extra
}

/// About how long a message becomes; never less than it does.
fn message_len(view: &MessageView) -> usize {
    MESSAGE_FRAME_BYTES
        + text_len(&view.chat)
        + text_len(&view.from)
        + text_len(&view.text)
        + view.cookie.as_deref().map_or(0, text_len)
        + view.extra.as_deref().map_or(0, |extra| ESCAPED_MOST * extra_len(extra))
}

/// A message as answers and pushes show it; what its layer has no words for in words.
pub(super) fn message(view: &MessageView, layer: u32, mut object: ObjectWriter<'_>) {
    fields(view, layer, &mut object);
}

pub(super) fn fields(view: &MessageView, layer: u32, object: &mut ObjectWriter<'_>) {
    let has_words = layer >= layer_of(view);
    let text = match (has_words, view.kind) {
        (false, _) => in_words(view),
        (true, Kind::Blob) => "".into(),
        (true, _) => Cow::Borrowed(&*view.text),
    };
    object
        .number("message_id", view.id.0)
        .number("previous_message_id", view.previous.0)
        .text("chat_id", &view.chat)
        .text("from", &view.from)
        .text("text", &text)
        .number("time", view.time.secs());
    if let Some(cookie) = &view.cookie {
        object.text("cookie", cookie);
    }
    if layer >= 4 {
        extras(view, has_words, object);
    }
}

/// The lowest layer that has words for a record.
fn layer_of(view: &MessageView) -> u32 {
    let is_deleted = view.extra.as_ref().is_some_and(|extra| extra.deleted);
    match view.kind {
        Kind::Text | Kind::Formatted if !is_deleted => 3,
        Kind::Text | Kind::Formatted | Kind::Blob | Kind::File => 4,
        Kind::Edited | Kind::Deleted | Kind::Cleared => 4,
        Kind::Joined
        | Kind::Left
        | Kind::Invited
        | Kind::Renamed
        | Kind::Access
        | Kind::Created
        | Kind::Notice => 5,
    }
}

pub(super) fn span_name(kind: SpanKind) -> &'static str {
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
        Kind::Notice => "notice",
    }
}

/// What a message has from layer 4 on. `has_words`: it is told as what it is.
fn extras(view: &MessageView, has_words: bool, object: &mut ObjectWriter<'_>) {
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
    references(extra, object);
}

/// The bytes of texts that [`extras`] adds, with their frames, before anything is escaped.
fn extra_len(extra: &ExtraView) -> usize {
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

/// Whom and what a record of layer 5 is about.
fn references(extra: &ExtraView, object: &mut ObjectWriter<'_>) {
    if let Some(person) = &extra.person {
        object.text("subject", person);
    }
    if let Some(access) = extra.access {
        object.text("mode", &access.to_string());
    }
    if let Some((address, name)) = &extra.place {
        object.object("place").text("chat_id", address).text("name", name);
    }
}

/// What a chat is called by its kind.
pub(super) fn chat_kind(kind: ChatKind) -> &'static str {
    match kind {
        ChatKind::Direct => "direct",
        ChatKind::Group => "group",
        ChatKind::Channel => "channel",
        ChatKind::Circle => "circle",
    }
}

/// About how many bytes a message takes that has nothing to escape.
pub(super) fn room_for(view: &MessageView) -> usize {
    MESSAGE_FRAME_BYTES + texts_len(view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Seq;

    #[test]
    fn a_message_never_becomes_longer_than_expected() {
        for text in ["", "plain", "\u{1}\u{1f}\"\\\n\r\té😀\u{7f}"] {
            let view = MessageView {
                chat: text.into(),
                from: text.into(),
                id: MessageId(u64::MAX),
                previous: MessageId(u64::MAX),
                seq: Seq(0),
                time: Timestamp(u64::MAX),
                kind: Kind::Text,
                text: text.into(),
                cookie: Some(text.into()),
                extra: None,
            };
            let mut body = Vec::new();
            message(&view, 3, ObjectWriter::new(&mut body));
            assert!(body.len() <= message_len(&view), "{text}: {}", body.len());
        }
    }
}
