//! Changing what was written: edits, deletions, clearings. Each leaves a record in the chain, so
//! that whoever syncs the chain learns of it; what concerns one person alone leaves it in their own
//! chain (see [`ChatId::own`]).
//!
//! An edit's record has no text of its own and a deleted message has none left, so that what was
//! deleted is unreadable at once, and gone from the file with the next backup.

use std::sync::Arc;

use crate::domain::eyes::{Eyes, Window};
use crate::domain::id::{Address, ChatId, MessageId};
use crate::domain::message::{Room, Side, enter, post, visible};
use crate::domain::nouns::{Access, Entry, Extra, Mark, Member, Message};
use crate::domain::session::Caller;
use crate::domain::words::{Event, Kind, MessageView, News, Refusal, Reply, Span, Whom};
use crate::domain::{Context, Fault, chat, mark, spans};
use crate::store::{Look, StoreError, Tx};

/// Another text for a message of mine; with spans it is formatted. The same text again changes
/// nothing.
pub(in crate::domain) fn edit(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    (address, id): (&Address, MessageId),
    (text, spans): (Arc<str>, Box<[Span]>),
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if text.is_empty() {
        return Err(Refusal::TextEmpty.into());
    }
    if text.len() > context.limits.max_text_bytes {
        return Err(Refusal::TextTooLong.into());
    }
    let spans = spans::checked(&text, spans)?;
    let mut message = visible(tx, me.account, address, id)?;
    if message.from != me.account {
        return Err(Refusal::NotAllowed.into());
    }
    let extra = message.extra.take().unwrap_or_default();
    match message.kind {
        Kind::Text | Kind::Formatted if !extra.deleted => {}
        _ => return Err(Refusal::NotEditable.into()),
    }
    let found = chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)?;
    let room = enter(tx, me.account, &found)?;
    if message.text == text && extra.spans == spans {
        return Ok(Reply::Recorded { id: message.id, time: message.time });
    }
    message.kind = if spans.is_empty() { Kind::Text } else { Kind::Formatted };
    message.text = text;
    message.extra = Some(Box::new(Extra { spans, edited: context.now, ..*extra }));
    tx.rewrite(&message)?;
    let entry = Entry::telling(Kind::Edited, "", Extra { target: id, ..Extra::default() });
    let record = post(tx, context, me, &room, entry, news)?;
    Ok(Reply::Recorded { id: record.id, time: record.time })
}

/// For all: the author, or who holds D there. For me: anybody who sees it.
pub(in crate::domain) fn delete(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    (address, id): (&Address, MessageId),
    whom: Whom,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let mut message = visible(tx, me.account, address, id)?;
    if whom == Whom::Me {
        tx.hide(me.account, message.chat, id)?;
        let extra = Extra { target: id, place: Some(message.chat), ..Extra::default() };
        return note(tx, context, me, Kind::Deleted, extra, news);
    }
    match message.kind {
        Kind::Text | Kind::Formatted | Kind::Blob | Kind::File => {}
        _ => return Err(Refusal::NotEditable.into()),
    }
    let mode = tx.part(me.account, message.chat)?.unwrap_or_default().mode();
    if message.from != me.account && !mode.has(Access::DELETE) {
        return Err(Refusal::NotAllowed.into());
    }
    let extra = message.extra.take().unwrap_or_default();
    if extra.deleted {
        return Ok(Reply::Recorded { id: message.id, time: message.time });
    }
    let room = room_of(tx, me, address)?;
    message.text = "".into();
    let reply_to = extra.reply_to;
    message.extra = Some(Box::new(Extra { reply_to, deleted: true, ..Extra::default() }));
    tx.rewrite(&message)?;
    let entry = Entry::telling(Kind::Deleted, "", Extra { target: id, ..Extra::default() });
    let record = post(tx, context, me, &room, entry, news)?;
    Ok(Reply::Recorded { id: record.id, time: record.time })
}

/// Deletes what there is of a chat. For all: either side of a direct chat, who holds D in a group.
pub(in crate::domain) fn clear(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    whom: Whom,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let readable = chat::readable(tx, me.account, address)?;
    let (chat, head) = (readable.chat, readable.head);
    if whom == Whom::Me {
        let old = tx.member(me.account, chat)?.unwrap_or_default();
        // What is gone is not unread.
        let end = Mark { id: head.id, seq: head.seq };
        let new = Member { cleared: head.id, ..chat::advanced(&old, end, end) };
        tx.put_member(me.account, chat, &new)?;
        let extra = Extra { target: head.id, place: Some(chat), ..Extra::default() };
        let reply = note(tx, context, me, Kind::Cleared, extra, news)?;
        if !chat::is_notes(chat) {
            mark::tell_moved(tx, me, chat, (&old, &new), news)?;
        }
        return Ok(reply);
    }
    if !readable.part.mode().has(Access::DELETE) {
        return Err(Refusal::NotAllowed.into());
    }
    let room = room_of(tx, me, address)?;
    let entry = Entry::telling(Kind::Cleared, "", Extra { target: head.id, ..Extra::default() });
    keep_marks(tx, me, chat)?;
    let record = post(tx, context, me, &room, entry, news)?;
    Ok(Reply::Recorded { id: record.id, time: record.time })
}

