//! HELLO, registering, logging in, and what every packet has to keep to.

use super::*;

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
    let Ok(What::Register { credentials, invite, sealed: false, .. }) =
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
    let who = "alice@im.test".into();
    let reply = Reply::LoggedIn { session: bob(), account: AccountNo(1), who };
    dialogue.on_reply(Ok(reply), &mut out);
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
        let who = "bob@im.test".into();
        let reply = Reply::LoggedIn { session: bob(), account: AccountNo(2), who };
        dialogue.on_reply(Ok(reply), &mut out);
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
