//! Marks: how far somebody has received and read a chat. They only grow, and what is read has been
//! received.

use crate::domain::Fault;
use crate::domain::chat::{self, Readable};
use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq, SessionKey};
use crate::domain::name::Name;
use crate::domain::nouns::{Mark, Member};
use crate::domain::session::Caller;
use crate::domain::words::{Audience, Event, News, Refusal, Reply};
use crate::limits::READERS_TOLD_MAX;
use crate::store::{Look, StoreError, Tx};

/// Which mark moves. The read mark takes the delivered one along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum Reach {
    Delivered,
    Read,
}

/// Moves the caller's mark to a message of any author. One that lies behind is done without a word
/// to anybody.
pub(in crate::domain) fn move_to(
    tx: &mut Tx<'_>,
    me: &Caller,
    reach: Reach,
    address: Option<&Address>,
    id: MessageId,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let (chat, mark) = match address {
        Some(address) => find_in(tx, me.account, address, id)?,
        None => find(tx, me.account, id)?,
    };
    let (delivered, read) = match reach {
        Reach::Delivered => (mark, Mark::default()),
        Reach::Read => (mark, mark),
    };
    advance(tx, me, chat, delivered, read, news)
}

/// Both marks of one chat, each where it is given. Either message must be there before anything
/// moves.
pub(in crate::domain) fn move_both(
    tx: &mut Tx<'_>,
    me: &Caller,
    address: &Address,
    delivered: Option<MessageId>,
    read: Option<MessageId>,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let mut chat = None;
    let mut place = |id: Option<MessageId>| match id {
        Some(id) => {
            let (found, mark) = find_in(tx, me.account, address, id)?;
            chat = Some(found);
            Ok(mark)
        }
        None => Ok::<_, Fault>(Mark::default()),
    };
    let (delivered, read) = (place(delivered)?, place(read)?);
    let chat = chat.ok_or(Refusal::MissingField)?;
    advance(tx, me, chat, delivered, read, news)
}

/// The same by place. What is no place of the chat, or gone, or not ahead, moves nothing.
pub(in crate::domain) fn move_at(
    tx: &mut Tx<'_>,
    me: &Caller,
    address: &Address,
    delivered: Option<Seq>,
    read: Option<Seq>,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let readable = chat::readable(tx, me.account, address)?;
    let mark = |seq: Option<Seq>| {
        let Some(seq) = seq.filter(|seq| *seq <= readable.head.seq) else {
            return Ok::<_, StoreError>(Mark::default());
        };
        let id = tx.message_at(readable.chat, seq)?.filter(|id| *id > readable.horizon);
        Ok(id.map_or(Mark::default(), |id| Mark { id, seq }))
    };
    let (delivered, read) = (mark(delivered)?, mark(read)?);
    advance(tx, me, readable.chat, delivered, read, news)
}

/// Marks only grow; whoever sees them hears that they did.
pub(in crate::domain) fn advance(
    tx: &mut Tx<'_>,
    me: &Caller,
    chat: ChatId,
    delivered: Mark,
    read: Mark,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let Some(old) = tx.member(me.account, chat)? else {
        return Err(Refusal::NoSuchChat.into());
    };
    let new = chat::advanced(&old, delivered, read);
    if new == old || chat::is_notes(chat) {
        return Ok(Reply::Done);
    }
    let read_till = (new.read > old.read).then_some(new.read);
    tx.move_marks(me.account, chat, new.delivered, new.read)?;
    let Some(other) = chat.other(me.account) else {
        moved_in_group(tx, me, chat, (&old, &new), read_till, news)?;
        return Ok(Reply::Done);
    };
    let moved = Moved {
        chat,
        mover: me.account,
        mover_name: chat::name(tx, me.account)?,
        other,
        other_name: chat::name(tx, other)?,
        except: me.key,
        old,
        part: new,
        read_till,
    };
    moved.tell(tx, news)?;
    Ok(Reply::Done)
}

