//! Databases of earlier versions: every later one opens them and finds everything.
//!
//! `tests/data` holds the file of a small household for each schema there has been, as the server
//! left it when it was stopped. The test makes the same household anew and looks for the same
//! things in it, so that what is looked for stays what is made. To keep the file of a new schema:
//!
//! ```console
//! $ MSIMD_KEEP=tests/data cargo test --test tests upgrade::
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::client::tcp::User;
use crate::talk::operator;
use crate::talk::stage::Stage;

/// Three people, a direct chat with everything in it that a chat can have, a space, a channel, a
/// profile, somebody who is disabled, and a password for a device.
pub fn make(stage: &Stage) {
    let door = stage.tcp();
    let enter = |login| User { layer: 5, ..User::enter(door, login).expect("they enter") };
    let (mut alice, mut bob, mut carol) = (enter("alice"), enter("bob"), enter("carol"));
    let _dave = enter("dave");
    let id = |answer: Value| answer["message_id"].as_u64().expect("an id");

    let send = |who: &mut User, chat: &str, text: &str| {
        let body = json!({ "chat_id": chat, "text": text, "cookie": text });
        id(who.get("MESSAGE-SEND", &body).expect("a message is sent"))
    };
    let first = send(&mut alice, "bob", "Hi Bob");
    send(&mut bob, "alice", "Привет 🎈");
    let slip = send(&mut alice, "bob", "a slip of the tongue");
    let typo = send(&mut alice, "bob", "see yuo");
    for body in [
        json!({ "chat_id": "bob", "text": "bold", "type": "formatted", "reply_to": first,
                "spans": [{ "start": 0, "end": 4, "kind": "bold" }] }),
        json!({ "chat_id": "bob", "type": "blob", "blob": "aGVsbG8=", "mime": "image/png" }),
    ] {
        alice.get("MESSAGE-SEND", &body).expect("a message is sent");
    }
    let edit = json!({ "chat_id": "bob", "message_id": typo, "text": "see you" });
    alice.get("MESSAGE-EDIT", &edit).expect("it is edited");
    let delete = json!({ "chat_id": "bob", "message_id": slip, "for": "all" });
    alice.get("MESSAGE-DELETE", &delete).expect("it is deleted");
    let hide = json!({ "chat_id": "alice", "message_id": first, "for": "me" });
    bob.get("MESSAGE-DELETE", &hide).expect("it is hidden");
    let read = json!({ "chat_id": "alice", "message_id": typo });
    bob.get("READ-CHAT", &read).expect("it is read");
    send(&mut alice, "carol", "gone before long");
    alice.get("CHAT-DELETE", &json!({ "chat_id": "carol", "for": "all" })).expect("it is cleared");
    send(&mut alice, "carol", "A new beginning");

    let named =
        json!({ "id": "bob", "name": "Bob", "group": ["friends"], "note": "owes me a book" });
    alice.get("CONTACTS-ADD", &named).expect("bob is a contact");
    alice.get("CONTACT-BLOCK", &json!({ "id": "dave" })).expect("dave is blocked");
    carol.get("CONTACT-REQUEST", &json!({ "id": "bob", "note": "it is me" })).expect("carol asks");
    let profile =
        json!({ "name": "Alice", "birthday": "2000-02-29", "contacts": ["alice@far.test"] });
    alice.get("PROFILE-UPDATE", &profile).expect("a profile is kept");

    let space = json!({ "name": "House", "id": "house", "open": true });
    alice.get("SPACE-CREATE", &space).expect("a space is made");
    let garden = json!({ "kind": "group", "name": "Garden", "id": "garden", "space": "house" });
    alice.get("CHAT-CREATE", &garden).expect("a group is made");
    let news = json!({ "kind": "channel", "name": "News", "id": "news", "open": true });
    bob.get("CHAT-CREATE", &news).expect("a channel is made");
    for who in [&mut bob, &mut carol] {
        who.get("CHAT-JOIN", &json!({ "chat_id": "garden" })).expect("they join");
    }
    send(&mut carol, "garden", "Who waters today?");
    send(&mut bob, "news", "Nothing new");

    operator::user(stage, "disable", "dave").expect("dave is disabled");
    operator::app_password(stage, "bob", "phone").expect("a password for a phone");
}

