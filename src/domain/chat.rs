//! Chats as their members see them, and what is unread in them.
//!
//! Whoever writes has read: an author's read mark is never below their own last message. So what
//! lies above a read mark is others', and the unread count is a difference of places that needs no
//! reading.

use crate::domain::Fault;
use crate::domain::eyes::{Eyes, Window};
use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq};
use crate::domain::merge::{Strand, merge};
use crate::domain::name::Name;
use crate::domain::nouns::{Access, Chat, Head, Mark, Member};
use crate::domain::session::Caller;
use crate::domain::words::{ChatView, GroupPart, Kind, Refusal, Reply, Take};
use crate::limits::{CHATS_COUNT_MAX, CHATS_PARTS_MAX, UNREAD_COUNT_MAX};
use crate::store::{Look, Roster, StoreError, Tx};

pub(in crate::domain) use crate::domain::eyes::name;

/// What an address of this server leads to.
#[derive(Clone, Debug)]
pub(in crate::domain) enum Found {
    /// The account, whatever became of it.
    Account(AccountNo),
    /// A group or a channel that was not removed.
    Group(Box<Chat>),
}

/// Follows an address; `None` for one that names nothing known here.
pub(in crate::domain) fn find(
    look: &impl Look,
    address: &Address,
) -> Result<Option<Found>, StoreError> {
    if let Some(account) = look.account_by_address(address)? {
        return Ok(Some(Found::Account(account)));
    }
    let Some(id) = look.chat_by_address(address)? else { return Ok(None) };
    let chat = look.chat(id)?.filter(|chat| !chat.removed);
    Ok(chat.map(|chat| Found::Group(Box::new(chat))))
}

/// A chat that somebody can read, with their part in it.
#[derive(Clone, Debug)]
pub(in crate::domain) struct Readable {
    pub(in crate::domain) chat: ChatId,
    pub(in crate::domain) head: Head,
    /// As it lies on the disk.
    pub(in crate::domain) part: Member,
    /// What lies at or before it is gone for this reader.
    pub(in crate::domain) horizon: MessageId,
    /// So much of the chat is gone for everybody.
    gone: Seq,
}

impl Readable {
    /// A direct chat that somebody has a part in and in which something is left, a group that they
    /// may read.
    pub(in crate::domain) fn of(
        look: &impl Look,
        chat: ChatId,
        part: Member,
    ) -> Result<Option<Readable>, StoreError> {
        let floor = look.floor(chat)?.unwrap_or_default();
        let Some(horizon) = above(floor, &part) else { return Ok(None) };
        let head = look.head(chat)?;
        let is_there = match chat.is_group() {
            true => head.id > MessageId(0),
            // What tells of a deletion is nothing by itself, nor is what has no place.
            false => head.id > horizon && (head.id > floor.id || head.seq >= floor.seq),
        };
        let gone = Seq(floor.seq.0.saturating_sub(1));
        Ok(is_there.then_some(Readable { chat, head, part, horizon, gone }))
    }

    pub(in crate::domain) fn window(
        &self,
        look: &impl Look,
        me: AccountNo,
    ) -> Result<Window, StoreError> {
        Ok(Window { name: name_of(look, me, self.chat)?, horizon: self.horizon })
    }

    /// What lies between two ids, for its reader.
    pub(in crate::domain) fn strand(&self, after: MessageId, before: MessageId) -> Strand {
        Strand::new(self.chat, self.horizon, after, before)
    }
}

/// What lies at or before this is gone for the member with this part; `None`: they may not read at
/// all. The record at a chat's floor is still there, and says that there was something before.
pub(in crate::domain) fn horizon(
    look: &impl Look,
    chat: ChatId,
    part: &Member,
) -> Result<Option<MessageId>, StoreError> {
    Ok(above(look.floor(chat)?.unwrap_or_default(), part))
}

