//! Messages: sending them, and how each reader sees them.
//!
//! **A send writes one record.** The chat appears with its first message, which also makes the two
//! members; everything else about a direct chat follows from its number.

use std::sync::Arc;

use crate::domain::id::{AccountNo, Address, ChatId};
use crate::domain::mark::Moved;
use crate::domain::nouns::{Access, Account, AccountState, Mark, Member, Message};
use crate::domain::session::Caller;
use crate::domain::words::{Draft, Event, MessageView, News, Refusal, Reply};
use crate::domain::{Context, Fault, account, chat, contact};
use crate::limits::COOKIE_BYTES_MAX;
use crate::store::{Look, StoreError, Tx};

/// Stores a message and tells both sides. Refusals rank: the draft's own fields, the server of the
/// recipient, the recipient; a known cookie is answered before the recipient is looked at, so that
/// a retry finds the first answer whatever has happened to them since.
pub(in crate::domain) fn send(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    draft: Draft,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    check(context, &draft)?;
    let other = recipient(tx, context, &draft.chat)?;
    let chat = ChatId::direct(me.account, other);
    let cookie = draft.cookie.as_deref();
    if let Some(cookie) = cookie
        && let Some(first) = tx.cookie(chat, me.account, cookie)?
    {
        return Ok(Reply::Sent { id: first.id, seq: first.seq, time: first.time, repeated: true });
    }
    let author = account::row(tx, me.account)?;
    check_recipient(tx, &author, other)?;

    let before = tx.head(chat)?;
    let part = tx.member(me.account, chat)?;
    let message = tx.append(chat, me.account, context.now, draft.kind, &draft.text, cookie)?;
    // Marks that one's own message implies need no write: the store derives them.
    let own = Mark { id: message.id, seq: message.seq };
    if part.is_none() {
        join(tx, chat, me.account, other, own)?;
    }

    let author_name: Arc<str> = author.address.to_string().into();
    let other_name: Arc<str> = draft.chat.to_string().into();
    tell(&message, me, other, &author_name, &other_name, news);

    // mSIM 2, decision 9: sending implies having read, and is announced only where that passes a
    // message of the other side; all that lies above the read mark is theirs.
    if let Some(part) = part
        && part.read.seq < before.seq
        && !chat::is_notes(chat)
    {
        let moved = Moved {
            chat,
            mover: me.account,
            mover_name: author_name,
            other,
            other_name,
            except: me.key,
            head: tx.head(chat)?,
            part: chat::advanced(&part, own, own),
            read_till: Some(before.id),
        };
        moved.tell(tx, news)?;
    }
    Ok(Reply::Sent { id: message.id, seq: message.seq, time: message.time, repeated: false })
}

/// Each side hears of the message in its own words; the session that sent it is answered instead.
fn tell(
    message: &Message,
    me: &Caller,
    other: AccountNo,
    my_name: &Arc<str>,
    other_name: &Arc<str>,
    news: &mut Vec<News>,
) {
    if other != me.account {
        let seen = view(message, other, my_name.clone(), my_name.clone());
        news.push(News { to: other, except: None, event: Arc::new(Event::Message(seen)) });
    }
    let seen = view(message, me.account, other_name.clone(), my_name.clone());
    news.push(News { to: me.account, except: Some(me.key), event: Arc::new(Event::Message(seen)) });
}

/// A message as `reader` sees it, who calls the chat `chat` and its author `from`.
pub(in crate::domain) fn view(
    message: &Message,
    reader: AccountNo,
    chat: Arc<str>,
    from: Arc<str>,
) -> MessageView {
    MessageView {
        chat,
        from,
        id: message.id,
        previous: message.previous,
        seq: message.seq,
        time: message.time,
        kind: message.kind,
        text: message.text.clone(),
        cookie: message.cookie.clone().filter(|_| message.from == reader),
    }
}

fn check(context: &Context<'_>, draft: &Draft) -> Result<(), Refusal> {
    if draft.text.is_empty() {
        return Err(Refusal::TextEmpty);
    }
    if draft.text.len() > context.limits.max_text_bytes {
        return Err(Refusal::TextTooLong);
    }
    match &draft.cookie {
        Some(cookie) if cookie.is_empty() || cookie.len() > COOKIE_BYTES_MAX => {
            Err(Refusal::BadField)
        }
        Some(_) | None => Ok(()),
    }
}

/// The account that an address of this server once got, whatever became of it.
fn recipient(tx: &Tx<'_>, context: &Context<'_>, address: &Address) -> Result<AccountNo, Fault> {
    if !address.is_local(context.home) {
        // Nothing carries a message to another server yet, whatever the configuration says: a 200
        // for one that cannot leave would be a lie.
        return Err(Refusal::NoFederation.into());
    }
    tx.account_by_address(address)?.ok_or_else(|| Refusal::NoSuchAccount.into())
}

