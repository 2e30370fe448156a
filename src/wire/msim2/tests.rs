//! The dialogue, carrier by carrier: what is asked for what was sent, and what is said for what
//! was answered.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::domain::Registration;
use crate::domain::id::{AccountNo, MessageId, Seq, Timestamp};
use crate::domain::words::{
    Bulletin, Changed, ChatView, Command, ContactState, ContactView, Event, Kind, MessageView,
    Query, Range,
};
use crate::limits::ANSWER_BYTES_MAX;
use crate::wire::Dialogue as _;

fn alice() -> SessionId {
    SessionId::new([0xA1; 32])
}

fn bob() -> SessionId {
    SessionId::new([0xB0; 32])
}

fn house_with(change: impl FnOnce(&mut Config)) -> Arc<House> {
    let mut config = Config::for_tests();
    change(&mut config);
    Arc::new(House { name: "im.test".into(), config: Arc::new(config) })
}

fn dialogue(carrier: Carrier) -> Dialogue {
    Dialogue::new(house_with(|_| {}), carrier)
}

fn request(layer: u32, kind: &str, body: &str) -> Packet {
    Packet {
        layer,
        session: Some(alice()),
        seq: 7,
        kind: Type::parse(kind.as_bytes()).expect("a type"),
        status: 0,
        body: body.as_bytes().to_vec().into(),
    }
}

/// What the core is asked.
fn ask(kind: &str, body: &str) -> Ask {
    let (next, out) = say(&mut dialogue(Carrier::Tcp), request(3, kind, body));
    assert!(out.is_empty(), "{kind} {body}: {out:?}");
    match next {
        Next::Ask(ask) => ask,
        other => panic!("{kind} {body}: {other:?}"),
    }
}

fn say(dialogue: &mut Dialogue, packet: Packet) -> (Next, Vec<Packet>) {
    let mut out = Vec::new();
    let next = dialogue.on_packet(packet, &mut out);
    (next, out)
}

/// Status and body of the answer when the core says `reply`.
fn answer_to(
    house: Arc<House>,
    kind: &str,
    body: &str,
    reply: Result<Reply, Refusal>,
) -> (u16, Value) {
    let mut dialogue = Dialogue::new(house, Carrier::Tcp);
    let (next, mut out) = say(&mut dialogue, request(3, kind, body));
    assert!(matches!(next, Next::Ask(_)), "{kind} {body}: {next:?}");
    dialogue.on_reply(reply, &mut out);
    let [packet] = &out[..] else { panic!("{out:?}") };
    assert_eq!((packet.layer, packet.seq, packet.kind.as_str()), (3, 7, kind));
    (packet.status, body_of(packet))
}

fn answer_at_home(kind: &str, body: &str, reply: Result<Reply, Refusal>) -> (u16, Value) {
    answer_to(house_with(|_| {}), kind, body, reply)
}

fn body_of(packet: &Packet) -> Value {
    serde_json::from_slice(&packet.body).expect("every body is JSON")
}

fn reason_of(packet: &Packet) -> String {
    body_of(packet)["reason"].as_str().expect("an error has a reason").to_owned()
}

/// The token of the fields' refusal that travels along, and the field that it names.
fn fault(kind: &str, body: &str) -> (u16, String, String) {
    let mut dialogue = dialogue(Carrier::Tcp);
    let (next, mut out) = say(&mut dialogue, request(3, kind, body));
    let refusal = match next {
        Next::Ask(Ask { what: Err(refusal), .. }) => refusal,
        other => panic!("{kind} {body}: {other:?}"),
    };
    dialogue.on_reply(Err(refusal), &mut out);
    let message = body_of(&out[0])["message"].as_str().expect("a message").to_owned();
    let field = message.rsplit(": ").next().expect("a field").to_owned();
    (out[0].status, reason_of(&out[0]), field)
}

