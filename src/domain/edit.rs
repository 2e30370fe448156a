//! Changing what was written: edits, deletions, clearings. Each leaves a record in the chain, so
//! that whoever syncs the chain learns of it; what concerns one person alone leaves it in their own
//! chain (see [`ChatId::own`]).
//!
//! An edit's record has no text of its own and a deleted message has none left, so that what was
//! deleted is unreadable at once and in no later backup, which is the compacted file.

use std::sync::Arc;

use crate::domain::chat::Readable;
use crate::domain::eyes::{Eyes, Window};
use crate::domain::id::{Address, ChatId, MessageId, Seq};
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
    (whom, till): (Whom, Option<Seq>),
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let readable = chat::readable(tx, me.account, address)?;
    let chat = readable.chat;
    let Some(reach) = reach(tx, &readable, whom, till)? else { return Ok(Reply::Done) };
    if whom == Whom::Me {
        // What is gone is not unread, and the other side sees that mark.
        mark::advance(tx, me, chat, reach, reach, news)?;
        let part = tx.member(me.account, chat)?.unwrap_or_default();
        tx.put_member(me.account, chat, &Member { cleared: reach.id, ..part })?;
        let Mark { id: target, seq } = reach;
        let extra = Extra { target, reach: seq, place: Some(chat), ..Extra::default() };
        return note(tx, context, me, Kind::Cleared, extra, news);
    }
    if !readable.part.mode().has(Access::DELETE) {
        return Err(Refusal::NotAllowed.into());
    }
    let room = room_of(tx, me, address)?;
    let Mark { id: target, seq } = reach;
    let extra = Extra { target, reach: seq, ..Extra::default() };
    keep_marks(tx, me, chat)?;
    let record = post(tx, context, me, &room, Entry::telling(Kind::Cleared, "", extra), news)?;
    Ok(Reply::Recorded { id: record.id, time: record.time })
}

