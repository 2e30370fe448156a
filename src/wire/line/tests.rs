use std::sync::Arc;

use super::*;
use crate::config::Config;
use crate::domain::id::{AccountNo, MessageId, Seq, Timestamp};
use crate::domain::nouns::Mark;
use crate::domain::words::{
    Bulletin, Changed, ContactState, ContactView, Event, Kind, MessageView, ProfileDraft, Query,
};
use crate::wire::{Broken, Buffer, Codec as _, Dialogue as _};

fn house() -> Arc<House> {
    Arc::new(House { name: "im.test".into(), config: Arc::new(Config::for_tests()) })
}

fn talk() -> Dialogue {
    Dialogue::new(house())
}

/// A packet in, and what is said at once.
fn say(talk: &mut Dialogue, line: &str) -> (Next, Vec<String>) {
    let mut out = Vec::new();
    let next = talk.on_packet(Packet(line.into()), &mut out);
    (next, out.into_iter().map(|packet| packet.0).collect())
}

/// A packet that asks something.
fn ask(talk: &mut Dialogue, line: &str) -> Ask {
    match say(talk, line) {
        (Next::Ask(ask), said) if said.is_empty() => ask,
        other => panic!("{line}: {other:?}"),
    }
}

fn answer(talk: &mut Dialogue, reply: Result<Reply, Refusal>) -> Vec<String> {
    let mut out = Vec::new();
    talk.on_reply(reply, &mut out);
    out.into_iter().map(|packet| packet.0).collect()
}

/// A packet that asks something and is answered with `reply`.
fn answered(talk: &mut Dialogue, line: &str, reply: Result<Reply, Refusal>) -> Vec<String> {
    ask(talk, line);
    answer(talk, reply)
}

fn told(talk: &mut Dialogue, event: Event) -> Vec<String> {
    let mut out = Vec::new();
    talk.on_told(&alice(), 3, &Told::Event(&Bulletin::new(event)), &mut out);
    out.into_iter().map(|packet| packet.0).collect()
}

fn alice() -> SessionId {
    SessionId::new([0xA1; 32])
}

fn other() -> SessionId {
    SessionId::new([0xA2; 32])
}

fn salt(number: u64) -> Result<Reply, Refusal> {
    Ok(Reply::Challenge { salt: format!("0123456789abcdef-{number}").into() })
}

fn logged_in(talk: &mut Dialogue) {
    assert_eq!(
        answered(talk, "CONNECT login=Alice", salt(7)),
        ["CONNECT-ACK salt=0123456789abcdef-7"]
    );
    log_in(talk, alice());
}

fn log_in(talk: &mut Dialogue, session: SessionId) {
    ask(talk, &format!("CONNECT-CONTINUE hash={}", "aB".repeat(32)));
    assert!(talk.on_seat(&session));
    let reply = Reply::LoggedIn { session, account: AccountNo(1), who: "alice@im.test".into() };
    assert_eq!(answer(talk, Ok(reply)), ["CONNECT-OK"]);
}

fn contact(name: &str) -> ContactView {
    ContactView {
        who: "m1kc@klfd.com".into(),
        name: name.into(),
        group: vec!["Friends".into(), "A/B".into()],
        note: Some("Something optional".into()),
        dialog: false,
        last_seen: Some(Timestamp::from_secs(1_536_502_951)),
        state: ContactState::Plain,
        unlisted: false,
        online: None,
        last_message: None,
    }
}

fn message(from: &str) -> Event {
    Event::Message(MessageView {
        chat: "bob@im.test".into(),
        from: from.into(),
        id: MessageId(789),
        previous: MessageId(0),
        seq: Seq(1),
        time: Timestamp::from_secs(1_536_502_951),
        kind: Kind::Text,
        text: "two words".into(),
        cookie: None,
        extra: None,
    })
}

// The codec.

fn decoded(bytes: &[u8], piece: usize) -> (Vec<String>, Option<Broken<Packet>>) {
    let (mut codec, mut input) = (Codec::new(10), Buffer::default());
    let mut lines = Vec::new();
    for piece in bytes.chunks(piece) {
        input.extend(piece);
        loop {
            match codec.decode(&mut input) {
                Ok(Some(packet)) => lines.push(packet.0),
                Ok(None) => break,
                Err(broken) => return (lines, Some(broken)),
            }
        }
    }
    (lines, None)
}

