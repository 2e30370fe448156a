//! Who has which group open, and who hears of it.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::stage::{PLAIN, Stage, TOPICAL, address, group};
use super::{House, PEER};
use crate::domain::words::{Command, Refusal, Reply};
use crate::engine::seat::{Holder, Mail};
use crate::limits::{AWAKE_SECS, WATCHES_PER_SESSION_MAX};
use crate::wire::{Ask, What};

const NOTHING: [&str; 0] = [];

#[test]
fn those_who_have_a_group_open_see_each_other_come_and_go() {
    let mut stage = Stage::with(&["alice", "bob", "carol"]);
    let (alice, bob) = (stage.comes("alice"), stage.comes("bob"));
    let carol = stage.comes("carol");
    stage.group("garden", &[&alice, &bob, &carol]);
    stage.opens(&alice, "garden");
    assert_eq!(alice.hear(), ["garden on", "garden alice on"]);
    assert_eq!(bob.hear(), ["garden on"], "he has it not open");
    stage.opens(&bob, "garden");
    assert_eq!(alice.hear(), ["garden bob on"]);
    assert_eq!(bob.hear(), ["garden bob on"]);
    stage.opens(&bob, "garden");
    stage.closes(&carol, "garden");
    stage.closes(&alice, "garden");
    assert_eq!(bob.hear(), ["garden alice off"]);
    assert_eq!(alice.hear(), NOTHING);
    assert_eq!(carol.hear(), ["garden on"]);
}

#[test]
fn the_engine_tells_it_by_itself() {
    let house = House::new(|_| {});
    house.register("alice");
    let alice = house.log_in("alice");
    let say = |command| {
        let (who, what) = (Some(alice.session), Ok(What::Command(command)));
        let ask = Ask { who, session_required: true, layer: 3, habit: TOPICAL, what };
        smol::block_on(house.exchange.ask(PEER, ask))
    };
    say(Command::CreateChat(group("garden")));
    let answer = say(Command::Watch { chat: address("garden"), on: true });
    let late = Instant::now() + Duration::from_secs(10);
    let heard = loop {
        assert!(Instant::now() < late, "nothing is told");
        match alice.seat.take(alice.holder) {
            Some(Mail::Event { order, event }) if !event.is_for_all() => break order,
            _ => std::thread::yield_now(),
        }
    };
    assert!(answer.order < heard, "after the answer");
    house.running.stop().expect("the engine stops in order");
}

#[test]
fn of_two_devices_the_first_and_the_last_are_heard_of() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (phone, desk, bob) = (stage.comes("alice"), stage.comes("alice"), stage.comes("bob"));
    stage.group("garden", &[&phone, &bob]);
    stage.opens(&bob, "garden");
    stage.opens(&phone, "garden");
    stage.opens(&desk, "garden");
    assert_eq!(bob.hear(), ["garden on", "garden bob on", "garden alice on"]);
    stage.closes(&phone, "garden");
    assert_eq!(bob.hear(), NOTHING);
    stage.say(&desk, Command::LogOut);
    assert_eq!(bob.hear(), ["garden alice off"]);
}

#[test]
fn a_group_sleeps_a_while_after_the_last_has_gone() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = (stage.comes("alice"), stage.comes("bob"));
    stage.group("garden", &[&alice, &bob]);
    assert!(!stage.is_due_within(3600));
    stage.opens(&alice, "garden");
    stage.closes(&alice, "garden");
    assert_eq!(bob.hear(), ["garden on"]);
    assert!(stage.is_due_within(AWAKE_SECS));
    // Back before anybody has noticed.
    stage.opens(&alice, "garden");
    stage.wait(AWAKE_SECS);
    assert_eq!(bob.hear(), NOTHING);
    assert!(!stage.is_due_within(3600), "there is nothing to wait for");
    stage.closes(&alice, "garden");
    stage.wait(AWAKE_SECS);
    assert_eq!(bob.hear(), ["garden off"]);
    assert!(!stage.is_due_within(3600));
    stage.opens(&bob, "garden");
    assert_eq!(bob.hear(), ["garden on", "garden bob on"]);
}

#[test]
fn who_vanishes_has_nothing_open() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = (stage.comes("alice"), stage.comes("bob"));
    stage.group("garden", &[&alice, &bob]);
    stage.opens(&bob, "garden");
    let opens = |stage: &mut Stage, alice| {
        stage.opens(alice, "garden");
        assert_eq!(bob.hear().last().map(String::as_str), Some("garden alice on"));
    };
    opens(&mut stage, &alice);
    stage.breaks(&alice);
    assert_eq!(bob.hear(), ["garden alice off"]);
    // Another connection goes on with the session, and has nothing open.
    let (first, second) = (Holder::new(), Holder::new());
    alice.seat.hold(first, Waker::noop());
    opens(&mut stage, &alice);
    alice.seat.hold(second, Waker::noop());
    stage.turn();
    assert_eq!(bob.hear(), ["garden alice off"]);
    opens(&mut stage, &alice);
    alice.seat.release(first);
    stage.turn();
    assert_eq!(bob.hear(), NOTHING, "the old connection has nothing to say any more");
    stage.disable("alice");
    assert_eq!(bob.hear(), ["garden alice off"]);
}

