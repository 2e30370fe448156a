//! What applications want kept, and who sees it.

use super::*;
use crate::domain::testing::{Me, World, address, group_draft, heard_by, login, refused, verifier};
use crate::domain::words::{
    Actor, ChatChange, ChatDraft, Command, Handle, MyselfView, Order, Outcome, Query,
    SubscriptionView,
};

fn keep(world: &mut World, me: Me, chat: Option<&str>, card: &str) -> Outcome {
    world.ask(me, Command::Keep { chat: chat.map(address), card: card.into() })
}

fn show(world: &mut World, me: Me, card: &str) -> Outcome {
    let card = Some(card.into());
    world
        .ask(me, Command::UpdateProfile(Box::new(ProfileDraft { card, ..ProfileDraft::default() })))
}

fn subscription(world: &mut World, me: Me, chat: &str) -> SubscriptionView {
    match world.ask(me, Command::Subscription { chat: address(chat) }).reply {
        Ok(Reply::Subscriptions { mut subscriptions, .. }) => subscriptions.remove(0),
        other => panic!("{other:?}"),
    }
}

fn myself(world: &World, me: Me) -> MyselfView {
    match world.read(me, &Query::Myself) {
        Ok(Reply::Myself(view)) => *view,
        other => panic!("{other:?}"),
    }
}

/// How many cards lie on the disk for somebody about a group.
fn cards(world: &World, who: AccountNo, chat: ChatId) -> usize {
    let card = world.store.reader().read(|look| look.card(who, chat)).unwrap();
    usize::from(card.is_some())
}

#[test]
fn what_somebody_shows_others_see_and_those_in_a_chat_with_them_hear_of() {
    let (mut world, [alice, bob, carol, dave]) = World::of(["alice", "bob", "carol", "dave"]);
    for (me, other) in [(alice, "bob"), (alice, "carol"), (dave, "alice")] {
        world.sent(me, other, "x");
    }
    world.want(carol, "alice", "RW");
    world.ask(dave, Command::Block { who: address("alice"), on: true });
    let outcome = show(&mut world, alice, "{\"fn\":\"Alice\"}");
    let face = Event::FaceChanged { who: "alice@im.test".into() };
    let heard = heard_by(&outcome, bob.account, None);
    assert!(heard.len() == 1 && **heard[0] == face, "{heard:?}");
    for apart in [carol, dave] {
        assert!(heard_by(&outcome, apart.account, None).is_empty());
    }
    assert_eq!(heard_by(&outcome, alice.account, Some(alice.key)).len(), 1);
    let seen = subscription(&mut world, bob, "alice").face.card;
    assert_eq!(seen.as_deref(), Some("{\"fn\":\"Alice\"}"));
    // The same again is no news, and an empty one is none.
    assert!(show(&mut world, alice, "{\"fn\":\"Alice\"}").news.is_empty());
    assert!(!show(&mut world, alice, "").news.is_empty());
    assert_eq!(subscription(&mut world, bob, "alice").face.card, None);
}

#[test]
fn what_somebody_keeps_is_for_them_alone() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    world.sent(alice, "bob", "x");
    for (chat, card) in [(None, "me"), (Some("bob"), "him"), (Some("garden"), "it")] {
        let outcome = keep(&mut world, alice, chat, card);
        assert!(outcome.reply.is_ok() && outcome.news.is_empty());
    }
    assert_eq!(myself(&world, alice).card.as_deref(), Some("me"));
    for (chat, card) in [("bob", "him"), ("garden", "it")] {
        assert_eq!(subscription(&mut world, alice, chat).card.as_deref(), Some(card));
    }
    assert_eq!(subscription(&mut world, bob, "garden").card, None);
    let all = Command::Subscribers { chat: address("garden"), after: None, count: 9 };
    let Ok(Reply::Subscribers { subscribers, .. }) = world.ask(bob, all).reply else { panic!() };
    assert!(subscribers.iter().all(|subscriber| subscriber.card.is_none()));
    keep(&mut world, alice, Some("bob"), "");
    assert_eq!(subscription(&mut world, alice, "bob").card, None);
}

#[test]
fn cards_have_limits_and_a_place() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group(bob, "garden");
    let (most, more) = ("x".repeat(CARD_BYTES_MAX), "x".repeat(CARD_BYTES_MAX + 1));
    assert!(keep(&mut world, alice, None, &most).reply.is_ok());
    assert_eq!(refused(&keep(&mut world, alice, None, &more)), Refusal::FieldTooLong);
    assert_eq!(refused(&show(&mut world, alice, &more)), Refusal::FieldTooLong);
    let draft = ChatDraft { card: more.as_str().into(), ..group_draft("field") };
    assert_eq!(refused(&world.ask(alice, Command::CreateChat(draft))), Refusal::FieldTooLong);
    let change = ChatChange { card: Some(more.into()), ..ChatChange::default() };
    let change = Command::ChangeChat { chat: address("garden"), change };
    assert_eq!(refused(&world.ask(bob, change)), Refusal::FieldTooLong);
    // Nothing is kept about what one is not in.
    for chat in ["bob", "garden", "nobody"] {
        let outcome = keep(&mut world, alice, Some(chat), "x");
        assert_eq!(refused(&outcome), Refusal::NoSuchChat, "{chat}");
    }
}