#[test]
fn lines_end_with_lf_or_crlf_and_empty_ones_are_none() {
    let bytes = b"A\nB\r\n\n\r\n\n C \r\r\n\r\rD\n0123456789\n0123456789\r\nE";
    for piece in [1, 2, 3, 7, 100] {
        let (lines, broken) = decoded(bytes, piece);
        // A carriage return that is not part of an end is for the notation to refuse.
        assert_eq!(lines, ["A", "B", " C \r", "\r\rD", "0123456789", "0123456789"]);
        assert!(broken.is_none());
    }
}

#[test]
fn a_line_over_the_limit_or_no_utf_8_is_the_end() {
    let cases: [(&[u8], Farewell); 6] = [
        (b"A\n0123456789a\n", Farewell::TooLarge),
        (b"A\n0123456789a\r\n", Farewell::TooLarge),
        (b"A\n0123456789ab", Farewell::TooLarge),
        (b"A\n\xff\n", Farewell::Malformed),
        (b"A\nB \xed\xa0\x80\n", Farewell::Malformed),
        (b"A\n\xc0\xaf\n", Farewell::Malformed),
    ];
    for (bytes, why) in cases {
        for piece in [1, 4, 100] {
            let (lines, broken) = decoded(bytes, piece);
            let broken = broken.expect("no line");
            assert_eq!((lines.as_slice(), broken.why), (["A".to_owned()].as_slice(), why));
            let last = broken.last.expect("a word about it").0;
            assert!(last.starts_with("ERROR-MALFORMED message=\""), "{last}");
        }
    }
}

#[test]
fn a_packet_that_is_written_is_read_back() {
    let (mut codec, mut input, mut bytes) = (Codec::new(100), Buffer::default(), Vec::new());
    let packet = Packet(Writer::new("X").text("a", "b\nc\r\"").finish());
    codec.encode(&packet, &mut bytes);
    input.extend(&bytes);
    assert_eq!(codec.decode(&mut input).expect("a line"), Some(packet));
    assert!(input.is_empty());
}

// The draft.

#[test]
fn connecting_takes_a_salt_and_uses_it_up() {
    let mut talk = talk();
    let asked = ask(&mut talk, "CONNECT login=Alice@IM.test");
    assert!(asked.who.is_none() && !asked.session_required && asked.layer == 3);
    let Ok(What::Challenge { login: Some(login) }) = asked.what else { panic!("{asked:?}") };
    assert_eq!(login.as_str(), "alice");
    assert_eq!(answer(&mut talk, salt(7)), ["CONNECT-ACK salt=0123456789abcdef-7"]);
    // Asked again, the last one counts.
    answered(&mut talk, "CONNECT login=bob", salt(8));
    let asked = ask(&mut talk, &format!("CONNECT-CONTINUE hash={}", "aB".repeat(32)));
    let Ok(What::LogInByChallenge { login, salt, hash }) = asked.what else { panic!("{asked:?}") };
    assert_eq!(login.map(|l| l.to_string()).as_deref(), Some("bob"));
    assert_eq!((&*salt, hash), ("0123456789abcdef-8", [0xab; 32]));
    assert_eq!(answer(&mut talk, Err(Refusal::WrongCredentials)), ["CONNECT-FAILED"]);
    let (next, said) = say(&mut talk, &format!("CONNECT-CONTINUE hash={}", "ab".repeat(32)));
    assert!(matches!(next, Next::Listen));
    assert_eq!(said, ["CONNECT-FAILED"]);
}

#[test]
fn whoever_cannot_be_here_gets_a_salt_all_the_same() {
    for login in ["nobody@elsewhere.test", "\"a b\"", "\"\"", "alice@im.test/chat"] {
        let asked = ask(&mut talk(), &format!("CONNECT login={login}"));
        assert!(matches!(asked.what, Ok(What::Challenge { login: None })), "{asked:?}");
    }
}

