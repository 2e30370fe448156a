//! Who is here and with what: sessions that show themselves, and those that do by being there.

use std::task::Waker;

use super::stage::{Guest, PLAIN, Stage, TOPICAL, address};
use crate::domain::words::{Command, Draft, Event, Query, Reply};
use crate::engine::seat::{Holder, Mail};
use crate::limits::{AGENT_BYTES_MAX, AGENT_EVERY_SECS};
use crate::store::Look;
use crate::wire::What;

const NOTHING: [&str; 0] = [];

/// Alice, whom bob sees, and him.
fn pair(stage: &mut Stage) -> (Guest, Guest) {
    let (alice, bob) = (stage.comes("alice"), stage.log_in("bob", TOPICAL));
    stage.befriend(&alice, "bob");
    bob.hear();
    (alice, bob)
}

fn grace(stage: &Stage) -> u64 {
    stage.engine.core.config().limits.presence_grace
}

/// With what alice was seen last.
fn seen_with(stage: &Stage, alice: &Guest) -> String {
    let read = stage.engine.core.reader.read(|look| look.agent(alice.seat.account));
    read.expect("it is read").into()
}

#[test]
fn a_hidden_session_is_not_here_before_it_says_so() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = pair(&mut stage);
    assert!(!stage.is_here(&alice));
    assert_eq!(bob.hear(), NOTHING);
    stage.appears(&alice, "phone");
    assert!(stage.is_here(&alice));
    assert_eq!(bob.hear(), ["alice on phone"]);
    stage.appears(&alice, "phone");
    assert_eq!(bob.hear(), NOTHING);
}

#[test]
fn who_says_that_they_go_is_gone_at_once_and_who_breaks_off_after_the_grace() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = pair(&mut stage);
    stage.appears(&alice, "phone");
    stage.disappears(&alice);
    assert!(!stage.is_here(&alice));
    assert_eq!(bob.hear(), ["alice on phone", "alice off phone"]);
    assert_eq!(seen_with(&stage, &alice), "phone");
    stage.appears(&alice, "phone 2");
    stage.breaks(&alice);
    assert!(stage.is_here(&alice));
    assert_eq!(bob.hear(), ["alice on phone 2"]);
    let secs = grace(&stage);
    stage.wait(secs);
    assert_eq!(bob.hear(), ["alice off phone 2"]);
    assert_eq!(seen_with(&stage, &alice), "phone 2");
    // Long after, nothing is left to be told.
    stage.wait(secs);
    assert_eq!(bob.hear(), NOTHING);
}

#[test]
fn who_has_another_way_to_be_here_stays() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = pair(&mut stage);
    let plain = stage.log_in("alice", PLAIN);
    assert_eq!(bob.hear(), ["alice on"]);
    stage.appears(&alice, "phone");
    assert_eq!(bob.hear(), ["alice uses phone"]);
    stage.disappears(&alice);
    assert!(stage.is_here(&alice));
    // A poll that has let go of its seat a moment ago comes back.
    stage.appears(&alice, "phone");
    stage.breaks(&plain);
    stage.disappears(&alice);
    assert!(stage.is_here(&alice));
    assert_eq!(bob.hear(), NOTHING);
    let secs = grace(&stage);
    stage.wait(secs);
    assert_eq!(bob.hear(), ["alice off phone"]);
}

#[test]
fn another_connection_shows_itself_anew() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = pair(&mut stage);
    stage.appears(&alice, "phone");
    stage.breaks(&alice);
    let again = Holder::new();
    alice.seat.hold(again, Waker::noop());
    let secs = grace(&stage);
    stage.wait(secs);
    assert_eq!(bob.hear(), ["alice on phone", "alice off phone"]);
    stage.appears(&alice, "");
    assert_eq!(bob.hear(), ["alice on"]);
    // The same one may let go of it and come back.
    alice.seat.release(again);
    alice.seat.hold(again, Waker::noop());
    stage.wait(secs);
    assert!(stage.is_here(&alice));
    assert_eq!(bob.hear(), NOTHING);
    // A client of another kind goes on with it.
    stage.ask(Some(alice.session), PLAIN, What::Attach);
    stage.disappears(&Guest { habit: PLAIN, holder: again, ..stage_guest(&alice) });
    assert_eq!(bob.hear(), ["alice off"]);
    stage.ask(Some(alice.session), TOPICAL, What::Attach);
    stage.ask(Some(alice.session), PLAIN, What::Attach);
    stage.turn();
    assert_eq!(bob.hear(), ["alice on"]);
}

