//! The engine from its carriers' side: questions in, answers and mail out, in one order.

mod challenges;
mod keeping;
mod people;
mod stage;
mod standing_in;
mod watching;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::Waker;

use super::*;
use crate::domain::id::{Address, ChatId, Login, MessageId, Seq, Timestamp};
use crate::domain::nouns::Mark;
use crate::domain::words::{Draft, Event, Kind, SessionKind};
use crate::limits::RECENT_RIPE;
use crate::store::{Look, Options, Place};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct House {
    exchange: Exchange,
    running: Running,
}

/// One person on one device.
struct Guest<'a> {
    exchange: &'a Exchange,
    session: SessionId,
    seat: Arc<Seat>,
    holder: Holder,
}

impl House {
    fn new(change: impl FnOnce(&mut Config)) -> House {
        House::at(Place::Memory, change)
    }

    fn at(place: Place, change: impl FnOnce(&mut Config)) -> House {
        let mut config = Config::for_tests();
        change(&mut config);
        let options = Options { cache_bytes: 1 << 20, free_space: 0 };
        let store = Store::open(place, options).expect("it opens");
        let (exchange, running) =
            start(store, Arc::new(config), Arc::default(), 1 << 20, Clock::system())
                .expect("a thread starts");
        House { exchange, running }
    }

    fn register(&self, login: &str) {
        let credentials = credentials(login, "pw");
        let what = What::Register { credentials, invite: None, sealed: false, start: None };
        let answer = self.ask(None, what);
        assert!(matches!(answer.reply, Ok(Reply::Registered { .. })), "{:?}", answer.reply);
    }

    fn log_in(&self, login: &str) -> Guest<'_> {
        let answer = self.ask(None, What::LogIn(credentials(login, "pw")));
        let (session, seat) = answer.seat.expect("a login makes a seat");
        let holder = Holder::new();
        seat.hold(holder, Waker::noop());
        Guest { exchange: &self.exchange, session, seat, holder }
    }

    fn ask(&self, who: Option<SessionId>, what: What) -> Answer {
        let ask = Ask {
            session_required: who.is_some(),
            who,
            layer: 3,
            habit: Habit::default(),
            what: Ok(what),
        };
        smol::block_on(self.exchange.ask(PEER, ask))
    }
}

impl Guest<'_> {
    fn say(&self, command: Command) -> Answer {
        let ask = Ask {
            who: Some(self.session),
            session_required: true,
            layer: 3,
            habit: Habit::default(),
            what: Ok(What::Command(command)),
        };
        smol::block_on(self.exchange.ask(PEER, ask))
    }

    fn send(&self, to: &str, text: &str) -> (MessageId, u64) {
        let chat = Address::parse(to, "im.test").expect("a test's address is valid");
        let draft = Draft::text(chat, text.into(), None);
        let answer = self.say(Command::Send(draft));
        let Ok(Reply::Sent { id, .. }) = answer.reply else { panic!("{:?}", answer.reply) };
        (id, answer.order)
    }

    fn texts(&self) -> Vec<(u64, String)> {
        let mut texts = Vec::new();
        while let Some(Mail::Event { order, event }) = self.seat.take(self.holder) {
            if let Event::Message(message) = &**event {
                texts.push((order, message.text.to_string()));
            }
        }
        texts
    }
}

fn credentials(login: &str, password: &str) -> Credentials {
    Credentials { login: Login::parse(login).ok(), password: password.into() }
}

#[test]
fn a_message_reaches_every_device_but_the_one_it_came_from() {
    let house = House::new(|_| {});
    house.register("alice");
    house.register("bob");
    let (alice, alice2, bob) = (house.log_in("alice"), house.log_in("alice"), house.log_in("bob"));
    let (_, order) = alice.send("bob", "hi");
    let expected = [(order, "hi".to_owned())];
    assert_eq!(bob.texts(), expected);
    assert_eq!(alice2.texts(), expected);
    assert_eq!(alice.texts(), []);
    house.running.stop().expect("the engine stops in order");
}