#[test]
fn cards_go_with_what_they_are_about() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    let card = "everybody's".into();
    let open = Some(true);
    let garden = world.make(alice, ChatDraft { card, open, ..group_draft("garden") });
    for me in [bob, carol] {
        assert!(world.ask(me, Command::Join { chat: address("garden") }).reply.is_ok());
        keep(&mut world, me, Some("garden"), "mine");
    }
    assert!(world.ask(bob, Command::Leave { chat: address("garden") }).reply.is_ok());
    assert!(world.ask(bob, Command::Join { chat: address("garden") }).reply.is_ok());
    assert_eq!(subscription(&mut world, bob, "garden").card, None);
    let (chat, who) = (address("garden"), address("carol"));
    world.ask(alice, Command::Kick { chat, who, ban: false });
    assert_eq!(cards(&world, carol.account, garden), 0);
    keep(&mut world, bob, Some("garden"), "mine");
    let (chat, is_space) = (address("garden"), false);
    assert!(world.ask(alice, Command::RemoveChat { chat, is_space }).reply.is_ok());
    assert_eq!(cards(&world, bob.account, garden) + cards(&world, EVERYBODY, garden), 0);

    // And with their account.
    world.sent(carol, "bob", "x");
    show(&mut world, carol, "me");
    keep(&mut world, carol, None, "mine");
    keep(&mut world, carol, Some("bob"), "him");
    assert!(world.order(Order::RemoveUser { login: login("carol") }).reply.is_ok());
    assert_eq!(subscription(&mut world, bob, "carol").face, Face::default());
    let (own, direct) = (ChatId::own(carol.account), ChatId::direct(carol.account, bob.account));
    assert_eq!(cards(&world, EVERYBODY, own) + cards(&world, carol.account, own), 0);
    assert_eq!(cards(&world, carol.account, direct), 0);
}

#[test]
fn whoever_changes_the_card_of_a_group_is_named() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    let before = subscription(&mut world, bob, "garden").updated;
    world.now.0 += 1000;
    let card = |text: &str| ChatChange { card: Some(text.into()), ..ChatChange::default() };
    let change = |text| Command::ChangeChat { chat: address("garden"), change: card(text) };
    let outcome = world.ask(alice, change("green"));
    let heard = heard_by(&outcome, bob.account, Some(alice.key));
    let Event::ChatChanged(info) = &**heard[0] else { panic!("{heard:?}") };
    assert_eq!(info.changed_by.as_deref(), Some("alice@im.test"));
    let after = subscription(&mut world, bob, "garden");
    assert_eq!((after.face.card.as_deref(), after.updated.0), (Some("green"), before.0 + 1000));
    assert!(world.ask(alice, change("green")).news.is_empty());
    assert_eq!(refused(&world.ask(bob, change("red"))), Refusal::NotAllowed);
}

#[test]
fn an_account_begins_with_what_it_registers_with() {
    let mut world = World::new();
    let register = |card: &str| {
        let (login, verifier) = (login("alice"), verifier("v"));
        let profile = ProfileDraft {
            name: Some("Alice".into()),
            access: Some(Access::NONE),
            card: Some("seen".into()),
            ..ProfileDraft::default()
        };
        let start = Some(Box::new(Start { profile, card: card.into(), logs_in: false }));
        Command::Register { login, verifier, invite: None, envelope: None, start }
    };
    let long = "x".repeat(CARD_BYTES_MAX + 1);
    let outcome = world.apply(Actor::Nobody, register(&long));
    assert_eq!(refused(&outcome), Refusal::FieldTooLong);
    // What was refused has left no name behind.
    assert!(world.apply(Actor::Nobody, register("kept")).reply.is_ok());
    let alice = world.log_in("alice");
    let mine = myself(&world, alice);
    assert_eq!((&*mine.face.name, mine.face.card.as_deref()), ("Alice", Some("seen")));
    assert_eq!((mine.card.as_deref(), mine.access), (Some("kept"), Access::NONE));
    assert_eq!(mine.created, world.now);
    // What she lets others do is hers to know.
    let query = Query::Profile { who: Some(address("alice")) };
    let Ok(Reply::Profile(profile)) = world.read(alice, &query) else { panic!() };
    assert_eq!((profile.fields.access, profile.fields.name.as_deref()), (None, Some("Alice")));
    let of = Handle::Person(alice.account);
    assert!(matches!(world.read(alice, &Query::Name { of }), Ok(Reply::Name(_))));
}
