//! What strangers and nuisances can do to somebody, and how far.

use super::*;
use crate::domain::testing::group_draft;
use crate::domain::words::{ChatDraft, Handle};
use crate::limits::MANAGERS_ASKED_MAX;

/// So many more people, each with a session.
fn crowd(world: &mut World, count: usize) -> Vec<Me> {
    let mut people = Vec::new();
    for n in 0..count {
        let login = format!("p{n}");
        world.add_user(&login);
        people.push(world.log_in(&login));
    }
    people
}

#[test]
fn chats_in_which_nothing_was_said_are_bounded_for_who_begins_them() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    crowd(&mut world, BEGUN_CHATS_MAX + 1);
    for n in 0..BEGUN_CHATS_MAX {
        assert!(take(&mut world, alice, &format!("p{n}")).1);
        // Leaving them again makes no room for others.
        leave(&mut world, alice, &format!("p{n}"));
    }
    let next = format!("p{BEGUN_CHATS_MAX}");
    let outcome = ask_for(&mut world, alice, &next, None, "");
    assert_eq!(refused(&outcome), Refusal::TooManyChats);
    assert_eq!(refused(&ask_for(&mut world, alice, "p0", None, "")), Refusal::TooManyChats);
    // Who is begun with uses up nothing, and writing is another matter.
    assert!(take(&mut world, bob, "alice").1);
    world.sent(alice, &next, "hi");
    world.sent(alice, "p0", "hi");
    assert!(take(&mut world, alice, "p1").1, "p0 counts no more");
}

#[test]
fn a_chat_that_is_begun_and_left_again_and_again_tells_the_other_side_once() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    for _ in 0..5 {
        take(&mut world, alice, "bob");
        leave(&mut world, alice, "bob");
    }
    assert_eq!(notices(&world, bob).len(), 1);
    leave(&mut world, bob, "alice");
    for _ in 0..5 {
        take(&mut world, alice, "bob");
        leave(&mut world, alice, "bob");
    }
    assert_eq!(notices(&world, bob).len(), 1);
    assert!(subscriptions(&mut world, bob).is_empty());
}

#[test]
fn an_invitation_that_waits_is_told_of_once() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group(alice, "garden");
    for access in ["RW", "R", "RWP", "RW"] {
        let (chat, who, access) = (address("garden"), address("bob"), Some(letters(access)));
        let invite = Command::Invite { chat, who, access, note: "".into() };
        assert!(world.ask(alice, invite).reply.is_ok());
        world.give(alice, "garden", "bob", "RWPD");
    }
    assert_eq!(notices(&world, bob).len(), 1);
    // Declined, it may be told of again.
    leave(&mut world, bob, "garden");
    let (chat, who) = (address("garden"), address("bob"));
    world.ask(alice, Command::Invite { chat, who, access: None, note: "".into() });
    assert_eq!(notices(&world, bob).len(), 2);
}

#[test]
fn nothing_is_asked_across_a_block() {
    let (mut world, [alice, bob, eve]) = World::of(["alice", "bob", "eve"]);
    world.group_of("garden", &[alice, bob]);
    world.give(alice, "garden", "bob", "RWPS");
    world.want(bob, "garden", "RWPS");
    world.ask(alice, Command::Block { who: address("eve"), on: true });
    let outcome = ask_for(&mut world, eve, "garden", Some("RWPD"), "you cannot hide");
    assert!(subscribed(&outcome).1, "she is not told that she is blocked");
    assert_eq!(heard(&outcome, alice), ["record"], "what everybody there hears");
    assert_eq!(notices(&world, alice).len(), 0);
    assert_eq!(notices(&world, bob).len(), 1);
}

