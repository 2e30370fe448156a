//! Marks: how far somebody has received and read a chat. They only grow, and what is read has been
//! received.

use std::sync::Arc;

use crate::domain::Fault;
use crate::domain::chat;
use crate::domain::id::{AccountNo, Address, ChatId, MessageId, SessionKey};
use crate::domain::nouns::{Head, Mark, Member};
use crate::domain::session::Caller;
use crate::domain::words::{Event, News, Refusal, Reply};
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
    let Some(other) = chat.other(me.account) else {
        return Err(Refusal::NoSuchChat.into());
    };
    let Some(old) = tx.member(me.account, chat)? else {
        return Err(Refusal::NoSuchChat.into());
    };
    let read = match reach {
        Reach::Delivered => old.read,
        Reach::Read => mark,
    };
    let new = chat::advanced(&old, mark, read);
    if new == old || chat::is_notes(chat) {
        return Ok(Reply::Done);
    }
    tx.move_marks(me.account, chat, new.delivered, new.read)?;
    let moved = Moved {
        chat,
        mover: me.account,
        mover_name: chat::name(tx, me.account)?,
        other,
        other_name: chat::name(tx, other)?,
        except: me.key,
        head: tx.head(chat)?,
        part: new,
        read_till: (new.read > old.read).then_some(new.read.id),
    };
    moved.tell(tx, news)?;
    Ok(Reply::Done)
}

/// That somebody's marks in a direct chat have moved, for both sides to hear.
#[derive(Debug)]
pub(in crate::domain) struct Moved {
    pub(in crate::domain) chat: ChatId,
    pub(in crate::domain) mover: AccountNo,
    pub(in crate::domain) mover_name: Arc<str>,
    pub(in crate::domain) other: AccountNo,
    pub(in crate::domain) other_name: Arc<str>,
    pub(in crate::domain) except: SessionKey,
    pub(in crate::domain) head: Head,
    /// The mover's part, moved.
    pub(in crate::domain) part: Member,
    /// What the other side hears to be read; `None` where only the delivered mark moved.
    pub(in crate::domain) read_till: Option<MessageId>,
}

impl Moved {
    pub(in crate::domain) fn tell(
        self,
        tx: &mut Tx<'_>,
        news: &mut Vec<News>,
    ) -> Result<(), StoreError> {
        let other_part = tx.member(self.other, self.chat)?.unwrap_or_default();
        let to_other = |event| News { to: self.other, except: None, event: Arc::new(event) };
        if let Some(id) = self.read_till {
            let (chat, user) = (self.mover_name.clone(), self.mover_name.clone());
            news.push(to_other(Event::ReadTill { chat, id, user }));
        }
        let theirs =
            chat::view(self.chat, self.mover_name.clone(), self.head, &other_part, &self.part);
        news.push(to_other(Event::ChatsChanged(vec![theirs])));
        let mine = chat::view(self.chat, self.other_name, self.head, &self.part, &other_part);
        news.push(News {
            to: self.mover,
            except: Some(self.except),
            event: Arc::new(Event::ChatsChanged(vec![mine])),
        });
        Ok(())
    }
}

/// A message of the chat with `address`.
fn find_in(
    tx: &Tx<'_>,
    me: AccountNo,
    address: &Address,
    id: MessageId,
) -> Result<(ChatId, Mark), Fault> {
    let Some(chat) = chat::with(tx, me, address)? else {
        return Err(Refusal::NoSuchChat.into());
    };
    match tx.message(chat, id)? {
        Some(message) => Ok((chat, Mark { id, seq: message.seq })),
        None if tx.head(chat)?.id == MessageId(0) => Err(Refusal::NoSuchChat.into()),
        None => Err(Refusal::NoSuchMessage.into()),
    }
}

/// A message of any chat of mine: one look at each that reaches as far, no more.
fn find(tx: &Tx<'_>, me: AccountNo, id: MessageId) -> Result<(ChatId, Mark), Fault> {
    for (chat, head) in chat::heads(tx, me)? {
        if head.id < id {
            continue;
        }
        if let Some(message) = tx.message(chat, id)? {
            return Ok((chat, Mark { id, seq: message.seq }));
        }
    }
    Err(Refusal::NoSuchMessage.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{World, address, heard_by, refused};
    use crate::domain::words::{ChatView, Command};

    #[test]
    fn a_read_mark_is_told_to_both_sides() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let first = world.sent(alice, "bob", "one");
        let second = world.sent(alice, "bob", "two");
        let outcome = world.mark_read(bob, Some("alice"), first);
        assert!(matches!(outcome.reply, Ok(Reply::Done)));
        assert_eq!(outcome.news.len(), 3);
        let bobs: Arc<str> = "bob@im.test".into();
        let theirs = ChatView {
            chat: bobs.clone(),
            unread: 0,
            last: second,
            read: first,
            delivered: first,
            my_read: second,
        };
        let heard = heard_by(&outcome, alice.account, None);
        assert_eq!(*heard[0], Event::ReadTill { chat: bobs.clone(), id: first, user: bobs });
        assert_eq!(*heard[1], Event::ChatsChanged(vec![theirs]));
        let mine = ChatView {
            chat: "alice@im.test".into(),
            unread: 1,
            last: second,
            read: second,
            delivered: second,
            my_read: first,
        };
        let heard = heard_by(&outcome, bob.account, Some(bob.key));
        assert_eq!(*heard[0], Event::ChatsChanged(vec![mine]));
    }

    #[test]
    fn a_delivered_mark_is_no_read_mark() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let id = world.sent(alice, "bob", "one");
        let outcome = world.mark_delivered(bob, None, id);
        assert_eq!(outcome.news.len(), 2);
        let changed = |news: &News| matches!(&*news.event, Event::ChatsChanged(_));
        assert!(outcome.news.iter().all(changed));
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
}