/// Finds all of it.
fn find(stage: &Stage) {
    let door = stage.tcp();
    let again = |login| User { layer: 5, ..User::again(door, login).expect("they log in") };
    let (mut alice, mut bob) = (again("alice"), again("bob"));
    assert!(User::again(door, "dave").is_err(), "dave is disabled");

    let texts = |who: &mut User, chat: &str| -> Vec<String> {
        let all = json!({ "chat_id": chat, "id_from": 0, "id_till": -1 });
        let page = who.get("CHAT-HISTORY", &all).expect("a history");
        let text = |m: &Value| {
            let kind = m["type"].as_str().unwrap_or("text").to_owned();
            match m["text"].as_str() {
                _ if m["deleted"] == true => format!("{kind} deleted"),
                Some(text) if kind != "blob" => format!("{kind} {text}"),
                Some(_) | None => format!("{kind} {}", m["blob"].as_str().unwrap_or_default()),
            }
        };
        page["data"].as_array().expect("messages").iter().map(text).collect()
    };
    let talk = |first| {
        let rest = [
            "text Привет 🎈",
            "text deleted",
            "text see you",
            "formatted bold",
            "blob aGVsbG8=",
            "edited see you",
            "deleted ",
        ];
        [&[first], &rest[..]].concat()
    };
    assert_eq!(texts(&mut alice, "bob"), talk("text Hi Bob"));
    assert_eq!(texts(&mut bob, "alice"), talk("text deleted"));
    assert_eq!(texts(&mut alice, "carol"), ["cleared ", "text A new beginning"]);
    assert_eq!(
        texts(&mut alice, "garden").last().map(String::as_str),
        Some("text Who waters today?")
    );
    assert_eq!(texts(&mut bob, "news").last().map(String::as_str), Some("text Nothing new"));

    // The cookie is known still, and bob has read up to where he had.
    let again = json!({ "chat_id": "bob", "text": "Hi Bob", "cookie": "Hi Bob" });
    assert_eq!(alice.ask("MESSAGE-SEND", &again).expect("an answer").status, 201);
    let chats = bob.get("CHATS-GET", &json!({})).expect("bob's chats");
    let with_alice = |chat: &&Value| chat["chat_id"] == "alice@im.test";
    let chat = chats["data"].as_array().expect("chats").iter().find(with_alice).expect("theirs");
    assert_eq!(chat["unread_messages"], 4, "{chat}");

    let contacts = alice.get("CONTACTS-GET", &json!({})).expect("alice's contacts").to_string();
    for part in ["owes me a book", r#"["friends"]"#, r#""state":"blocked""#] {
        assert!(contacts.contains(part), "{part}: {contacts}");
    }
    let contacts = bob.get("CONTACTS-GET", &json!({})).expect("bob's contacts").to_string();
    assert!(contacts.contains("carol@im.test") && contacts.contains("pending"), "{contacts}");
    let profile = bob.get("PROFILE-GET", &json!({ "id": "alice" })).expect("a profile");
    assert_eq!((&profile["name"], &profile["birthday"]), (&json!("Alice"), &json!("2000-02-29")));
    let spaces = alice.get("SPACE-GET", &json!({})).expect("alice's spaces").to_string();
    assert!(spaces.contains("house@im.test") && spaces.contains("garden@im.test"), "{spaces}");
    let members = alice.get("CHAT-MEMBERS", &json!({ "chat_id": "garden" })).expect("members");
    assert_eq!(members["data"].as_array().map(Vec::len), Some(3), "{members}");
    let listed =
        operator::request(&stage.socket, "POST", "/users/app-passwords", r#"{"login":"bob"}"#);
    assert_eq!(listed.expect("an answer")["app_passwords"][0]["name"], "phone");

    let verdict = operator::request(&stage.socket, "POST", "/verify", "").expect("a verdict");
    assert_eq!(verdict["sound"], true, "{verdict}");
    // And it goes on.
    alice
        .get("MESSAGE-SEND", &json!({ "chat_id": "bob", "text": "on we go" }))
        .expect("it goes on");
}

fn database(stage: &Stage) -> PathBuf {
    stage.directory.path().join("data/msimd.redb")
}

/// The files of `tests/data` with such a beginning and end.
pub fn kept(begin: &str, end: &str) -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let entries = fs::read_dir(data).expect("tests/data is there");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(begin) && name.ends_with(end)
    });
    assert!(!found.is_empty(), "there is no {begin}…{end}");
    found
}

#[test]
fn what_this_version_keeps_it_finds_after_a_restart() {
    let mut stage = Stage::new(true);
    stage.start().expect("a server starts");
    make(&stage);
    stage.stop().expect("it stops in order");
    if let Some(target) = std::env::var_os("MSIMD_KEEP") {
        let target = Path::new(&target).join("schema-new.redb");
        fs::copy(database(&stage), &target).expect("the file is kept");
    }
    stage.start().expect("it starts again");
    find(&stage);
    stage.stop().expect("it stops in order");
}

#[test]
fn databases_of_earlier_versions_are_opened_and_everything_is_there() {
    for file in kept("schema-", ".redb") {
        let mut stage = Stage::new(true);
        fs::create_dir(stage.directory.path().join("data")).expect("a directory");
        fs::copy(&file, database(&stage)).expect("a copy");
        stage.start().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        find(&stage);
        stage.stop().expect("it stops in order");
    }
}
