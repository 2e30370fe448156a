use std::sync::Arc;

use super::*;
use crate::domain::testing::{HOME, World, address, login, refused, verifier, whole};
use crate::domain::words::moving::MovedMember;
use crate::domain::words::{Kind, Order, Outcome};

fn text(seq: u32, from: &str, text: &str) -> MovedMessage {
    MovedMessage {
        seq: Seq(seq),
        after: 0,
        from: address(from),
        time: Timestamp(1000 * u64::from(seq)),
        kind: Kind::Text,
        text: Arc::from(text),
        reply_to: Seq(0),
        target: Seq(0),
        person: None,
        place: None,
        access: None,
        spans: Box::default(),
        mime: None,
        edited: Timestamp(0),
        deleted: false,
        reach: Seq(0),
    }
}

fn begin(world: &mut World, name: &str) -> Outcome {
    let (card, own_card) = (Box::default(), Box::default());
    let (login, created) = (login(name), Timestamp(7));
    let piece = Piece::Account { login, created, profile: None, card, own_card };
    world.order(Order::Import(Box::new(piece)))
}

fn member(who: &str, given: Access) -> MovedMember {
    MovedMember { who: address(who), want: given, given, left: false }
}

fn direct(world: &mut World, owner: &str, other: &str) -> Outcome {
    let chat = MovedChat {
        address: address(other),
        kind: ChatKind::Direct,
        name: "".into(),
        about: "".into(),
        open: false,
        default_access: Access::NONE,
        space: None,
        created: Timestamp(0),
        card: "".into(),
        own_card: "".into(),
        members: [owner, other].map(|who| member(who, Access::DIRECT)).into(),
    };
    world.order(Order::Import(Box::new(Piece::Chat { owner: login(owner), chat: Box::new(chat) })))
}

fn say(world: &mut World, (owner, chat): (&str, &str), messages: &[MovedMessage]) -> Outcome {
    world.order(Order::Import(Box::new(Piece::Messages {
        owner: login(owner),
        chat: address(chat),
        messages: messages.to_vec(),
    })))
}

fn told(world: &World, owner: &str, other: &str) -> Vec<(u32, String)> {
    let chat = ChatId::direct(world.account(owner), world.account(other));
    let range = crate::domain::words::Range {
        after: MessageId(0),
        before: MessageId::END,
        since: None,
        count: 100,
        take: crate::domain::words::Take::First,
    };
    let read = world.store.reader().read(|look| look.messages(chat, &range));
    read.unwrap().0.iter().map(|m| (m.seq.0, m.text.to_string())).collect()
}

#[test]
fn a_chat_comes_with_its_places_and_can_come_again() {
    let mut world = World::new();
    assert!(begin(&mut world, "alice").reply.is_ok());
    assert!(direct(&mut world, "alice", "bob@far.test").reply.is_ok());
    let mut answer = text(2, "alice", "see you");
    answer.reply_to = Seq(1);
    let all = [text(1, "bob@far.test", "at eight?"), answer, text(3, "alice", "!")];
    let to = ("alice", "bob@far.test");
    assert!(say(&mut world, to, &all[..2]).reply.is_ok());
    // Cut short, and said again from its beginning.
    assert!(say(&mut world, to, &all).reply.is_ok());
    assert!(say(&mut world, to, &all).reply.is_ok());
    let expected = [(1, "at eight?"), (2, "see you"), (3, "!")].map(|(n, t)| (n, t.to_owned()));
    assert_eq!(told(&world, "alice", "bob@far.test"), expected);
    let chat = ChatId::direct(world.account("alice"), world.account("bob@far.test"));
    let reader = world.store.reader();
    let first = reader.read(|look| look.message_at(chat, Seq(1))).unwrap().unwrap();
    let second = reader.read(|look| look.message_at(chat, Seq(2))).unwrap().unwrap();
    let second = reader.read(|look| look.message(chat, second)).unwrap().unwrap();
    assert_eq!(second.extra.map(|extra| extra.reply_to), Some(first));
    assert_eq!(second.time, Timestamp(2000));
    let bob = reader.read(|look| look.account(world.account("bob@far.test"))).unwrap().unwrap();
    assert_eq!((bob.state, bob.verifier), (AccountState::Remote, None));

    // Neither a gap nor another chat in its place, and nothing of either is kept.
    let gap = [text(5, "alice", "later")];
    assert_eq!(refused(&say(&mut world, to, &gap)), Refusal::BadRange);
    let mut other = text(3, "alice", "!");
    other.time = Timestamp(1);
    let others = [other, text(4, "alice", "more")];
    assert_eq!(refused(&say(&mut world, to, &others)), Refusal::AlreadyThere);
    let strange = [text(4, "carol@far.test", "hello")];
    assert_eq!(refused(&say(&mut world, to, &strange)), Refusal::BadField);
    assert_eq!(told(&world, "alice", "bob@far.test").len(), 3);
}