fn stage_guest(guest: &Guest) -> Guest {
    Guest { session: guest.session, seat: guest.seat.clone(), ..*guest }
}

#[test]
fn a_visit_without_a_name_leaves_none() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = pair(&mut stage);
    stage.appears(&alice, "phone");
    stage.disappears(&alice);
    stage.appears(&alice, "");
    stage.disappears(&alice);
    let expected = ["alice on phone", "alice off phone", "alice on", "alice off"];
    assert_eq!(bob.hear(), expected);
    assert_eq!(seen_with(&stage, &alice), "");
}

#[test]
fn the_client_that_did_something_last_is_told_once_a_minute() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (phone, bob) = pair(&mut stage);
    let (desk, nameless) = (stage.comes("alice"), stage.comes("alice"));
    stage.appears(&phone, "phone");
    stage.appears(&desk, "desk");
    assert_eq!(bob.hear(), ["alice on phone", "alice uses desk"]);
    assert!(!stage.is_due_within(3600));
    // Whatever it does counts, also what is only read.
    stage.read(&phone, Query::Myself);
    stage.appears(&nameless, "");
    stage.say(&nameless, Command::Newest);
    assert_eq!(bob.hear(), NOTHING, "not so soon");
    assert!(stage.is_due_within(AGENT_EVERY_SECS));
    stage.wait(AGENT_EVERY_SECS);
    assert_eq!(bob.hear(), ["alice uses phone"]);
    assert!(!stage.is_due_within(3600));
    // To and fro within the minute is nothing new.
    stage.say(&desk, Command::Newest);
    stage.say(&phone, Command::Newest);
    stage.wait(AGENT_EVERY_SECS);
    assert_eq!(bob.hear(), NOTHING);
    // The last to go is the one they are seen last with.
    stage.disappears(&phone);
    stage.disappears(&nameless);
    stage.breaks(&desk);
    let secs = grace(&stage);
    stage.wait(secs);
    assert_eq!(bob.hear(), ["alice off desk"]);
    assert_eq!(seen_with(&stage, &phone), "desk");
}

#[test]
fn a_long_name_is_cut_between_letters() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (alice, bob) = pair(&mut stage);
    stage.appears(&alice, &"ы".repeat(AGENT_BYTES_MAX));
    let expected = format!("alice on {}", "ы".repeat(AGENT_BYTES_MAX / 2));
    assert_eq!(bob.hear(), [expected]);
}

#[test]
fn who_understands_only_the_usual_is_spared_the_rest() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let (phone, bob) = pair(&mut stage);
    let plain = stage.log_in("alice", PLAIN);
    stage.group("garden", &[&phone, &bob]);
    stage.say(&bob, Command::Send(Draft::text(address("alice"), "hi".into(), None)));
    let mail = |guest: &Guest| {
        let mut count = [0, 0];
        while let Some(Mail::Event { event, .. }) = guest.seat.take(guest.holder) {
            count[usize::from(event.is_for_all())] += 1;
        }
        count
    };
    assert_eq!((mail(&phone)[0], mail(&plain)[0]), (0, 0));
    stage.opens(&bob, "garden");
    stage.opens(&phone, "garden");
    // Only the first of the two is awake for this.
    assert!(mail(&phone)[0] >= 2);
    assert_eq!(mail(&plain), [0, 0]);
    let read = Command::MarkAt {
        chat: address("bob"),
        delivered: None,
        read: Some(crate::domain::id::Seq(1)),
    };
    stage.say(&bob, Command::Watch { chat: address("garden"), on: false });
    let third = stage.comes("alice");
    stage.say(&third, read);
    let own = |guest: &Guest| {
        let mut own = 0;
        while let Some(Mail::Event { event, .. }) = guest.seat.take(guest.holder) {
            own += usize::from(matches!(&**event, Event::MyMarks { .. }));
        }
        own
    };
    assert_eq!((own(&phone), own(&plain)), (1, 0));
    stage.group("cellar", &[&bob]);
    let (chat, who) = (address("cellar"), address("alice"));
    stage.say(&bob, Command::Invite { chat, who, access: None, note: "".into() });
    // What is left in her own chain for her, and the message that everybody understands.
    assert_eq!((mail(&phone), mail(&plain)), ([1, 1], [0, 1]));
    // A client that understands them may go on with it.
    let reply = stage.ask(Some(plain.session), TOPICAL, What::Attach).reply;
    assert!(matches!(reply, Ok(Reply::Done)), "{reply:?}");
    stage.opens(&bob, "garden");
    assert_eq!(plain.hear(), ["garden bob on"]);
}
