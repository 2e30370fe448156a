//! A clock that starts in 1970, that somebody sets wrong, that is set right again: whole servers that
//! go by one that is moved by hand.

use std::time::{Duration, Instant};

use msimd::domain::id::Timestamp;
use msimd::engine::clock::Clock;
use msimd::store::Look;
use serde_json::{Value, json};

use crate::client::PATIENCE;
use crate::client::tcp::{Tcp, User, password_of};
use crate::talk::stage::Stage;

const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);
const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// A server whose clock stands at noon and was believed there.
fn serve(on_disk: bool, keys: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new(on_disk);
    stage.clock = Clock::by_hand(NOON);
    for (key, value) in keys {
        stage.set(key, value);
    }
    stage.start().expect("a server starts");
    pass(&stage, HOUR);
    assert_eq!(believed(&stage), Some(secs(NOON) + HOUR));
    stage
}

fn secs(at: Timestamp) -> u64 {
    at.0 / 1000
}

/// When the server has last believed its clock.
fn believed(stage: &Stage) -> Option<u64> {
    let day = stage.reader().read(|look| look.day(Timestamp(u64::MAX))).expect("it is read");
    day.map(|(at, _)| secs(at))
}

/// Time goes by, and the server notes the day.
fn pass(stage: &Stage, time: u64) {
    let before = believed(stage);
    stage.clock.pass(Duration::from_secs(time));
    until("the day is noted", || believed(stage) != before);
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let late = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < late, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn send(user: &mut User, to: &str, text: &str) -> u64 {
    let sent = user.get("MESSAGE-SEND", &json!({ "chat_id": to, "text": text })).expect("sent");
    sent["message_id"].as_u64().expect("an id")
}

fn history(user: &mut User, chat: &str) -> Vec<Value> {
    let body = json!({ "chat_id": chat, "id_from": 0, "id_till": -1 });
    let answer = user.ask("CHAT-HISTORY", &body).expect("an answer");
    if answer.body["reason"] == "no-such-chat" {
        return Vec::new();
    }
    answer.body["data"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone()
}

fn texts(user: &mut User, chat: &str) -> Vec<String> {
    let texts = history(user, chat).into_iter().map(|m| m["text"].as_str().unwrap_or("").into());
    texts.collect()
}

fn unread(user: &mut User) -> u64 {
    let chats = user.get("CHATS-GET", &json!({})).expect("chats");
    chats["data"][0]["unread_messages"].as_u64().unwrap_or_else(|| panic!("{chats}"))
}

#[test]
fn messages_sessions_and_counts_go_on_over_1970_and_back() {
    let mut stage = serve(true, &[]);
    let mut alice = User::enter(stage.tcp(), "alice").expect("alice");
    let mut bob = User::enter(stage.tcp(), "bob").expect("bob");
    let mut sent = vec![send(&mut alice, "bob", "at noon")];
    let right = NOON.0 + 2 * HOUR * 1000;
    for wall in [at(20), Timestamp(right), at(secs(NOON) + 60 * YEAR), Timestamp(right + 9000)] {
        // As after a power cut.
        stage.clock.set(wall);
        stage.crash().and_then(|()| stage.start()).expect("it starts again");
        alice = User::resume(stage.tcp(), &alice.session).expect("a connection");
        bob = User::resume(stage.tcp(), &bob.session).expect("a connection");
        sent.push(send(&mut alice, "bob", "and on"));
        assert_eq!(unread(&mut bob), sent.len() as u64, "{wall:?}");
        // Somebody new comes as well.
        let carol = User::enter(stage.tcp(), "carol").expect("carol");
        let mut carol = User::resume(stage.tcp(), &carol.session).expect("a connection");
        send(&mut carol, "alice", "hi");
    }
    let told = history(&mut bob, "alice");
    let ids: Vec<u64> = told.iter().filter_map(|m| m["message_id"].as_u64()).collect();
    let times: Vec<u64> = told.iter().filter_map(|m| m["time"].as_u64()).collect();
    assert_eq!(ids, sent);
    assert!(times.is_sorted() && times[0] == secs(NOON) + HOUR, "{times:?}");
    let last = json!({ "message_id": sent[4] });
    bob.get("READ-CHAT", &last).expect("marked");
    assert_eq!(unread(&mut bob), 0);
    stage.stop().expect("in order");
}

#[test]
fn an_invitation_is_good_for_its_days_whatever_the_clock_says_meanwhile() {
    let mut stage = serve(false, &[]);
    let register = |stage: &Stage, login: &str, code: &str| {
        let mut tcp = Tcp::connect(stage.tcp()).expect("a connection");
        let body = json!({ "login": login, "password": password_of(login), "invite": code });
        tcp.send(3, None, "REGISTER-PLAIN", body.to_string().as_bytes()).expect("sent");
        tcp.receive().expect("an answer").expect("an answer").status
    };
    stage.stop().expect("in order");
    stage.set("registration", r#""invite""#);
    stage.start().expect("it starts again");
    pass(&stage, HOUR);
    let invite = |stage: &Stage| crate::talk::operator::invite(stage, "1").expect("a code");
    let code = invite(&stage);
    stage.clock.set(at(20));
    assert_eq!(register(&stage, "alice", &code), 200);
    // One that was made then is not over when the clock is set.
    let code = invite(&stage);
    stage.clock.set(at(secs(NOON) + 3 * HOUR));
    assert_eq!(register(&stage, "bob", &code), 200);
    // One that was made sixty years ahead is good then, and not for sixty years.
    stage.clock.set(at(secs(NOON) + 60 * YEAR));
    let code = invite(&stage);
    stage.clock.set(at(secs(NOON) + 4 * HOUR));
    assert_eq!(register(&stage, "carol", &code), 403);
    let code = invite(&stage);
    for _ in 0..6 {
        pass(&stage, DAY);
    }
    stage.clock.set(at(secs(NOON) + 60 * YEAR));
    assert_eq!(register(&stage, "dave", &code), 403);
    stage.clock.set(at(secs(NOON) + 6 * DAY + 5 * HOUR));
    assert_eq!(register(&stage, "dave", &code), 200, "that cost it nothing");
    let code = invite(&stage);
    for _ in 0..8 {
        pass(&stage, DAY);
    }
    assert_eq!(register(&stage, "eve", &code), 403);
    stage.stop().expect("in order");
}

#[test]
fn nobody_was_last_seen_in_the_future() {
    let mut stage = serve(false, &[("limits.presence_grace", "0")]);
    let mut alice = User::enter(stage.tcp(), "alice").expect("alice");
    let mut bob = User::enter(stage.tcp(), "bob").expect("bob");
    for (user, other) in [(&mut alice, "bob"), (&mut bob, "alice")] {
        user.get("CONTACTS-ADD", &json!({ "id": other })).expect("added");
        user.layer = 4;
    }
    // It is on the disk a moment after it was.
    let mut saw = |at: &str| {
        until(&format!("bob was seen at {at}"), || {
            let contacts = alice.get("CONTACTS-GET", &json!({})).expect("contacts");
            let bob = &contacts["data"][0];
            // Leaving is being seen, too.
            bob["last-seen"] == at && bob["online"] == false
        });
    };
    let (door, session) = (stage.tcp(), bob.session.clone());
    drop(bob);
    let acts = || {
        let mut bob = User::resume(door, &session).expect("a connection");
        bob.get("CHATS-GET", &json!({})).expect("bob does something");
    };
    stage.clock.set(at(secs(NOON) + 60 * YEAR));
    acts();
    saw("2086-11-03T11:06:40+0000");
    let right = secs(NOON) + 2 * HOUR;
    stage.clock.set(at(right));
    saw("2026-11-18T13:06:40+0000");
    acts();
    saw("2026-11-18T13:06:40+0000");
    stage.clock.pass(Duration::from_secs(HOUR));
    saw("2026-11-18T13:06:40+0000");
    // In 1970 no time is later than when the clock was right.
    stage.clock.set(at(20));
    saw("2026-11-18T12:06:40+0000");
    acts();
    saw("2026-11-18T12:06:40+0000");
    stage.clock.set(at(right + 2 * HOUR));
    saw("2026-11-18T13:06:40+0000");
    stage.stop().expect("in order");
}

#[test]
fn what_is_too_old_goes_for_everybody_and_is_in_no_backup() {
    let mut stage = serve(true, &[("history.retention", r#""3d""#)]);
    let mut alice = User::enter(stage.tcp(), "alice").expect("alice");
    let mut bob = User::enter(stage.tcp(), "bob").expect("bob");
    send(&mut alice, "bob", "what nobody must find");
    pass(&stage, DAY);
    send(&mut alice, "bob", "what is younger");
    for _ in 0..2 {
        pass(&stage, DAY);
    }
    assert_eq!(texts(&mut bob, "alice").len(), 2);
    // Sixty years at once are not believed, and 1970 is not either.
    stage.clock.set(at(secs(NOON) + 60 * YEAR));
    stage.stop().and_then(|()| stage.start()).expect("it starts again");
    stage.clock.pass(Duration::from_secs(2 * HOUR));
    bob = User::resume(stage.tcp(), &bob.session).expect("a connection");
    assert_eq!(texts(&mut bob, "alice").len(), 2);
    stage.clock.set(at(20));
    stage.clock.pass(Duration::from_secs(2 * HOUR));
    assert_eq!(texts(&mut bob, "alice").len(), 2);
    stage.clock.set(at(secs(NOON) + 3 * DAY + 5 * HOUR));
    pass(&stage, DAY);
    until("it is gone", || texts(&mut bob, "alice") == ["what is younger"]);
    assert_eq!(unread(&mut bob), 1);
    let found = bob.ask("CHAT-SEARCH", &json!({ "query": "what" }));
    assert!(found.expect("an answer").status != 500);
    let path = stage.directory.path().join("backup.redb");
    let verdict = stage.reader().backup(&path, &mut |_| {}).expect("a backup");
    assert_eq!(verdict.faults, Vec::<String>::new());
    let bytes = std::fs::read(&path).expect("it is there");
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("what is younger") && !holds("what nobody must find"));
    stage.stop().expect("in order");
}