/// What lies at or before this is gone of somebody's own chain.
pub(in crate::domain) fn own_horizon(
    look: &impl Look,
    me: AccountNo,
) -> Result<MessageId, StoreError> {
    let floor = look.floor(ChatId::own(me))?.unwrap_or_default();
    Ok(MessageId(floor.id.0.saturating_sub(1)))
}

fn above(floor: Mark, part: &Member) -> Option<MessageId> {
    part.mode()
        .has(Access::READ)
        .then_some(part.cleared.max(MessageId(floor.id.0.saturating_sub(1))))
}

/// What somebody calls a chat: the other side's address, or the group's own.
pub(in crate::domain) fn name_of(
    look: &impl Look,
    me: AccountNo,
    chat: ChatId,
) -> Result<Name, StoreError> {
    if let Some(other) = chat.other(me) {
        return name(look, other);
    }
    match look.chat(chat)? {
        Some(chat) => Ok(chat.called()),
        // One's own chain is about oneself.
        None => name(look, me),
    }
}

/// The chat at an address as one that the reader has; a chat that is not theirs, or that has nothing
/// in it, is not there.
pub(in crate::domain) fn readable(
    look: &impl Look,
    me: AccountNo,
    address: &Address,
) -> Result<Readable, Fault> {
    let chat = match find(look, address)? {
        Some(Found::Account(other)) => ChatId::direct(me, other),
        Some(Found::Group(chat)) => chat.id,
        None => return Err(Refusal::NoSuchChat.into()),
    };
    let Some(part) = look.part(me, chat)? else { return Err(Refusal::NoSuchChat.into()) };
    Readable::of(look, chat, part)?.ok_or_else(|| Refusal::NoSuchChat.into())
}

/// Whether somebody has a part in the chat at an address that lets them read, whatever is in it.
pub(in crate::domain) fn is_mine(
    look: &impl Look,
    me: AccountNo,
    address: &Address,
) -> Result<bool, StoreError> {
    let chat = match find(look, address)? {
        Some(Found::Account(other)) => ChatId::direct(me, other),
        Some(Found::Group(chat)) => chat.id,
        None => return Ok(false),
    };
    Ok(look.part(me, chat)?.is_some_and(|part| part.mode().has(Access::READ)))
}

/// Every chat that somebody can read.
pub(in crate::domain) fn readables(
    look: &impl Look,
    me: AccountNo,
) -> Result<Vec<Readable>, StoreError> {
    let mut found = Vec::new();
    for (chat, part) in look.chats_of(me)? {
        found.extend(Readable::of(look, chat, part)?);
    }
    Ok(found)
}

/// The caller's chats, newest first. Only those that are shown are looked into beyond their end, and
/// the answer ends with the one that passes `CHATS_PARTS_MAX`: the engine itself looks at them.
pub(in crate::domain) fn chats(
    tx: &mut Tx<'_>,
    me: &Caller,
    before: MessageId,
    count: u32,
) -> Result<Reply, Fault> {
    let mut all = readables(tx, me.account)?;
    all.retain(|chat| chat.head.id < before);
    all.sort_unstable_by_key(|chat| std::cmp::Reverse(chat.head.id));
    let count = count.min(CHATS_COUNT_MAX) as usize;
    let mut all = all.into_iter();
    let mut chats = Vec::with_capacity(all.len().min(count));
    let mut parts = 0;
    for readable in all.by_ref().take(count) {
        chats.extend(look_at(tx, me.account, readable.chat)?);
        if readable.chat.is_group() {
            parts += tx.roster(readable.chat)?.parts().len();
        }
        if parts >= CHATS_PARTS_MAX {
            break;
        }
    }
    Ok(Reply::Chats { chats, more: all.len() > 0 })
}

