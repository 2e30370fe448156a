//! Chats as their members see them, and what is unread in them.
//!
//! Only direct chats can come about so far; a chat of another kind is passed over here.
//!
//! Whoever writes has read: an author's read mark is never below their own last message. So what
//! lies above a read mark in a direct chat is the other side's, and the unread count is a
//! difference of places that needs no reading.

use std::sync::Arc;

use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq};
use crate::domain::merge::{Strand, merge};
use crate::domain::nouns::{Head, Mark, Member};
use crate::domain::session::Caller;
use crate::domain::words::{ChatView, Reply, Take};
use crate::domain::{Fault, account};
use crate::limits::{CHATS_COUNT_MAX, UNREAD_COUNT_MAX};
use crate::store::{Look, StoreError, Tx};

/// The caller's chats, newest first. Only those that are shown are looked into beyond their end.
pub(in crate::domain) fn chats(
    tx: &mut Tx<'_>,
    me: &Caller,
    before: MessageId,
    count: u32,
) -> Result<Reply, Fault> {
    let mut heads = heads(tx, me.account)?;
    heads.retain(|(_, head)| head.id < before);
    heads.sort_unstable_by_key(|(_, head)| std::cmp::Reverse(head.id));
    let count = count.min(CHATS_COUNT_MAX) as usize;
    let more = heads.len() > count;
    let mut chats = Vec::with_capacity(heads.len().min(count));
    for (chat, head) in heads.into_iter().take(count) {
        let Some(other) = chat.other(me.account) else { continue };
        let mine = tx.member(me.account, chat)?.unwrap_or_default();
        let others = tx.member(other, chat)?.unwrap_or_default();
        chats.push(view(chat, name(tx, other)?, head, &mine, &others));
    }
    Ok(Reply::Chats { chats, more })
}

/// The newest `count` unread messages over all chats, ascending.
pub(in crate::domain) fn unread(tx: &mut Tx<'_>, me: &Caller, count: u32) -> Result<Reply, Fault> {
    let mut strands = Vec::new();
    for (chat, head) in heads(tx, me.account)? {
        let mine = tx.member(me.account, chat)?.unwrap_or_default();
        if unread_count(chat, head, &mine) > 0 {
            let end = MessageId(head.id.0.saturating_add(1));
            strands.push(Strand::new(chat, mine.read.id, end));
        }
    }
    let count = count.min(UNREAD_COUNT_MAX);
    let (messages, more) = merge(tx, me.account, strands, Take::Last, count)?;
    Ok(Reply::Messages { messages, more })
}

pub(in crate::domain) fn newest(tx: &Tx<'_>, me: &Caller) -> Result<Reply, Fault> {
    let heads = heads(tx, me.account)?;
    Ok(Reply::Newest(heads.iter().map(|(_, head)| head.id).max().unwrap_or_default()))
}

/// The direct chats of an account that have messages, with their ends.
pub(in crate::domain) fn heads(
    look: &impl Look,
    me: AccountNo,
) -> Result<Vec<(ChatId, Head)>, StoreError> {
    let mut heads = Vec::new();
    for (chat, _) in look.chats_of(me)? {
        if chat.pair().is_none() {
            continue;
        }
        let head = look.head(chat)?;
        if head.seq > Seq(0) {
            heads.push((chat, head));
        }
    }
    Ok(heads)
}

/// The direct chat with an address, whether there is anything in it or not; `None` for an address
/// that names nobody known here.
pub(in crate::domain) fn with(
    look: &impl Look,
    me: AccountNo,
    address: &Address,
) -> Result<Option<ChatId>, StoreError> {
    Ok(look.account_by_address(address)?.map(|other| ChatId::direct(me, other)))
}

/// A chat in the words of the member whose part is `mine`.
pub(in crate::domain) fn view(
    chat: ChatId,
    name: Arc<str>,
    head: Head,
    mine: &Member,
    others: &Member,
) -> ChatView {
    if is_notes(chat) {
        // mSIM 2, decision 51: nobody else could read or receive anything there.
        let last = head.id;
        return ChatView {
            chat: name,
            unread: 0,
            last,
            read: last,
            delivered: last,
            my_read: last,
        };
    }
    ChatView {
        chat: name,
        unread: unread_count(chat, head, mine),
        last: head.id,
        read: others.read.id,
        delivered: others.delivered.max(others.read).id,
        my_read: mine.read.id,
    }
}

