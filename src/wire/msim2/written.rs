//! What somebody writes: plain text, formatted text, a blob.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::{from_base64, id, short_text};
use super::record::span_name;
use super::refusal::Fault;
use crate::domain::id::MessageId;
use crate::domain::words::{Kind, Refusal, Span, SpanKind};
use crate::limits::{MIME_BYTES_MAX, SPANS_MAX};
use crate::wire::House;
use crate::wire::json::{Object, Value};

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
pub(super) fn plain(body: &Object<'_>, house: &House) -> Result<Arc<str>, Fault> {
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
    let bytes = from_base64(body.text_required("blob")?).ok_or(Fault::bad("blob"))?;
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

pub(super) fn spans(body: &Object<'_>) -> Result<Option<Box<[Span]>>, Fault> {
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
