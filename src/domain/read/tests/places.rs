//! Pages by place, of chats and of what concerns their reader alone.

use super::*;
use crate::domain::testing::address;
use crate::domain::words::ChatChange;

/// The places of a page.
fn places(
    world: &World,
    me: Me,
    chat: &str,
    (since, before): (u32, u32),
    count: u32,
) -> Result<Vec<u32>, Refusal> {
    let (chat, since, before) = (address(chat), Seq(since), Seq(before));
    match world.read(me, &Query::Page { chat, since, before, count })? {
        Reply::Messages { messages, more: false } => {
            assert!(messages.iter().all(|view| view.kind.has_place()), "{messages:?}");
            Ok(messages.iter().map(|view| view.seq.0).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn pages_are_counted_in_places_whatever_lies_between_them() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    for n in 0..10 {
        world.sent(alice, "garden", "x");
        // Runs of records that have no place, the last of them a long one.
        for m in 0..if n == 9 { 150 } else { n % 3 } {
            let name = Some(format!("garden {n} {m}").into());
            let change = ChatChange { name, ..ChatChange::default() };
            world.ask(alice, Command::ChangeChat { chat: address("garden"), change });
        }
    }
    const END: u32 = u32::MAX;
    let page = |world: &World, range, count| places(world, bob, "garden", range, count).unwrap();
    assert_eq!(page(&world, (0, END), 500), (1..=10).collect::<Vec<_>>());
    // The newest of them, ascending; `since` is in it and `before` is not.
    assert_eq!(page(&world, (0, END), 3), [8, 9, 10]);
    assert_eq!(page(&world, (3, 7), 500), [3, 4, 5, 6]);
    assert_eq!(page(&world, (3, 7), 2), [5, 6]);
    assert_eq!(page(&world, (10, END), 5), [10]);
    assert_eq!(page(&world, (0, 2), 5), [1]);
    for (range, count) in [
        ((11, END), 5),
        ((0, 0), 5),
        ((0, 1), 5),
        ((4, 4), 5),
        ((7, 3), 5),
        ((END, END), 5),
        ((0, END), 0),
    ] {
        assert_eq!(page(&world, range, count), [0; 0], "{range:?} {count}");
    }
    // What is gone is in no page, whether it is swept away or not.
    let clear = Command::Clear { chat: address("garden"), whom: Whom::All, till: Some(Seq(4)) };
    assert!(world.ask(alice, clear).reply.is_ok());
    for _ in 0..2 {
        assert_eq!(page(&world, (0, END), 500), [5, 6, 7, 8, 9, 10]);
        assert_eq!(page(&world, (2, 7), 500), [5, 6]);
        for range in [(0, 3), (0, 4), (2, 5), (4, 5)] {
            assert_eq!(page(&world, range, 500), [0; 0], "{range:?}");
        }
        world.store.sweep().unwrap();
    }
    // What is gone for one person keeps its place, with nothing in it.
    let (history, _) = world.history(bob, "garden", whole()).unwrap();
    let (chat, id, whom) = (address("garden"), history[0].id, Whom::Me);
    world.ask(bob, Command::Delete { chat, id, whom });
    assert_eq!(page(&world, (0, 7), 500), [5, 6]);
}

#[test]
fn a_chat_without_a_message_has_an_empty_page_for_those_in_it() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    let all = (0, u32::MAX);
    assert_eq!(places(&world, alice, "bob", all, 9), Err(Refusal::NoSuchChat));
    let (chat, want, note) = (address("bob"), None, "".into());
    assert!(world.ask(alice, Command::Subscribe { chat, want, note }).reply.is_ok());
    for (me, other) in [(alice, "bob"), (bob, "alice")] {
        assert_eq!(places(&world, me, other, all, 9), Ok(Vec::new()));
    }
    assert_eq!(places(&world, carol, "bob", all, 9), Err(Refusal::NoSuchChat));
    world.sent(alice, "bob", "x");
    world.clear(bob, "alice", Whom::Me);
    assert_eq!(places(&world, bob, "alice", all, 9), Ok(Vec::new()));
    assert_eq!(places(&world, alice, "bob", all, 9), Ok(vec![1]));
}

#[test]
fn notices_are_counted_among_what_concerns_their_reader() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let notices = |world: &World, (since, before): (u32, u32), count| {
        let (since, before) = (Seq(since), Seq(before));
        match world.read(bob, &Query::Notices { since, before, count }) {
            Ok(Reply::Messages { messages, more: false }) => {
                let place = |view: &MessageView| (view.seq.0, view.chat.to_string());
                messages.iter().map(place).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let all = (0, u32::MAX);
    assert!(notices(&world, all, 9).is_empty());
    for n in 0..4 {
        world.group(alice, &format!("g{n}"));
        let (chat, who) = (address(&format!("g{n}")), address("bob"));
        let invite = Command::Invite { chat, who, access: None, note: "".into() };
        assert!(world.ask(alice, invite).reply.is_ok());
        // What he deletes for himself has a place there, too, and is none of them.
        let id = world.chats(bob)[0].last;
        let (chat, whom) = (address("alice"), Whom::Me);
        assert!(world.ask(bob, Command::Delete { chat, id, whom }).reply.is_ok());
    }
    let told = |n: u32| (2 * n + 1, format!("g{n}@im.test"));
    assert_eq!(notices(&world, all, 9), [told(0), told(1), told(2), told(3)]);
    assert_eq!(notices(&world, all, 2), [told(2), told(3)]);
    assert_eq!(notices(&world, (3, 7), 9), [told(1), told(2)]);
    assert_eq!(notices(&world, (2, 4), 9), [told(1)]);
    for (range, count) in [((0, 0), 9), ((8, u32::MAX), 9), ((9, u32::MAX), 9), (all, 0)] {
        assert!(notices(&world, range, count).is_empty(), "{range:?}");
    }
    let Ok(Reply::Myself(mine)) = world.read(bob, &Query::Myself) else { panic!() };
    assert_eq!(mine.last, Seq(8));
}