/// Whether it is somebody's chat with themselves.
pub(in crate::domain) fn is_notes(chat: ChatId) -> bool {
    chat.pair().is_some_and(|(low, high)| low == high)
}

/// What an account is called on the wire: its address.
pub(in crate::domain) fn name(look: &impl Look, no: AccountNo) -> Result<Arc<str>, StoreError> {
    Ok(account::row(look, no)?.address.to_string().into())
}

/// A member's part after they have come as far as `mark`, which is never back.
pub(in crate::domain) fn advanced(member: &Member, delivered: Mark, read: Mark) -> Member {
    let read = member.read.max(read);
    Member { read, delivered: member.delivered.max(delivered).max(read), ..*member }
}

fn unread_count(chat: ChatId, head: Head, mine: &Member) -> u32 {
    if is_notes(chat) { 0 } else { head.seq.0.saturating_sub(mine.read.seq.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{World, ids};
    use crate::domain::words::Command;

    #[test]
    fn chats_come_newest_first_in_pages() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.sent(alice, "bob", "x");
        let second = world.sent(carol, "alice", "x");
        world.sent(alice, "alice", "x");
        let third = world.sent(bob, "alice", "x");
        let names = |chats: &[ChatView]| {
            chats.iter().map(|c| c.chat.split('@').next().unwrap().into()).collect::<Vec<String>>()
        };
        assert_eq!(names(&world.chats(alice)), ["bob", "alice", "carol"]);
        let page = |world: &mut World, before, count| match world
            .ask(alice, Command::Chats { before, count })
            .reply
        {
            Ok(Reply::Chats { chats, more }) => (names(&chats), more),
            other => panic!("{other:?}"),
        };
        assert_eq!(page(&mut world, MessageId::END, 1), (vec!["bob".into()], true));
        let rest = (vec!["alice".into(), "carol".into()], false);
        assert_eq!(page(&mut world, third, 2), rest);
        assert_eq!(page(&mut world, second, 10), (Vec::new(), false));
        assert!(
            matches!(world.ask(alice, Command::Newest).reply, Ok(Reply::Newest(id)) if id == third)
        );
        assert!(
            matches!(world.ask(carol, Command::Newest).reply, Ok(Reply::Newest(id)) if id == second)
        );
    }

    #[test]
    fn an_account_without_chats_has_no_newest_message() {
        let (mut world, [alice]) = World::of(["alice"]);
        assert!(world.chats(alice).is_empty());
        let newest = world.ask(alice, Command::Newest).reply;
        assert!(matches!(newest, Ok(Reply::Newest(MessageId(0)))));
    }

    #[test]
    fn unread_is_the_newest_over_all_chats_ascending() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        let mut all = Vec::new();
        for n in 0..12 {
            all.push(world.sent(if n % 3 == 0 { bob } else { carol }, "alice", "x").0);
        }
        world.mark_read(alice, None, MessageId(all[3]));
        let expected: Vec<u64> = (0..12).filter(|n| n % 3 != 0 || *n > 3).map(|n| all[n]).collect();
        let unread =
            |world: &mut World, count| match world.ask(alice, Command::Unread { count }).reply {
                Ok(Reply::Messages { messages, more }) => (ids(&messages), more),
                other => panic!("{other:?}"),
            };
        assert_eq!(unread(&mut world, 200), (expected.clone(), false));
        assert_eq!(unread(&mut world, 10), (expected.clone(), false));
        assert_eq!(unread(&mut world, 9), (expected[1..].to_vec(), true));
        assert_eq!(unread(&mut world, 1), (expected[9..].to_vec(), true));
        // What I wrote myself is not unread, and reads what came before it.
        world.sent(alice, "carol", "x");
        assert_eq!(unread(&mut world, 200), (vec![all[6], all[9]], false));
        let sum: u32 = world.chats(alice).iter().map(|c| c.unread).sum();
        assert_eq!(sum, 2);
    }

    #[test]
    fn unread_has_a_cap() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        let last = (0..UNREAD_COUNT_MAX + 1).map(|_| world.sent(alice, "bob", "x")).last();
        let bob = world.log_in("bob");
        match world.ask(bob, Command::Unread { count: u32::MAX }).reply {
            Ok(Reply::Messages { messages, more: true }) => {
                assert_eq!(messages.len(), UNREAD_COUNT_MAX as usize);
                assert_eq!(messages.last().map(|m| m.id), last);
            }
            other => panic!("{other:?}"),
        }
    }
}
