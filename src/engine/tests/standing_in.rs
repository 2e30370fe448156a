//! Turns done by the thread that asks.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::*;
use crate::store::BackendSource;

/// Turns after which one should have been done here.
const TRIES: usize = 1000;
const LONG: Duration = Duration::from_secs(3600);

/// A disk that can fail or panic in the middle of a turn.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Trouble>);

#[derive(Debug, Default)]
struct Trouble {
    fails: AtomicBool,
    /// Once.
    panics: AtomicBool,
    memory: InMemoryBackend,
}

impl BackendSource for Disk {
    fn open(&self) -> std::io::Result<Box<dyn StorageBackend>> {
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("it is broken"));
        }
        Ok(Box::new(self.clone()))
    }

    fn exists(&self) -> bool {
        self.0.memory.len().is_ok_and(|length| length > 0)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.0.memory.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.memory.read(offset, out)
    }
    fn set_len(&self, length: u64) -> std::io::Result<()> {
        self.0.memory.set_len(length)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("it is broken"));
        }
        assert!(!self.0.panics.swap(false, Ordering::SeqCst), "this panic is meant to be");
        self.0.memory.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.memory.write(offset, data)
    }
}

/// Says something to oneself like the network's thread: it asks, and works before it waits. Whether
/// the turn was done here.
fn say(stand_in: &StandIn, alice: &Guest<'_>, text: &str) -> (Result<Reply, Refusal>, bool) {
    let chat = Address::parse("alice", "im.test").expect("a test's address is valid");
    let ask = Ask {
        who: Some(alice.session),
        session_required: true,
        layer: 3,
        habit: Habit::default(),
        what: Ok(What::Command(Command::Send(Draft::text(chat, text.into(), None)))),
    };
    let mut asking = pin!(alice.exchange.ask(PEER, ask));
    let mut here = false;
    loop {
        if let Some(answer) = smol::block_on(smol::future::poll_once(asking.as_mut())) {
            return (answer.reply, here);
        }
        here |= stand_in.work();
        std::thread::yield_now();
    }
}

/// Until the engine's thread was asleep and a turn was done here.
fn say_here(stand_in: &StandIn, alice: &Guest<'_>) -> Result<Reply, Refusal> {
    let mut all = (0..TRIES).map(|_| say(stand_in, alice, "here"));
    all.find_map(|(reply, here)| here.then_some(reply)).expect("some turn is done here")
}

/// A house in which every turn is quick, however busy the machine is.
fn house(place: Place) -> House {
    let house = House::at(place, |_| {});
    house.takes_for_quick(LONG);
    house.register("alice");
    house
}

impl House {
    fn takes_for_quick(&self, patience: Duration) {
        while self.running.core.desk.work(|engine| engine.patience = patience).is_none() {
            // The thread has not begun.
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_message_alone_is_stored_by_the_thread_that_asks() {
    let house = house(Place::Memory);
    let (alice, other) = (house.log_in("alice"), house.log_in("alice"));
    let stand_in = house.exchange.stand_in();
    stand_in.begin();
    let Ok(Reply::Sent { id, .. }) = say_here(&stand_in, &alice) else { panic!("it is sent") };
    let account = alice.seat.account;
    let chat = ChatId::direct(account, account);
    let stored = house.exchange.reader().read(|here| here.message(chat, id)).unwrap();
    assert_eq!(stored.map(|message| message.text).as_deref(), Some("here"));
    assert!(!other.texts().is_empty(), "her other device hears of it");
    // With nothing to do nothing is done.
    assert!(!stand_in.work());
    house.running.stop().expect("the engine stops in order");
}

#[test]
fn what_is_not_done_here_is_called_for() {
    let house = house(Place::Memory);
    let alice = house.log_in("alice");
    let stand_in = house.exchange.stand_in();
    stand_in.begin();
    let exchange = house.exchange.clone();
    let mut asking = Box::pin(exchange.newest(&alice.seat));
    assert!(smol::block_on(smol::future::poll_once(asking.as_mut())).is_none());
    // Whoever sleeps now would wait for ever.
    stand_in.call();
    assert!(smol::block_on(asking).reply.is_ok());
    house.running.stop().expect("the engine stops in order");
}

#[test]
fn with_a_slow_disk_the_engine_has_a_thread_of_its_own() {
    let house = house(Place::Memory);
    let alice = house.log_in("alice");
    let stand_in = house.exchange.stand_in();
    stand_in.begin();
    house.takes_for_quick(Duration::ZERO);
    // The first may be done here, which finds out that it is slow.
    let _ = say(&stand_in, &alice, "first");
    for n in 0..10 {
        let (reply, here) = say(&stand_in, &alice, &n.to_string());
        assert!(reply.is_ok() && !here, "turn {n}");
    }
    house.takes_for_quick(LONG);
    assert!(say_here(&stand_in, &alice).is_ok());
    house.running.stop().expect("the engine stops in order");
}

/// What the engine ends with when a turn here meets this trouble.
fn ending(trouble: impl FnOnce(&Trouble)) -> String {
    let disk = Disk::default();
    let house = house(Place::Backend(Arc::new(disk.clone())));
    let alice = house.log_in("alice");
    let stand_in = house.exchange.stand_in();
    stand_in.begin();
    say_here(&stand_in, &alice).expect("it is sent");
    trouble(&disk.0);
    assert_eq!(say(&stand_in, &alice, "lost").0.err(), Some(Refusal::Unavailable));
    assert!(smol::block_on(house.running.ended().recv()).is_err());
    assert_eq!(say(&stand_in, &alice, "late").0.err(), Some(Refusal::Unavailable));
    house.running.stop().expect_err("it has ended by itself")
}

#[test]
fn a_disk_that_breaks_here_ends_the_engine_and_not_this_thread() {
    let why = ending(|disk| disk.fails.store(true, Ordering::SeqCst));
    assert!(why.contains("failed"), "{why}");
}

#[test]
fn a_panic_here_ends_the_engine_and_not_this_thread() {
    let why = ending(|disk| disk.panics.store(true, Ordering::SeqCst));
    assert!(why.contains("panicked"), "{why}");
}

#[test]
fn a_duty_that_comes_of_a_turn_here_wakes_the_engine_in_time() {
    let mut stage = stage::Stage::with(&["alice"]);
    let engine = &mut stage.engine;
    let planned = engine.plan().expect("it keeps house");
    engine.stand_in(&mut Vec::new());
    assert!(!engine.core.inbox.is_nudged(), "nothing is due earlier");
    engine.flush_at = planned.checked_sub(Duration::from_millis(1));
    engine.stand_in(&mut Vec::new());
    assert!(engine.core.inbox.is_nudged());
    assert_eq!(engine.plan(), engine.flush_at);
}