/// Marks that follow from somebody's own messages are written before these go.
fn keep_marks(tx: &mut Tx<'_>, me: &Caller, chat: ChatId) -> Result<(), StoreError> {
    let everybody = match chat.other(me.account) {
        Some(other) => vec![me.account, other],
        None => tx.members_of(chat)?,
    };
    for who in everybody {
        if let Some(part) = tx.member(who, chat)?
            && tx.part(who, chat)? != Some(part)
        {
            tx.put_member(who, chat, &part)?;
        }
    }
    Ok(())
}

/// The chat as one that its member changes: deleting needs no W, and asks no other side.
fn room_of(tx: &Tx<'_>, me: &Caller, address: &Address) -> Result<Room, Fault> {
    let writer = chat::name(tx, me.account)?;
    Ok(match chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)? {
        chat::Found::Account(other) => {
            let side = Side::Other { account: other, name: chat::name(tx, other)? };
            Room { chat: ChatId::direct(me.account, other), writer, side }
        }
        chat::Found::Group(chat) => {
            let name = chat.address.to_string().into();
            Room { chat: chat.id, writer, side: Side::Group { name } }
        }
    })
}

/// A record of one's own chain, for one's other devices.
fn note(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    kind: Kind,
    extra: Extra,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let chat = ChatId::own(me.account);
    let record = tx.record(chat, me.account, context.now, Entry::telling(kind, "", extra))?;
    let view = see_own(tx, me, &record)?;
    news.push(News::to_one(me.account, Some(me.key), Event::Message(view)));
    Ok(Reply::Recorded { id: record.id, time: record.time })
}

fn see_own(tx: &Tx<'_>, me: &Caller, record: &Message) -> Result<MessageView, StoreError> {
    let name = chat::name(tx, me.account)?;
    let window = Window { name, horizon: MessageId(0) };
    Eyes::new(tx, me.account).see(record, &window, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{Me, World, address, heard_by};
    use crate::domain::words::Command;

    fn edited(world: &mut World, me: Me, chat: &str, id: MessageId, text: &str) -> Vec<News> {
        let (chat, text) = (address(chat), text.into());
        let outcome = world.ask(me, Command::Edit { chat, id, text, spans: Box::default() });
        assert!(outcome.reply.is_ok(), "{outcome:?}");
        outcome.news
    }

    /// What somebody hears of an edit.
    fn text_for(news: &[News], who: Me) -> (String, bool) {
        let is_theirs = |news: &&News| news.to.accounts().any(|to| to == who.account);
        let mut theirs = news.iter().filter(is_theirs).map(|news| &**news.event);
        match theirs.next() {
            Some(Event::Message(view)) => {
                let deleted = view.extra.as_ref().is_some_and(|extra| extra.deleted);
                (view.text.to_string(), deleted)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clearing_for_oneself_tells_the_others_how_far_one_has_read() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let last = world.sent(alice, "bob", "x");
        let outcome = world.clear(bob, "alice", Whom::Me);
        let heard = heard_by(&outcome, alice.account, None);
        let user: Arc<str> = "bob@im.test".into();
        assert_eq!(*heard[0], Event::ReadTill { chat: user.clone(), id: last, user });
        assert_eq!(*heard[1], Event::ChatsChanged(world.chats(alice)));
        assert_eq!(world.chats(alice)[0].read, last);
        // To me the chat is not there any more: the record is all that my other devices hear.
        assert_eq!(heard_by(&outcome, bob.account, Some(bob.key)).len(), 1);
    }

    #[test]
    fn marks_outlive_the_messages_that_they_follow_from() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.sent(alice, "bob", "one");
        let second = world.sent(alice, "bob", "two");
        world.clear(bob, "alice", Whom::All);
        world.store.sweep().unwrap();
        let chat = ChatId::direct(alice.account, bob.account);
        let part = world.store.reader().read(|look| look.part(alice.account, chat)).unwrap();
        assert_eq!(part.unwrap().read.id, second);
    }

    #[test]
    fn an_edit_is_not_shown_to_who_deleted_the_message_for_themselves() {
        let (mut world, [alice, bob, carol, dave]) = World::of(["alice", "bob", "carol", "dave"]);
        world.group("garden", &[alice, bob, carol, dave]);
        let id = world.sent(alice, "garden", "x");
        let (chat, whom) = (address("garden"), Whom::Me);
        assert!(world.ask(bob, Command::Delete { chat, id, whom }).reply.is_ok());
        world.clear(carol, "garden", whom);
        let news = edited(&mut world, alice, "garden", id, "y");
        for (who, expected) in [(bob, ("", true)), (carol, ("", true)), (dave, ("y", false))] {
            let (text, deleted) = text_for(&news, who);
            assert_eq!((&*text, deleted), expected, "{who:?}");
        }

        let id = world.sent(alice, "bob", "x");
        world.clear(bob, "alice", whom);
        let news = edited(&mut world, alice, "bob", id, "y");
        assert_eq!(text_for(&news, bob), (String::new(), true));
    }
}
