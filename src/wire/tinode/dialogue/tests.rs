//! What talks cannot reach: what comes between the questions of one message, what is lost, what is
//! told where.

mod refused;

use std::sync::Arc;

use super::*;
use crate::config::Config;
use crate::domain::access::Access;
use crate::domain::id::{AccountNo, ChatId, MessageId, Seq};
use crate::domain::name::{Name, Tag};
use crate::domain::nouns::Mark;
use crate::domain::words::{
    Act, Bulletin, ChatKind, Event, ExtraView, Face, Kind, MessageView, Notice, Query, Start,
};
use crate::wire::Dialogue as _;

/// The people of the README.
const ALICE: u64 = 0x2b05_12e8_df01_3d3a;
const BOB: u64 = 0xc736_115c_39cb_4f21;
const CHAT: &str = "p2pOj0B3-gSBSshT8s5XBE2xw";
const GARDEN: u64 = 7;

fn dialogue() -> Dialogue {
    let config = Arc::new(Config::for_tests());
    let house = Arc::new(House { name: "im.test".into(), config });
    Dialogue::new(house, Opening::default(), || Timestamp(0))
}

fn person(login: &str, public_id: u64) -> Name {
    Name::new(format!("{login}@im.test"), Tag::Person { no: AccountNo(1), public_id })
}

fn garden() -> Name {
    let tag = Tag::Chat { id: ChatId(1 << 63), space: None, public_id: GARDEN };
    Name::new("garden@im.test", tag)
}

fn grp() -> String {
    Topic::Group(GARDEN).to_string()
}