/// Tells a group that somebody's marks have moved: their own other sessions, those for whom the
/// least of the others is another one now, and in a group that is small enough everybody who has
/// read how far.
pub(in crate::domain) fn moved_in_group(
    tx: &mut Tx<'_>,
    me: &Caller,
    chat: ChatId,
    (old, new): (&Member, &Member),
    read_till: Option<Mark>,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let roster = tx.roster(chat)?;
    let is_small = roster.members().count() <= READERS_TOLD_MAX;
    let all = roster.readers().clone();
    let others: Vec<_> = roster.reading().filter(|(who, _)| *who != me.account).collect();
    let changed: Vec<AccountNo> = {
        let read = Slowest::of(others.iter().map(|(who, part)| (*who, part.read)));
        let received = Slowest::of(others.iter().map(|(who, part)| (*who, part.delivered)));
        let sees_it = |who: AccountNo| {
            read.moves(who, old.read, new.read) || received.moves(who, old.delivered, new.delivered)
        };
        others.iter().map(|(who, _)| *who).filter(|who| sees_it(*who)).collect()
    };
    let delivered = (new.delivered > old.delivered).then_some(new.delivered);
    if is_small && (read_till.is_some() || delivered.is_some()) {
        let (chat, user) = (chat::name_of(tx, me.account, chat)?, chat::name(tx, me.account)?);
        let to = Audience::Many { all, but: Some(me.account) };
        news.push(News::new(to, None, Event::Marked { chat, user, read: read_till, delivered }));
    }
    for who in changed {
        if let Some(view) = chat::look_at(tx, who, chat)? {
            news.push(News::to_one(who, None, Event::ChatsChanged(vec![view])));
        }
    }
    if let Some(view) = chat::look_at(tx, me.account, chat)? {
        let mine = my_marks(view.chat.clone(), (old, new));
        news.push(News::to_one(me.account, Some(me.key), mine));
        news.push(News::to_one(me.account, Some(me.key), Event::ChatsChanged(vec![view])));
    }
    Ok(())
}

/// For the mover's other sessions.
fn my_marks(chat: Name, (old, new): (&Member, &Member)) -> Event {
    let moved = |old: Mark, new: Mark| (new > old).then_some(new);
    let (read, delivered) = (moved(old.read, new.read), moved(old.delivered, new.delivered));
    Event::MyMarks { chat, read, delivered }
}

/// The slowest two of those who did not move.
struct Slowest {
    first: Option<(AccountNo, Mark)>,
    second: Option<Mark>,
}

impl Slowest {
    fn of(marks: impl Iterator<Item = (AccountNo, Mark)>) -> Slowest {
        let mut slowest = Slowest { first: None, second: None };
        for (who, mark) in marks {
            match slowest.first {
                Some((_, first)) if first <= mark => {
                    slowest.second = Some(slowest.second.map_or(mark, |second| second.min(mark)));
                }
                first => {
                    slowest.second = first.map(|(_, mark)| mark);
                    slowest.first = Some((who, mark));
                }
            }
        }
        slowest
    }

    /// Whether the least of all but `viewer` becomes another one when somebody moves from `old` to
    /// `new`.
    fn moves(&self, viewer: AccountNo, old: Mark, new: Mark) -> bool {
        let rest = match self.first {
            Some((who, _)) if who == viewer => self.second,
            first => first.map(|(_, mark)| mark),
        };
        let least = |mark: Mark| rest.map_or(mark, |rest| rest.min(mark));
        least(old) != least(new)
    }
}

/// That somebody's marks in a direct chat have moved, for both sides to hear, where they have the
/// chat.
#[derive(Debug)]
pub(in crate::domain) struct Moved {
    pub(in crate::domain) chat: ChatId,
    pub(in crate::domain) mover: AccountNo,
    pub(in crate::domain) mover_name: Name,
    pub(in crate::domain) other: AccountNo,
    pub(in crate::domain) other_name: Name,
    pub(in crate::domain) except: SessionKey,
    /// The mover's part as it was, and moved.
    pub(in crate::domain) old: Member,
    pub(in crate::domain) part: Member,
    /// What the other side hears to be read; `None` where only the delivered mark moved.
    pub(in crate::domain) read_till: Option<Mark>,
}

