use std::sync::Arc;

use super::*;
use crate::domain::testing::{HOME, World, address, login, refused, verifier};
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
