//! Every way in which a step may be refused.

use super::*;

#[test]
fn a_page_that_is_refused_leaves_the_topic_open() {
    for refusal in [Refusal::NoSuchChat, Refusal::Unavailable] {
        let mut talk = alice();
        let next = attach(&mut talk, &grp(), garden(), "data");
        assert!(matches!(asked(next), What::Query(Query::Page { .. })));
        let (next, said) = answer(&mut talk, Err(refusal));
        let code = if refusal == Refusal::NoSuchChat { 403 } else { 503 };
        assert!(said[0].contains(&format!(r#""code":{code}"#)), "{said:?}");
        assert!(matches!(asked(next), What::Command(Command::Watch { on: true, .. })));
        // Nor does it matter that nobody can be told of it.
        assert!(end(&mut talk, Err(Refusal::TooManyChats)).is_empty());
        assert_eq!(told(&mut talk, Event::Message(message(garden(), 1))), [data(&grp(), 1)]);
    }
}

/// The code that a message ends with when its `n`th question is refused.
fn refused(talk: &mut Dialogue, text: &str, replies: &[Reply], refusal: Refusal) -> String {
    ask(talk, text);
    for reply in replies {
        let (next, said) = answer(talk, Ok(reply.clone()));
        assert!(matches!(next, Next::Ask(_)), "{text}: {said:?}");
    }
    let said = end(talk, Err(refusal));
    let [ctrl] = &said[..] else { panic!("{text}: {said:?}") };
    let (_, code) = ctrl.split_once(r#""code":"#).expect("a code");
    let (code, text) = code.split_once(r#","text":""#).expect("a text");
    format!("{code} {}", text.split('"').next().expect("its end"))
}

#[test]
fn every_step_may_be_refused() {
    let name = || Reply::Name(person("bob", BOB));
    let there = || Reply::Name(garden());
    let cases: [(&str, &[Reply], Refusal, &str); 14] = [
        (
            r#"{"acc":{"user":"new","auth":[{"secret":"a:b"}]}}"#,
            &[],
            Refusal::LoginTaken,
            "409 duplicate credential",
        ),
        (
            r#"{"acc":{"user":"new","auth":[{"secret":"a:b"}]}}"#,
            &[],
            Refusal::RegistrationClosed,
            "403 access denied",
        ),
        (
            r#"{"acc":{"user":"new","auth":[{"secret":"a:b"}]}}"#,
            &[],
            Refusal::BadPassword,
            "400 malformed message",
        ),
        (
            r#"{"acc":{"auth":[{"secret":"a:b"}]}}"#,
            &[],
            Refusal::BadPassword,
            "400 malformed message",
        ),
        (r#"{"sub":{"topic":"me"}}"#, &[], Refusal::UnknownSession, "401 authentication required"),
        (r#"{"sub":{"topic":"new"}}"#, &[], Refusal::TooManyChats, "403 limit reached"),
        (r#"{"sub":{"topic":"new"}}"#, &[], Refusal::FieldTooLong, "413 content too large"),
        (
            r#"{"sub":{"topic":"usrIU_LOVwRNsc"}}"#,
            &[],
            Refusal::NoSuchAccount,
            "404 user not found or offline",
        ),
        (
            r#"{"sub":{"topic":"p2pOj0B3-gSBSshT8s5XBE2xw"}}"#,
            &[],
            Refusal::NoSuchAccount,
            "404 topic not found",
        ),
        (
            r#"{"sub":{"topic":"usrIU_LOVwRNsc"}}"#,
            &[name()],
            Refusal::NotAllowed,
            "403 access denied",
        ),
        (
            r#"{"sub":{"topic":"usrIU_LOVwRNsc"}}"#,
            &[name()],
            Refusal::DiskFull,
            "507 insufficient storage",
        ),
        (
            r#"{"get":{"topic":"usrIU_LOVwRNsc","what":"info"}}"#,
            &[name()],
            Refusal::NoSuchChat,
            "404 topic not found",
        ),
        (
            r#"{"sub":{"topic":"GRP","sub":{"mode":"RWO"}}}"#,
            &[there()],
            Refusal::BadAccess,
            "400 malformed message",
        ),
        (
            r#"{"sub":{"topic":"GRP"}}"#,
            &[there()],
            Refusal::TooManyRequests { retry_after: 3 },
            "429 too many requests",
        ),
    ];
    for (text, replies, refusal, expected) in cases {
        let text = text.replace("GRP", &grp());
        assert_eq!(refused(&mut alice(), &text, replies, refusal), expected, "{text}");
    }
}

#[test]
fn every_step_within_a_topic_may_be_refused() {
    let there = || Reply::Name(person("bob", BOB));
    let cases: [(&str, &[Reply], Refusal, &str); 12] = [
        (r#"{"pub":{"topic":"T","content":1}}"#, &[], Refusal::NotAllowed, "403 access denied"),
        (
            r#"{"pub":{"topic":"T","content":1}}"#,
            &[],
            Refusal::TextTooLong,
            "413 content too large",
        ),
        // It is there: it is the right to it that is not.
        (r#"{"pub":{"topic":"T","content":1}}"#, &[], Refusal::NoSuchChat, "403 access denied"),
        (r#"{"leave":{"topic":"T","unsub":true}}"#, &[], Refusal::LastOwner, "403 access denied"),
        (
            r#"{"set":{"topic":"T","what":"info","info":{"private":1}}}"#,
            &[],
            Refusal::FieldTooLong,
            "413 content too large",
        ),
        (
            r#"{"set":{"topic":"T","what":"info","info":{"public":1}}}"#,
            &[],
            Refusal::NotAllowed,
            "403 access denied",
        ),
        (
            r#"{"set":{"topic":"T","what":"sub","sub":{"mode":"R"}}}"#,
            &[],
            Refusal::LastOwner,
            "400 malformed message",
        ),
        (
            r#"{"set":{"topic":"T","what":"sub","sub":{"user":"usrIU_LOVwRNsc","mode":"R"}}}"#,
            &[],
            Refusal::NoSuchAccount,
            "404 user not found or offline",
        ),
        (
            r#"{"set":{"topic":"T","what":"sub","sub":{"user":"usrIU_LOVwRNsc"}}}"#,
            &[there()],
            Refusal::TooManyMembers,
            "403 limit reached",
        ),
        (
            r#"{"del":{"topic":"T","before":9}}"#,
            &[],
            Refusal::NoSuchMessage,
            "400 malformed message",
        ),
        (r#"{"del":{"topic":"T"}}"#, &[], Refusal::NoSuchChat, "304 no action"),
        (r#"{"del":{"topic":"T","what":"topic"}}"#, &[], Refusal::NotAllowed, "403 access denied"),
    ];
    for (text, replies, refusal, expected) in cases {
        let mut talk = alice();
        attach(&mut talk, &grp(), garden(), "");
        end(&mut talk, Ok(Reply::Done));
        let text = text.replace(r#":"T""#, &format!(r#":"{}""#, grp()));
        assert_eq!(refused(&mut talk, &text, replies, refusal), expected, "{text}");
    }
}

#[test]
fn who_is_not_there_to_be_given_something_is_invited() {
    let mut talk = alice();
    attach(&mut talk, &grp(), garden(), "");
    end(&mut talk, Ok(Reply::Done));
    let set = r#"{"set":{"id":"1","topic":"T","what":"sub","sub":{"user":"usrIU_LOVwRNsc","mode":"RW","info":[1]}}}"#;
    let what = ask(&mut talk, &set.replace(r#":"T""#, &format!(r#":"{}""#, grp())));
    assert!(matches!(what, What::Query(Query::Name { .. })), "{what:?}");
    let what = goes_on(&mut talk, Reply::Name(person("bob", BOB)));
    assert!(matches!(what, What::Command(Command::SetAccess { who: Some(_), .. })), "{what:?}");
    let (next, said) = answer(&mut talk, Err(Refusal::NoSuchMember));
    assert!(said.is_empty());
    match asked(next) {
        What::Command(Command::Invite { who, access, note, .. }) => {
            assert_eq!(who.to_string(), "bob@im.test");
            assert_eq!((access, &*note), (Some(Access::parse("RW").unwrap()), "[1]"));
        }
        other => panic!("{other:?}"),
    }
    let said = end(&mut talk, Ok(Reply::Done));
    assert_eq!(
        said,
        [format!(r#"{{"ctrl":{{"id":"1","topic":"{}","code":200,"text":"ok"}}}}"#, grp())]
    );
}

#[test]
fn notes_are_never_answered() {
    let mut talk = with_bob();
    for what in [r#""kp""#, r#""read","seq":1"#, r#""rcpt","seq":1"#] {
        ask(&mut talk, &format!(r#"{{"note":{{"topic":"{CHAT}","what":{what}}}}}"#));
        for refusal in [Refusal::NotAllowed, Refusal::UnknownSession, Refusal::Unavailable] {
            assert!(end(&mut talk, Err(refusal)).is_empty());
            ask(&mut talk, &format!(r#"{{"note":{{"topic":"{CHAT}","what":{what}}}}}"#));
        }
        assert!(end(&mut talk, Ok(Reply::Done)).is_empty());
    }
}