#[test]
fn a_failed_login_says_when_to_come_back_and_not_why() {
    let cases = [
        (Refusal::WrongCredentials, "CONNECT-FAILED"),
        (Refusal::TooManyAttempts { retry_after: 4 }, "CONNECT-FAILED retry_after=4"),
        (Refusal::BadField, "CONNECT-FAILED reason=bad-field"),
        (
            Refusal::TooManyRequests { retry_after: 1 },
            "CONNECT-FAILED reason=too-many-requests retry_after=1",
        ),
    ];
    for (refusal, said) in cases {
        let mut talk = talk();
        answered(&mut talk, "CONNECT login=alice", salt(1));
        let line = format!("CONNECT-CONTINUE hash={}", "0".repeat(64));
        assert_eq!(answered(&mut talk, &line, Err(refusal)), [said]);
    }
}

#[test]
fn sessions_of_the_draft_end_with_the_connection_whatever_it_has_then() {
    let mut talk = talk();
    assert!(talk.last_words().is_none());
    logged_in(&mut talk);
    answered(&mut talk, "CONNECT login=alice", salt(8));
    log_in(&mut talk, other());
    answered(&mut talk, "HELLO", Ok(Reply::Done));
    talk.on_seat(&SessionId::new([9; 32]));
    let mut ended = Vec::new();
    while let Some(ask) = talk.last_words() {
        assert!(matches!(ask.what, Ok(What::Command(Command::LogOut))) && ask.session_required);
        ended.extend(ask.who);
    }
    assert!(ended.contains(&alice()) && ended.contains(&other()) && ended.len() == 2);
}

