use super::*;
use crate::domain::id::Timestamp;
use crate::domain::testing::{Me, World, address, group_draft, ids, refused, whole};
use crate::domain::words::{ChatChange, ChatDraft, Command, MessageView, Query, Reply, Whom};

/// What is not old yet begins here.
fn today(world: &mut World) -> MessageId {
    world.now.0 += 1000;
    let at = world.now;
    world.force(|tx| tx.put_day(at));
    world.store.reader().read(|look| look.day(at)).unwrap().unwrap().1
}

fn direct(one: Me, other: Me) -> ChatId {
    ChatId::direct(one.account, other.account)
}

fn expire_in(world: &mut World, chat: ChatId, before: MessageId) -> bool {
    let mut was_there = false;
    world.force(|tx| {
        was_there = expire(tx, chat, before)?;
        Ok(())
    });
    was_there
}

/// Everything that was removed is removed, and nothing is wrong.
fn assert_sound(world: &mut World) {
    world.store.merge().unwrap();
    while world.store.is_unswept() {
        world.store.sweep().unwrap();
    }
    let verdict = world.store.reader().verify(&mut |_| {}).unwrap();
    assert_eq!(verdict.faults, Vec::<String>::new());
}

fn rewound(world: &World, me: Me) -> Vec<MessageView> {
    match world.read(me, &Query::Rewind { after: MessageId(0), count: 500, own: true }) {
        Ok(Reply::Messages { messages, more: false }) => messages,
        other => panic!("{other:?}"),
    }
}

fn found(world: &World, me: Me, text: &str) -> usize {
    let query = Query::Search { text: text.into(), chat: None, before: MessageId::END, count: 100 };
    match world.read(me, &query) {
        Ok(Reply::Found { messages, .. }) => messages.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_older_is_gone_for_everybody_and_for_every_question() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    for text in ["old one", "old two", "old three"] {
        world.sent(alice, "bob", text);
    }
    let before = today(&mut world);
    let young = world.sent(alice, "bob", "young");
    assert_eq!(world.chats(bob)[0].unread, 4);
    let chat = direct(alice, bob);
    assert!(expire_in(&mut world, chat, before));
    assert!(!expire_in(&mut world, chat, before), "once is enough");
    for swept in [false, true] {
        for (me, other) in [(alice, "bob"), (bob, "alice")] {
            let (history, more) = world.history(me, other, whole()).unwrap();
            assert_eq!((ids(&history), more), (vec![young.0], false), "{swept}");
            assert_eq!((history[0].seq, history[0].previous), (Seq(4), MessageId(0)));
            assert_eq!(ids(&rewound(&world, me)), [young.0]);
            assert_eq!((found(&world, me, "old"), found(&world, me, "young")), (0, 1));
            let page =
                Query::Page { chat: address(other), since: Seq(0), before: Seq(99), count: 9 };
            let Ok(Reply::Messages { messages, .. }) = world.read(me, &page) else { panic!() };
            assert_eq!(ids(&messages), [young.0]);
            let one = Command::Subscription { chat: address(other) };
            let Ok(Reply::Subscriptions { subscriptions, .. }) = world.ask(me, one).reply else {
                panic!()
            };
            assert_eq!((subscriptions[0].cleared, subscriptions[0].last), (Seq(3), Seq(4)));
        }
        assert_eq!((world.chats(bob)[0].unread, world.unread(bob).len()), (1, 1));
        assert_sound(&mut world);
    }
    assert!(refused_to_change(&mut world, alice, MessageId(young.0 - 2)));
}

/// Whether a message is gone for who would edit or delete it.
fn refused_to_change(world: &mut World, me: Me, id: MessageId) -> bool {
    let (chat, whom) = (address("bob"), Whom::All);
    let edit = Command::Edit { chat: chat.clone(), id, text: "x".into(), spans: Box::default() };
    [edit, Command::Delete { chat, id, whom }]
        .into_iter()
        .all(|command| refused(&world.ask(me, command)) == Refusal::NoSuchMessage)
}

#[test]
fn of_a_chat_that_is_all_old_its_end_is_left_and_nothing_that_was_said() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    let garden = world.store.reader().read(|s| s.chat_by_address(&address("garden")));
    let garden = garden.unwrap().unwrap();
    for chat in ["bob", "garden"] {
        world.sent(alice, chat, "one");
        world.sent(alice, chat, "two");
    }
    let before = today(&mut world);
    for chat in [direct(alice, bob), garden] {
        assert!(expire_in(&mut world, chat, before));
        assert!(!expire_in(&mut world, chat, before));
    }
    assert_sound(&mut world);
    // A direct chat is as it is when it was cleared; a group is there for those who are in it.
    let chats = world.chats(bob);
    assert_eq!(chats.len(), 1);
    assert_eq!((&*chats[0].chat, chats[0].unread), ("garden@im.test", 0));
    for me in [alice, bob] {
        let seen = rewound(&world, me);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen.iter().all(|view| view.text.is_empty()));
        assert_eq!((found(&world, me, "one"), found(&world, me, "two")), (0, 0));
    }
    // The places go on where they were.
    let next = world.sent(bob, "alice", "three");
    let (history, _) = world.history(alice, "bob", whole()).unwrap();
    assert_eq!((history.last().unwrap().id, history.last().unwrap().seq), (next, Seq(3)));
    assert_eq!(world.chats(alice)[0].unread, 1);
    assert_sound(&mut world);
    // And so does what is too old.
    let before = today(&mut world);
    assert!(expire_in(&mut world, direct(alice, bob), before));
    assert_sound(&mut world);
}