#[test]
fn few_of_many_managers_are_asked_and_the_owner_among_them() {
    let mut world = World::new();
    let people = crowd(&mut world, MANAGERS_ASKED_MAX + 4);
    let owner = *people.last().unwrap();
    let mut all = vec![owner];
    all.extend(&people[..people.len() - 1]);
    world.group_of("garden", &all);
    for (n, manager) in people[..people.len() - 1].iter().enumerate() {
        world.give(owner, "garden", &format!("p{n}"), "RWPS");
        world.want(*manager, "garden", "RWPS");
    }
    world.add_user("dave");
    let dave = world.log_in("dave");
    ask_for(&mut world, dave, "garden", Some("RWPD"), "");
    let asked = people.iter().filter(|who| !notices(&world, **who).is_empty()).count();
    assert_eq!((asked, notices(&world, owner).len()), (MANAGERS_ASKED_MAX, 1));
}

#[test]
fn those_who_ask_do_not_fill_a_group() {
    let (mut world, [alice]) = World::of(["alice"]);
    world.group(alice, "garden");
    let people = crowd(&mut world, ASKERS_MAX + 1);
    for who in &people[..ASKERS_MAX] {
        assert!(take(&mut world, *who, "garden").1);
    }
    let last = people[ASKERS_MAX];
    assert_eq!(refused(&ask_for(&mut world, last, "garden", None, "")), Refusal::TooManyMembers);
    // One decision makes room.
    world.give(alice, "garden", "p0", "RWP");
    assert!(take(&mut world, last, "garden").1);
}

#[test]
fn groups_are_not_found_by_counting() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    let closed = world.group(alice, "garden");
    let open = world.make(alice, ChatDraft { open: Some(true), ..group_draft("field") });
    let name = |world: &World, me, of| match world.read(me, &Query::Name { of })? {
        Reply::Name(name) => Ok(name.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(name(&world, bob, Handle::Chat(closed)), Err(Refusal::NoSuchChat));
    assert_eq!(name(&world, bob, Handle::Chat(open)).unwrap(), "field@im.test");
    assert_eq!(name(&world, alice, Handle::Chat(closed)).unwrap(), "garden@im.test");
    take(&mut world, bob, "garden");
    assert_eq!(name(&world, bob, Handle::Chat(closed)).unwrap(), "garden@im.test");
    // Whoever was given its random number may ask for it.
    let row = world.store.reader().read(|look| look.chat(closed)).unwrap().unwrap();
    let public = Handle::PublicChat(row.public_id);
    assert_eq!(name(&world, carol, public).unwrap(), "garden@im.test");
    let row = world.store.reader().read(|look| look.account(bob.account)).unwrap().unwrap();
    assert_eq!(name(&world, carol, Handle::PublicPerson(row.public_id)).unwrap(), "bob@im.test");
    assert_eq!(name(&world, carol, Handle::Person(bob.account)).unwrap(), "bob@im.test");
    for nobody in [Handle::PublicPerson(0), Handle::Person(AccountNo(99))] {
        assert_eq!(name(&world, carol, nobody), Err(Refusal::NoSuchAccount));
    }
    // What is removed has no name, but for whoever remembers it.
    let chat = address("field");
    assert!(world.ask(alice, Command::RemoveChat { chat, is_space: false }).reply.is_ok());
    assert_eq!(name(&world, alice, Handle::Chat(open)), Err(Refusal::NoSuchChat));
}

#[test]
fn what_somebody_is_banned_from_hides_none_of_their_chats() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    for n in 0..5 {
        world.group(alice, &format!("g{n}"));
        let (chat, who) = (address(&format!("g{n}")), address("bob"));
        assert!(world.ask(alice, Command::Kick { chat, who, ban: true }).reply.is_ok());
    }
    world.group(bob, "shed");
    world.group(bob, "pond");
    let page = |world: &mut World, after, count| {
        let answer = world.ask(bob, Command::Subscriptions { after, count }).reply;
        let Ok(Reply::Subscriptions { subscriptions, more }) = answer else { panic!("{answer:?}") };
        (subscriptions, more)
    };
    let (first, more) = page(&mut world, None, 1);
    assert!(&*first[0].chat == "shed@im.test" && more);
    let (rest, more) = page(&mut world, Some(first[0].id), 1);
    assert!(&*rest[0].chat == "pond@im.test" && !more);
}