#[test]
fn nobody_who_is_here_is_overwritten() {
    let (mut world, [alice]) = World::of(["alice"]);
    assert_eq!(refused(&begin(&mut world, "alice")), Refusal::LoginTaken);
    world.order(Order::DisableUser { login: login("alice") });
    assert_eq!(refused(&begin(&mut world, "alice")), Refusal::LoginTaken);
    assert_eq!(refused(&direct(&mut world, "alice", "bob")), Refusal::LoginTaken);
    assert_eq!(refused(&direct(&mut world, "nobody", "bob")), Refusal::NoSuchAccount);
    world.order(Order::RemoveUser { login: login("alice") });
    assert_eq!(refused(&begin(&mut world, "alice")), Refusal::LoginTaken);
    let account = world.store.reader().read(|look| look.account(alice.account)).unwrap().unwrap();
    assert_eq!(account.state, AccountState::Removed);
}

#[test]
fn who_comes_second_finds_the_chat_with_the_first() {
    let mut world = World::new();
    let all = [text(1, "alice", "hi"), text(2, "bob", "hello")];
    for (owner, other) in [("alice", "bob"), ("bob", "alice")] {
        // Bob is here already, without a password, because alice's chat names him.
        assert!(begin(&mut world, owner).reply.is_ok(), "{owner}");
        assert!(direct(&mut world, owner, other).reply.is_ok());
        assert!(say(&mut world, (owner, other), &all).reply.is_ok());
        let marks = vec![
            MovedMark { who: address("alice"), delivered: Seq(2), read: Seq(1) },
            MovedMark { who: address("bob"), delivered: Seq(9), read: Seq(9) },
        ];
        let (owner, chat) = (login(owner), address(other));
        assert!(
            world.order(Order::Import(Box::new(Piece::Marks { owner, chat, marks }))).reply.is_ok()
        );
    }
    assert_eq!(told(&world, "alice", "bob").len(), 2);
    let (alice, bob) = (world.account("alice"), world.account("bob"));
    let chat = ChatId::direct(alice, bob);
    for (who, read) in [(alice, 1), (bob, 2)] {
        let part = world.store.reader().read(|look| look.part(who, chat)).unwrap().unwrap();
        assert_eq!((part.read.seq, part.delivered.seq), (Seq(read), Seq(2)), "{who:?}");
    }
    // A password makes somebody of them, and then nothing more is taken for them.
    world.order(Order::SetPassword { login: login("bob"), verifier: verifier("new") });
    world.order(Order::EnableUser { login: login("bob") });
    world.log_in("bob");
    assert_eq!(refused(&begin(&mut world, "bob")), Refusal::LoginTaken);
    assert_eq!(refused(&say(&mut world, ("bob", "alice"), &all)), Refusal::LoginTaken);
}

#[test]
fn a_group_comes_once_and_is_always_owned() {
    let mut world = World::new();
    let mut bring = |owner: &str, created: u64| {
        assert!(begin(&mut world, owner).reply.is_ok());
        let chat = MovedChat {
            address: address("garden"),
            kind: ChatKind::Group,
            name: "Garden".into(),
            about: "".into(),
            open: true,
            default_access: Access::GROUP,
            space: Some(address("garden")),
            created: Timestamp(created),
            card: "a picture".into(),
            own_card: "starred".into(),
            members: vec![
                member("alice", Access::GROUP),
                member("bob", Access::GROUP),
                member("carol@far.test", Access::OWNER),
            ],
        };
        let piece = Piece::Chat { owner: login(owner), chat: Box::new(chat) };
        let outcome = world.order(Order::Import(Box::new(piece)));
        (outcome, world.store.reader())
    };
    let (brought, reader) = bring("alice", 5);
    assert!(brought.reply.is_ok());
    let garden = reader.read(|look| look.chat_by_address(&address("garden"))).unwrap().unwrap();
    let chat = reader.read(|look| look.chat(garden)).unwrap().unwrap();
    assert!(chat.is_space() && chat.created == Timestamp(5));
    // Carol lives elsewhere, so that it is alice's now.
    let parts = || {
        let read = reader.read(|look| {
            let members = look.members_of(garden)?;
            let part = |who: &AccountNo| look.part(*who, garden);
            members.iter().map(part).collect::<Result<Vec<_>, _>>()
        });
        read.unwrap().into_iter().flatten().map(|part| part.given).collect::<Vec<_>>()
    };
    assert_eq!(parts(), [Access::OWNER, Access::GROUP]);
    assert!(bring("bob", 5).0.reply.is_ok());
    assert_eq!(parts(), [Access::OWNER, Access::GROUP]);
    // Another group that has the same name.
    assert_eq!(refused(&bring("dave", 6).0), Refusal::AlreadyThere);
    let faults = reader.verify(&mut |_| {}).unwrap().faults;
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(address("x").host.as_ref(), HOME);
}