/// The newest `count` unread messages over all chats, ascending: those that are counted as unread.
pub(in crate::domain) fn unread(tx: &mut Tx<'_>, me: &Caller, count: u32) -> Result<Reply, Fault> {
    let mut strands = Vec::new();
    for readable in readables(tx, me.account)? {
        let chat = readable.chat;
        let mine = tx.member(me.account, chat)?.unwrap_or_default();
        let unread = unread_count(&readable, &mine);
        if unread > 0 {
            let end = MessageId(readable.head.id.0.saturating_add(1));
            strands.push(readable.strand(mine.read.id, end).of_places(unread));
        }
    }
    let count = count.min(UNREAD_COUNT_MAX);
    let (messages, more) = merge(tx, me.account, strands, Take::Last, count)?;
    Ok(Reply::Messages { messages, more })
}

/// The last record of somebody's own chain that is no notice.
pub(in crate::domain) fn own_end(look: &impl Look, me: AccountNo) -> Result<MessageId, StoreError> {
    let mut end = MessageId(0);
    let horizon = own_horizon(look, me)?;
    look.glance(ChatId::own(me), horizon, MessageId::END, &mut |record| {
        if record.kind != Kind::Notice {
            end = record.id;
        }
        record.kind == Kind::Notice
    })?;
    Ok(end)
}

/// Where a rewind ends: with what there is of a chat, or with the record that it was deleted.
pub(in crate::domain) fn newest(tx: &Tx<'_>, me: &Caller) -> Result<Reply, Fault> {
    let mut newest = own_end(tx, me.account)?;
    for (chat, part) in tx.chats_of(me.account)? {
        let head = tx.head(chat)?.id;
        if head > newest && horizon(tx, chat, &part)?.is_some_and(|horizon| head > horizon) {
            newest = head;
        }
    }
    Ok(Reply::Newest(newest))
}

/// A chat as `me` sees it now; `None` where it is none of theirs.
pub(in crate::domain) fn look_at(
    tx: &mut Tx<'_>,
    me: AccountNo,
    chat: ChatId,
) -> Result<Option<ChatView>, StoreError> {
    let Some(mine) = tx.member(me, chat)? else { return Ok(None) };
    let Some(readable) = Readable::of(tx, chat, mine)? else { return Ok(None) };
    let name = name_of(tx, me, chat)?;
    let Some(row) = tx.chat(chat)? else {
        let other = chat.other(me).unwrap_or(me);
        let others = other_part(tx, other, chat)?;
        return Ok(Some(view(&readable, name, &mine, &others)));
    };
    let others = least(tx.roster(chat)?, me);
    let group = GroupPart { kind: row.kind, name: row.name, mode: mine.mode() };
    let view = view(&readable, name, &mine, &others);
    Ok(Some(ChatView { group: Some(Box::new(group)), ..view }))
}

/// The part of one side of a direct chat; how far who has left it had come they have still come.
pub(in crate::domain) fn other_part(
    tx: &mut Tx<'_>,
    who: AccountNo,
    chat: ChatId,
) -> Result<Member, StoreError> {
    Ok(match tx.member(who, chat)? {
        Some(part) => part,
        None => tx.left(who, chat)?.unwrap_or_default(),
    })
}

/// How far all the others have come: the least of what each of those who can read has read and
/// received.
pub(in crate::domain) fn least(roster: &Roster, me: AccountNo) -> Member {
    let mut least: Option<Member> = None;
    for (_, member) in roster.reading().filter(|(who, _)| *who != me) {
        least = Some(match least {
            None => *member,
            Some(so_far) => Member {
                read: so_far.read.min(member.read),
                delivered: so_far.delivered.min(member.delivered),
                ..so_far
            },
        });
    }
    least.unwrap_or_default()
}

/// A chat in the words of the member whose part is `mine`.
pub(in crate::domain) fn view(
    readable: &Readable,
    name: Name,
    mine: &Member,
    others: &Member,
) -> ChatView {
    let last = readable.head.id;
    if is_notes(readable.chat) {
        // mSIM 2, decision 51: nobody else could read or receive anything there.
        return ChatView {
            chat: name,
            unread: 0,
            last,
            read: last,
            delivered: last,
            my_read: last,
            group: None,
        };
    }
    ChatView {
        chat: name,
        unread: unread_count(readable, mine),
        last,
        read: others.read.id,
        delivered: others.delivered.max(others.read).id,
        my_read: mine.read.id,
        group: None,
    }
}