impl Moved {
    pub(in crate::domain) fn tell(
        self,
        tx: &mut Tx<'_>,
        news: &mut Vec<News>,
    ) -> Result<(), StoreError> {
        let other_part = chat::other_part(tx, self.other, self.chat)?;
        let to_other = |event| News::to_one(self.other, None, event);
        if !other_part.left
            && let Some(readable) = Readable::of(tx, self.chat, other_part)?
        {
            let delivered = Some(self.part.delivered).filter(|new| *new > self.old.delivered);
            let read = self.read_till;
            if read.is_some() || delivered.is_some() {
                let (chat, user) = (self.mover_name.clone(), self.mover_name.clone());
                news.push(to_other(Event::Marked { chat, user, read, delivered }));
            }
            let theirs = chat::view(&readable, self.mover_name, &other_part, &self.part);
            news.push(to_other(Event::ChatsChanged(vec![theirs])));
        }
        if let Some(readable) = Readable::of(tx, self.chat, self.part)? {
            let marks = my_marks(self.other_name.clone(), (&self.old, &self.part));
            news.push(News::to_one(self.mover, Some(self.except), marks));
            let mine = chat::view(&readable, self.other_name, &self.part, &other_part);
            let event = Event::ChatsChanged(vec![mine]);
            news.push(News::to_one(self.mover, Some(self.except), event));
        }
        Ok(())
    }
}

/// A message of the chat at `address`.
fn find_in(
    tx: &Tx<'_>,
    me: AccountNo,
    address: &Address,
    id: MessageId,
) -> Result<(ChatId, Mark), Fault> {
    let readable = chat::readable(tx, me, address)?;
    match tx.message(readable.chat, id)? {
        Some(message) if id > readable.horizon => {
            Ok((readable.chat, Mark { id, seq: message.seq }))
        }
        Some(_) | None => Err(Refusal::NoSuchMessage.into()),
    }
}

