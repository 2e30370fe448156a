//! The words of the lines, and who is called how after a move.

use serde_json::json;

use super::*;
use crate::domain::words::moving::Piece;

#[test]
fn every_kind_has_a_word_of_its_own() {
    for (kind, text) in KINDS {
        assert_eq!(meant(&KINDS, text), Some(kind));
        assert_eq!(word(&KINDS, kind), text);
    }
    for (kind, text) in SPANS {
        assert_eq!(meant(&SPANS, text), Some(kind));
    }
    for kind in SpanKind::ALL {
        assert_ne!(word(&SPANS, kind), "unknown");
    }
    assert_eq!(meant(&CHATS, "salon"), None);
}

/// The authors of three messages after a move.
fn authors(all: bool, home: &str) -> Vec<String> {
    let line =
        |from: &str| json!({ "message": { "seq": 1, "from": from, "time_ms": 1, "type": "text" } });
    let body = json!({
        "owner": "alice", "from": "im.old", "all": all, "chat": "bob@im.old",
        "lines": [line("alice@im.old"), line("bob@im.old"), line("carol@far.test")],
    });
    let Ok(Piece::Messages { messages, .. }) = piece(&body, home) else { panic!("{body}") };
    messages.iter().map(|message| message.from.to_string()).collect()
}

#[test]
fn who_moves_is_called_by_the_new_server() {
    let here = ["alice@im.new", "bob@im.old", "carol@far.test"];
    assert_eq!(authors(false, "im.new"), here);
    assert_eq!(authors(true, "im.new"), ["alice@im.new", "bob@im.new", "carol@far.test"]);
    // A server of the same name is the same server on another machine.
    assert_eq!(authors(false, "im.old"), ["alice@im.old", "bob@im.old", "carol@far.test"]);
}

#[test]
fn a_group_comes_along_whoever_stays() {
    let body = json!({
        "owner": "alice", "from": "im.old",
        "lines": [{ "chat": {
            "address": "garden@im.old", "kind": "group", "name": "Garden", "default_mode": "RWP",
            "members": [{ "id": "bob@im.old", "want": "RWP", "given": "N" }],
        } }],
    });
    let Ok(Piece::Chat { chat, .. }) = piece(&body, "im.new") else { panic!("{body}") };
    assert_eq!(chat.address.to_string(), "garden@im.new");
    assert_eq!(chat.members[0].who.to_string(), "bob@im.old");
}

#[test]
fn a_request_that_nobody_will_answer_is_none() {
    let contact = |state: &str, listed: bool| {
        let line = json!({ "contact": { "id": "bob@im.old", "state": state, "listed": listed } });
        let body = json!({ "owner": "alice", "from": "im.old", "lines": [line] });
        let Ok(Piece::Contacts { contacts, .. }) = piece(&body, "im.new") else { panic!("{body}") };
        contacts.first().map(|contact| (word(&CONTACTS, contact.state), contact.unlisted))
    };
    assert_eq!(contact("requested", true), Some(("plain", false)));
    assert_eq!(contact("pending", false), None);
    assert_eq!(contact("blocked", false), Some(("blocked", true)));
}

#[test]
fn a_line_that_is_none_is_refused_in_words() {
    let say = |line: serde_json::Value| {
        let body = json!({ "owner": "alice", "from": "im.old", "lines": [line] });
        piece(&body, "im.new").map(|_| ()).unwrap_err()
    };
    for (line, part) in [
        (json!({ "song": {} }), "no kind that this version knows"),
        (json!({ "contact": { "id": "a b" } }), "is no address"),
        (json!({ "contact": { "id": "bob", "state": "odd" } }), "state is unknown"),
        (json!({ "message": { "seq": 1, "from": "bob", "type": "text" } }), "has no time"),
        (
            json!({ "message": { "seq": -1, "from": "bob", "type": "text", "time_ms": 1 } }),
            "seq has to",
        ),
        (json!({ "chat": { "address": "bob", "kind": "salon" } }), "kind is unknown"),
        (
            json!({ "chat": { "address": "bob", "kind": "group", "default_mode": "Q" } }),
            "no letters",
        ),
    ] {
        let why = say(line);
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(piece(&json!({}), "im.new").is_err());
    assert!(piece(&json!({ "owner": "alice", "from": "x", "lines": [] }), "im.new").is_err());
}