/// A disabled account still receives: it will read when it is enabled again.
fn check_recipient(tx: &Tx<'_>, author: &Account, other: AccountNo) -> Result<(), Fault> {
    if author.no == other {
        return Ok(());
    }
    match account::row(tx, other)?.state {
        AccountState::Active | AccountState::Disabled => {}
        AccountState::Removed | AccountState::Remote => {
            return Err(Refusal::NoSuchAccount.into());
        }
    }
    if contact::is_blocked(tx, other, &author.address)? {
        return Err(Refusal::NotAllowed.into());
    }
    Ok(())
}

/// Both sides become members with the chat's first message, which its author has read.
fn join(
    tx: &mut Tx<'_>,
    chat: ChatId,
    author: AccountNo,
    other: AccountNo,
    own: Mark,
) -> Result<(), StoreError> {
    let plain = Member { want: Access::DIRECT, given: Access::DIRECT, ..Member::default() };
    tx.put_member(author, chat, &Member { delivered: own, read: own, ..plain })?;
    if other != author {
        tx.put_member(other, chat, &plain)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{MessageId, Seq};
    use crate::domain::nouns::{Contact, ContactState};
    use crate::domain::testing::{
        Me, World, address, contact, draft, heard_by, ids, login, refused, whole,
    };
    use crate::domain::words::{Command, Order, Outcome};

    fn send(world: &mut World, me: Me, to: &str, text: &str, cookie: &str) -> Outcome {
        world.ask(me, Command::Send(draft(to, text, Some(cookie))))
    }

    fn message(event: &Event) -> &MessageView {
        match event {
            Event::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_side_hears_a_message_in_its_own_words() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let outcome = send(&mut world, alice, "bob", "hi", "c1");
        let Ok(Reply::Sent { id, seq, time, repeated: false }) = outcome.reply else { panic!() };
        assert_eq!((seq, time), (Seq(1), world.now));
        assert_eq!(outcome.news.len(), 2);
        let theirs = &heard_by(&outcome, bob.account, None)[0];
        let theirs = message(theirs);
        assert_eq!((&*theirs.chat, &*theirs.from), ("alice@im.test", "alice@im.test"));
        assert_eq!((theirs.id, theirs.previous, &*theirs.text), (id, MessageId(0), "hi"));
        assert_eq!(theirs.cookie, None);
        let mine = &heard_by(&outcome, alice.account, Some(alice.key))[0];
        let mine = message(mine);
        assert_eq!((&*mine.chat, &*mine.from), ("bob@im.test", "alice@im.test"));
        assert_eq!(mine.cookie.as_deref(), Some("c1"));

        // The same words in history.
        let (history, _) = world.history(bob, "alice", whole()).unwrap();
        assert_eq!(&history[0], theirs);
        let (history, _) = world.history(alice, "bob", whole()).unwrap();
        assert_eq!(&history[0], mine);
    }

    #[test]
    fn a_cookie_stores_once() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let first = send(&mut world, alice, "bob", "one", "c");
        let Ok(Reply::Sent { id, time, .. }) = first.reply else { panic!() };
        world.now.0 += 5000;
        world.sent(alice, "bob", "two");
        let again = send(&mut world, alice, "bob", "other text", "c");
        assert!(again.news.is_empty());
        match again.reply {
            Ok(Reply::Sent { id: i, time: t, seq: Seq(1), repeated: true }) => {
                assert_eq!((i, t), (id, time));
            }
            other => panic!("{other:?}"),
        }
        // Per author and per chat.
        for (me, to) in [(bob, "alice"), (alice, "alice")] {
            let outcome = send(&mut world, me, to, "x", "c");
            assert!(matches!(outcome.reply, Ok(Reply::Sent { repeated: false, .. })));
        }
    }

    #[test]
    fn a_known_cookie_is_answered_whatever_became_of_the_recipient() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        send(&mut world, alice, "bob", "one", "c");
        block(&mut world, bob, "alice");
        assert_eq!(refused(&send(&mut world, alice, "bob", "x", "d")), Refusal::NotAllowed);
        let again = send(&mut world, alice, "bob", "one", "c");
        assert!(matches!(again.reply, Ok(Reply::Sent { repeated: true, .. })));
        world.order(Order::RemoveUser { login: login("bob") });
        assert_eq!(refused(&send(&mut world, alice, "bob", "x", "d")), Refusal::NoSuchAccount);
        let again = send(&mut world, alice, "bob", "one", "c");
        assert!(matches!(again.reply, Ok(Reply::Sent { repeated: true, .. })));
    }

    #[test]
    fn a_refused_send_does_not_use_its_cookie_up() {
        let (mut world, [alice]) = World::of(["alice"]);
        assert_eq!(refused(&send(&mut world, alice, "bob", "x", "c")), Refusal::NoSuchAccount);
        world.add_user("bob");
        let outcome = send(&mut world, alice, "bob", "x", "c");
        assert!(matches!(outcome.reply, Ok(Reply::Sent { repeated: false, .. })));
    }

    #[test]
    fn texts_and_cookies_have_limits() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        world.limits.max_text_bytes = 4;
        assert_eq!(refused(&world.send(alice, "bob", "")), Refusal::TextEmpty);
        assert_eq!(refused(&world.send(alice, "bob", "ббб")), Refusal::TextTooLong);
        // The text ranks before the recipient.
        assert_eq!(refused(&world.send(alice, "nobody", "")), Refusal::TextEmpty);
        for cookie in ["", &"c".repeat(COOKIE_BYTES_MAX + 1)] {
            assert_eq!(refused(&send(&mut world, alice, "bob", "x", cookie)), Refusal::BadField);
        }
        world.sent(alice, "bob", "бб");
        assert!(send(&mut world, alice, "bob", "x", &"c".repeat(COOKIE_BYTES_MAX)).reply.is_ok());
    }

    #[test]
    fn a_refused_message_makes_no_chat() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        block(&mut world, bob, "alice");
        for (to, why) in [
            ("bob", Refusal::NotAllowed),
            ("nobody", Refusal::NoSuchAccount),
            ("bob@im.test/chat", Refusal::NoSuchAccount),
            ("bob@far.test", Refusal::NoFederation),
            ("bob@im.test:99", Refusal::NoFederation),
        ] {
            assert_eq!(refused(&world.send(alice, to, "x")), why, "{to}");
            assert_eq!(world.history(alice, to, whole()), Err(Refusal::NoSuchChat), "{to}");
        }
        assert!(world.chats(alice).is_empty() && world.chats(bob).is_empty());
        // Who blocks may still write, and the blocked one is answered by that only.
        world.sent(bob, "alice", "x");
        assert_eq!(refused(&world.send(alice, "bob", "x")), Refusal::NotAllowed);
    }

    #[test]
    fn a_disabled_account_still_receives() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        world.order(Order::DisableUser { login: login("bob") });
        world.sent(alice, "bob", "x");
        world.order(Order::EnableUser { login: login("bob") });
        let bob = world.log_in("bob");
        assert_eq!(world.chats(bob)[0].unread, 1);
    }

    #[test]
    fn time_in_a_chat_never_runs_backwards() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        let start = world.now;
        world.sent(alice, "bob", "x");
        world.now.0 -= 10_000;
        let outcome = world.send(alice, "bob", "y");
        assert!(matches!(outcome.reply, Ok(Reply::Sent { time, .. }) if time == start));
    }

    #[test]
    fn notes_to_oneself_are_heard_once_and_always_read() {
        let (mut world, [alice]) = World::of(["alice"]);
        let first = world.sent(alice, "alice", "buy milk");
        let outcome = send(&mut world, alice, "alice", "and bread", "c");
        let Ok(Reply::Sent { id, .. }) = outcome.reply else { panic!() };
        assert_eq!(outcome.news.len(), 1);
        let heard = heard_by(&outcome, alice.account, Some(alice.key));
        let view = message(&heard[0]);
        assert_eq!((&*view.chat, view.previous), ("alice@im.test", first));
        assert_eq!(view.cookie.as_deref(), Some("c"));
        let [chat] = &world.chats(alice)[..] else { panic!() };
        assert_eq!((chat.unread, chat.last, chat.read), (0, id, id));
        assert_eq!((chat.delivered, chat.my_read), (id, id));
        for outcome in
            [world.mark_read(alice, None, first), world.mark_delivered(alice, Some("alice"), id)]
        {
            assert!(outcome.reply.is_ok() && outcome.news.is_empty());
        }
        let unread = world.ask(alice, Command::Unread { count: 200 });
        assert!(
            matches!(unread.reply, Ok(Reply::Messages { messages, .. }) if messages.is_empty())
        );
        let (history, more) = world.history(alice, "alice", whole()).unwrap();
        assert!(!more && ids(&history) == [first.0, id.0]);
    }

    #[test]
    fn answering_implies_having_read() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.sent(alice, "bob", "one");
        let theirs = world.sent(alice, "bob", "two");
        let outcome = world.send(bob, "alice", "three");
        let Ok(Reply::Sent { id, .. }) = outcome.reply else { panic!() };
        let heard = heard_by(&outcome, alice.account, None);
        assert_eq!(heard.len(), 3);
        assert_eq!(message(&heard[0]).id, id);
        // The mark that is told is the last message of the other side, not one's own.
        let user: Arc<str> = "bob@im.test".into();
        assert_eq!(*heard[1], Event::ReadTill { chat: user.clone(), id: theirs, user });
        let Event::ChatsChanged(chats) = &*heard[2] else { panic!() };
        assert_eq!(*chats, world.chats(alice));
        assert_eq!((chats[0].unread, chats[0].last, chats[0].read), (1, id, id));
        let heard = heard_by(&outcome, bob.account, Some(bob.key));
        assert_eq!(heard.len(), 2);
        assert_eq!(*heard[1], Event::ChatsChanged(world.chats(bob)));
        assert_eq!(world.chats(bob)[0].unread, 0);
        // Nothing of the other side's is passed: the message is all there is to hear.
        assert_eq!(world.send(bob, "alice", "four").news.len(), 2);
    }

    fn block(world: &mut World, me: Me, who: &str) {
        world.ask(me, Command::AddContact(contact(who)));
        world.force(|tx| {
            let contact = tx.contact(me.account, &address(who))?.unwrap();
            tx.put_contact(me.account, &Contact { state: ContactState::Blocked, ..contact })
        });
    }
}
