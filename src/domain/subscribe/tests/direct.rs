//! Of two.

use super::*;
use crate::domain::id::MessageId;
use crate::domain::testing::{ids, whole};
use crate::domain::words::Whom;

#[test]
fn a_chat_is_begun_before_anything_is_said() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let outcome = ask_for(&mut world, alice, "bob", None, "it is me");
    let (view, is_new) = subscribed(&outcome);
    assert!(is_new && &*view.chat == "bob@im.test");
    assert_eq!(view.part, Some((Access::DIRECT, Access::DIRECT)));
    assert_eq!((view.last, view.read, view.cleared), (Seq(0), Seq(0), Seq(0)));
    // Bob hears of it in a notice, which his other devices find.
    assert_eq!(heard(&outcome, bob), ["notice"]);
    let notice = (Act::Admitted, "alice", "RWPD", "RWPD", "it is me");
    let notice = (notice.0, notice.1.into(), notice.2.into(), notice.3.into(), notice.4.into());
    assert_eq!(notices(&world, bob), [notice]);
    assert!(notices(&world, alice).is_empty());
    for (me, other) in [(alice, "bob@im.test"), (bob, "alice@im.test")] {
        let all = subscriptions(&mut world, me);
        assert!(all.len() == 1 && &*all[0].chat == other);
        // For those who know chats by their messages there is none yet.
        assert!(world.chats(me).is_empty());
        assert_eq!(world.history(me, other, whole()), Err(Refusal::NoSuchChat));
    }
    // Again it is no news.
    let outcome = ask_for(&mut world, bob, "alice", None, "");
    assert!(!subscribed(&outcome).1 && outcome.news.is_empty());
    let id = world.sent(alice, "bob", "hi");
    let chats = world.chats(bob);
    assert_eq!((chats.len(), chats[0].last, chats[0].unread), (1, id, 1));
}

#[test]
fn who_wants_to_be_asked_first_is_asked_and_hears_nothing_until_then() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let_others(&mut world, bob, "N");
    // Whether she begins it by hand or by writing.
    let outcome = world.send(alice, "bob", "hi");
    assert_eq!(heard(&outcome, bob), ["notice"]);
    let asked = [(Act::Invited, "alice".into(), "N".into(), "RWPD".into(), "".into())];
    assert_eq!(notices(&world, bob), asked);
    assert!(world.send(alice, "bob", "are you there?").reply.is_ok());
    assert_eq!(notices(&world, bob), asked, "once");
    assert!(world.chats(bob).is_empty() && world.unread(bob).is_empty());
    assert_eq!(world.chats(alice).len(), 1);
    let typing = Command::Typing { chat: address("bob"), on: true };
    assert!(heard(&world.ask(alice, typing), bob).is_empty());
    // He takes it: what was said is there.
    let (view, is_new) = subscribed(&ask_for(&mut world, bob, "alice", Some("RWPD"), ""));
    assert!(!is_new && view.last == Seq(2) && view.read == Seq(0));
    assert_eq!(world.chats(bob)[0].unread, 2);
    assert_eq!(heard(&world.send(alice, "bob", "ah"), bob), ["record"]);
}

#[test]
fn who_wants_none_from_others_is_begun_with_by_nobody() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.sent(carol, "bob", "before");
    let_others(&mut world, bob, "X");
    for want in [None, Some("RW"), Some("X")] {
        let outcome = ask_for(&mut world, alice, "bob", want, "please");
        let expected = if want == Some("X") { Refusal::BadAccess } else { Refusal::NotAllowed };
        assert_eq!(refused(&outcome), expected);
    }
    assert_eq!(refused(&world.send(alice, "bob", "hi")), Refusal::NotAllowed);
    let typing = Command::Typing { chat: address("bob"), on: true };
    assert!(world.ask(alice, typing).news.is_empty());
    assert!(subscriptions(&mut world, alice).is_empty());
    // Those whom he knows already go on, and so does what he begins himself, with anybody.
    world.sent(carol, "bob", "after");
    world.sent(bob, "bob", "a note");
    let (view, _) = take(&mut world, bob, "alice");
    assert_eq!(view.part, Some((Access::DIRECT, Access::DIRECT)));
    world.sent(alice, "bob", "at last");
    // Who leaves one wants no more of it.
    leave(&mut world, bob, "carol");
    assert_eq!(refused(&world.send(carol, "bob", "and now?")), Refusal::NotAllowed);
}