#[test]
fn hello_tells_what_this_server_is() {
    let hello = answer_at_home("HELLO", r#"{"protocol-layer":9}"#, Ok(Reply::Done));
    let expected = json!({
        "highest-supported-layer": LAYER_MAX,
        "servername": "im.test",
        "federated": false,
        "supported-auth-methods": ["AUTH-PLAIN"],
        "supported-register-methods": ["REGISTER-PLAIN", "REGISTER-INSTRUCTIONS"],
    });
    assert_eq!(hello, (200, expected));
    let closed = house_with(|c| c.registration = Registration::Closed);
    let (_, hello) = answer_to(closed, "HELLO", "", Ok(Reply::Done));
    assert_eq!(hello["supported-register-methods"], json!(["REGISTER-INSTRUCTIONS"]));
}

#[test]
fn hello_takes_either_field_or_none_and_refuses_layer_0() {
    let good = [
        "",
        "{}",
        r#"{"protocol-layer":1}"#,
        r#"{"highest-supported-layer":18446744073709551615}"#,
        r#"{"protocol-layer":0,"highest-supported-layer":1}"#,
        r#"{"protocol-layer":null}"#,
    ];
    for good in good {
        let ask = ask("HELLO", good);
        assert!(matches!(ask.what, Ok(What::Attach)), "{good}");
        assert!(!ask.session_required && ask.who == Some(alice()));
    }
    let (status, reason, field) = fault("HELLO", r#"{"protocol-layer":0}"#);
    assert_eq!((status, &*reason, &*field), (400, "bad-layer", "protocol-layer"));
    let wins = r#"{"protocol-layer":1,"highest-supported-layer":0}"#;
    assert_eq!(fault("HELLO", wins).1, "bad-layer");
    for bad in ["1.0", "\"1\"", "true", "[1]"] {
        let body = format!("{{\"protocol-layer\":{bad}}}");
        assert_eq!(fault("HELLO", &body).1, "bad-field", "{bad}");
    }
}

#[test]
fn register_instructions_always_have_a_text() {
    let (status, body) = answer_at_home("REGISTER-INSTRUCTIONS", "", Ok(Reply::Done));
    assert_eq!(status, 200);
    assert!(body["text"].as_str().is_some_and(|t| !t.is_empty()) && body.get("url").is_none());
    let house = house_with(|c| {
        c.registration = Registration::Closed;
        c.instructions = "Ask at the desk.".into();
        c.instructions_url = "https://im.test/desk".into();
    });
    let (_, body) = answer_to(house, "REGISTER-INSTRUCTIONS", "", Ok(Reply::Done));
    assert_eq!(body, json!({"text": "Ask at the desk.", "url": "https://im.test/desk"}));
}

#[test]
fn passwords_are_base64_of_either_alphabet() {
    let accepted = [
        ("c2VjcmV0", "secret"),
        ("YQ==", "a"),
        ("YQ", "a"),
        ("Pz8/Pw==", "????"),
        ("Pz8_Pw", "????"),
        ("0L_Ri9GC", "пыт"),
        ("AAA=", "\0\0"),
    ];
    for (text, password) in accepted {
        let ask = ask("AUTH-PLAIN", &format!(r#"{{"login":"alice","password":"{text}"}}"#));
        let Ok(What::LogIn(credentials)) = ask.what else { panic!("{text}: {:?}", ask.what) };
        assert_eq!(credentials.password, password.as_bytes(), "{text}");
    }
    let longest = "A".repeat(1366);
    let too_long = "A".repeat(1367);
    let refused = [
        "",
        "Y",
        "YQ=",
        "YR==",
        "YQ===",
        "Y Q=",
        "YQ==\\n",
        "Pz8/Pz8_",
        "c2VjcmV0!",
        "gA==",
        &longest.replace('A', "/"),
        &too_long,
    ];
    for text in refused {
        for kind in ["AUTH-PLAIN", "REGISTER-PLAIN"] {
            let body = format!(r#"{{"login":"alice","password":"{text}"}}"#);
            let (status, reason, field) = fault(kind, &body);
            assert_eq!((status, &*reason, &*field), (400, "bad-password", "password"), "{text}");
        }
    }
    let body = format!(r#"{{"login":"alice","password":"{longest}"}}"#);
    let Ok(What::LogIn(credentials)) = ask("AUTH-PLAIN", &body).what else { panic!("{body}") };
    assert_eq!(credentials.password.len(), 1024);
}

#[test]
fn a_login_elsewhere_or_impossible_is_refused_like_a_wrong_password() {
    let login = |text: &str| {
        let ask = ask("AUTH-PLAIN", &format!(r#"{{"login":{text},"password":"YQ"}}"#));
        assert!(!ask.session_required && ask.who.is_none());
        let Ok(What::LogIn(credentials)) = ask.what else { panic!("{:?}", ask.what) };
        credentials.login.map(|login| login.to_string())
    };
    for ours in [r#""alice""#, r#""Alice""#, r#""ALICE@IM.TEST""#, r#""alice&im.test""#] {
        assert_eq!(login(ours).as_deref(), Some("alice"), "{ours}");
    }
    for other in [r#""alice@else.test""#, r#""a b""#, r#""""#, r#""alice@im.test/chat""#] {
        assert_eq!(login(other), None, "{other}");
        let body = format!(r#"{{"login":{other},"password":"YQ"}}"#);
        assert_eq!(fault("REGISTER-PLAIN", &body).1, "bad-login", "{other}");
    }
    assert_eq!(fault("AUTH-PLAIN", r#"{"login":5,"password":"YQ"}"#).1, "bad-field");
    assert_eq!(fault("AUTH-PLAIN", r#"{"password":"YQ"}"#).2, "login");
    assert_eq!(fault("AUTH-PLAIN", r#"{"login":"alice","password":null}"#).1, "missing-field");
}

#[test]
fn registering_takes_the_whole_address_and_an_invitation() {
    let body = r#"{"login":"Alice@im.test","password":"YQ","invite":"x-1"}"#;
    let Ok(What::Register { credentials, invite, sealed: false }) =
        ask("REGISTER-PLAIN", body).what
    else {
        panic!("not a registration")
    };
    assert_eq!(credentials.login.map(|l| l.to_string()).as_deref(), Some("alice"));
    assert_eq!(invite.as_deref(), Some("x-1"));
    assert_eq!(answer_at_home("REGISTER-PLAIN", body, Ok(Reply::Done)), (200, json!({})));
}

#[test]
fn logging_in_answers_in_the_name_of_the_new_session() {
    let mut dialogue = dialogue(Carrier::Tcp);
    let packet = request(9, "AUTH-PLAIN", r#"{"login":"alice","password":"YQ"}"#);
    let (_, mut out) = say(&mut dialogue, packet);
    dialogue.on_reply(Ok(Reply::LoggedIn { session: bob(), account: AccountNo(1) }), &mut out);
    assert_eq!((out[0].status, out[0].session, out[0].layer), (200, Some(bob()), LAYER_MAX));
    assert_eq!(body_of(&out[0]), json!({"sessid": "b0".repeat(32)}));
}

#[test]
fn what_is_malformed_ends_a_stream_but_not_http() {
    let bad = ["[]", "5", "x", "{} {}", r#"{"a":"\ud800"}"#, "\u{feff}{}", r#"{"a":NaN}"#];
    for bad in bad {
        for carrier in [Carrier::Tcp, Carrier::WebSocket] {
            // Malformed ranks before an unknown type, a high layer and layer 0.
            for (layer, kind) in [(3, "MESSAGE-SEND"), (1, "MESSAGE-SEND"), (0, "WHAT")] {
                let (next, out) = say(&mut dialogue(carrier), request(layer, kind, bad));
                assert!(matches!(next, Next::HangUp(Farewell::Malformed)), "{bad}: {next:?}");
                let [packet] = &out[..] else { panic!("{out:?}") };
                assert_eq!(packet.kind, packet::ERROR);
                let head = (packet.layer, packet.session, packet.seq, packet.status);
                assert_eq!(head, (1, None, 7, 400));
                assert_eq!(reason_of(packet), "malformed-packet");
            }
        }
        let (next, out) = say(&mut dialogue(Carrier::Http), request(3, "MESSAGE-SEND", bad));
        assert!(matches!(next, Next::Listen), "{bad}: {next:?}");
        assert_eq!((out[0].status, out[0].kind.as_str()), (400, "MESSAGE-SEND"));
        assert_eq!(reason_of(&out[0]), "malformed-packet");
    }
}

#[test]
fn types_unknown_or_above_the_layer_are_not_implemented() {
    let cases = [
        (3, "WHAT", 501, "not-implemented"),
        (3, "MESSAGE-RECEIVE", 501, "not-implemented"),
        (3, "ERROR", 501, "not-implemented"),
        (1, "CONTACTS-GET", 501, "not-implemented"),
        (2, "MESSAGE-SEND", 501, "not-implemented"),
        (0, "HELLO", 400, "bad-layer"),
        (0, "WHAT", 400, "bad-layer"),
    ];
    for (layer, kind, status, reason) in cases {
        // The fields are wrong, too, and nobody is asked about the session.
        let packet = request(layer, kind, r#"{"chat_id":5}"#);
        let (next, out) = say(&mut dialogue(Carrier::Tcp), packet);
        assert!(matches!(next, Next::Listen), "{kind}: {next:?}");
        assert_eq!((out[0].status, &*reason_of(&out[0])), (status, reason), "{layer} {kind}");
        assert_eq!(out[0].kind.as_str(), kind);
        assert_eq!((out[0].seq, out[0].session), (7, Some(alice())));
        assert_eq!(out[0].layer, layer.max(1));
    }
}

#[test]
fn the_layer_in_force_is_the_smaller_one() {
    for (layer, in_force) in [(1, 1), (3, 3), (LAYER_MAX + 1, LAYER_MAX), (u32::MAX, LAYER_MAX)] {
        let mut dialogue = dialogue(Carrier::Tcp);
        let (next, mut out) = say(&mut dialogue, request(layer, "HELLO", ""));
        let Next::Ask(ask) = next else { panic!("{next:?}") };
        assert_eq!(ask.layer, in_force);
        dialogue.on_reply(Ok(Reply::Done), &mut out);
        assert_eq!(out[0].layer, in_force);
    }
}

#[test]
fn everything_above_layer_1_needs_a_session() {
    for kind in ["CONTACTS-GET", "CHATS-GET", "CHATS-GET-UNREAD-MESSAGES"] {
        let ask = ask(kind, "");
        assert!(ask.session_required && ask.who == Some(alice()) && ask.what.is_ok());
    }
    // The session ranks before the fields: the core hears of both.
    let ask = ask("MESSAGE-SEND", r#"{"chat_id":5}"#);
    assert!(ask.session_required && ask.who == Some(alice()));
    assert!(matches!(ask.what, Err(Refusal::BadField)));
}

#[test]
fn a_refusal_that_ranks_before_the_fields_is_told_instead() {
    let body = r#"{"chat_id":5}"#;
    let (status, error) = answer_at_home("MESSAGE-SEND", body, Err(Refusal::UnknownSession));
    assert_eq!((status, &error["reason"]), (401, &json!("unknown-session")));
    let slow = Err(Refusal::TooManyRequests { retry_after: 2 });
    let (status, error) = answer_at_home("MESSAGE-SEND", body, slow);
    assert_eq!((status, &error["retry_after"]), (429, &json!(2)));
}

#[test]
fn a_websocket_packet_without_a_session_is_its_sockets() {
    let house = house_with(|_| {});
    let nameless = |dialogue: &mut Dialogue| {
        let packet = Packet { session: None, ..request(3, "CHATS-GET", "") };
        let (next, mut out) = say(dialogue, packet);
        dialogue.on_reply(Ok(Reply::Done), &mut out);
        match next {
            Next::Ask(ask) => ask.who,
            other => panic!("{other:?}"),
        }
    };
    let log_in = |dialogue: &mut Dialogue| {
        let packet = request(3, "AUTH-PLAIN", r#"{"login":"bob","password":"YQ"}"#);
        let (_, mut out) = say(dialogue, packet);
        dialogue.on_reply(Ok(Reply::LoggedIn { session: bob(), account: AccountNo(2) }), &mut out);
    };
    let mut fresh = Dialogue::new(house.clone(), Carrier::WebSocket);
    assert_eq!(nameless(&mut fresh), None);
    log_in(&mut fresh);
    assert_eq!(nameless(&mut fresh), Some(bob()));
    let mut named = Dialogue::with_session(house.clone(), Carrier::WebSocket, alice());
    assert_eq!(nameless(&mut named), Some(alice()));
    log_in(&mut named);
    assert_eq!(nameless(&mut named), Some(alice()));
    let mut tcp = Dialogue::new(house, Carrier::Tcp);
    log_in(&mut tcp);
    assert_eq!(nameless(&mut tcp), None);
}

#[test]
fn contacts_are_named_by_id_or_contact_id() {
    let who = |body: &str| match ask("CONTACTS-DELETE", body).what {
        Ok(What::Command(Command::RemoveContact { who })) => who.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(who(r#"{"id":"Bob"}"#), "bob@im.test");
    assert_eq!(who(r#"{"contact_id":"bob&IM.TEST"}"#), "bob@im.test");
    assert_eq!(who(r#"{"id":"bob","contact_id":"bob@im.test"}"#), "bob@im.test");
    for kind in ["CONTACTS-DELETE", "CONTACTS-ADD", "CONTACTS-CHANGE"] {
        assert_eq!(fault(kind, r#"{"id":"bob","contact_id":"eve"}"#).1, "bad-field");
        assert_eq!(fault(kind, r#"{"id":"b o b"}"#), (400, "bad-field".into(), "id".into()));
        assert_eq!(fault(kind, "{}"), (400, "missing-field".into(), "id".into()));
    }
}

#[test]
fn a_contacts_fields_have_types_and_limits() {
    let body = r#"{"id":"bob","name":"Bob","group":["A","B"],"note":"","dialog":true,"x":1}"#;
    let Ok(What::Command(Command::AddContact(draft))) = ask("CONTACTS-ADD", body).what else {
        panic!("not a contact")
    };
    assert_eq!(draft.name.as_deref(), Some("Bob"));
    assert_eq!(draft.group, Some(vec!["A".into(), "B".into()]));
    assert_eq!((draft.note.as_deref(), draft.dialog), (Some(""), Some(true)));
    let Ok(What::Command(Command::ChangeContact(draft))) =
        ask("CONTACTS-CHANGE", r#"{"id":"bob","name":null}"#).what
    else {
        panic!("not a contact")
    };
    let absent = draft.name.is_none() && draft.group.is_none() && draft.note.is_none();
    assert!(absent && draft.dialog.is_none());
    let long = |field: &str, bytes: usize| {
        fault("CONTACTS-ADD", &json!({"id": "bob", field: "x".repeat(bytes)}).to_string())
    };
    assert_eq!(long("name", 257), (413, "field-too-long".into(), "name".into()));
    assert_eq!(long("note", 1025), (413, "field-too-long".into(), "note".into()));
    for group in [json!(vec!["x"; 9]), json!(["x".repeat(65)])] {
        let body = json!({"id": "bob", "group": group}).to_string();
        assert_eq!(fault("CONTACTS-ADD", &body), (413, "field-too-long".into(), "group".into()));
    }
    for bad in [r#""name":5"#, r#""group":"A""#, r#""group":[1]"#, r#""note":[]"#, r#""dialog":1"#]
    {
        let body = format!(r#"{{"id":"bob",{bad}}}"#);
        assert_eq!(fault("CONTACTS-CHANGE", &body).1, "bad-field", "{bad}");
    }
}

#[test]
fn contacts_come_in_pages() {
    let page = |body: &str| match ask("CONTACTS-GET", body).what {
        Ok(What::Query(Query::Contacts { after, count })) => (after.map(|a| a.to_string()), count),
        other => panic!("{other:?}"),
    };
    assert_eq!(page("{}"), (None, 5000));
    assert_eq!(page(r#"{"count":2,"id_gt":"bob"}"#), (Some("bob@im.test".into()), 2));
    assert_eq!(page(r#"{"count":99999999999}"#).1, 5000);
    assert_eq!(fault("CONTACTS-GET", r#"{"count":0}"#).1, "bad-range");
    assert_eq!(fault("CONTACTS-GET", r#"{"id_gt":"@"}"#).1, "bad-field");
}

fn contact_view(last_seen: Option<u64>) -> ContactView {
    ContactView {
        who: "alice@dev.test".into(),
        name: "Alice".into(),
        group: vec!["Friends".into(), "Best friends".into()],
        note: last_seen.map(|_| "Vacationing".into()),
        dialog: last_seen.is_some(),
        last_seen: last_seen.map(Timestamp::from_secs),
        state: ContactState::Plain,
        unlisted: false,
        online: None,
        last_message: None,
    }
}

#[test]
fn contacts_are_written_as_the_examples_have_them() {
    let contacts = vec![contact_view(Some(968_509_351)), contact_view(None)];
    let reply = Ok(Reply::Contacts { contacts, more: false });
    let (status, body) = answer_at_home("CONTACTS-GET", "", reply);
    assert_eq!(status, 200);
    let first = json!({
        "contact": {
            "id": "alice@dev.test", "contact_id": "alice@dev.test", "name": "Alice",
            "group": ["Friends", "Best friends"], "note": "Vacationing", "dialog": true,
        },
        "last-seen": "2000-09-09T14:22:31+0000",
    });
    let second = json!({"contact": {
        "id": "alice@dev.test", "contact_id": "alice@dev.test", "name": "Alice",
        "group": ["Friends", "Best friends"], "dialog": false,
    }});
    assert_eq!(body, json!({"data": [first, second], "more": false}));
}

fn range_of(body: &str) -> Range {
    match ask("CHAT-HISTORY", body).what {
        Ok(What::Query(Query::History { chat, range })) => {
            assert_eq!(chat.to_string(), "bob@im.test");
            range
        }
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn history_takes_the_five_combinations() {
    let range = |after, before, since: Option<u64>, count, take| {
        let (after, before) = (MessageId(after), MessageId(before));
        Range { after, before, since: since.map(Timestamp::from_secs), count, take }
    };
    let end = u64::MAX;
    let cases = [
        (r#""id_from":5,"id_till":9"#, range(5, 9, None, 500, Take::First)),
        (r#""id_from":5,"id_till":9,"count":2"#, range(5, 9, None, 2, Take::First)),
        (r#""id_from":0,"count":2"#, range(0, end, None, 2, Take::First)),
        (r#""id_till":-1,"count":2"#, range(0, end, None, 2, Take::Last)),
        (r#""id_till":9,"count":501"#, range(0, 9, None, 500, Take::Last)),
        (r#""id_till":0,"count":1"#, range(0, 0, None, 1, Take::Last)),
        (r#""id_from":-1,"count":1"#, range(end, end, None, 1, Take::First)),
        (r#""id_from":9,"id_till":5"#, range(9, 5, None, 500, Take::First)),
        (r#""id_from":0,"id_till":-1"#, range(0, end, None, 500, Take::First)),
        (
            r#""date_from":"2019-05-23","count":9"#,
            range(0, end, Some(1_558_569_600), 9, Take::First),
        ),
        (r#""id_from":18446744073709551615,"count":1"#, range(end, end, None, 1, Take::First)),
        (r#""id_from":1,"count":4294967297"#, range(1, end, None, 500, Take::First)),
        (r#""id_from":1,"date_from":null,"count":1"#, range(1, end, None, 1, Take::First)),
    ];
    for (fields, expected) in cases {
        for chat in ["chat_id", "id"] {
            let body = format!(r#"{{"{chat}":"bob",{fields}}}"#);
            assert_eq!(range_of(&body), expected, "{fields}");
        }
    }
}

#[test]
fn history_refuses_every_other_combination() {
    let cases = [
        (r#""x":0"#, "bad-range"),
        (r#""count":5"#, "bad-range"),
        (r#""id_from":5"#, "bad-range"),
        (r#""id_till":5"#, "bad-range"),
        (r#""date_from":"2019-05-23""#, "bad-range"),
        (r#""date_from":"2019-05-23","id_from":1,"count":5"#, "bad-range"),
        (r#""date_from":"2019-05-23","id_from":1,"id_till":9"#, "bad-range"),
        (r#""date_from":"2019-02-29","count":5"#, "bad-date"),
        (r#""date_from":"23.05.2019","count":5"#, "bad-date"),
        (r#""date_from":20190523,"count":5"#, "bad-field"),
        (r#""id_from":-2,"count":5"#, "bad-range"),
        (r#""id_till":-9223372036854775808,"count":5"#, "bad-range"),
        (r#""id_from":5,"count":0"#, "bad-range"),
        (r#""id_from":5,"count":-1"#, "bad-range"),
        (r#""id_from":5.0,"count":1"#, "bad-field"),
        (r#""id_from":"5","count":1"#, "bad-field"),
        (r#""id_from":true,"count":1"#, "bad-field"),
        (r#""id_from":1e300,"count":1"#, "bad-field"),
        (r#""id_from":5,"count":1.0"#, "bad-field"),
    ];
    for (fields, reason) in cases {
        let body = format!(r#"{{"chat_id":"bob",{fields}}}"#);
        let (status, said, _) = fault("CHAT-HISTORY", &body);
        assert_eq!((status, &*said), (400, reason), "{fields}");
    }
    let (_, reason, field) = fault("CHAT-HISTORY", r#"{"id_from":0,"id_till":-1}"#);
    assert_eq!((&*reason, &*field), ("missing-field", "chat_id"));
}

#[test]
fn rewind_and_chats_have_a_bound_and_a_count() {
    let rewind = |body: &str| match ask("HISTORY-REWIND", body).what {
        Ok(What::Query(Query::Rewind { after, count, .. })) => (after.0, count),
        other => panic!("{other:?}"),
    };
    assert_eq!(rewind(r#"{"message_id_gt":0}"#), (0, 500));
    assert_eq!(rewind(r#"{"message_id_gt":41,"count":7}"#), (41, 7));
    assert_eq!(fault("HISTORY-REWIND", "{}").2, "message_id_gt");
    assert_eq!(fault("HISTORY-REWIND", r#"{"message_id_gt":-2}"#).1, "bad-range");
    let chats = |body: &str| match ask("CHATS-GET", body).what {
        Ok(What::Command(Command::Chats { before, count })) => (before.0, count),
        other => panic!("{other:?}"),
    };
    assert_eq!(chats(""), (u64::MAX, 500));
    assert_eq!(chats(r#"{"last_message_id_lt":9,"count":1}"#), (9, 1));
    assert_eq!(fault("CHATS-GET", r#"{"count":0}"#).1, "bad-range");
    let unread = ask("CHATS-GET-UNREAD-MESSAGES", "").what;
    assert!(matches!(unread, Ok(What::Command(Command::Unread { count: 200 }))));
}

#[test]
fn a_message_has_a_text_and_perhaps_a_cookie() {
    let text = "\0 tab\t \u{1F600} ";
    let body = json!({"chat_id": "BOB", "text": text, "cookie": "c".repeat(128)}).to_string();
    let Ok(What::Command(Command::Send(draft))) = ask("MESSAGE-SEND", &body).what else {
        panic!("not a message")
    };
    assert_eq!((draft.chat.to_string().as_str(), &*draft.text), ("bob@im.test", text));
    assert_eq!(draft.cookie.map(|c| c.len()), Some(128));
    let longest = json!({"chat_id": "bob", "text": "x".repeat(16_384)}).to_string();
    assert!(ask("MESSAGE-SEND", &longest).what.is_ok());
    let cases = [
        (json!({"text": "x"}), 400, "missing-field", "chat_id"),
        (json!({"chat_id": "bob"}), 400, "missing-field", "text"),
        (json!({"chat_id": "bob", "text": null}), 400, "missing-field", "text"),
        (json!({"chat_id": "bob", "text": ""}), 400, "text-empty", "text"),
        (json!({"chat_id": "bob", "text": 5}), 400, "bad-field", "text"),
        (json!({"chat_id": "bob", "text": "x".repeat(16_385)}), 413, "text-too-long", "text"),
        (json!({"chat_id": "b b", "text": "x"}), 400, "bad-field", "chat_id"),
        (json!({"chat_id": "bob", "text": "x", "cookie": ""}), 400, "bad-field", "cookie"),
        (json!({"chat_id": "bob", "text": "x", "cookie": 5}), 400, "bad-field", "cookie"),
        (
            json!({"chat_id": "bob", "text": "x", "cookie": "c".repeat(129)}),
            413,
            "field-too-long",
            "cookie",
        ),
    ];
    for (body, status, reason, field) in cases {
        let fault = fault("MESSAGE-SEND", &body.to_string());
        assert_eq!((fault.0, &*fault.1, &*fault.2), (status, reason, field));
    }
}

#[test]
fn a_sent_message_is_answered_with_its_cookie_and_200_or_201() {
    let sent = |repeated| {
        let (id, time) = (MessageId(4_908_390_834_209), Timestamp(1_558_648_325_999));
        Ok(Reply::Sent { id, seq: Seq(1), time, repeated })
    };
    let with = r#"{"chat_id":"bob","text":"x","cookie":"c\n1"}"#;
    let body =
        json!({"cookie": "c\n1", "message_id": 4_908_390_834_209_u64, "time": 1_558_648_325});
    assert_eq!(answer_at_home("MESSAGE-SEND", with, sent(false)), (200, body.clone()));
    assert_eq!(answer_at_home("MESSAGE-SEND", with, sent(true)), (201, body));
    let (_, body) = answer_at_home("MESSAGE-SEND", r#"{"chat_id":"bob","text":"x"}"#, sent(false));
    assert_eq!(body, json!({"message_id": 4_908_390_834_209_u64, "time": 1_558_648_325}));
}

#[test]
fn marks_name_a_message_and_perhaps_its_chat() {
    for kind in ["MESSAGE-READ-ACK", "READ-CHAT"] {
        let ask = ask(kind, r#"{"message_id":9}"#);
        let Ok(What::Command(Command::MarkRead { chat: None, id: MessageId(9) })) = ask.what else {
            panic!("{:?}", ask.what)
        };
    }
    let ask = ask("MESSAGE-RECEIVE-ACK", r#"{"message_id":9,"chat_id":"bob"}"#);
    let Ok(What::Command(Command::MarkDelivered { chat: Some(chat), .. })) = ask.what else {
        panic!("{:?}", ask.what)
    };
    assert_eq!(chat.to_string(), "bob@im.test");
    for kind in ["MESSAGE-READ-ACK", "READ-CHAT", "MESSAGE-RECEIVE-ACK"] {
        assert_eq!(fault(kind, r#"{"chat_id":"bob"}"#).1, "missing-field");
        assert_eq!(fault(kind, r#"{"message_id":"9"}"#).1, "bad-field");
        assert_eq!(fault(kind, r#"{"message_id":-1}"#).1, "bad-range");
        assert_eq!(answer_at_home(kind, r#"{"message_id":9}"#, Ok(Reply::Done)), (200, json!({})));
    }
}

fn chat_view() -> ChatView {
    ChatView {
        chat: "m1kc@msim.test".into(),
        unread: 4,
        last: MessageId(842),
        read: MessageId(810),
        delivered: MessageId(820),
        my_read: MessageId(830),
        group: None,
    }
}

fn chat_json() -> Value {
    json!({
        "id": "m1kc@msim.test", "chat_id": "m1kc@msim.test", "unread_messages": 4,
        "last_message_id": 842, "read_till_id": 810, "delivered_till_id": 820,
        "my_read_till_id": 830,
    })
}

fn message_view(id: u64, text: &str) -> MessageView {
    MessageView {
        chat: "bob@im.test".into(),
        from: "alice@im.test".into(),
        id: MessageId(id),
        previous: MessageId(id - 1),
        seq: Seq(3),
        time: Timestamp(1_558_648_325_001),
        kind: Kind::Text,
        text: text.into(),
        cookie: Some("c".into()),
        extra: None,
    }
}

fn message_json(id: u64, text: &str) -> Value {
    json!({
        "message_id": id, "previous_message_id": id - 1, "chat_id": "bob@im.test",
        "from": "alice@im.test", "text": text, "time": 1_558_648_325, "cookie": "c",
    })
}

#[test]
fn chats_and_messages_are_written_with_every_field() {
    let reply = Ok(Reply::Chats { chats: vec![chat_view()], more: true });
    let (_, body) = answer_at_home("CHATS-GET", "", reply);
    assert_eq!(body, json!({"data": [chat_json()], "more": true}));
    let messages = vec![message_view(8, "a\"b"), message_view(9, "")];
    let reply = Ok(Reply::Messages { messages, more: false });
    let (_, body) = answer_at_home("HISTORY-REWIND", r#"{"message_id_gt":7}"#, reply);
    let data = json!([message_json(8, "a\"b"), message_json(9, "")]);
    assert_eq!(body, json!({"data": data, "more": false}));
}

#[test]
fn an_answer_that_grows_too_long_ends_early_and_keeps_the_right_end() {
    // Control characters grow sixfold: 16,384 of them are 96 KiB.
    let text = "\u{1}".repeat(16_384);
    let page = |body: &str| {
        let messages = (1..=20).map(|id| message_view(id, &text)).collect();
        let reply = Ok(Reply::Messages { messages, more: false });
        let (_, body) = answer_at_home("CHAT-HISTORY", body, reply);
        let ids = body["data"].as_array().expect("data").iter().map(|m| m["message_id"].as_u64());
        let bytes = body.to_string().len();
        assert!(ANSWER_BYTES_MAX < bytes && bytes < 2 * ANSWER_BYTES_MAX, "{bytes}");
        assert_eq!(body["more"], json!(true));
        ids.map(|id| id.expect("an id")).collect::<Vec<_>>()
    };
    let first = page(r#"{"chat_id":"bob","id_from":0,"count":20}"#);
    assert_eq!(first, (1..=11).collect::<Vec<_>>());
    let last = page(r#"{"chat_id":"bob","id_till":-1,"count":20}"#);
    assert_eq!(last, (10..=20).collect::<Vec<_>>());
}

#[test]
fn contacts_end_early_too() {
    let mut view = contact_view(Some(1));
    view.note = Some("\u{1}".repeat(1024).into());
    let contacts = vec![view; 500];
    let (_, body) =
        answer_at_home("CONTACTS-GET", "", Ok(Reply::Contacts { contacts, more: false }));
    let kept = body["data"].as_array().expect("data").len();
    assert!(100 < kept && kept < 200, "{kept}");
    assert_eq!(body["more"], json!(true));
}

#[test]
fn pushes_are_told_up_to_the_sessions_layer_only() {
    let message = Bulletin::new(Event::Message(message_view(9, "hi")));
    let chats = Bulletin::new(Event::ChatsChanged(vec![chat_view()]));
    let read = Bulletin::new(Event::ReadTill {
        chat: "a@b".into(),
        id: MessageId(5),
        user: "bob@im.test".into(),
    });
    let created = Bulletin::new(Event::ContactCreated(contact_view(None)));
    let updated =
        Event::ContactUpdated { contact: contact_view(None), changed: Changed::default() };
    let updated = Bulletin::new(updated);
    let removed = Bulletin::new(Event::ContactRemoved { who: "eve@im.test".into() });
    let contact = json!({"contact": {
        "id": "alice@dev.test", "contact_id": "alice@dev.test", "name": "Alice",
        "group": ["Friends", "Best friends"], "dialog": false,
    }});
    let read_json = json!({"chat_id": "a@b", "message_id": 5, "user": "bob@im.test"});
    let removed_json = json!({"id": "eve@im.test", "contact_id": "eve@im.test"});
    let last = MessageId(7);
    let cases = [
        (Told::Resync { last }, 1, "RESYNC", json!({"last_message_id": 7})),
        (Told::Event(&created), 2, "CONTACT-CREATED", contact.clone()),
        (Told::Event(&updated), 2, "CONTACT-UPDATED", contact),
        (Told::Event(&removed), 2, "CONTACT-DELETED", removed_json),
        (Told::Event(&message), 3, "MESSAGE-RECEIVE", message_json(9, "hi")),
        (Told::Event(&chats), 3, "CHATS-UPDATED", json!({"data": [chat_json()]})),
        (Told::Event(&read), 3, "CHAT-READ-TILL", read_json),
    ];
    let mut dialogue = dialogue(Carrier::Tcp);
    for (told, layer, kind, body) in cases {
        let mut out = Vec::new();
        dialogue.on_told(&bob(), layer - 1, &told, &mut out);
        assert!(out.is_empty(), "{kind}");
        for session_layer in [layer, 3] {
            let packet = push(&bob(), session_layer, &told).expect("a push");
            let head = (packet.seq, packet.status, packet.session, packet.kind.as_str());
            assert_eq!(head, (0, 200, Some(bob()), kind));
            assert_eq!(packet.layer, session_layer.min(3));
            assert_eq!(body_of(&packet), body);
        }
    }
}

#[test]
fn an_answer_to_nothing_asked_is_not_sent() {
    let mut out = Vec::new();
    dialogue(Carrier::Tcp).on_reply(Ok(Reply::Done), &mut out);
    assert!(out.is_empty());
    let (status, body) = answer_at_home("HELLO", "", Ok(Reply::Newest(MessageId(1))));
    assert_eq!((status, &body["reason"]), (500, &json!("internal")));
}

#[test]
fn the_protocol_document_shows_a_fetch_as_it_is() {
    let view = MessageView {
        chat: "alice@localhost".into(),
        from: "alice@localhost".into(),
        id: MessageId(7),
        previous: MessageId(5),
        cookie: None,
        ..message_view(7, "Is anybody in the garden?")
    };
    let packet =
        push(&alice(), 3, &Told::Event(&Bulletin::new(Event::Message(view)))).expect("a push");
    let shown = format!(
        "Content-Length: {}\nX-Type: MESSAGE-RECEIVE\nContent-Type: application/json; \
         charset=utf-8\n\n{}\n",
        packet.body.len(),
        String::from_utf8_lossy(&packet.body),
    );
    assert!(include_str!("../../../docs/msim2.md").contains(&shown), "{shown}");
}