/// How far a clearing goes: the last record of the chat, or the one at a place. `None`: nothing is
/// there to be cleared.
fn reach(
    tx: &Tx<'_>,
    readable: &Readable,
    whom: Whom,
    till: Option<Seq>,
) -> Result<Option<Mark>, Fault> {
    let head = readable.head;
    let reach = match till {
        None => Mark { id: head.id, seq: head.seq },
        Some(till) if till > head.seq => return Err(Refusal::NoSuchMessage.into()),
        Some(till) => match tx.message_at(readable.chat, till)? {
            Some(id) => Mark { id, seq: till },
            // It is gone already, and everything before it.
            None => return Ok(None),
        },
    };
    let gone = match whom {
        Whom::Me => readable.horizon,
        // What is gone for the caller alone is there for the others.
        Whom::All => {
            let floor = tx.floor(readable.chat)?.unwrap_or_default();
            MessageId(floor.id.0.saturating_sub(1))
        }
    };
    Ok(Some(reach).filter(|reach| reach.id > gone))
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
fn room_of(tx: &mut Tx<'_>, me: &Caller, address: &Address) -> Result<Room, Fault> {
    let writer = chat::name(tx, me.account)?;
    Ok(match chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)? {
        chat::Found::Account(other) => {
            let side = Side::Other { account: other, name: chat::name(tx, other)? };
            let chat = ChatId::direct(me.account, other);
            Room { chat, writer, side, part: tx.member(me.account, chat)? }
        }
        chat::Found::Group(chat) => {
            let name = chat.called();
            let part = tx.member(me.account, chat.id)?;
            Room { chat: chat.id, writer, side: Side::Group { name }, part }
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
    use crate::domain::testing::{Me, World, address, heard_by, ids, refused, whole};
    use crate::domain::words::{ChatChange, Command, Outcome, Query};

    fn edit(world: &mut World, me: Me, chat: &str, id: MessageId, text: &str) -> Outcome {
        let (text, spans) = (text.into(), Box::default());
        world.ask(me, Command::Edit { chat: address(chat), id, text, spans })
    }

    fn delete(world: &mut World, me: Me, chat: &str, id: MessageId, whom: Whom) -> Outcome {
        world.ask(me, Command::Delete { chat: address(chat), id, whom })
    }

    fn clear(world: &mut World, me: Me, chat: &str, whom: Whom) -> Outcome {
        world.ask(me, Command::Clear { chat: address(chat), whom, till: None })
    }

    fn record(outcome: &Outcome) -> MessageId {
        match outcome.reply {
            Ok(Reply::Recorded { id, .. }) => id,
            ref other => panic!("{other:?}"),
        }
    }

    fn rewound(world: &World, me: Me, after: MessageId) -> Vec<MessageView> {
        match world.read(me, &Query::Rewind { after, count: 500, own: true }) {
            Ok(Reply::Messages { messages, more: false }) => messages,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_edit_changes_the_message_and_leaves_a_record() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let first = world.sent(alice, "bob", "frist");
        world.now.0 += 5000;
        let outcome = edit(&mut world, alice, "bob", first, "first");
        let record = record(&outcome);
        let heard = heard_by(&outcome, bob.account, None);
        let Event::Message(view) = &**heard[0] else { panic!() };
        assert_eq!((view.id, view.kind, &*view.text), (record, Kind::Edited, "first"));
        assert_eq!((view.previous, view.extra.as_ref().unwrap().target), (first, first));
        let (history, _) = world.history(bob, "alice", whole()).unwrap();
        assert_eq!(ids(&history), [first.0, record.0]);
        assert_eq!((&*history[0].text, history[0].kind), ("first", Kind::Text));
        assert_eq!(history[0].extra.as_ref().unwrap().edited, world.now);
        // The record has no text of its own: it shows what there is now.
        edit(&mut world, alice, "bob", first, "1st");
        assert!(rewound(&world, bob, first).iter().all(|view| &*view.text == "1st"));
        // The same again is no change.
        assert!(edit(&mut world, alice, "bob", first, "1st").news.is_empty());
    }

    #[test]
    fn only_texts_of_ones_own_are_edited() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        let id = world.sent(alice, "bob", "x");
        let beyond = MessageId(id.0 + 1);
        for (me, chat, id, text, why) in [
            (bob, "alice", id, "y", Refusal::NotAllowed),
            (alice, "bob", beyond, "y", Refusal::NoSuchMessage),
            (alice, "bob", id, "", Refusal::TextEmpty),
            (carol, "bob", id, "y", Refusal::NoSuchChat),
            (carol, "nobody", id, "y", Refusal::NoSuchChat),
        ] {
            assert_eq!(refused(&edit(&mut world, me, chat, id, text)), why);
        }
        world.ask(bob, Command::Block { who: address("alice"), on: true });
        assert_eq!(refused(&edit(&mut world, alice, "bob", id, "y")), Refusal::NotAllowed);
        let gone = record(&delete(&mut world, alice, "bob", id, Whom::All));
        assert_eq!(refused(&edit(&mut world, bob, "alice", gone, "y")), Refusal::NotAllowed);
        assert_eq!(refused(&edit(&mut world, alice, "bob", gone, "y")), Refusal::NotEditable);
        assert_eq!(refused(&edit(&mut world, alice, "bob", id, "y")), Refusal::NotEditable);
    }

    #[test]
    fn what_is_deleted_for_all_keeps_its_place_and_nothing_else() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let secret = world.sent(alice, "bob", "a secret");
        edit(&mut world, alice, "bob", secret, "another secret");
        let outcome = delete(&mut world, bob, "alice", secret, Whom::All);
        let record = record(&outcome);
        assert_eq!(outcome.news.len(), 6, "both sides, and that bob has read");
        for me in [alice, bob] {
            let seen = rewound(&world, me, MessageId(0));
            assert_eq!(seen.last().unwrap().id, record);
            assert!(seen.iter().all(|view| view.text.is_empty()), "{seen:?}");
            assert!(seen[0].extra.as_ref().unwrap().deleted);
        }
        // Done once is done.
        assert!(delete(&mut world, alice, "bob", secret, Whom::All).news.is_empty());
    }

    #[test]
    fn what_is_deleted_for_me_is_there_for_the_other_side() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let first = world.sent(alice, "bob", "one");
        let second = world.sent(alice, "bob", "two");
        let outcome = delete(&mut world, alice, "bob", first, Whom::Me);
        assert_eq!(outcome.news.len(), 1, "her other devices alone");
        let (mine, _) = world.history(alice, "bob", whole()).unwrap();
        assert_eq!(ids(&mine), [first.0, second.0], "the chain has no hole");
        assert!(mine[0].text.is_empty() && mine[0].extra.as_ref().unwrap().deleted);
        let (theirs, _) = world.history(bob, "alice", whole()).unwrap();
        assert_eq!(&*theirs[0].text, "one");
        // A device that was away learns of it from what concerns her alone.
        let seen = rewound(&world, alice, second);
        assert_eq!((seen.len(), seen[0].kind, &*seen[0].chat), (1, Kind::Deleted, "bob@im.test"));
        let extra = seen[0].extra.as_ref().unwrap();
        assert!(extra.private && extra.target == first && seen[0].previous == MessageId(0));
        assert!(rewound(&world, bob, second).is_empty());
        let again = delete(&mut world, alice, "bob", first, Whom::Me);
        assert_eq!(refused(&again), Refusal::NoSuchMessage);
    }

    #[test]
    fn a_chat_that_is_cleared_comes_back_with_what_is_new() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.sent(bob, "alice", "one");
        let last = world.sent(bob, "alice", "two");
        clear(&mut world, alice, "bob", Whom::Me);
        assert!(world.chats(alice).is_empty());
        assert_eq!(world.history(alice, "bob", whole()), Err(Refusal::NoSuchChat));
        assert_eq!(world.history(bob, "alice", whole()).unwrap().0.len(), 2);
        let third = world.sent(bob, "alice", "three");
        let [chat] = &world.chats(alice)[..] else { panic!() };
        assert_eq!((chat.unread, chat.last), (1, third));
        let (mine, _) = world.history(alice, "bob", whole()).unwrap();
        assert_eq!((ids(&mine), mine[0].previous), (vec![third.0], MessageId(0)));
        let seen = rewound(&world, alice, last);
        assert_eq!(seen[0].kind, Kind::Cleared);

        let cleared = record(&clear(&mut world, bob, "alice", Whom::All));
        for (me, other) in [(alice, "bob"), (bob, "alice")] {
            assert!(world.chats(me).is_empty());
            assert_eq!(world.history(me, other, whole()), Err(Refusal::NoSuchChat));
            let seen = rewound(&world, me, third);
            assert_eq!((seen[0].id, seen[0].kind), (cleared, Kind::Cleared));
            assert_eq!(refused(&edit(&mut world, me, other, third, "x")), Refusal::NoSuchChat);
        }
        // The places go on where they were, whatever is removed meanwhile.
        world.store.sweep().unwrap();
        let next = world.sent(alice, "bob", "four");
        let (theirs, _) = world.history(bob, "alice", whole()).unwrap();
        assert_eq!(ids(&theirs), [cleared.0, next.0]);
        assert_eq!(theirs[1].seq.0, theirs[0].seq.0 + 1);
        assert_eq!(world.chats(bob)[0].unread, 1);
        let verdict = world.store.reader().verify(&mut |_| {}).unwrap();
        assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    }

    fn clear_till(world: &mut World, me: Me, chat: &str, whom: Whom, till: u32) -> Outcome {
        world.ask(me, Command::Clear { chat: address(chat), whom, till: Some(Seq(till)) })
    }

    /// The places that somebody finds in a chat.
    fn places(world: &World, me: Me, chat: &str) -> Vec<u32> {
        match world.history(me, chat, whole()) {
            Ok((history, _)) => {
                let placed = history.iter().filter(|view| view.kind.has_place());
                placed.map(|view| view.seq.0).collect()
            }
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    #[test]
    fn a_chat_is_cleared_for_me_up_to_a_place() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let sent: Vec<_> = (0..5).map(|n| world.sent(bob, "alice", &n.to_string())).collect();
        let outcome = clear_till(&mut world, alice, "bob", Whom::Me, 3);
        assert_eq!(places(&world, alice, "bob"), [4, 5]);
        assert_eq!(places(&world, bob, "alice"), [1, 2, 3, 4, 5]);
        assert_eq!((world.chats(alice)[0].unread, world.chats(bob)[0].read), (2, sent[2]));
        // Her other devices learn how far it went.
        let heard = heard_by(&outcome, alice.account, Some(alice.key));
        let Event::Message(view) = &***heard.last().unwrap() else { panic!("{heard:?}") };
        let extra = view.extra.as_ref().unwrap();
        assert_eq!((view.kind, &*view.chat), (Kind::Cleared, "bob@im.test"));
        assert_eq!((extra.target, extra.reach, extra.private), (sent[2], Seq(3), true));
        // Less than that, and what is no place, is no clearing.
        for till in [0, 1, 3] {
            let outcome = clear_till(&mut world, alice, "bob", Whom::Me, till);
            assert!(outcome.reply.is_ok() && outcome.news.is_empty(), "{till}");
        }
        let beyond = clear_till(&mut world, alice, "bob", Whom::Me, 6);
        assert_eq!(refused(&beyond), Refusal::NoSuchMessage);
        assert_eq!(places(&world, alice, "bob"), [4, 5]);
    }

    #[test]
    fn a_chat_is_cleared_for_all_up_to_a_place() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let sent: Vec<_> = (0..5).map(|n| world.sent(bob, "alice", &n.to_string())).collect();
        let outcome = clear_till(&mut world, alice, "bob", Whom::All, 3);
        let heard = heard_by(&outcome, bob.account, None);
        let Event::Message(view) = &**heard[0] else { panic!("{heard:?}") };
        assert_eq!((view.kind, view.extra.as_ref().unwrap().reach), (Kind::Cleared, Seq(3)));
        for (me, other) in [(alice, "bob"), (bob, "alice")] {
            let (history, _) = world.history(me, other, whole()).unwrap();
            assert_eq!(ids(&history), [sent[3].0, sent[4].0, record(&outcome).0]);
            assert_eq!(history[0].previous, MessageId(0));
        }
        assert_eq!(world.chats(alice)[0].unread, 0, "who clears writes, and so has read");
        // Never back, whoever says it.
        for till in [0, 1, 2, 3] {
            let outcome = clear_till(&mut world, bob, "alice", Whom::All, till);
            assert!(outcome.reply.is_ok() && outcome.news.is_empty(), "{till}");
        }
        world.store.sweep().unwrap();
        let verdict = world.store.reader().verify(&mut |_| {}).unwrap();
        assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
        // The places go on.
        world.sent(bob, "alice", "six");
        assert_eq!(places(&world, alice, "bob"), [4, 5, 6]);
        clear_till(&mut world, bob, "alice", Whom::All, 6);
        assert!(world.chats(alice).is_empty() && world.chats(bob).is_empty());
        world.store.sweep().unwrap();
        world.sent(bob, "alice", "seven");
        assert_eq!(places(&world, alice, "bob"), [7]);
        assert_eq!(world.chats(alice)[0].unread, 1);
    }

    #[test]
    fn what_i_cleared_for_myself_i_can_still_clear_for_the_others() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.group_of("garden", &[alice, bob, carol]);
        for n in 0..5 {
            world.sent(bob, "garden", &n.to_string());
        }
        clear_till(&mut world, alice, "garden", Whom::Me, 4);
        assert_eq!(places(&world, alice, "garden"), [5]);
        let outcome = clear_till(&mut world, alice, "garden", Whom::All, 2);
        assert!(!outcome.news.is_empty());
        assert_eq!(places(&world, carol, "garden"), [3, 4, 5]);
        assert_eq!(places(&world, alice, "garden"), [5]);
        let seen = |world: &mut World, me| {
            let answer = world.ask(me, Command::Subscription { chat: address("garden") }).reply;
            let Ok(Reply::Subscriptions { subscriptions, .. }) = answer else { panic!() };
            (subscriptions[0].cleared.0, subscriptions[0].last.0)
        };
        assert_eq!((seen(&mut world, alice), seen(&mut world, carol)), ((4, 5), (2, 5)));
        // What comes first for all may be gone for me.
        clear_till(&mut world, alice, "garden", Whom::All, 3);
        assert_eq!((seen(&mut world, alice), seen(&mut world, carol)), ((4, 5), (3, 5)));
        // It takes D to do it for others.
        let refusal = refused(&clear_till(&mut world, bob, "garden", Whom::All, 5));
        assert_eq!(refusal, Refusal::NotAllowed);
    }

    #[test]
    fn what_tells_of_a_chat_goes_with_the_places_before_it() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.group_of("garden", &[alice, bob]);
        for n in 0..3 {
            world.sent(alice, "garden", &n.to_string());
            let change = ChatChange { name: Some(format!("g{n}").into()), ..ChatChange::default() };
            world.ask(alice, Command::ChangeChat { chat: address("garden"), change });
        }
        let cleared = record(&clear_till(&mut world, alice, "garden", Whom::All, 2));
        let (history, _) = world.history(bob, "garden", whole()).unwrap();
        let kinds: Vec<_> = history.iter().map(|view| (view.kind, view.seq.0)).collect();
        assert_eq!(kinds, [(Kind::Text, 3), (Kind::Renamed, 3), (Kind::Cleared, 3)]);
        assert_eq!(history[2].id, cleared);
        assert_eq!(world.chats(bob)[0].unread, 1);
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
        let user: crate::domain::name::Name = "bob@im.test".into();
        let mark = Some(Mark { id: last, seq: Seq(1) });
        let marked = Event::Marked { chat: user.clone(), user, read: mark, delivered: mark };
        assert_eq!(*heard[0], marked);
        assert_eq!(*heard[1], Event::ChatsChanged(world.chats(alice)));
        assert_eq!(world.chats(alice)[0].read, last);
        // My other devices hear the mark, in two ways, and the record, while the chat is still there.
        assert_eq!(heard_by(&outcome, bob.account, Some(bob.key)).len(), 3);
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
        world.group_of("garden", &[alice, bob, carol, dave]);
        let id = world.sent(alice, "garden", "x");
        let (chat, whom) = (address("garden"), Whom::Me);
        assert!(world.ask(bob, Command::Delete { chat, id, whom }).reply.is_ok());
        world.clear(carol, "garden", whom);
        let news = edit(&mut world, alice, "garden", id, "y").news;
        for (who, expected) in [(bob, ("", true)), (carol, ("", true)), (dave, ("y", false))] {
            let (text, deleted) = text_for(&news, who);
            assert_eq!((&*text, deleted), expected, "{who:?}");
        }

        let id = world.sent(alice, "bob", "x");
        world.clear(bob, "alice", whom);
        let news = edit(&mut world, alice, "bob", id, "y").news;
        assert_eq!(text_for(&news, bob), (String::new(), true));
    }
}