#[test]
fn answers_and_mail_share_one_order() {
    let house = House::new(|_| {});
    house.register("alice");
    house.register("bob");
    let (alice, bob) = (house.log_in("alice"), house.log_in("bob"));
    let (_, first) = alice.send("bob", "one");
    let (_, second) = bob.send("alice", "two");
    let (_, third) = alice.send("bob", "three");
    assert!(first < second && second < third);
    // What came before bob's own answer is told before it, what came after stays for later.
    assert!(
        matches!(bob.seat.take_until(bob.holder, second), Some(Mail::Event { order, .. }) if order == first)
    );
    assert!(bob.seat.take_until(bob.holder, second).is_none());
    assert_eq!(bob.texts(), [(third, "three".to_owned())]);
}

#[test]
fn a_full_mailbox_loses_everything_and_says_so_once() {
    let house = House::new(|config| config.limits.mailbox = 3);
    house.register("alice");
    house.register("bob");
    let (alice, bob) = (house.log_in("alice"), house.log_in("bob"));
    for n in 0..5 {
        alice.send("bob", &format!("text {n}"));
    }
    assert!(matches!(bob.seat.take(bob.holder), Some(Mail::Lost)));
    let newest = smol::block_on(house.exchange.newest(&bob.seat));
    let Ok(Reply::Newest(last)) = newest.reply else { panic!("{:?}", newest.reply) };
    bob.seat.forget_until(newest.order);
    assert!(bob.seat.take(bob.holder).is_none());
    let (id, order) = alice.send("bob", "after");
    assert!(id > last);
    assert_eq!(bob.texts(), [(order, "after".to_owned())]);
}

#[test]
fn a_seat_moves_to_whoever_holds_it_last() {
    let house = House::new(|_| {});
    house.register("alice");
    let alice = house.log_in("alice");
    let other = Holder::new();
    alice.seat.hold(other, Waker::noop());
    assert!(matches!(alice.seat.take(alice.holder), Some(Mail::Moved)));
    alice.seat.release(alice.holder);
    assert!(alice.seat.take(other).is_none(), "releasing what one does not hold does nothing");
}

#[test]
fn a_wrong_password_and_an_unknown_login_look_the_same() {
    let house = House::new(|_| {});
    house.register("alice");
    for (login, password) in [("alice", "wrong"), ("nobody", "pw"), ("not a login", "pw")] {
        let answer = house.ask(None, What::LogIn(credentials(login, password)));
        assert!(matches!(answer.reply, Err(Refusal::WrongCredentials)), "{login}");
        assert!(answer.seat.is_none());
    }
}

#[test]
fn a_session_that_was_ended_can_do_nothing_more() {
    let house = House::new(|_| {});
    house.register("alice");
    let alice = house.log_in("alice");
    let login = Login::parse("alice").expect("valid");
    assert!(house.exchange.order(Order::DisableUser { login }).is_ok());
    assert!(matches!(alice.seat.take(alice.holder), Some(Mail::Ended)));
    let answer = alice.say(Command::Newest);
    assert!(matches!(answer.reply, Err(Refusal::UnknownSession)), "{:?}", answer.reply);
}

#[test]
fn messages_are_merged_when_nobody_waits() {
    let house = House::new(|_| {});
    house.register("alice");
    house.register("bob");
    let alice = house.log_in("alice");
    let commits = || {
        // Taken after everything that follows the turn before it.
        house.exchange.order(Order::Users).expect("it is answered");
        house.exchange.core.metrics.work().commits
    };
    let mut last = MessageId(0);
    for _ in 1..RECENT_RIPE {
        last = alice.send("bob", "hi").0;
    }
    let before = commits();
    let (next, _) = alice.send("bob", "hi");
    // Asking on would keep it from its rest.
    let late = Instant::now() + Duration::from_secs(10);
    while house.exchange.core.metrics.work().commits < before + 2 {
        assert!(Instant::now() < late, "the message is there and no merge follows");
        std::thread::yield_now();
    }
    let (after, _) = alice.send("bob", "hi");
    let chat = ChatId::direct(AccountNo(1), AccountNo(2));
    let both = house
        .exchange
        .core
        .reader
        .read(|here| Ok((here.message(chat, next)?, here.message(chat, after)?)));
    let (next, after) = both.expect("it can be read");
    assert_eq!(next.map(|m| (m.id, m.previous)), Some((MessageId(last.0 + 1), last)));
    assert_eq!(after.map(|m| m.seq), Some(Seq(RECENT_RIPE as u32 + 1)));
    house.running.stop().expect("the engine stops in order");
}