#[test]
fn marks_outlive_the_messages_that_they_follow_from() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.sent(bob, "alice", "one");
    let mine = world.sent(alice, "bob", "two");
    let before = today(&mut world);
    world.sent(bob, "alice", "three");
    let chat = direct(alice, bob);
    expire_in(&mut world, chat, before);
    let part = world.store.reader().read(|look| look.part(alice.account, chat)).unwrap();
    assert_eq!(part.unwrap().read, Mark { id: mine, seq: Seq(2) });
    assert_sound(&mut world);
    assert_eq!(world.chats(alice)[0].unread, 1);
    assert_eq!(world.chats(bob)[0].read, mine, "as far as alice has read");
}

#[test]
fn an_edit_outlives_what_it_changed() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let first = world.sent(alice, "bob", "one");
    let before = today(&mut world);
    let (text, spans) = ("edited".into(), Box::default());
    let edit = Command::Edit { chat: address("bob"), id: first, text, spans };
    assert!(world.ask(alice, edit).reply.is_ok());
    expire_in(&mut world, direct(alice, bob), before);
    assert_sound(&mut world);
    let seen = rewound(&world, bob);
    assert_eq!((seen.len(), seen[0].kind, &*seen[0].text), (1, Kind::Edited, ""));
    assert!(seen[0].extra.as_ref().unwrap().deleted);
}

#[test]
fn what_has_no_place_may_be_what_is_left() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    world.sent(alice, "garden", "one");
    let before = today(&mut world);
    let change = ChatChange { name: Some("Park".into()), ..ChatChange::default() };
    assert!(
        world.ask(alice, Command::ChangeChat { chat: address("garden"), change }).reply.is_ok()
    );
    let garden = world.store.reader().read(|s| s.chat_by_address(&address("garden")));
    assert!(expire_in(&mut world, garden.unwrap().unwrap(), before));
    assert_sound(&mut world);
    let seen = rewound(&world, bob);
    assert_eq!((seen.len(), seen[0].kind, &*seen[0].text), (1, Kind::Renamed, "Park"));
    assert_eq!(world.chats(bob)[0].unread, 0);
    world.sent(alice, "garden", "two");
    assert_eq!(world.chats(bob)[0].unread, 1);
    assert_sound(&mut world);
}