#[test]
fn one_does_not_begin_with_nothing_nor_with_those_who_want_nothing() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    for want in ["N", "X", "O", "S"] {
        let outcome = ask_for(&mut world, alice, "bob", Some(want), "");
        assert_eq!(refused(&outcome), Refusal::BadAccess, "{want}");
    }
    assert_eq!(refused(&ask_for(&mut world, alice, "alice", None, "")), Refusal::NotAllowed);
    assert_eq!(refused(&ask_for(&mut world, alice, "nobody", None, "")), Refusal::NoSuchChat);
    let long = "x".repeat(CARD_BYTES_MAX + 1);
    assert_eq!(refused(&ask_for(&mut world, alice, "bob", None, &long)), Refusal::FieldTooLong);
    world.ask(bob, Command::Block { who: address("alice"), on: true });
    assert_eq!(refused(&ask_for(&mut world, alice, "bob", None, "")), Refusal::NotAllowed);
    assert!(notices(&world, bob).is_empty() && subscriptions(&mut world, alice).is_empty());
    // What goes beyond a direct chat is passed over.
    world.ask(bob, Command::Block { who: address("alice"), on: false });
    let (view, _) = subscribed(&ask_for(&mut world, alice, "bob", Some("RWSO"), ""));
    assert_eq!(view.part, Some((letters("RW"), Access::DIRECT)));
}

#[test]
fn a_chat_that_was_left_is_back_with_the_next_message() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let first = world.sent(alice, "bob", "one");
    let second = world.sent(bob, "alice", "two");
    let card = Command::Keep { chat: Some(address("alice")), card: "green".into() };
    assert!(world.ask(bob, card).reply.is_ok());
    let outcome = leave(&mut world, bob, "alice");
    // His other devices see it go; alice does not learn of it.
    assert_eq!(outcome.news.len(), 1);
    let gone = Event::ChatGone { chat: "alice@im.test".into() };
    assert_eq!(**heard_by(&outcome, bob.account, Some(bob.key))[0], gone);
    assert!(world.chats(bob).is_empty() && subscriptions(&mut world, bob).is_empty());
    assert_eq!(world.history(bob, "alice", whole()), Err(Refusal::NoSuchChat));
    assert_eq!(world.chats(alice)[0].read, second, "how far he had come he still is");
    let again = world.ask(bob, Command::Leave { chat: address("alice") });
    assert_eq!(refused(&again), Refusal::NoSuchChat);

    let third = world.sent(alice, "bob", "three");
    let [chat] = &world.chats(bob)[..] else { panic!() };
    assert_eq!((chat.unread, chat.last, chat.my_read), (1, third, second));
    let (history, _) = world.history(bob, "alice", whole()).unwrap();
    assert_eq!(ids(&history), [first.0, second.0, third.0]);
    assert_eq!(subscription(&mut world, bob, "alice").unwrap().card, None);
    assert!(notices(&world, bob).is_empty());
    assert_eq!(heard(&world.send(alice, "bob", "four"), bob), ["record"]);
}

#[test]
fn what_was_deleted_stays_deleted_however_often_one_leaves() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.sent(alice, "bob", "a secret");
    world.clear(bob, "alice", Whom::Me);
    let second = world.sent(alice, "bob", "two");
    leave(&mut world, bob, "alice");
    world.store.flush().unwrap();
    // He comes back by himself, and finds what he had not deleted.
    let (view, is_new) = take(&mut world, bob, "alice");
    assert!(is_new);
    assert_eq!((view.last, view.read, view.cleared), (Seq(2), Seq(2), Seq(1)));
    assert_eq!(ids(&world.history(bob, "alice", whole()).unwrap().0), [second.0]);
    leave(&mut world, bob, "alice");
    leave(&mut world, alice, "bob");
    let third = world.sent(alice, "bob", "three");
    assert_eq!(ids(&world.history(bob, "alice", whole()).unwrap().0), [second.0, third.0]);
    assert_eq!(world.chats(bob)[0].unread, 1);
    assert_eq!(world.history(alice, "bob", whole()).unwrap().0.len(), 3);
}

#[test]
fn who_has_left_is_not_fetched_back_without_a_word() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    take(&mut world, alice, "bob");
    leave(&mut world, bob, "alice");
    leave(&mut world, alice, "bob");
    let outcome = ask_for(&mut world, alice, "bob", None, "again");
    assert!(subscribed(&outcome).1 && outcome.news.is_empty());
    assert!(subscriptions(&mut world, bob).is_empty());
    assert_eq!(notices(&world, bob).len(), 1, "that of the first time");
    world.sent(alice, "bob", "hello?");
    assert_eq!(subscriptions(&mut world, bob).len(), 1);
}