#[test]
fn the_refusals_come_in_the_order_of_decision_18() {
    let house = House::new(|config| {
        config.limits.rate = crate::limits::Switch::On;
        config.limits.rate_per_second = 1;
        config.limits.rate_burst = 4;
    });
    let ask = |who: Option<SessionId>| Ask {
        who,
        session_required: true,
        layer: 3,
        habit: Habit::default(),
        what: Err(Refusal::BadField),
    };
    let nobody = smol::block_on(house.exchange.ask(PEER, ask(None)));
    assert!(matches!(nobody.reply, Err(Refusal::NoSession)));
    let unknown = Some(SessionId::new([7; 32]));
    let stranger = smol::block_on(house.exchange.ask(PEER, ask(unknown)));
    assert!(matches!(stranger.reply, Err(Refusal::UnknownSession)));
    house.register("alice");
    let alice = house.log_in("alice");
    for _ in 0..4 {
        let bad = smol::block_on(house.exchange.ask(PEER, ask(Some(alice.session))));
        assert!(matches!(bad.reply, Err(Refusal::BadField)));
    }
    let flood = smol::block_on(house.exchange.ask(PEER, ask(Some(alice.session))));
    assert!(matches!(flood.reply, Err(Refusal::TooManyRequests { retry_after: 1 })));
}

#[test]
fn after_the_stop_everybody_is_told_to_come_back() {
    let house = House::new(|_| {});
    house.register("alice");
    let House { exchange, running } = house;
    running.stop().expect("the engine stops in order");
    assert!(matches!(exchange.order(Order::Users), Err(Refusal::Unavailable)));
}

#[test]
fn what_was_deleted_makes_room_on_a_full_disk_where_a_merge_has_none() {
    let home = tempfile::tempdir().expect("a directory");
    let place = Place::Directory(home.path().into());
    let chat = ChatId::direct(AccountNo(1), AccountNo(2));
    let options = Options { cache_bytes: 1 << 20, free_space: 0 };
    let mut store = Store::open(place.clone(), options.clone()).expect("it opens");
    let text: Arc<str> = "x".into();
    let fill = |store: &mut Store| {
        let filled = store.write(|tx| {
            let mut say = || tx.append(chat, AccountNo(1), Timestamp(1), Kind::Text, &text, None);
            for _ in 1..RECENT_RIPE {
                say()?;
            }
            say()
        });
        filled.expect("it is written")
    };
    let deleted = fill(&mut store);
    store.merge().expect("it merges");
    store
        .write(|tx| tx.put_floor(chat, Mark { id: deleted.id, seq: deleted.seq }))
        .expect("it is written");
    fill(&mut store);
    assert!(store.is_ripe());
    drop(store);
    let full = Options { free_space: u64::MAX, ..options };
    let store = Store::open(place, full).expect("it opens");
    let config = Arc::new(Config::for_tests());
    let (exchange, running) =
        start(store, config, Arc::default(), 1 << 20, Clock::system()).expect("it starts");
    let late = Instant::now() + Duration::from_secs(20);
    let oldest = || exchange.core.reader.read(|here| here.message(chat, MessageId(1)));
    while oldest().expect("it can be read").is_some() {
        assert!(Instant::now() < late, "what was deleted is still there");
        std::thread::yield_now();
    }
    running.stop().expect("the engine stops in order");
}