#[test]
fn registering_takes_the_very_bytes_of_a_password_and_seals_it() {
    let asked = ask(&mut talk(), r#"REGISTER login=Вася password="c2Vj cmV0\n" invite=x-1"#);
    let Ok(What::Register { credentials, invite, sealed: true, .. }) = asked.what else {
        panic!("{asked:?}")
    };
    assert_eq!(credentials.login.map(|l| l.to_string()).as_deref(), Some("вася"));
    assert_eq!(credentials.password, b"c2Vj cmV0\n");
    assert_eq!(invite.as_deref(), Some("x-1"));
    let long = "p".repeat(1025);
    for bad in ["password=\"\"".to_owned(), format!("password={long}"), "password=[a]".into()] {
        let asked = ask(&mut talk(), &format!("REGISTER login=vasya {bad}"));
        assert!(asked.what.is_err(), "{bad}");
    }
}

#[test]
fn refusals_of_the_draft_have_a_reason_and_the_connection_goes_on() {
    let no_session = Refusal::NoSession;
    let cases = [
        ("MESSAGE to=bob text=hi", "MESSAGE-SEND-FAILED reason=no-session"),
        ("CONTACTS-GET", "CONTACTS-GET-FAILED reason=no-session"),
        ("CONTACTS-ADD id=bob", "CONTACTS-ADD-FAILED reason=no-session"),
        ("CONTACTS-CHANGE id=bob", "CONTACTS-CHANGE-FAILED reason=no-session"),
        ("CONTACTS-DELETE id=bob", "CONTACTS-DELETE-FAILED reason=no-session"),
        ("PROFILE-UPDATE name=x", "PROFILE-UPDATE-FAILED reason=no-session"),
    ];
    for (line, said) in cases {
        let mut talk = talk();
        let asked = ask(&mut talk, line);
        assert!(asked.session_required && asked.who.is_none(), "{line}");
        assert_eq!(answer(&mut talk, Err(no_session)), [said]);
    }
    let missing = [
        ("CONNECT", "CONNECT-FAILED reason=missing-field"),
        ("REGISTER login=x", "REGISTER-FAILED reason=missing-field"),
        ("MESSAGE to=bob", "MESSAGE-SEND-FAILED reason=missing-field"),
        ("MESSAGE text=hi id=bob chat_id=bob", "MESSAGE-SEND-FAILED reason=missing-field"),
        ("CONTACTS-ADD name=x", "CONTACTS-ADD-FAILED reason=missing-field"),
        ("CONTACTS-DELETE contact_id=x", "CONTACTS-DELETE-FAILED reason=missing-field"),
    ];
    for (line, said) in missing {
        let mut talk = talk();
        let refusal = ask(&mut talk, line).what.expect_err(line);
        assert_eq!(answer(&mut talk, Err(refusal)), [said], "{line}");
    }
}

#[test]
fn what_is_answered_with_nothing_is_refused_with_nothing() {
    let mut talk = talk();
    logged_in(&mut talk);
    let none: [&str; 0] = [];
    for (line, begins) in [("TYPING-STARTED to=bob", true), ("TYPING-END to=bob", false)] {
        match ask(&mut talk, line).what {
            Ok(What::Command(Command::Typing { chat, on })) => {
                assert_eq!((chat.to_string().as_str(), on), ("bob@im.test", begins));
            }
            other => panic!("{line}: {other:?}"),
        }
        assert_eq!(answer(&mut talk, Ok(Reply::Done)), none);
    }
    assert_eq!(ask(&mut talk, "TYPING-STARTED").what.err(), Some(Refusal::MissingField));
    assert_eq!(answer(&mut talk, Err(Refusal::MissingField)), none);
    let asked = ask(&mut talk, "MESSAGE-READ id=5");
    assert!(matches!(
        asked.what,
        Ok(What::Command(Command::MarkRead { chat: None, id: MessageId(5) }))
    ));
    assert_eq!(answer(&mut talk, Ok(Reply::Done)), none);
    assert!(ask(&mut talk, "MESSAGE-READ id=x").what.is_err());
    assert_eq!(answer(&mut talk, Err(Refusal::BadField)), none);
}

#[test]
fn what_does_not_exist_yet_is_said_to_and_the_connection_goes_on() {
    let mut talk = talk();
    for kind in ["SEND-FILE", "SEND-FILE-PROXY", "SEND-FILE-PROXY-ACCEPT", "MESSAGE-SEND", "X"] {
        let (next, said) = say(&mut talk, &format!("{kind} a=1"));
        assert!(matches!(next, Next::Listen));
        assert_eq!(said, [format!("ERROR-NOT-IMPLEMENTED type={kind}")]);
    }
}

#[test]
fn a_profile_is_told_as_a_contact_that_was_updated() {
    let mut talk = talk();
    logged_in(&mut talk);
    let asked = ask(&mut talk, "PROFILE-UPDATE name=Megauser, note=Vacationing");
    let Ok(What::Command(Command::UpdateProfile(draft))) = asked.what else { panic!() };
    assert_eq!(
        (draft.name.as_deref(), draft.note.as_deref()),
        (Some("Megauser"), Some("Vacationing"))
    );
    assert_eq!(answer(&mut talk, Ok(Reply::Done)), ["PROFILE-UPDATE-OK"]);
    let said = answered(&mut talk, "PROFILE-UPDATE name=x", Err(Refusal::FieldTooLong));
    assert_eq!(said, ["PROFILE-UPDATE-FAILED reason=field-too-long"]);
    let event = Event::ProfileChanged { who: "bob@im.test".into(), changed: draft };
    let expected =
        ["CONTACT-UPDATED\n[\n...id=bob@im.test\n...name=Megauser\n...note=Vacationing\n]"];
    assert_eq!(told(&mut talk, event), expected);
    // Nothing of it is the draft's.
    let changed = Box::new(ProfileDraft { photo: Some("".into()), ..ProfileDraft::default() });
    let none: [&str; 0] = [];
    assert_eq!(told(&mut talk, Event::ProfileChanged { who: "x@y".into(), changed }), none);
}

#[test]
fn life_is_told_in_the_drafts_own_words() {
    let mut talk = talk();
    logged_in(&mut talk);
    let typing = |on| Event::Typing { chat: "bob@im.test".into(), from: "bob@im.test".into(), on };
    assert_eq!(told(&mut talk, typing(true)), ["TYPING-STARTED from=bob@im.test"]);
    assert_eq!(told(&mut talk, typing(false)), ["TYPING-END from=bob@im.test"]);
    let at = Timestamp::from_secs(968_509_351);
    let presence =
        Event::Presence { who: "bob@im.test".into(), online: true, at, agent: "".into() };
    let expected = ["UPDATE-LAST-SEEN id=bob@im.test at=2000-09-09T14:22:31+0000"];
    assert_eq!(told(&mut talk, presence), expected);
    // What it has no words for it is told in words.
    let edited = match message("bob@im.test") {
        Event::Message(view) => MessageView { kind: Kind::Edited, ..view },
        other => panic!("{other:?}"),
    };
    let said = told(&mut talk, Event::Message(edited));
    assert!(said[0].contains("text=\"(edited) "), "{said:?}");
}

#[test]
fn a_group_is_a_path_or_a_list() {
    let cases = [
        (r#""Friends/Best friends""#, vec!["Friends", "Best friends"]),
        ("a//b/c", vec!["a/b", "c"]),
        ("a///b", vec!["a/", "b"]),
        (r#"[a/b, "c d"]"#, vec!["a/b", "c d"]),
        (r#""""#, vec![]),
        ("5", vec!["5"]),
    ];
    for (group, groups) in cases {
        let line = format!("CONTACTS-CHANGE id=bob name=Bob group={group} note=\"\"");
        let asked = ask(&mut talk(), &line);
        let Ok(What::Command(Command::ChangeContact(draft))) = asked.what else {
            panic!("{asked:?}")
        };
        let groups: Vec<Box<str>> = groups.into_iter().map(Box::from).collect();
        assert_eq!(draft.group, Some(groups), "{group}");
        assert_eq!(
            (draft.who.to_string(), draft.note.as_deref()),
            ("bob@im.test".into(), Some(""))
        );
    }
}

#[test]
fn contacts_come_as_records() {
    let mut talk = talk();
    logged_in(&mut talk);
    let asked = ask(&mut talk, "CONTACTS-GET");
    assert_eq!(asked.who, Some(alice()));
    let everybody = Query::Contacts { after: None, count: 5000, unlisted: false };
    assert_eq!(
        format!("{:?}", asked.what),
        format!("{:?}", Ok::<_, Refusal>(What::Query(everybody)))
    );
    let bare = ContactView { group: vec![], note: None, last_seen: None, ..contact("x") };
    let reply = Reply::Contacts { contacts: vec![contact("m1kc"), bare], more: false };
    assert_eq!(
        answer(&mut talk, Ok(reply)),
        [concat!(
            "CONTACTS-GET-RESPONSE\n[\n",
            "...id=m1kc@klfd.com\n...name=m1kc\n...group=Friends/A//B\n",
            "...note=\"Something optional\"\n...presence=2018-09-09T14:22:31+0000\n",
            "\n...id=m1kc@klfd.com\n...name=x\n]"
        )]
    );
    let none = Reply::Contacts { contacts: vec![], more: false };
    assert_eq!(answered(&mut talk, "CONTACTS-GET", Ok(none)), ["CONTACTS-GET-RESPONSE\n[\n]"]);
    let long = ContactView { note: Some("n".repeat(600_000).into()), ..contact("x") };
    let contacts = vec![long.clone(), long.clone(), long];
    let said = answered(&mut talk, "CONTACTS-GET", Ok(Reply::Contacts { contacts, more: false }));
    assert!(said[0].starts_with("CONTACTS-GET-RESPONSE more=true\n[\n"));
    assert_eq!(said[0].matches("...id=").count(), 2);
}

#[test]
fn the_draft_hears_what_it_has_a_word_for() {
    let mut talk = talk();
    logged_in(&mut talk);
    let none: [&str; 0] = [];
    assert_eq!(
        told(&mut talk, message("bob@im.test")),
        ["MESSAGE from=bob@im.test id=789 text=\"two words\" time=2018-09-09T14:22:31+0000"]
    );
    assert_eq!(told(&mut talk, message("alice@im.test")), none);
    let mark = Some(Mark { id: MessageId(9), seq: Seq(4) });
    let marked = |read, delivered| {
        let (chat, user) = ("b@c".into(), "b@c".into());
        Event::Marked { chat, user, read, delivered }
    };
    assert_eq!(told(&mut talk, marked(mark, mark)), ["MESSAGE-READ id=9"]);
    assert_eq!(told(&mut talk, marked(None, mark)), none);
    let mine = Event::MyMarks { chat: "b@c".into(), read: mark, delivered: mark };
    assert_eq!(told(&mut talk, mine), none);
    let note = Changed { note: true, ..Changed::default() };
    let updated = |contact, changed| Event::ContactUpdated { contact, changed };
    assert_eq!(
        told(&mut talk, updated(contact("x"), note)),
        ["CONTACT-UPDATED\n[\n...id=m1kc@klfd.com\n...note=\"Something optional\"\n]"]
    );
    let gone = ContactView { note: None, group: vec![], ..contact("x") };
    let both = Changed { group: true, ..note };
    assert_eq!(
        told(&mut talk, updated(gone, both)),
        ["CONTACT-UPDATED\n[\n...id=m1kc@klfd.com\n...group=\"\"\n...note=\"\"\n]"]
    );
    let dialog = Changed { dialog: true, ..Changed::default() };
    assert_eq!(told(&mut talk, updated(contact("x"), dialog)), none);
    let created = told(&mut talk, Event::ContactCreated(contact("x")));
    assert!(created[0].contains("...presence="), "{created:?}");
    assert_eq!(told(&mut talk, Event::ContactRemoved { who: "x@y".into() }), none);
    assert_eq!(told(&mut talk, Event::ChatsChanged(vec![])), none);
    let mut out = Vec::new();
    talk.on_told(&alice(), 3, &Told::Resync { last: MessageId(1) }, &mut out);
    assert!(out.is_empty());
}

// mSIM 2.

#[test]
fn hello_changes_the_face_and_keeps_the_login() {
    let mut talk = talk();
    logged_in(&mut talk);
    let asked = ask(&mut talk, "HELLO seq=a-1 highest-supported-layer=2");
    assert_eq!((asked.who, asked.layer, asked.session_required), (Some(alice()), 2, false));
    let said = answer(&mut talk, Ok(Reply::Done));
    let expected = "200 HELLO seq=a-1 highest-supported-layer=5 servername=im.test \
                    federated=false supported-auth-methods=[\"AUTH-PLAIN\"] \
                    supported-register-methods=[\"REGISTER-PLAIN\",\"REGISTER-INSTRUCTIONS\"]";
    assert_eq!(said, [expected]);
    let asked = ask(&mut talk, "CONTACTS-GET");
    assert_eq!((asked.who, asked.layer), (Some(alice()), 2));
    let reply = Reply::Contacts { contacts: vec![], more: false };
    assert_eq!(answer(&mut talk, Ok(reply)), ["200 CONTACTS-GET data=[] more=false"]);
    // Draft types are unknown here, and layer 3's are above the layer.
    for kind in ["CONNECT", "MESSAGE", "CHATS-GET"] {
        let (next, said) = say(&mut talk, &format!("{kind} seq=7 login=x"));
        assert!(matches!(next, Next::Listen));
        let start = format!("501 {kind} seq=7 reason=not-implemented message=\"");
        assert!(said[0].starts_with(&start), "{said:?}");
    }
    ask(&mut talk, "HELLO");
    answer(&mut talk, Ok(Reply::Done));
    assert_eq!(ask(&mut talk, "CHATS-GET").layer, LAYER_MAX);
}

#[test]
fn a_hello_that_is_refused_leaves_the_draft_on() {
    for bad in ["highest-supported-layer=0", "protocol-layer=-1", "highest-supported-layer=x"] {
        let mut talk = talk();
        let refusal = ask(&mut talk, &format!("HELLO {bad}")).what.expect_err(bad);
        let said = answer(&mut talk, Err(refusal));
        assert!(said[0].starts_with("400 HELLO reason=bad-"), "{said:?}");
        answered(&mut talk, "CONNECT login=alice", salt(1));
    }
}

#[test]
fn a_packet_belongs_to_the_session_it_names_or_else_to_the_connections() {
    let mut talk = talk();
    answered(&mut talk, "HELLO", Ok(Reply::Done));
    assert_eq!(ask(&mut talk, "CHATS-GET").who, None);
    let said = answer(&mut talk, Err(Refusal::NoSession));
    assert!(said[0].starts_with("401 CHATS-GET reason=no-session"), "{said:?}");
    let hex = "a1".repeat(32);
    assert_eq!(ask(&mut talk, &format!("CHATS-GET session={hex}")).who, Some(alice()));
    // The driver says when it is known.
    assert!(talk.on_seat(&alice()));
    answer(&mut talk, Err(Refusal::BadRange));
    assert_eq!(ask(&mut talk, "CHATS-GET").who, Some(alice()));
    answer(&mut talk, Err(Refusal::BadRange));
    let asked = ask(&mut talk, "AUTH-PLAIN login=bob password=YQ==");
    assert_eq!(asked.who, None);
    let Ok(What::LogIn(credentials)) = asked.what else { panic!("{:?}", asked.what) };
    assert_eq!(credentials.password, b"a");
    talk.on_seat(&other());
    let reply =
        Reply::LoggedIn { session: other(), account: AccountNo(2), who: "bob@im.test".into() };
    assert_eq!(
        answer(&mut talk, Ok(reply)),
        [format!("200 AUTH-PLAIN sessid={}", "a2".repeat(32))]
    );
    assert_eq!(ask(&mut talk, "CHATS-GET").who, Some(other()));
    assert!(talk.last_words().is_none(), "it lives on");
}

#[test]
fn values_have_the_types_of_their_fields_in_every_packet() {
    let mut talk = talk();
    answered(&mut talk, "HELLO highest-supported-layer=3", Ok(Reply::Done));
    let asked = ask(&mut talk, "MESSAGE-SEND chat_id=bob text=5 cookie=7");
    let Ok(What::Command(Command::Send(draft))) = asked.what else { panic!("{:?}", asked.what) };
    assert_eq!((&*draft.text, draft.cookie.as_deref()), ("5", Some("7")));
    let sent = Reply::Sent {
        id: MessageId(12),
        seq: Seq(1),
        time: Timestamp::from_secs(99),
        repeated: true,
    };
    assert_eq!(answer(&mut talk, Ok(sent)), ["201 MESSAGE-SEND cookie=7 message_id=12 time=99"]);
    let asked = ask(&mut talk, r#"CHAT-HISTORY chat_id=bob id_from="0", id_till=-1 count=2"#);
    assert!(matches!(asked.what, Ok(What::Query(Query::History { .. }))), "{:?}", asked.what);
    let event = match message("bob@im.test") {
        Event::Message(view) => MessageView { text: "a\r\n\"b".into(), ..view },
        other => panic!("{other:?}"),
    };
    let reply = Reply::Messages { messages: vec![event.clone()], more: false };
    let expected = "200 CHAT-HISTORY data=[{\"message_id\":789,\"previous_message_id\":0,\
                    \"chat_id\":\"bob@im.test\",\"from\":\"bob@im.test\",\
                    \"text\":\"a\\u000d\\n\\\"b\",\"time\":1536502951}] more=false";
    assert_eq!(answer(&mut talk, Ok(reply)), [expected]);
    let expected = "PUSH MESSAGE-RECEIVE message_id=789 previous_message_id=0 \
                    chat_id=bob@im.test from=bob@im.test text=\"a\\u000d\\n\\\"b\" time=1536502951";
    assert_eq!(told(&mut talk, Event::Message(event)), [expected]);
}

#[test]
fn a_number_or_session_that_cannot_be_one_is_malformed() {
    let long = format!("seq={}", "x".repeat(65));
    for bad in ["seq=\"\"", "seq=\"a b\"", "seq=[1]", "session=[a]", "session={}", &long] {
        let mut talk = talk();
        answered(&mut talk, "HELLO", Ok(Reply::Done));
        let (next, said) = say(&mut talk, &format!("CHATS-GET {bad}"));
        assert!(matches!(next, Next::HangUp(Farewell::Malformed)), "{bad}");
        assert!(said[0].starts_with("ERROR-MALFORMED message="), "{said:?}");
    }
}

#[test]
fn a_malformed_line_is_the_end_in_both_faces() {
    for hello in [false, true] {
        let mut talk = talk();
        if hello {
            answered(&mut talk, "HELLO", Ok(Reply::Done));
        }
        let (next, said) = say(&mut talk, "connect login=x");
        assert!(matches!(next, Next::HangUp(Farewell::Malformed)));
        assert!(said[0].starts_with("ERROR-MALFORMED message=\""), "{said:?}");
    }
}