/// Whether it is somebody's chat with themselves.
pub(in crate::domain) fn is_notes(chat: ChatId) -> bool {
    chat.pair().is_some_and(|(low, high)| low == high)
}

/// A member's part after they have come as far as `mark`, which is never back.
pub(in crate::domain) fn advanced(member: &Member, delivered: Mark, read: Mark) -> Member {
    let read = member.read.max(read);
    Member { read, delivered: member.delivered.max(delivered).max(read), ..*member }
}

/// What is gone for everybody is not unread, nor is anything that has no place.
fn unread_count(readable: &Readable, mine: &Member) -> u32 {
    if is_notes(readable.chat) {
        return 0;
    }
    readable.head.seq.0.saturating_sub(mine.read.seq.max(readable.gone).0)
}

/// The last message of a chat as its owner's list of contacts shows it; `None` where there is none
/// for them.
pub(in crate::domain) fn last_message(
    look: &impl Look,
    me: AccountNo,
    other: AccountNo,
) -> Result<Option<crate::domain::words::MessageView>, StoreError> {
    let chat = ChatId::direct(me, other);
    let Some(part) = look.part(me, chat)? else { return Ok(None) };
    let Some(readable) = Readable::of(look, chat, part)? else { return Ok(None) };
    let Some(last) = look.message(chat, readable.head.id)? else { return Ok(None) };
    let hidden = look.hidden(me, chat, last.previous, MessageId(last.id.0 + 1))?;
    let window = readable.window(look, me)?;
    Eyes::new(look, me).see(&last, &window, !hidden.is_empty()).map(Some)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::id::Timestamp;
    use crate::domain::testing::{World, address, ids};
    use crate::domain::words::{Command, Query, Whom};

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
    fn a_page_of_chats_ends_where_too_many_are_in_them() {
        let (mut world, [alice]) = World::of(["alice"]);
        let chats: Vec<ChatId> =
            ["one", "two", "three"].iter().map(|name| world.group(alice, name)).collect();
        // Whoever has a part counts, and who is banned has one.
        let banned = Member { given: Access::BANNED, ..Member::default() };
        world.force(|tx| {
            for chat in chats {
                for no in 0..CHATS_PARTS_MAX as u32 / 2 {
                    tx.put_member(AccountNo(1000 + no), chat, &banned)?;
                }
            }
            Ok(())
        });
        let page = |world: &mut World, before| match world
            .ask(alice, Command::Chats { before, count: 500 })
            .reply
        {
            Ok(Reply::Chats { chats, more }) => (chats, more),
            other => panic!("{other:?}"),
        };
        let (first, more) = page(&mut world, MessageId::END);
        assert!(first.len() == 2 && more);
        let (rest, more) = page(&mut world, first[1].last);
        assert!(rest.len() == 1 && &*rest[0].chat == "one@im.test" && !more);
    }

    #[test]
    fn a_rewind_ends_with_what_is_in_it() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let newest = |world: &mut World| match world.ask(bob, Command::Newest).reply {
            Ok(Reply::Newest(id)) => id,
            other => panic!("{other:?}"),
        };
        let rewound = |world: &World, count| {
            let rewind = Query::Rewind { after: MessageId(0), count, own: true };
            let Ok(Reply::Messages { messages, more }) = world.read(bob, &rewind) else { panic!() };
            (ids(&messages), more)
        };
        let invite = |world: &mut World, name: &str| {
            world.group(alice, name);
            let (chat, who) = (address(name), address("bob"));
            let invite = Command::Invite { chat, who, access: None, note: "".into() };
            assert!(world.ask(alice, invite).reply.is_ok());
        };
        let said = world.sent(alice, "bob", "x");
        let (chat, whom) = (address("alice"), Whom::Me);
        let hidden = world.ask(bob, Command::Delete { chat, id: said, whom }).reply;
        let Ok(Reply::Recorded { id: hidden, .. }) = hidden else { panic!("{hidden:?}") };
        let (chat, want, note) = (address("bob"), None, "".into());
        world.add_user("carol");
        let carol = world.log_in("carol");
        // A notice, which is asked for by itself.
        assert!(world.ask(carol, Command::Subscribe { chat, want, note }).reply.is_ok());
        assert_eq!(newest(&mut world), hidden);
        assert_eq!(rewound(&world, 2), (vec![said.0, hidden.0], false));
        invite(&mut world, "garden");
        let last = newest(&mut world);
        assert_eq!(rewound(&world, 9), (vec![said.0, hidden.0, last.0], false));
        assert!(rewound(&world, 2).1);
    }

    #[test]
    fn what_is_gone_for_everybody_is_not_unread() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.group_of("garden", &[alice, bob, carol]);
        for chat in ["bob", "garden"] {
            for text in ["one", "two", "three"] {
                world.sent(alice, chat, text);
            }
            world.clear(alice, chat, Whom::All);
            world.sent(alice, chat, "four");
        }
        // What came after the clearing, whose record has no place; before it all of each chat.
        let unread: Vec<_> = world.chats(bob).iter().map(|chat| chat.unread).collect();
        assert_eq!(unread, [1, 1]);
        let listed: Vec<_> = world.unread(bob).iter().map(|m| m.text.to_string()).collect();
        assert_eq!(listed, ["four", "four"]);
    }

    #[test]
    fn the_newest_is_where_a_rewind_ends() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.sent(alice, "bob", "x");
        let Ok(Reply::Recorded { id, .. }) = world.clear(alice, "bob", Whom::All).reply else {
            panic!()
        };
        let newest = world.ask(bob, Command::Newest).reply;
        assert!(matches!(newest, Ok(Reply::Newest(newest)) if newest == id), "{newest:?}");
        let rewind = Query::Rewind { after: MessageId(0), count: 10, own: true };
        let Ok(Reply::Messages { messages, .. }) = world.read(bob, &rewind) else { panic!() };
        assert_eq!(ids(&messages), [id.0]);
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
    fn what_is_listed_as_unread_is_what_is_counted() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.group_of("garden", &[alice, bob]);
        // Runs shorter and longer than what is read at a time, and one at the end.
        let mut sent = Vec::new();
        for run in [0, 1, 2, 150, 0, 70, 3] {
            sent.push(world.sent(alice, "garden", "x").0);
            world.force(|tx| {
                let chat = tx.chat_by_address(&address("garden"))?.expect("it was made");
                for _ in 0..run {
                    let (now, text) = (Timestamp(1), Arc::from("Garden"));
                    tx.append(chat, alice.account, now, Kind::Renamed, &text, None)?;
                }
                Ok(())
            });
        }
        // Another chat between them, which takes turns with it.
        sent.push(world.sent(alice, "bob", "x").0);
        assert_eq!(world.chats(bob).iter().map(|chat| chat.unread).sum::<u32>(), 8);
        for count in 1..10 {
            let listed = world.ask(bob, Command::Unread { count }).reply;
            let Ok(Reply::Messages { messages, more }) = listed else { panic!("{listed:?}") };
            assert_eq!(ids(&messages), sent[sent.len().saturating_sub(count as usize)..]);
            assert_eq!(more, count < 8, "{count}");
        }
        // A mark at a record reads what lies before it.
        world.mark_read(bob, None, MessageId(sent[3] + 100));
        assert_eq!(ids(&world.unread(bob)), sent[4..]);
        // All is read where only such records are left.
        world.mark_read(bob, None, MessageId(sent[6]));
        world.mark_read(bob, None, MessageId(sent[7]));
        assert_eq!(world.chats(bob).iter().map(|chat| chat.unread).sum::<u32>(), 0);
        assert!(world.unread(bob).is_empty());
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