/// As a client reads them, without their moment, which is always the same.
fn read(packets: Vec<Packet>) -> Vec<String> {
    let text = |packet: Packet| String::from_utf8(packet.to_json()).expect("JSON is UTF-8");
    packets
        .into_iter()
        .map(text)
        .map(|t| t.replace(r#","ts":"1970-01-01T00:00:00.000Z""#, ""))
        .collect()
}

/// A message in, and what is said at once.
fn say(talk: &mut Dialogue, text: &str) -> (Next, Vec<String>) {
    let mut out = Vec::new();
    let next = talk.on_packet(Packet::Said(text.into()), &mut out);
    (next, read(out))
}

/// A message that asks something before anything is said.
fn ask(talk: &mut Dialogue, text: &str) -> What {
    match say(talk, text) {
        (next, said) if said.is_empty() => asked(next),
        other => panic!("{text}: {other:?}"),
    }
}

fn asked(next: Next) -> What {
    match next {
        Next::Ask(Ask { what: Ok(what), .. }) => what,
        other => panic!("{other:?}"),
    }
}

fn answer(talk: &mut Dialogue, reply: Result<Reply, Refusal>) -> (Next, Vec<String>) {
    let mut out = Vec::new();
    let next = talk.on_reply(reply, &mut out);
    (next, read(out))
}

/// An answer that ends a message.
fn end(talk: &mut Dialogue, reply: Result<Reply, Refusal>) -> Vec<String> {
    match answer(talk, reply) {
        (Next::Listen, said) => said,
        other => panic!("{other:?}"),
    }
}

/// An answer that nothing is said to yet.
fn goes_on(talk: &mut Dialogue, reply: Reply) -> What {
    let (next, said) = answer(talk, Ok(reply));
    assert!(said.is_empty(), "{said:?}");
    asked(next)
}

fn told(talk: &mut Dialogue, event: Event) -> Vec<String> {
    hear(talk, &Told::Event(&Bulletin::new(event)))
}

fn lost(talk: &mut Dialogue) -> Vec<String> {
    hear(talk, &Told::Resync { last: MessageId(9) })
}

fn hear(talk: &mut Dialogue, told: &Told<'_>) -> Vec<String> {
    let mut out = Vec::new();
    talk.on_told(&session(), LAYER, told, &mut out);
    read(out)
}

fn session() -> SessionId {
    SessionId::new([0xA1; 32])
}

fn alice() -> Dialogue {
    let mut talk = dialogue();
    ask(&mut talk, r#"{"login":{"id":"0","secret":"alice:alice123"}}"#);
    let who = person("alice", ALICE);
    let reply = Reply::LoggedIn { session: session(), account: AccountNo(1), who };
    let said = end(&mut talk, Ok(reply));
    assert_eq!(
        said,
        [r#"{"ctrl":{"id":"0","code":200,"text":"OK","params":{"uid":"usrOj0B3-gSBSs"}}}"#]
    );
    talk
}

fn view(chat: Name, kind: ChatKind, mode: &str) -> SubscriptionView {
    let mode = Access::parse(mode).expect("letters");
    SubscriptionView {
        chat,
        id: ChatId(1),
        kind,
        part: Some((mode, mode)),
        created: Timestamp(0),
        updated: Timestamp(0),
        open: true,
        default_access: Access::GROUP,
        last: Seq(0),
        read: Seq(0),
        received: Seq(0),
        cleared: Seq(0),
        face: Face { name: "Face".into(), card: None },
        card: None,
        online: false,
        last_seen: None,
    }
}

fn subscribed(chat: Name, mode: &str) -> Reply {
    let kind = if chat == garden() { ChatKind::Group } else { ChatKind::Direct };
    Reply::Subscribed { subscription: Box::new(view(chat, kind, mode)), is_new: false }
}

fn message(chat: Name, seq: u32) -> MessageView {
    MessageView {
        chat,
        from: person("bob", BOB),
        id: MessageId(u64::from(seq)),
        previous: MessageId(0),
        seq: Seq(seq),
        time: Timestamp(0),
        kind: Kind::Text,
        text: format!("{seq}").into(),
        cookie: None,
        extra: None,
    }
}

fn data(topic: &str, seq: u32) -> String {
    format!(
        r#"{{"data":{{"topic":"{topic}","from":"usrIU_LOVwRNsc","seq":{seq},"content":"{seq}"}}}}"#
    )
}

fn evicted(topic: &str) -> String {
    format!(r#"{{"ctrl":{{"topic":"{topic}","code":205,"text":"evicted"}}}}"#)
}

/// Attached to the chat with bob.
fn with_bob() -> Dialogue {
    let mut talk = alice();
    attach(&mut talk, "usrIU_LOVwRNsc", person("bob", BOB), "");
    talk
}

/// {sub}, up to where it is attached; `get` has no more than `data` in it.
fn attach(talk: &mut Dialogue, topic: &str, name: Name, get: &str) -> Next {
    ask(talk, &format!(r#"{{"sub":{{"topic":"{topic}","get":"{get}"}}}}"#));
    let what = goes_on(talk, Reply::Name(name.clone()));
    assert!(matches!(what, What::Command(Command::Subscribe { .. })), "{what:?}");
    let (next, said) = answer(talk, Ok(subscribed(name, "RWP")));
    assert!(matches!(&said[..], [ctrl] if ctrl.contains(r#""code":200"#)), "{said:?}");
    next
}

fn attach_to_me(talk: &mut Dialogue) {
    ask(talk, r#"{"sub":{"topic":"me"}}"#);
    let (next, _) = answer(talk, Ok(Reply::Done));
    assert!(matches!(asked(next), What::Command(Command::Subscriptions { .. })));
    let none = Reply::Subscriptions { subscriptions: Vec::new(), more: false };
    assert!(end(talk, Ok(none)).is_empty());
}

#[test]
fn what_was_lost_costs_every_topic() {
    let mut talk = with_bob();
    let next = attach(&mut talk, &grp(), garden(), "");
    assert!(matches!(asked(next), What::Command(Command::Watch { on: true, .. })));
    assert!(end(&mut talk, Ok(Reply::Done)).is_empty());
    assert_eq!(lost(&mut talk), [evicted(CHAT), evicted(&grp())]);
    assert!(lost(&mut talk).is_empty());
    assert!(told(&mut talk, Event::Message(message(person("bob", BOB), 1))).is_empty());
    // `me`, too: an invitation may be among what was lost.
    attach_to_me(&mut talk);
    assert_eq!(lost(&mut talk), [evicted("me")]);
    attach_to_me(&mut talk);
    // Whoever is evicted attaches again.
    attach(&mut talk, "usrIU_LOVwRNsc", person("bob", BOB), "");
}

#[test]
fn who_is_evicted_between_two_questions_is_shown_nothing_more() {
    let mut talk = alice();
    let next = attach(&mut talk, &grp(), garden(), "data");
    assert!(matches!(asked(next), What::Query(Query::Page { .. })));
    assert_eq!(lost(&mut talk), [evicted(&grp())]);
    // What was asked for already comes; that it is open nobody is told.
    let page = Reply::Messages { messages: vec![message(garden(), 1)], more: false };
    assert_eq!(end(&mut talk, Ok(page)), [data(&grp(), 1)]);
    // Whoever leaves meanwhile is answered.
    let next = attach(&mut talk, &grp(), garden(), "");
    assert!(matches!(asked(next), What::Command(Command::Watch { on: true, .. })));
    assert!(end(&mut talk, Ok(Reply::Done)).is_empty());
    ask(&mut talk, &format!(r#"{{"leave":{{"topic":"{}"}}}}"#, grp()));
    assert_eq!(lost(&mut talk), [evicted(&grp())]);
    let left = end(&mut talk, Ok(Reply::Done));
    assert!(matches!(&left[..], [ctrl] if ctrl.contains(r#""code":200"#)), "{left:?}");
}

#[test]
fn what_comes_while_a_page_is_fetched_is_told_once() {
    let mut talk = alice();
    let bob = || person("bob", BOB);
    let next = attach(&mut talk, "usrIU_LOVwRNsc", bob(), "data");
    assert!(matches!(asked(next), What::Query(Query::Page { .. })));
    // It is in the page that was asked for.
    assert!(told(&mut talk, Event::Message(message(bob(), 3))).is_empty());
    let messages = vec![message(bob(), 2), message(bob(), 3), message(bob(), 4)];
    let said = end(&mut talk, Ok(Reply::Messages { messages, more: false }));
    assert_eq!(said, [data(CHAT, 2), data(CHAT, 3), data(CHAT, 4)]);
    // It was committed before the page was read and told after it.
    assert!(told(&mut talk, Event::Message(message(bob(), 4))).is_empty());
    assert_eq!(told(&mut talk, Event::Message(message(bob(), 5))), [data(CHAT, 5)]);
}

#[test]
fn a_part_of_history_holds_nothing_live_back() {
    let mut talk = alice();
    ask(&mut talk, r#"{"sub":{"topic":"usrIU_LOVwRNsc","get":"data","browse":{"before":3}}}"#);
    let bob = || person("bob", BOB);
    goes_on(&mut talk, Reply::Name(bob()));
    let (next, _) = answer(&mut talk, Ok(subscribed(bob(), "RWP")));
    assert!(matches!(asked(next), What::Query(Query::Page { before: Seq(3), .. })));
    assert_eq!(told(&mut talk, Event::Message(message(bob(), 5))), [data(CHAT, 5)]);
    let messages = vec![message(bob(), 2)];
    let said = end(&mut talk, Ok(Reply::Messages { messages, more: false }));
    assert_eq!(said, [data(CHAT, 2)]);
}

#[test]
fn what_happens_is_told_where_it_is_open() {
    let bob = || person("bob", BOB);
    let mark = Mark { id: MessageId(5), seq: Seq(2) };
    let marked = || Event::Marked { chat: bob(), user: bob(), read: None, delivered: Some(mark) };
    let mine = || Event::MyMarks { chat: bob(), read: Some(mark), delivered: Some(mark) };
    let typing = |on| Event::Typing { chat: bob(), from: bob(), on };
    let info = |from, what: &str| {
        format!(r#"{{"info":{{"topic":"{CHAT}","from":"{from}","what":{what}}}}}"#)
    };
    let pres = |what: &str| format!(r#"{{"pres":{{"topic":"me","src":"{CHAT}","what":{what}}}}}"#);
    let (theirs, own) = ("usrIU_LOVwRNsc", "usrOj0B3-gSBSs");
    let mut talk = with_bob();
    assert_eq!(told(&mut talk, marked()), [info(theirs, r#""recv","seq":2"#)]);
    assert_eq!(told(&mut talk, mine()), [info(own, r#""read","seq":2"#)]);
    assert_eq!(told(&mut talk, typing(true)), [info(theirs, r#""kp""#)]);
    assert!(told(&mut talk, typing(false)).is_empty());
    attach_to_me(&mut talk);
    assert_eq!(
        told(&mut talk, mine()),
        [info(own, r#""read","seq":2"#), pres(r#""read","seq":2"#)]
    );
    // On `me` alone, and nowhere.
    let mut talk = alice();
    attach_to_me(&mut talk);
    assert_eq!(told(&mut talk, mine()), [pres(r#""read","seq":2"#)]);
    assert_eq!(told(&mut talk, Event::Message(message(bob(), 3))), [pres(r#""msg","seq":3"#)]);
    assert!(told(&mut talk, marked()).is_empty());
    assert!(told(&mut talk, typing(true)).is_empty());
    let mut talk = alice();
    for event in [mine(), marked(), typing(true), Event::Message(message(bob(), 3))] {
        assert!(told(&mut talk, event).is_empty());
    }
}

#[test]
fn without_p_nothing_is_heard_of_a_topic_on_me() {
    let mut talk = alice();
    attach_to_me(&mut talk);
    let bob = || person("bob", BOB);
    let notice = |given: &str, want: &str| {
        let letters = |text| Access::parse(text).expect("letters");
        let extra = ExtraView {
            person: Some(bob()),
            access: Some(letters(want)),
            notice: Some(Notice { act: Act::Admitted, given: letters(given) }),
            ..ExtraView::default()
        };
        let extra = Some(Box::new(extra));
        Event::Message(MessageView {
            kind: Kind::Notice,
            text: "".into(),
            extra,
            ..message(bob(), 1)
        })
    };
    assert_eq!(told(&mut talk, notice("RWPD", "RW")).len(), 1);
    assert!(told(&mut talk, Event::Message(message(bob(), 1))).is_empty());
    let here =
        || Event::Presence { who: bob(), online: true, at: Timestamp(0), agent: "B/1".into() };
    assert!(told(&mut talk, here()).is_empty());
    assert_eq!(told(&mut talk, notice("RWPD", "RWP")).len(), 1);
    assert_eq!(
        told(&mut talk, here()),
        [r#"{"pres":{"topic":"me","src":"usrIU_LOVwRNsc","what":"on","ua":"B/1"}}"#]
    );
}

#[test]
fn a_groups_message_is_written_once_for_all() {
    let talks = [(); 2].map(|()| {
        let mut talk = alice();
        attach(&mut talk, &grp(), garden(), "");
        end(&mut talk, Ok(Reply::Done));
        talk
    });
    let bulletin = Bulletin::to_many(Event::Message(message(garden(), 1)));
    let written = talks.map(|mut talk| {
        let mut out = Vec::new();
        talk.on_told(&session(), LAYER, &Told::Event(&bulletin), &mut out);
        match &out[..] {
            [Packet::Written(bytes)] => bytes.clone(),
            other => panic!("{other:?}"),
        }
    });
    assert!(Arc::ptr_eq(&written[0], &written[1]));
}

#[test]
fn lists_that_are_long_come_in_several_packets() {
    let mut talk = alice();
    ask(&mut talk, r#"{"sub":{"id":"1","topic":"me","get":"sub"}}"#);
    answer(&mut talk, Ok(Reply::Done));
    let one = |name: Name, more| Reply::Subscriptions {
        subscriptions: vec![view(name, ChatKind::Direct, "RWP")],
        more,
    };
    let (next, said) = answer(&mut talk, Ok(one(person("bob", BOB), true)));
    assert!(said[0].contains(CHAT), "{said:?}");
    match asked(next) {
        What::Command(Command::Subscriptions { after, .. }) => assert_eq!(after, Some(ChatId(1))),
        other => panic!("{other:?}"),
    }
    let (next, said) = answer(&mut talk, Ok(one(person("carol", 5), false)));
    assert!(said[0].starts_with(r#"{"meta":{"id":"1","topic":"me","sub":["#), "{said:?}");
    // Who is here comes after them.
    assert!(matches!(asked(next), What::Command(Command::Subscriptions { after: None, .. })));
}

#[test]
fn a_session_ends_with_its_connection() {
    assert!(dialogue().last_words().is_none(), "nobody is logged in");
    let mut talk = alice();
    let last = talk.last_words().expect("a logout");
    assert!(matches!(last.what, Ok(What::Command(Command::LogOut))));
    assert_eq!(last.who, Some(session()));
    assert!(talk.last_words().is_none());
    for (why, count) in [(Farewell::GoingAway, 1), (Farewell::Done, 0), (Farewell::TooLarge, 0)] {
        let mut out = Vec::new();
        talk.on_close(why, &mut out);
        assert_eq!(out.len(), count);
    }
}

#[test]
fn no_password_is_shown_in_what_is_under_way() {
    let mut talk = alice();
    for text in [
        r#"{"acc":{"auth":[{"secret":"alice:hunter2"}]}}"#,
        r#"{"acc":{"user":"new","auth":[{"secret":"bob:hunter2"}]}}"#,
    ] {
        ask(&mut talk, text);
        let shown = format!("{talk:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117, 110"), "{shown}");
        end(&mut talk, Err(Refusal::BadPassword));
    }
}

#[test]
fn an_answer_that_nobody_waits_for_says_nothing() {
    let mut talk = alice();
    for reply in [Ok(Reply::Done), Err(Refusal::NotAllowed)] {
        assert!(end(&mut talk, reply).is_empty());
    }
    // Nor does one of another kind than was asked for break anything.
    ask(&mut talk, r#"{"sub":{"id":"1","topic":"usrIU_LOVwRNsc"}}"#);
    let said = end(&mut talk, Ok(Reply::Done));
    assert!(said[0].contains(r#""code":500"#), "{said:?}");
}

#[test]
fn what_an_account_begins_with_is_what_the_core_is_told() {
    let mut talk = dialogue();
    let acc = r#"{"acc":{"user":"new","auth":[{"secret":"alice:x"}],"init":{"defacs":{"auth":"RWX"},"public":{"fn":" Alice ","n":1},"private":[ 1 ]}}}"#;
    match ask(&mut talk, acc) {
        What::Register { start: Some(start), sealed: false, invite: None, .. } => {
            let Start { profile, card, logs_in } = *start;
            assert!(!logs_in, "it says so itself");
            assert_eq!(profile.name.as_deref(), Some("Alice"));
            assert_eq!(profile.card.as_deref(), Some(r#"{"fn":" Alice ","n":1}"#));
            assert_eq!(profile.access, Some(Access::BANNED));
            assert_eq!(&*card, "[ 1 ]");
        }
        other => panic!("{other:?}"),
    }
}