#[test]
fn who_does_not_want_to_read_is_told_nothing_and_written_to_all_the_same() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.sent(alice, "bob", "one");
    assert!(world.want(bob, "alice", "WP").reply.is_ok());
    let chat = ChatId::direct(alice.account, bob.account);
    let unheard = |world: &World, me: Me| {
        let part = world.store.reader().read(|look| look.part(me.account, chat)).unwrap();
        part.unwrap().unheard
    };
    assert!(unheard(&world, alice) && !unheard(&world, bob));
    let outcome = world.send(alice, "bob", "two");
    assert!(outcome.reply.is_ok() && heard(&outcome, bob).is_empty());
    let typing = Command::Typing { chat: address("bob"), on: true };
    assert!(world.ask(alice, typing).news.is_empty());
    assert!(world.chats(bob).is_empty() && world.unread(bob).is_empty());
    let rewind = Query::Rewind { after: MessageId(0), count: 9, own: true };
    let Ok(Reply::Messages { messages, .. }) = world.read(bob, &rewind) else { panic!() };
    assert!(messages.is_empty());
    // He may write, which says nothing of how far he has read, for he has not.
    let outcome = world.send(bob, "alice", "busy");
    assert_eq!(heard(&outcome, alice), ["record"]);
    // Both ways, and back again.
    world.want(alice, "bob", "W");
    assert!(unheard(&world, alice) && unheard(&world, bob));
    world.want(bob, "alice", "RWPD");
    assert!(!unheard(&world, alice) && unheard(&world, bob));
    assert_eq!(world.history(bob, "alice", whole()).unwrap().0.len(), 3);
    assert!(heard(&world.send(bob, "alice", "back"), alice).is_empty());
    assert_eq!(heard(&world.send(alice, "bob", "ah"), bob)[0], "record");
    world.want(alice, "bob", "RWPD");
    assert_eq!(heard(&world.send(bob, "alice", "hello"), alice)[0], "record");
}

#[test]
fn who_does_not_want_to_write_does_not() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let id = world.sent(alice, "bob", "one");
    world.want(alice, "bob", "RP");
    assert_eq!(refused(&world.send(alice, "bob", "two")), Refusal::NotAllowed);
    let (chat, text, spans) = (address("bob"), "other".into(), Box::default());
    let edit = world.ask(alice, Command::Edit { chat: chat.clone(), id, text, spans });
    assert_eq!(refused(&edit), Refusal::NotAllowed);
    let typing = world.ask(alice, Command::Typing { chat, on: true });
    assert_eq!(refused(&typing), Refusal::NotAllowed);
    world.sent(bob, "alice", "two");
    // Neither gives the other anything.
    let outcome = world.give(alice, "bob", "bob", "R");
    assert_eq!(refused(&outcome), Refusal::NotAllowed);
    assert!(world.give(alice, "bob", "alice", "RWPD").reply.is_ok());
    world.sent(alice, "bob", "three");
}

#[test]
fn a_block_is_the_x_of_a_direct_chat() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    assert_eq!(refused(&world.want(bob, "alice", "X")), Refusal::NoSuchChat);
    world.sent(alice, "bob", "one");
    assert!(world.want(bob, "alice", "X").reply.is_ok());
    assert_eq!(refused(&world.send(alice, "bob", "two")), Refusal::NotAllowed);
    let seen = |world: &mut World, me, chat| subscription(world, me, chat).unwrap().part.unwrap();
    assert_eq!(seen(&mut world, bob, "alice").0, Access::BANNED);
    let all = subscribers(&mut world, bob, "alice").unwrap();
    assert_eq!((all[0].want, all[1].want), (Access::DIRECT, Access::BANNED));
    // Alice sees no X anywhere.
    assert_eq!(seen(&mut world, alice, "bob"), (Access::DIRECT, Access::DIRECT));
    let all = subscribers(&mut world, alice, "bob").unwrap();
    assert!(all.iter().all(|subscriber| !subscriber.want.is_banned()), "{all:?}");
    // Any other letters lift it.
    assert!(world.want(bob, "alice", "RWPD").reply.is_ok());
    world.sent(alice, "bob", "two");
}

#[test]
fn presence_is_seen_where_both_have_p() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let sees = |world: &World, me, who: &str| {
        let query = Query::Profile { who: Some(address(who)) };
        let Ok(Reply::Profile(profile)) = world.read(me, &query) else { panic!() };
        profile.online.is_some()
    };
    take(&mut world, alice, "bob");
    assert!(sees(&world, alice, "bob") && sees(&world, bob, "alice"));
    world.want(bob, "alice", "RW");
    assert!(!sees(&world, alice, "bob") && !sees(&world, bob, "alice"));
    world.want(bob, "alice", "RWP");
    assert!(sees(&world, alice, "bob"));
    // Who has left shows nothing there.
    leave(&mut world, bob, "alice");
    assert!(!sees(&world, alice, "bob") && !sees(&world, bob, "alice"));
}