#[test]
fn a_session_that_nobody_uses_has_nothing_open() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = (stage.comes("alice"), stage.comes("bob"));
    stage.group("garden", &[&alice, &bob]);
    stage.opens(&bob, "garden");
    stage.opens(&alice, "garden");
    bob.hear();
    stage.engine.stand_up(alice.seat.key);
    stage.turn();
    assert_eq!(bob.hear(), ["garden alice off"]);
}

#[test]
fn who_is_shown_out_hears_no_more_of_it() {
    let mut stage = Stage::with(&["alice", "bob", "carol"]);
    let (alice, bob, carol) = (stage.comes("alice"), stage.comes("bob"), stage.comes("carol"));
    stage.group("garden", &[&alice, &bob, &carol]);
    for guest in [&alice, &bob, &carol] {
        stage.opens(guest, "garden");
    }
    for guest in [&alice, &bob, &carol] {
        guest.hear();
    }
    let (chat, who) = (address("garden"), address("bob"));
    stage.say(&alice, Command::Kick { chat, who, ban: true });
    stage.say(&carol, Command::Leave { chat: address("garden") });
    assert_eq!(alice.hear(), ["garden bob off", "garden carol off"]);
    assert_eq!(bob.hear(), NOTHING);
    let open = Command::Watch { chat: address("garden"), on: true };
    assert!(matches!(stage.try_say(&bob, open), Err(Refusal::NoSuchChat)));
    stage.say(&carol, Command::Join { chat: address("garden") });
    stage.opens(&carol, "garden");
    alice.hear();
    stage.say(&alice, Command::RemoveChat { chat: address("garden"), is_space: false });
    stage.wait(AWAKE_SECS);
    for guest in [&alice, &bob] {
        assert_eq!(guest.hear(), NOTHING, "there is nothing left to have open");
    }
    assert!(stage.engine.core.here.watches().is_empty());
}

#[test]
fn without_p_and_across_a_block_nothing_is_heard() {
    let mut stage = Stage::with(&["alice", "bob", "carol"]);
    let (alice, bob, carol) = (stage.comes("alice"), stage.comes("bob"), stage.comes("carol"));
    stage.group("garden", &[&alice, &bob, &carol]);
    let access = crate::domain::access::Access::parse("RW").expect("letters");
    stage.say(&carol, Command::SetAccess { chat: address("garden"), who: None, access });
    stage.say(&bob, Command::Block { who: address("alice"), on: true });
    for guest in [&carol, &bob, &alice] {
        stage.opens(guest, "garden");
    }
    assert_eq!(carol.hear(), NOTHING);
    assert_eq!(bob.hear(), ["garden on", "garden bob on"]);
    assert_eq!(alice.hear(), ["garden on", "garden alice on"]);
}

#[test]
fn nobody_is_told_who_has_a_direct_chat_open() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = (stage.comes("alice"), stage.comes("bob"));
    let draft = crate::domain::words::Draft::text(address("bob"), "hi".into(), None);
    stage.say(&alice, Command::Send(draft));
    stage.opens(&alice, "bob");
    stage.opens(&bob, "alice");
    assert!(stage.engine.core.here.watches().is_empty());
    assert!(alice.hear().is_empty() && bob.hear().is_empty());
}

#[test]
fn a_session_has_only_so_many_groups_open() {
    let mut stage = Stage::with(&["alice"]);
    let alice = stage.log_in("alice", PLAIN);
    let name = |number: usize| format!("garden-{number}");
    for number in 0..=WATCHES_PER_SESSION_MAX {
        stage.group(&name(number), &[&alice]);
    }
    for number in 0..WATCHES_PER_SESSION_MAX {
        stage.opens(&alice, &name(number));
    }
    let open = |on| Command::Watch { chat: address(&name(WATCHES_PER_SESSION_MAX)), on };
    assert!(matches!(stage.try_say(&alice, open(true)), Err(Refusal::TooManyChats)));
    stage.closes(&alice, &name(7));
    assert!(matches!(stage.try_say(&alice, open(true)), Ok(Reply::Name(_))));
    stage.say(&alice, open(false));
}
