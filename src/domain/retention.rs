//! How long what was written is kept: as the server says, in a group or a channel shorter where its
//! owner says so. What is older goes for everybody, as when a chat is cleared up to there; no record
//! tells of it, because it would come every day.
//!
//! **A chat's last record stays:** it holds the chat's number of places, the end of its chain and its
//! time. What it said goes.

use crate::domain::Fault;
use crate::domain::id::{ChatId, MessageId, Seq};
use crate::domain::nouns::{Extra, Mark, Message};
use crate::domain::words::{Kind, Range, Refusal, Take};
use crate::limits::RETENTION_DAYS_MAX;
use crate::store::{Look, StoreError, Tx};

/// Days are a number that somebody may have meant.
pub(in crate::domain) fn check(days: u32) -> Result<(), Fault> {
    if days <= RETENTION_DAYS_MAX { Ok(()) } else { Err(Refusal::BadField.into()) }
}

/// For how many days the messages of a chat are kept; `None`: for ever. `server`: the same for all of
/// them.
pub fn days_kept(
    look: &impl Look,
    chat: ChatId,
    server: Option<u32>,
) -> Result<Option<u32>, StoreError> {
    let own = match chat.is_group() {
        true => look.chat(chat)?.map(|chat| chat.retention).filter(|days| *days > 0),
        false => None,
    };
    Ok(server.into_iter().chain(own).min())
}

/// Lets everything of a chat go that is older than `before`. Whether there was anything.
pub fn expire(tx: &mut Tx<'_>, chat: ChatId, before: MessageId) -> Result<bool, StoreError> {
    let floor = tx.floor(chat)?.unwrap_or_default();
    if before <= floor.id || first(tx, chat, floor.id)?.is_none_or(|first| before <= first.id) {
        return Ok(false);
    }
    let head = tx.head(chat)?;
    let left = first(tx, chat, before)?;
    let next = match &left {
        // What has no place of its own shares that of one that goes.
        Some(left) if left.kind.has_place() => Mark { id: left.id, seq: left.seq },
        Some(left) => Mark { id: left.id, seq: after(left.seq) },
        None => Mark { id: head.id, seq: after(head.seq) },
    };
    // The one that is left may be one that stayed.
    if next <= floor {
        return Ok(false);
    }
    tx.keep_marks(chat, next)?;
    if left.is_none()
        && let Some(last) = tx.message(chat, head.id)?
        && let Some(silent) = silenced(last)
    {
        tx.rewrite(&silent)?;
    }
    tx.put_floor(chat, next)?;
    Ok(true)
}

fn after(seq: Seq) -> Seq {
    Seq(seq.0.saturating_add(1))
}

/// The oldest record of a chat from an id on.
fn first(look: &impl Look, chat: ChatId, from: MessageId) -> Result<Option<Message>, StoreError> {
    let after = MessageId(from.0.saturating_sub(1));
    let range = Range { after, before: MessageId::END, since: None, count: 1, take: Take::First };
    Ok(look.messages(chat, &range)?.0.pop())
}

/// A record without what it said; `None` where it says nothing that people have written.
fn silenced(last: Message) -> Option<Message> {
    let extra = last.extra.clone().unwrap_or_default();
    let extra = match last.kind {
        Kind::Text | Kind::Formatted | Kind::Blob | Kind::File => {
            Extra { reply_to: extra.reply_to, deleted: true, ..Extra::default() }
        }
        // What its cause wanted to have passed on.
        Kind::Notice => *extra,
        Kind::Edited
        | Kind::Deleted
        | Kind::Cleared
        | Kind::Joined
        | Kind::Left
        | Kind::Invited
        | Kind::Renamed
        | Kind::Access
        | Kind::Created => return None,
    };
    Some(Message { text: "".into(), extra: Some(Box::new(extra)), ..last })
}

#[cfg(test)]
mod tests;
