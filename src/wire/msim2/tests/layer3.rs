//! Chats, messages and marks.

use super::*;

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