/// A message of any chat of mine: one look at each that reaches as far, no more.
fn find(tx: &Tx<'_>, me: AccountNo, id: MessageId) -> Result<(ChatId, Mark), Fault> {
    for readable in chat::readables(tx, me)? {
        if readable.head.id < id || id <= readable.horizon {
            continue;
        }
        if let Some(message) = tx.message(readable.chat, id)? {
            return Ok((readable.chat, Mark { id, seq: message.seq }));
        }
    }
    Err(Refusal::NoSuchMessage.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::nouns::Access;
    use crate::domain::testing::{World, address, heard_by, refused};
    use crate::domain::words::{ChatView, Command, Whom};

    #[test]
    fn a_read_mark_is_told_to_both_sides() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let first = world.sent(alice, "bob", "one");
        let second = world.sent(alice, "bob", "two");
        let outcome = world.mark_read(bob, Some("alice"), first);
        assert!(matches!(outcome.reply, Ok(Reply::Done)));
        assert_eq!(outcome.news.len(), 4);
        let bobs: Name = "bob@im.test".into();
        let theirs = ChatView {
            chat: bobs.clone(),
            unread: 0,
            last: second,
            read: first,
            delivered: first,
            my_read: second,
            group: None,
        };
        let heard = heard_by(&outcome, alice.account, None);
        let mark = Some(Mark { id: first, seq: Seq(1) });
        let marked = Event::Marked { chat: bobs.clone(), user: bobs, read: mark, delivered: mark };
        assert_eq!(*heard[0], marked);
        assert_eq!(*heard[1], Event::ChatsChanged(vec![theirs]));
        let mine = ChatView {
            chat: "alice@im.test".into(),
            unread: 1,
            last: second,
            read: second,
            delivered: second,
            my_read: first,
            group: None,
        };
        let heard = heard_by(&outcome, bob.account, Some(bob.key));
        let chat = mine.chat.clone();
        assert_eq!(*heard[0], Event::MyMarks { chat, read: mark, delivered: mark });
        assert_eq!(*heard[1], Event::ChatsChanged(vec![mine]));
    }

    #[test]
    fn a_delivered_mark_is_no_read_mark() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let id = world.sent(alice, "bob", "one");
        let outcome = world.mark_delivered(bob, None, id);
        let (user, mark): (Name, _) = ("bob@im.test".into(), Some(Mark { id, seq: Seq(1) }));
        let chat = user.clone();
        let marked = Event::Marked { chat, user, read: None, delivered: mark };
        let heard = heard_by(&outcome, alice.account, None);
        assert_eq!((&**heard[0], heard.len()), (&marked, 2));
        let mine = Event::MyMarks { chat: "alice@im.test".into(), read: None, delivered: mark };
        let heard = heard_by(&outcome, bob.account, Some(bob.key));
        assert_eq!((&**heard[0], heard.len()), (&mine, 2));
        let chat = &world.chats(alice)[0];
        assert_eq!((chat.delivered, chat.read), (id, MessageId(0)));
        assert_eq!(world.chats(bob)[0].unread, 1);
    }

    #[test]
    fn marks_only_grow() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let first = world.sent(alice, "bob", "one");
        let second = world.sent(alice, "bob", "two");
        assert!(!world.mark_read(bob, None, second).news.is_empty());
        for outcome in [
            world.mark_read(bob, None, second),
            world.mark_read(bob, None, first),
            world.mark_delivered(bob, None, second),
            // One's own message says nothing new.
            world.mark_read(alice, None, second),
        ] {
            assert!(outcome.reply.is_ok() && outcome.news.is_empty());
        }
        assert_eq!(world.chats(bob)[0].my_read, second);
    }

    #[test]
    fn what_is_gone_cannot_be_marked() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let mine = world.sent(alice, "bob", "one");
        world.clear(bob, "alice", Whom::Me);
        let kept = world.sent(alice, "bob", "two");
        world.clear(alice, "bob", Whom::All);
        world.sent(alice, "bob", "three");
        // Whether the record was swept away already makes no difference.
        for id in [mine, kept] {
            for chat in [None, Some("alice")] {
                let outcome = world.mark_read(bob, chat, id);
                assert_eq!(refused(&outcome), Refusal::NoSuchMessage, "{chat:?}");
            }
            world.store.sweep().unwrap();
        }
    }

    #[test]
    fn marks_are_told_to_those_only_who_have_the_chat() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        let first = world.sent(bob, "alice", "one");
        world.clear(bob, "alice", Whom::Me);
        let outcome = world.mark_read(alice, None, first);
        assert!(heard_by(&outcome, bob.account, None).is_empty(), "{outcome:?}");
        assert_eq!(heard_by(&outcome, alice.account, Some(alice.key)).len(), 2);

        world.group_of("garden", &[alice, bob, carol]);
        world.give(alice, "garden", "carol", "W");
        let said = world.sent(alice, "garden", "x");
        let outcome = world.mark_read(bob, None, said);
        assert!(heard_by(&outcome, carol.account, None).is_empty(), "{outcome:?}");
        world.sent(alice, "garden", "y");
        let outcome = world.send(carol, "garden", "z");
        let heard = heard_by(&outcome, carol.account, Some(carol.key));
        assert!(matches!(&**heard[0], Event::Message(_)) && heard.len() == 1, "{heard:?}");
    }

    #[test]
    fn marks_move_by_place_as_well() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let at = |world: &mut World, me, chat: &str, delivered: u32, read: u32| {
            let seq = |seq: u32| Some(Seq(seq)).filter(|seq| seq.0 > 0);
            let (delivered, read) = (seq(delivered), seq(read));
            world.ask(me, Command::MarkAt { chat: address(chat), delivered, read })
        };
        assert_eq!(refused(&at(&mut world, bob, "alice", 1, 1)), Refusal::NoSuchChat);
        let sent: Vec<_> = (0..5).map(|_| world.sent(alice, "bob", "x")).collect();
        let outcome = at(&mut world, bob, "alice", 3, 2);
        let heard = heard_by(&outcome, alice.account, None);
        let Event::Marked { read, delivered, .. } = &**heard[0] else { panic!("{heard:?}") };
        assert_eq!(*read, Some(Mark { id: sent[1], seq: Seq(2) }));
        assert_eq!(*delivered, Some(Mark { id: sent[2], seq: Seq(3) }));
        let chat = &world.chats(alice)[0];
        assert_eq!((chat.read, chat.delivered), (sent[1], sent[2]));
        // Back, beyond the end, and nothing at all.
        for (delivered, read) in [(2, 1), (6, 99), (0, 0)] {
            let outcome = at(&mut world, bob, "alice", delivered, read);
            assert!(outcome.reply.is_ok() && outcome.news.is_empty(), "{delivered} {read}");
        }
        // What is gone is not read, be it swept away or not.
        world.ask(
            alice,
            Command::Clear { chat: address("bob"), whom: Whom::All, till: Some(Seq(4)) },
        );
        for _ in 0..2 {
            assert!(at(&mut world, bob, "alice", 4, 4).news.is_empty());
            world.store.sweep().unwrap();
        }
        assert!(!at(&mut world, bob, "alice", 5, 5).news.is_empty());
        assert_eq!(world.chats(bob)[0].unread, 0);
    }

    #[test]
    fn marks_survive_what_was_written_and_what_was_not() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let first = world.sent(alice, "bob", "one");
        world.mark_read(bob, None, first);
        world.store.flush().unwrap();
        let second = world.sent(alice, "bob", "two");
        world.mark_delivered(bob, None, second);
        let chat = &world.chats(alice)[0];
        assert_eq!((chat.read, chat.delivered), (first, second));
        assert_eq!(world.chats(bob)[0].unread, 1);
    }

    #[test]
    fn a_mark_needs_a_message_of_a_chat_of_mine() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        let ours = world.sent(alice, "bob", "one");
        let theirs = world.sent(carol, "bob", "two");
        let beyond = MessageId(theirs.0 + 1);
        for (chat, id, why) in [
            (None, theirs, Refusal::NoSuchMessage),
            (None, beyond, Refusal::NoSuchMessage),
            (None, MessageId(0), Refusal::NoSuchMessage),
            (Some("bob"), theirs, Refusal::NoSuchMessage),
            (Some("bob"), beyond, Refusal::NoSuchMessage),
            (Some("bob"), MessageId(0), Refusal::NoSuchMessage),
            (Some("carol"), theirs, Refusal::NoSuchChat),
            (Some("alice"), ours, Refusal::NoSuchChat),
            (Some("nobody"), ours, Refusal::NoSuchChat),
            (Some("bob@far.test"), ours, Refusal::NoSuchChat),
        ] {
            let asked = (chat, id);
            assert_eq!(refused(&world.mark_read(alice, chat, id)), why, "{asked:?}");
            assert_eq!(refused(&world.mark_delivered(alice, chat, id)), why, "{asked:?}");
        }
        // Without a chat the message names it, among several.
        assert!(!world.mark_read(bob, None, theirs).news.is_empty());
        let unread: Vec<_> = world.chats(bob).iter().map(|c| (c.chat.clone(), c.unread)).collect();
        assert_eq!(unread, [("carol@im.test".into(), 0), ("alice@im.test".into(), 1)]);
        let command = Command::MarkRead { chat: Some(address("alice")), id: ours };
        assert!(!world.ask(bob, command).news.is_empty());
    }

    #[test]
    fn a_large_group_is_told_the_least_mark_and_not_who_has_read() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let chat = world.group(alice, "garden");
        let part = Member { want: Access::GROUP, given: Access::GROUP, ..Member::default() };
        let add = |world: &mut World, name: &str, part: Member| {
            world.add_user(name);
            let who = world.account(name);
            world.force(|tx| tx.put_member(who, chat, &part));
        };
        let bobs = bob.account;
        world.force(|tx| tx.put_member(bobs, chat, &part));
        for n in 2..READERS_TOLD_MAX {
            add(&mut world, &format!("p{n}"), part);
        }
        // Those who are not in it are not counted.
        add(&mut world, "invited", Member { want: Access::NONE, ..part });
        add(&mut world, "banned", Member { given: Access::BANNED, ..part });
        let told = |world: &mut World| {
            let id = world.sent(alice, "garden", "x");
            let read = world.mark_read(bob, Some("garden"), id);
            let typing = Command::Typing { chat: address("garden"), on: true };
            let typing = world.ask(bob, typing);
            let is_read = |news: &News| matches!(**news.event, Event::Marked { read: Some(_), .. });
            (read.news.iter().any(is_read), !typing.news.is_empty())
        };
        assert_eq!(told(&mut world), (true, true));
        add(&mut world, "one-more", part);
        assert_eq!(told(&mut world), (false, false));
        // Alice learns of the slowest of them, when it moves.
        let id = world.sent(alice, "garden", "x");
        world.mark_read(bob, Some("garden"), id);
        assert_eq!(world.chats(alice)[0].read, MessageId(0));
    }
}
