//! What happened in a chat, said in words: for clients whose protocol, or whose layer of it, has no
//! packet for it. With them the chain has no holes for anybody.
//!
//! The sentences are for people; no client should read them.

use std::borrow::Cow;

use crate::domain::words::{ExtraView, Kind, MessageView};

/// A record as text.
pub(in crate::wire) fn in_words(view: &MessageView) -> Cow<'_, str> {
    let nothing = ExtraView::default();
    let extra = view.extra.as_deref().unwrap_or(&nothing);
    let person = extra.person.as_deref();
    match view.kind {
        Kind::Text | Kind::Formatted | Kind::Blob | Kind::File if extra.deleted => {
            "(deleted)".into()
        }
        Kind::Text | Kind::Formatted => Cow::Borrowed(&*view.text),
        Kind::Blob => {
            let mime = extra.mime.as_deref().unwrap_or("a blob");
            format!("({mime}, {} bytes)", decoded_len(&view.text)).into()
        }
        Kind::File => match &extra.file {
            Some(file) => format!("(a file: {}, {} bytes)", file.name, file.size).into(),
            None => "(a file)".into(),
        },
        Kind::Edited if extra.deleted => "(edited, and deleted since)".into(),
        Kind::Edited => format!("(edited) {}", view.text).into(),
        Kind::Deleted => "(a message was deleted)".into(),
        Kind::Cleared => "(the messages before this were deleted)".into(),
        Kind::Created | Kind::Renamed => format!("(the chat is called \"{}\")", view.text).into(),
        Kind::Joined => match person {
            Some(person) => format!("(let {person} in)").into(),
            None => "(joined)".into(),
        },
        Kind::Left => match (person, extra.access) {
            (None, _) => "(left)".into(),
            (Some(person), Some(access)) if access.is_banned() => {
                format!("(banned {person})").into()
            }
            (Some(person), _) => format!("(removed {person})").into(),
        },
        Kind::Access => {
            let access = extra.access.unwrap_or_default();
            format!("({} has {access})", person.unwrap_or(&view.from)).into()
        }
        Kind::Notice => "(a notice)".into(),
        Kind::Invited => match &extra.place {
            Some((address, name)) => format!("(an invitation to \"{name}\", {address})").into(),
            None => "(an invitation)".into(),
        },
    }
}

/// How many bytes a text of padded base64 stands for.
fn decoded_len(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|b| *b == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}
