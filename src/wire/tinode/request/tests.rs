use super::*;
use crate::domain::access::Access;
use crate::limits::JSON_DEPTH_MAX;

fn read(text: &str) -> Request {
    Request::parse(text).unwrap_or_else(|_| panic!("{text}"))
}

/// A message as the README shows it: names without quotes, sentences behind `//`.
fn readme(text: &str) -> Request {
    let mut json = String::from("{");
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        for token in line.split_inclusive([' ', '{', '[', ',']) {
            match token.trim_end().strip_suffix(':') {
                Some(name) if !name.starts_with('"') => json.push_str(&format!("\"{name}\":")),
                _ => json.push_str(token),
            }
        }
    }
    json.push('}');
    read(&json)
}

fn json(text: &str) -> Payload {
    Payload::Json(text.into())
}

fn letters(text: &str) -> Mode {
    Mode::Letters(Access::parse(text).expect("letters"))
}

fn secret(auth: &Option<Secret>) -> Option<(&str, &str)> {
    auth.as_ref().and_then(Secret::split)
}

#[test]
fn acc_is_read_as_the_readme_shows_it() {
    let request = readme(
        r#"acc: {
          id: "1a2b3", // string
          user: "new",
          auth: [
            {
              scheme: "basic",
              secret: "username:password"
            }
          ],
          init: {
            defacs: {
              auth: "RWS",
              anon: "X"
            },
            public: { "fn": "Alice" },
            private: [1, 2]
          }
        }"#,
    );
    assert_eq!((request.id.as_deref(), request.topic.as_deref()), (Some("1a2b3"), None));
    let Verb::Acc(acc) = request.verb else { panic!("{request:?}") };
    assert_eq!((acc.whose, acc.invite), (Whose::New, None));
    let auth = acc.auth.expect("a list");
    assert_eq!((auth.len(), auth[0].scheme), (1, Scheme::Basic));
    assert_eq!(secret(&auth[0].secret), Some(("username", "password")));
    assert_eq!(acc.init.defacs, Defacs { auth: letters("RWS"), anon: letters("X") });
    assert_eq!(acc.init.public, json(r#"{ "fn": "Alice" }"#));
    assert_eq!(acc.init.private, json("[1, 2]"));
}

#[test]
fn acc_may_say_less_or_more() {
    let acc = |text: &str| match read(text).verb {
        Verb::Acc(acc) => *acc,
        other => panic!("{other:?}"),
    };
    let bare = acc(r#"{"acc":{}}"#);
    assert_eq!((bare.whose, bare.auth, bare.init), (Whose::Mine, None, Settings::default()));
    let empty = acc(r#"{"acc":{"user":"","auth":[],"init":{},"invite":"abc-def"}}"#);
    assert_eq!((empty.whose, empty.auth), (Whose::Mine, Some(Vec::new())));
    assert_eq!(empty.invite.as_deref(), Some("abc-def"));
    assert_eq!(acc(r#"{"acc":{"user":"usrOj0B3-gSBSs"}}"#).whose, Whose::Others);
    let auth = acc(
        r#"{"acc":{"auth":[{"secret":":a:b"},{"scheme":"token","secret":"x"},{"secret":"\u2421"},{}]}}"#,
    );
    let auth = auth.auth.expect("a list");
    assert_eq!(
        auth.iter().map(|a| a.scheme == Scheme::Basic).collect::<Vec<_>>(),
        [true, false, true, true]
    );
    // A password may have colons, a name none.
    assert_eq!(secret(&auth[0].secret), Some(("", "a:b")));
    assert_eq!(secret(&auth[1].secret), None);
    assert!(auth[2].secret.as_ref().is_some_and(Secret::is_clear));
    assert!(auth[3].secret.is_none());
}

#[test]
fn no_secret_is_shown() {
    let login = read(r#"{"login":{"secret":"alice:hunter2"}}"#);
    assert!(!format!("{login:?}").contains("hunter2"));
}

#[test]
fn login_is_read_as_the_readme_shows_it() {
    let request = readme(
        r#"login: {
          id: "1a2b3",
          scheme: "basic",
          secret: "username:password",
          ua: "JS/1.0 (Windows 10)"
        }"#,
    );
    let Verb::Login(login) = &request.verb else { panic!("{request:?}") };
    assert_eq!(login.scheme, Scheme::Basic);
    assert_eq!(secret(&login.secret), Some(("username", "password")));
    assert_eq!(login.ua.as_deref(), Some("JS/1.0 (Windows 10)"));
    let Verb::Login(login) = read(r#"{"login":{"scheme":"none"}}"#).verb else { panic!() };
    assert_eq!((login.scheme, login.secret, login.ua), (Scheme::Unknown, None, None));
    // A browser that never stops talking, cut where a character ends.
    let long = format!(r#"{{"login":{{"ua":"x{}"}}}}"#, "é".repeat(200));
    let Verb::Login(login) = read(&long).verb else { panic!() };
    assert_eq!(login.ua.map(|ua| ua.len()), Some(TINODE_UA_BYTES_MAX - 1));
}

#[test]
fn sub_is_read_as_the_readme_shows_it() {
    let request = readme(
        r#"sub: {
          id: "1a2b3",
          topic: "me",
          init: {
            defacs: {
              auth: "RWS",
              anon: "X"
            },
            public: "p",
            private: { "a": 1 }
          },
          sub: {
            mode: "RWS",
            info: { "b": 2 }
          },
          get: "info sub data",
          browse: {
            since: 123,
            before: 321,
            limit: 20
          }
        }"#,
    );
    assert_eq!((request.id.as_deref(), request.topic.as_deref()), (Some("1a2b3"), Some("me")));
    let Verb::Sub(sub) = request.verb else { panic!("{request:?}") };
    assert_eq!(sub.init.public, json("\"p\""));
    assert_eq!(sub.sub, Member { user: None, mode: letters("RWS"), info: json(r#"{ "b": 2 }"#) });
    assert_eq!(sub.get, Wants { info: true, sub: true, data: true });
    let browse = Browse { since: Some(123), before: Some(321), limit: Some(20) };
    assert_eq!(sub.browse, browse);
}

#[test]
fn what_the_sdk_sends_is_understood() {
    // Empty things are left out by it, false ones are not; some fields nobody ever read.
    let sub = read(r#"{"sub":{"id":"17","topic":"me","mode":"RW","get":"info sub data"}}"#);
    let Verb::Sub(sub) = sub.verb else { panic!("{sub:?}") };
    assert_eq!((sub.init, sub.sub, sub.browse), Default::default());
    let leave = read(r#"{"leave":{"id":"18","topic":"grpX","unsub":false}}"#);
    assert_eq!(leave.verb, Verb::Leave { unsub: false });
    let said = read(r#"{"pub":{"id":"19","topic":"grpX","params":{},"content":"hi"}}"#);
    assert_eq!(said.verb, Verb::Pub { noecho: false, content: "\"hi\"".into() });
    let mute = read(r#"{"pub":{"topic":"grpX","content":null,"noecho":true}}"#);
    assert_eq!(mute.verb, Verb::Pub { noecho: true, content: "null".into() });
    assert_eq!((mute.id, mute.topic.as_deref()), (None, Some("grpX")));
    let empty = read(r#"{"pub":{}}"#);
    assert_eq!(
        empty,
        Request {
            id: None,
            topic: None,
            verb: Verb::Pub { noecho: false, content: "null".into() }
        }
    );
}

#[test]
fn content_comes_back_as_it_was_written() {
    for content in [r#"{ "b":1, "a": [ 1.50,1E5 ], "b":"\u00e9\/" }"#, "0", "false", "\"\u{2421}\""]
    {
        let Verb::Pub { content: kept, .. } =
            read(&format!(r#"{{"pub":{{"topic":"x","content": {content} }}}}"#)).verb
        else {
            panic!("{content}")
        };
        assert_eq!(&*kept, content);
    }
}

#[test]
fn get_set_del_leave_are_read_as_the_readme_shows_them() {
    let request = readme(
        r#"get: {
          id: "1a2b3",
          what: "sub info data",
          browse: {
            since: 123,
            before: 321,
            limit: 20
          }
        }"#,
    );
    let Verb::Get { what, browse } = request.verb else { panic!("{request:?}") };
    assert_eq!(what, Wants { info: true, sub: true, data: true });
    assert_eq!((browse.since, browse.before, browse.limit), (Some(123), Some(321), Some(20)));

    let request = readme(
        r#"set: {
          id: "1a2b3",
          topic: "grp1XUtEhjv6HND",
          what: "sub info",
          info: {
            defacs: {
              auth: "",
              anon: "Q"
            },
            public: "␡",
            private: "\u2421"
          },
          sub: {
            user: "usr2il9suCbuko",
            mode: "RWP",
            info: true
          }
        }"#,
    );
    let Verb::Set(set) = request.verb else { panic!("{request:?}") };
    assert_eq!(set.what, Wants { info: true, sub: true, data: false });
    let info = set.info.expect("there");
    assert_eq!(info.defacs, Defacs { auth: Mode::Usual, anon: Mode::Bad });
    assert_eq!((info.public, info.private), (Payload::Clear, Payload::Clear));
    let user = Some("usr2il9suCbuko".into());
    assert_eq!(set.sub, Some(Member { user, mode: letters("RWP"), info: json("true") }));
    let Verb::Set(set) = read(r#"{"set":{"what":"tags","info":{},"sub":null}}"#).verb else {
        panic!()
    };
    assert!(set.what.is_empty());
    assert_eq!((set.info, set.sub), (Some(Settings::default()), None));

    let del = |text: &str| match read(text).verb {
        Verb::Del(del) => del,
        other => panic!("{other:?}"),
    };
    let request = r#"{"del":{"id":"1","topic":"g","what":"msg","hard":false,"before":123}}"#;
    assert_eq!(del(request), Del { what: Delete::Messages, hard: false, before: Some(123) });
    let request = r#"{"del":{"hard":true}}"#;
    assert_eq!(del(request), Del { what: Delete::Messages, hard: true, before: None });
    assert_eq!(del(r#"{"del":{"what":"topic"}}"#).what, Delete::Topic);
    assert_eq!(del(r#"{"del":{"what":"sub"}}"#).what, Delete::Unknown);
    for before in [0, -1, i64::MIN, i64::MAX] {
        assert_eq!(del(&format!(r#"{{"del":{{"before":{before}}}}}"#)).before, Some(before));
    }
    let leave = read(r#"{"leave":{"topic":"grp1XUtEhjv6HND","unsub":true}}"#);
    assert_eq!(leave.verb, Verb::Leave { unsub: true });
}

#[test]
fn bounds_that_are_none_are_ignored() {
    let Verb::Get { browse, what } = read(
        r#"{"get":{"what":"desc","browse":{"since":0,"before":-5,"limit":-9223372036854775808}}}"#,
    )
    .verb
    else {
        panic!()
    };
    assert_eq!(browse, Browse::default());
    assert!(what.is_empty());
}

#[test]
fn a_note_is_valid_or_dropped() {
    let note = |fields: &str| {
        let request = read(&format!(r#"{{"note":{{"id":"7","topic":"g",{fields}}}}}"#));
        assert_eq!((request.id, request.topic.as_deref()), (None, Some("g")));
        request.verb
    };
    assert_eq!(note(r#""what":"kp""#), Verb::Note(Note::KeyPress));
    assert_eq!(note(r#""what":"kp","seq":0"#), Verb::Note(Note::KeyPress));
    assert_eq!(note(r#""what":"read","seq":3"#), Verb::Note(Note::Read(3)));
    assert_eq!(note(r#""what":"recv","seq":3"#), Verb::Note(Note::Received(3)));
    assert_eq!(note(r#""what":"rcpt","seq":3"#), Verb::Note(Note::Received(3)));
    let dropped = [
        r#""what":"kp","seq":3"#,
        r#""what":"read""#,
        r#""what":"read","seq":0"#,
        r#""what":"recv","seq":-3"#,
        r#""what":"wave""#,
        r#""seq":3"#,
    ];
    for fields in dropped {
        assert_eq!(note(fields), Verb::Note(Note::Invalid), "{fields}");
    }
}

#[test]
fn the_first_of_several_messages_counts() {
    let order = ["pub", "sub", "leave", "login", "get", "set", "del", "acc", "note"];
    let is = |verb: &Verb| match verb {
        Verb::Pub { .. } => "pub",
        Verb::Sub(_) => "sub",
        Verb::Leave { .. } => "leave",
        Verb::Login(_) => "login",
        Verb::Get { .. } => "get",
        Verb::Set(_) => "set",
        Verb::Del(_) => "del",
        Verb::Acc(_) => "acc",
        Verb::Note(_) => "note",
    };
    for (at, first) in order.into_iter().enumerate() {
        // Last in the text, and those that would come before it are no messages.
        let mut fields: Vec<_> =
            order[..at].iter().map(|name| format!("\"{name}\":null")).collect();
        fields.extend(order[at..].iter().rev().map(|name| format!("\"{name}\":{{}}")));
        assert_eq!(is(&read(&format!("{{{}}}", fields.join(","))).verb), first);
    }
}

#[test]
fn fields_may_shout_and_the_last_of_two_counts() {
    let request = read(r#"{"Pub":{"ID":"a","id":"b","Topic":"t","topic":null,"CONTENT":1}}"#);
    assert_eq!((request.id.as_deref(), request.topic), (Some("b"), None));
    assert_eq!(request.verb, Verb::Pub { noecho: false, content: "1".into() });
}

#[test]
fn what_is_no_message_is_malformed() {
    let long = "x".repeat(TINODE_WORD_BYTES_MAX + 1);
    let deep = "[".repeat(JSON_DEPTH_MAX) + &"]".repeat(JSON_DEPTH_MAX);
    let bad = [
        "".into(),
        " ".into(),
        "[]".into(),
        "{}".into(),
        "null".into(),
        "hi".into(),
        r#"{"hi":{}}"#.into(),
        r#"{"pub":null}"#.into(),
        r#"{"pub":5}"#.into(),
        r#"{"pub":[]}"#.into(),
        r#"{"pub":"{}"}"#.into(),
        // The first one counts, good or not.
        r#"{"pub":5,"sub":{}}"#.into(),
        r#"{"pub":{}} x"#.into(),
        r#"{"pub":{}"#.into(),
        r#"{"pub":{"id":5}}"#.into(),
        r#"{"pub":{"id":["a"]}}"#.into(),
        r#"{"pub":{"topic":{}}}"#.into(),
        r#"{"pub":{"noecho":1}}"#.into(),
        r#"{"pub":{"noecho":"true"}}"#.into(),
        r#"{"pub":{"content":"\ud800"}}"#.into(),
        r#"{"pub":{"content":01}}"#.into(),
        r#"{"sub":{"get":["info"]}}"#.into(),
        r#"{"sub":{"init":"x"}}"#.into(),
        r#"{"sub":{"init":{"defacs":"RWP"}}}"#.into(),
        r#"{"sub":{"init":{"defacs":{"auth":7}}}}"#.into(),
        r#"{"sub":{"sub":{"mode":7}}}"#.into(),
        r#"{"sub":{"sub":{"user":7}}}"#.into(),
        r#"{"sub":{"browse":[]}}"#.into(),
        r#"{"get":{"browse":{"since":"1"}}}"#.into(),
        r#"{"get":{"browse":{"limit":1.0}}}"#.into(),
        r#"{"get":{"browse":{"limit":1e1}}}"#.into(),
        r#"{"get":{"browse":{"before":9223372036854775808}}}"#.into(),
        r#"{"del":{"before":"all"}}"#.into(),
        r#"{"del":{"what":1}}"#.into(),
        r#"{"note":{"seq":"1"}}"#.into(),
        r#"{"acc":{"auth":{}}}"#.into(),
        r#"{"acc":{"auth":["basic"]}}"#.into(),
        r#"{"acc":{"auth":[null]}}"#.into(),
        r#"{"acc":{"auth":[{"secret":7}]}}"#.into(),
        r#"{"login":{"ua":7}}"#.into(),
        format!(r#"{{"pub":{{"id":"{long}"}}}}"#),
        format!(r#"{{"pub":{{"topic":"{long}"}}}}"#),
        format!(r#"{{"get":{{"what":"{long}"}}}}"#),
        format!(r#"{{"pub":{{"content":{deep}}}}}"#),
        "{\"pub\":".repeat(100_000),
    ];
    for bad in bad {
        assert_eq!(Request::parse(&bad), Err(Malformed), "{}", &bad[..bad.len().min(80)]);
    }
    let longest = format!(r#"{{"pub":{{"id":"{}"}}}}"#, &long[1..]);
    assert_eq!(read(&longest).id.as_deref(), Some(&long[1..]));
}

#[test]
fn cut_and_changed_texts_never_panic() {
    let seeds = [
        r#"{"acc":{"id":"1","user":"new","auth":[{"scheme":"basic","secret":"a:b"}],"init":{"defacs":{"auth":"RWS","anon":"X"},"public":{"é":[1]},"private":"\u2421"}}}"#,
        r#"{"sub":{"id":"1","topic":"me","sub":{"mode":"RW","info":{}},"get":"info","browse":{"since":-1,"limit":20}}}"#,
        r#"{"set":{"topic":"me","what":"sub info","info":{"public":null},"sub":{"user":"usrOj0B3-gSBSs"}}}"#,
    ];
    for seed in seeds {
        for cut in (0..seed.len()).filter(|cut| seed.is_char_boundary(*cut)) {
            let (head, tail) = seed.split_at(cut);
            let after: String = tail.chars().skip(1).collect();
            assert_eq!(Request::parse(head), Err(Malformed));
            for letter in ["", "\"", "{", "}", "[", "null", "0", "-", "\\", ",", "\u{2421}"] {
                let _ = Request::parse(&format!("{head}{letter}{after}"));
            }
        }
    }
}
