//! A disk that fails or is full: honest errors, nothing lost, nothing said that is not so, and the
//! service comes back by itself.

use std::sync::Arc;

use msimd::store::Place;
use serde_json::{Value, json};

use crate::client::tcp::User;
use crate::client::{PATIENCE, Packet};
use crate::disk::{Disk, Trouble, What};
use crate::talk::stage::Stage;

/// A server on a disk that can be told to fail, with alice and bob in it.
fn set_up() -> (Disk, Stage, User, User) {
    let disk = Disk::default();
    let mut stage = Stage::at(Place::Backend(Arc::new(disk.clone())));
    stage.start().expect("a server on a fresh disk starts");
    let alice = User::enter(stage.tcp(), "alice").expect("alice enters");
    let bob = User::enter(stage.tcp(), "bob").expect("bob enters");
    (disk, stage, alice, bob)
}

fn message(n: u32) -> Value {
    json!({ "chat_id": "bob", "text": format!("text {n}"), "cookie": format!("cookie {n}") })
}

/// An error that says what it is.
fn assert_honest(answer: &Packet) {
    assert_eq!(answer.status, 500, "{answer:?}");
    let reason = answer.body["reason"].as_str().unwrap_or_default();
    assert!(!reason.is_empty(), "{answer:?}");
    assert!(!answer.body["message"].as_str().unwrap_or_default().is_empty(), "{answer:?}");
}

fn history(user: &mut User, chat: &str) -> Vec<(u64, u64, String)> {
    let body = json!({ "chat_id": chat, "id_from": 0, "id_till": -1 });
    let page = user.get("CHAT-HISTORY", &body).expect("history can be read");
    let number = |m: &Value, name: &str| m[name].as_u64().unwrap_or_default();
    let row = |m: &Value| {
        let text = m["text"].as_str().unwrap_or_default().to_owned();
        (number(m, "message_id"), number(m, "previous_message_id"), text)
    };
    page["data"].as_array().into_iter().flatten().map(row).collect()
}

/// One failure at the `after`-th operation of a send; the client does what clients do.
fn fail_once(what: What, after: u32) {
    let (disk, mut stage, mut alice, mut bob) = set_up();
    let first = alice.get("MESSAGE-SEND", &message(1)).expect("all is well");
    disk.trouble(Some(Trouble { what, after, times: 1 }));
    let mut told = vec![(first["message_id"].as_u64(), 1)];
    for n in 2..8 {
        let answer = alice.ask("MESSAGE-SEND", &message(n)).expect("an answer");
        let answer = if answer.status == 200 {
            answer
        } else {
            assert_honest(&answer);
            let again = alice.ask("MESSAGE-SEND", &message(n)).expect("an answer");
            assert!(matches!(again.status, 200 | 201), "{what:?} {after}: {again:?}");
            again
        };
        told.push((answer.body["message_id"].as_u64(), n));
    }
    assert_eq!(disk.failures(), 1, "{what:?} {after}: the failure did not come");
    let found = history(&mut bob, "alice");
    let mut before = 0;
    for (id, n) in &told {
        let row = found.iter().find(|(found, _, _)| Some(*found) == *id);
        let (id, previous, text) = row.unwrap_or_else(|| panic!("{n} is gone: {found:?}"));
        assert_eq!(*text, format!("text {n}"));
        assert_eq!(*previous, before, "{what:?} {after}: the chain of {found:?}");
        before = *id;
    }
    assert_eq!(found.len(), told.len(), "{what:?} {after}: once each: {found:?}");
    // What bob was pushed is what is there.
    let _ = bob.ask("HELLO", &json!({}));
    for push in bob.pushes.iter().filter(|p| p.kind == "MESSAGE-RECEIVE") {
        let id = push.body["message_id"].as_u64().unwrap_or_default();
        let text = push.body["text"].as_str().unwrap_or_default();
        assert!(found.iter().any(|(i, _, t)| *i == id && t == text), "{push:?} in {found:?}");
    }
    stage.stop().expect("the server stops in order");
}

#[test]
fn a_failing_write_is_answered_honestly_and_the_service_comes_back() {
    for after in 0..6 {
        fail_once(What::Writes, after);
    }
}

#[test]
fn a_failing_sync_is_answered_honestly_and_the_service_comes_back() {
    for after in [0, 1, 2, 3] {
        fail_once(What::Syncs, after);
    }
}