#[test]
fn a_cookie_is_known_as_long_as_its_message_is_there() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    let send = |world: &mut World| {
        let draft = crate::domain::testing::draft("bob", "x", Some("c"));
        match world.ask(alice, Command::Send(draft)).reply {
            Ok(Reply::Sent { repeated, .. }) => repeated,
            other => panic!("{other:?}"),
        }
    };
    assert!(!send(&mut world) && send(&mut world));
    let before = today(&mut world);
    world.sent(bob, "alice", "y");
    expire_in(&mut world, direct(alice, bob), before);
    assert_sound(&mut world);
    assert!(!send(&mut world));
    assert!(send(&mut world));
}

#[test]
fn what_concerns_one_person_alone_goes_like_the_rest() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    for text in ["one", "two"] {
        let id = world.sent(alice, "bob", text);
        let (chat, whom) = (address("bob"), Whom::Me);
        assert!(world.ask(bob, Command::Delete { chat: address("alice"), id, whom }).reply.is_ok());
        assert!(world.ask(alice, Command::Delete { chat, id, whom }).reply.is_ok());
    }
    let before = today(&mut world);
    let id = world.sent(alice, "bob", "three");
    let whom = Whom::Me;
    assert!(world.ask(bob, Command::Delete { chat: address("alice"), id, whom }).reply.is_ok());
    let mine = |world: &World, me: Me| rewound(world, me).iter().filter(|v| v.is_private()).count();
    assert_eq!((mine(&world, alice), mine(&world, bob)), (2, 3));
    for me in [alice, bob] {
        assert!(expire_in(&mut world, ChatId::own(me.account), before));
    }
    // Of alice's the last is left, though it is old: her chain ends with it.
    assert_eq!((mine(&world, alice), mine(&world, bob)), (1, 1));
    assert_sound(&mut world);
    assert_eq!((mine(&world, alice), mine(&world, bob)), (1, 1));
}

#[test]
fn the_owner_of_a_group_may_want_less_than_the_server() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.make(alice, ChatDraft { open: Some(true), retention: 30, ..group_draft("garden") });
    assert!(world.ask(bob, Command::Join { chat: address("garden") }).reply.is_ok());
    let garden = world.store.reader().read(|s| s.chat_by_address(&address("garden")));
    let (garden, beside) = (garden.unwrap().unwrap(), direct(alice, bob));
    let kept = |world: &World, chat, server| {
        world.store.reader().read(|look| days_kept(look, chat, server)).unwrap()
    };
    assert_eq!(kept(&world, garden, None), Some(30));
    assert_eq!(kept(&world, garden, Some(365)), Some(30));
    assert_eq!(kept(&world, garden, Some(7)), Some(7));
    assert_eq!((kept(&world, beside, None), kept(&world, beside, Some(7))), (None, Some(7)));
    let change = |world: &mut World, me, days| {
        let change = ChatChange { retention: Some(days), ..ChatChange::default() };
        world.ask(me, Command::ChangeChat { chat: address("garden"), change })
    };
    assert_eq!(refused(&change(&mut world, bob, 1)), Refusal::NotAllowed);
    assert_eq!(refused(&change(&mut world, alice, RETENTION_DAYS_MAX + 1)), Refusal::BadField);
    assert_eq!(change(&mut world, alice, 30).news.len(), 0, "nothing new");
    assert!(!change(&mut world, alice, 1).news.is_empty(), "its members are told");
    assert_eq!(kept(&world, garden, None), Some(1));
    change(&mut world, alice, 0);
    assert_eq!(kept(&world, garden, None), None);
    let info = world.read(bob, &Query::Chat { chat: address("garden") });
    assert!(matches!(info, Ok(Reply::Chat(info)) if info.retention == 0));
}

#[test]
fn a_group_that_was_removed_has_nothing_that_is_too_old() {
    let (mut world, [alice]) = World::of(["alice"]);
    let garden = world.group(alice, "garden");
    world.sent(alice, "garden", "one");
    let remove = Command::RemoveChat { chat: address("garden"), is_space: false };
    assert!(world.ask(alice, remove).reply.is_ok());
    let before = today(&mut world);
    assert!(!expire_in(&mut world, garden, before));
    assert_eq!(world.store.reader().read(|look| look.day(Timestamp(0))).unwrap(), None);
}