fn group(world: &mut World, owner: &str, own_card: &str) -> Outcome {
    let chat = MovedChat {
        address: address("garden"),
        kind: ChatKind::Group,
        name: "Garden".into(),
        about: "".into(),
        open: true,
        default_access: Access::GROUP,
        space: None,
        created: Timestamp(5),
        card: "a rose".into(),
        own_card: own_card.into(),
        members: vec![member("alice", Access::OWNER), member("bob", Access::GROUP)],
    };
    world.order(Order::Import(Box::new(Piece::Chat { owner: login(owner), chat: Box::new(chat) })))
}

#[test]
fn what_has_no_place_is_known_by_the_one_that_it_follows() {
    let telling = |seq, after, time, from: &str, kind| {
        let moved = text(seq, from, "");
        MovedMessage { after, kind, time: Timestamp(time), ..moved }
    };
    let mut last = text(2, "alice", "you do");
    last.reply_to = Seq(1);
    let all = [
        telling(0, 1, 10, "alice", Kind::Created),
        telling(0, 2, 20, "bob", Kind::Joined),
        text(1, "bob", "who waters?"),
        telling(1, 1, 1000, "bob", Kind::Left),
        telling(1, 2, 1500, "bob", Kind::Joined),
        telling(1, 3, 1500, "alice", Kind::Renamed),
        last,
        telling(2, 1, 2500, "bob", Kind::Left),
    ];
    let to = ("alice", "garden");
    // Cut short anywhere, and said again from there, from before, from the beginning.
    for cut in 0..=all.len() {
        let mut world = World::new();
        assert!(begin(&mut world, "alice").reply.is_ok());
        assert!(group(&mut world, "alice", "").reply.is_ok());
        assert!(say(&mut world, to, &all[..cut]).reply.is_ok(), "{cut}");
        for from in (0..=cut).rev() {
            assert!(say(&mut world, to, &all[from..]).reply.is_ok(), "{cut} {from}");
        }
        let garden = world.store.reader().read(|look| look.chat_by_address(&address("garden")));
        let chat = garden.unwrap().unwrap();
        let read = world.store.reader().read(|look| look.messages(chat, &whole()));
        let told = read.unwrap().0;
        let seqs: Vec<u32> = told.iter().map(|message| message.seq.0).collect();
        assert_eq!(seqs, [0, 0, 1, 1, 1, 1, 2, 2], "{cut}");
        let answered = told[6].extra.as_ref().map(|extra| extra.reply_to);
        assert_eq!(answered, Some(told[2].id));
        // Another one in its place, one that is missing, one whose kind has no such place.
        let other = MovedMessage { from: address("alice"), ..all[4].clone() };
        assert_eq!(refused(&say(&mut world, to, &[other])), Refusal::AlreadyThere);
        let more = MovedMessage { after: 3, ..all[7].clone() };
        assert_eq!(refused(&say(&mut world, to, &[more])), Refusal::BadRange);
        let odd = MovedMessage { after: 2, kind: Kind::Text, ..all[7].clone() };
        assert_eq!(refused(&say(&mut world, to, &[odd])), Refusal::BadRange);
        let gap = [all[5].clone(), all[7].clone()];
        assert_eq!(refused(&say(&mut world, to, &gap)), Refusal::BadRange);
        assert_eq!(refused(&say(&mut world, to, &[text(0, "bob", "!")])), Refusal::BadRange);
        assert_eq!(world.store.reader().verify(&mut |_| {}).unwrap().faults, Vec::<String>::new());
    }
}