#[test]
fn a_full_disk_refuses_what_must_be_stored_and_serves_on_when_there_is_room() {
    let (disk, mut stage, mut alice, mut bob) = set_up();
    alice.get("MESSAGE-SEND", &message(1)).expect("all is well");
    disk.room(Some(64 * 1024));
    // Until it is full, then some more.
    let mut stored = vec![1];
    let mut refused = Vec::new();
    for n in 2..400 {
        let body = json!({
            "chat_id": "bob", "text": format!("{n} {}", "x".repeat(9000)), "cookie": format!("cookie {n}")
        });
        let answer = alice.ask("MESSAGE-SEND", &body).expect("an answer");
        if answer.status == 200 {
            stored.push(n);
            // Bob keeps up with what he is pushed.
            bob.ask("HELLO", &json!({})).expect("an answer");
            continue;
        }
        assert_honest(&answer);
        refused.push(n);
        if refused.len() == 2 {
            break;
        }
    }
    assert_eq!(refused.len(), 2, "the disk never was full");
    disk.room(None);
    for n in refused {
        let answer = alice.ask("MESSAGE-SEND", &message(n)).expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        stored.push(n);
    }
    assert_eq!(history(&mut bob, "alice").len(), stored.len());
    stage.stop().expect("the server stops in order");
}

#[test]
fn below_the_floor_of_free_space_nothing_is_stored_and_everything_is_read() {
    let mut stage = Stage::new(true);
    stage.start().expect("a server starts");
    let mut alice = User::enter(stage.tcp(), "alice").expect("alice enters");
    let _bob = User::enter(stage.tcp(), "bob").expect("bob enters");
    let sent = alice.get("MESSAGE-SEND", &message(1)).expect("all is well");
    stage.stop().expect("the server stops in order");

    // No disk has that much free.
    stage.set("limits.free_space", "9000000000000000000");
    stage.start().expect("it starts all the same");
    let mut alice = User::resume(stage.tcp(), &alice.session).expect("alice comes back");
    let refused = alice.ask("MESSAGE-SEND", &message(2)).expect("an answer");
    assert!(refused.status >= 500, "{refused:?}");
    assert!(!refused.body["reason"].as_str().unwrap_or_default().is_empty(), "{refused:?}");
    let contact = alice.ask("CONTACTS-ADD", &json!({ "id": "bob" })).expect("an answer");
    assert!(contact.status >= 500, "{contact:?}");
    assert_eq!(history(&mut alice, "bob").len(), 1);
    let again = alice.ask("MESSAGE-SEND", &message(1)).expect("an answer");
    assert!(again.status == 201 || again.status >= 500, "{again:?}");
    alice.get("CHATS-GET", &json!({})).expect("reading goes on");
    stage.stop().expect("the server stops in order");

    stage.set("limits.free_space", "0");
    stage.start().expect("it starts");
    let mut alice = User::resume(stage.tcp(), &alice.session).expect("alice comes back");
    let again = alice.ask("MESSAGE-SEND", &message(1)).expect("an answer");
    assert_eq!((again.status, &again.body["message_id"]), (201, &sent["message_id"]));
    alice.get("MESSAGE-SEND", &message(2)).expect("there is room again");
    stage.stop().expect("the server stops in order");
}

#[test]
fn a_disk_that_stays_broken_is_admitted_and_loses_nothing() {
    let (disk, mut stage, mut alice, _bob) = set_up();
    let sent = alice.get("MESSAGE-SEND", &message(1)).expect("all is well");
    disk.trouble(Some(Trouble { what: What::All, after: 0, times: u32::MAX }));
    let answer = alice.ask("MESSAGE-SEND", &message(2));
    assert!(answer.as_ref().is_ok_and(|a| a.status == 500), "{answer:?}");
    // What the service manager is to be told of, so that it starts another.
    assert!(stage.fails_within(PATIENCE), "the server does not notice");
    stage.crash().expect("it can be left");

    disk.trouble(None);
    let mut stage = Stage::at(Place::Backend(Arc::new(disk)));
    stage.start().expect("another one starts");
    let mut alice = User::resume(stage.tcp(), &alice.session).expect("alice comes back");
    let again = alice.ask("MESSAGE-SEND", &message(1)).expect("an answer");
    assert_eq!((again.status, &again.body["message_id"]), (201, &sent["message_id"]));
    let second = alice.ask("MESSAGE-SEND", &message(2)).expect("an answer");
    assert!(matches!(second.status, 200 | 201), "{second:?}");
    stage.stop().expect("the server stops in order");
}