#[test]
fn who_has_left_a_direct_chat_is_back_with_the_next_message() {
    let mut world = World::new();
    assert!(begin(&mut world, "alice").reply.is_ok());
    let gone = MovedMember { left: true, ..member("bob", Access::DIRECT) };
    let chat = MovedChat {
        address: address("bob"),
        kind: ChatKind::Direct,
        name: "".into(),
        about: "".into(),
        open: false,
        default_access: Access::NONE,
        space: None,
        created: Timestamp(0),
        card: "".into(),
        own_card: "pinned".into(),
        members: vec![member("alice", Access::DIRECT), gone],
    };
    let owner = login("alice");
    let piece = Piece::Chat { owner, chat: Box::new(chat) };
    assert!(world.order(Order::Import(Box::new(piece))).reply.is_ok());
    assert!(say(&mut world, ("alice", "bob"), &[text(1, "bob", "bye")]).reply.is_ok());
    let marks = vec![MovedMark { who: address("bob"), delivered: Seq(1), read: Seq(1) }];
    let (owner, chat) = (login("alice"), address("bob"));
    let piece = Piece::Marks { owner, chat, marks };
    assert!(world.order(Order::Import(Box::new(piece))).reply.is_ok());
    for login in ["alice", "bob"].map(login) {
        world.order(Order::SetPassword { login: login.clone(), verifier: verifier("new") });
        world.order(Order::EnableUser { login });
    }
    let (alice, bob) = (world.log_in("alice"), world.log_in("bob"));
    let id = ChatId::direct(alice.account, bob.account);
    let reader = world.store.reader();
    let part = |who| reader.read(|look| Ok((look.part(who, id)?, look.left(who, id)?))).unwrap();
    assert!(part(alice.account).0.is_some_and(|part| part.alone && !part.unheard));
    assert!(part(bob.account).1.is_some_and(|part| part.read.seq == Seq(1)));
    assert_eq!(
        reader.read(|look| look.card(alice.account, id)).unwrap().as_deref(),
        Some("pinned")
    );
    assert_eq!((world.chats(alice).len(), world.chats(bob).len()), (1, 0));
    world.sent(alice, "bob", "come back");
    assert_eq!(world.chats(bob)[0].unread, 1);
    assert!(part(alice.account).0.is_some_and(|part| !part.alone));
}

#[test]
fn a_chat_that_was_deleted_once_begins_with_that() {
    let mut world = World::new();
    assert!(begin(&mut world, "alice").reply.is_ok());
    assert!(direct(&mut world, "alice", "bob").reply.is_ok());
    let cleared = MovedMessage { after: 1, kind: Kind::Cleared, ..text(0, "alice", "") };
    let to = ("alice", "bob");
    assert!(say(&mut world, to, std::slice::from_ref(&cleared)).reply.is_ok());
    world.order(Order::SetPassword { login: login("alice"), verifier: verifier("new") });
    world.order(Order::EnableUser { login: login("alice") });
    let alice = world.log_in("alice");
    // What tells of a deletion is nothing by itself.
    assert!(world.chats(alice).is_empty());
    world.sent(alice, "bob", "a new beginning");
    assert_eq!(world.chats(alice).len(), 1);
    assert_eq!(told(&world, "alice", "bob").len(), 2);
}

#[test]
fn cards_come_along_and_none_is_longer_than_here() {
    let mut world = World::new();
    let start = |world: &mut World, card: &str, own_card: &str| {
        let (card, own_card) = (card.into(), own_card.into());
        let (login, created) = (login("alice"), Timestamp(7));
        let piece = Piece::Account { login, created, profile: None, card, own_card };
        world.order(Order::Import(Box::new(piece)))
    };
    let long = "x".repeat(crate::limits::CARD_BYTES_MAX + 1);
    assert_eq!(refused(&start(&mut world, &long, "")), Refusal::FieldTooLong);
    assert_eq!(refused(&start(&mut world, "", &long)), Refusal::FieldTooLong);
    assert!(start(&mut world, "a face", "a diary").reply.is_ok());
    assert_eq!(refused(&group(&mut world, "alice", &long)), Refusal::FieldTooLong);
    assert!(group(&mut world, "alice", "starred").reply.is_ok());
    let alice = world.account("alice");
    let reader = world.store.reader();
    let garden = reader.read(|look| look.chat_by_address(&address("garden"))).unwrap().unwrap();
    let card = |of, chat| reader.read(|look| look.card(of, chat)).unwrap();
    assert_eq!(card(EVERYBODY, ChatId::own(alice)).as_deref(), Some("a face"));
    assert_eq!(card(alice, ChatId::own(alice)).as_deref(), Some("a diary"));
    assert_eq!(card(EVERYBODY, garden).as_deref(), Some("a rose"));
    assert_eq!(card(alice, garden).as_deref(), Some("starred"));
}
