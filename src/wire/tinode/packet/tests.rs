use super::*;
use crate::wire::json;
use crate::wire::tinode::meta::{Description, Seen, Subscription};
use crate::wire::tinode::names::parse_user;

/// 2015-10-06T18:07:29.841Z.
const NOW: Timestamp = Timestamp(1_444_154_849_841);
const STAMP: &str = "2015-10-06T18:07:29.841Z";

fn written(packet: &Packet) -> String {
    let json = packet.to_json();
    // Whatever it is, it is one object.
    json::object(&json).expect("JSON");
    let mut again = b"before".to_vec();
    packet.write(&mut again);
    assert_eq!(again, [b"before", &json[..]].concat());
    String::from_utf8(json).expect("UTF-8")
}

fn ctrl(ctrl: Ctrl) -> String {
    written(&Packet::Ctrl(Box::new(ctrl)))
}

fn user(name: &str) -> u64 {
    parse_user(name).expect("a user")
}

fn alice() -> u64 {
    user("usrOj0B3-gSBSs")
}

fn bob() -> u64 {
    user("usrIU_LOVwRNsc")
}

fn text(text: &str) -> Json {
    Json::Text(text.into())
}

fn kept(json: &str) -> Json {
    Json::Kept(json.into())
}

#[test]
fn a_ctrl_says_what_there_is_to_say() {
    assert_eq!(
        ctrl(Ctrl::new(Status::MALFORMED, NOW)),
        format!(r#"{{"ctrl":{{"code":400,"text":"malformed message","ts":"{STAMP}"}}}}"#)
    );
    let full = Ctrl {
        id: Some("1a\"2b3".into()),
        topic: Some("grp1XUtEhjv6HND".into()),
        params: Params::Seq(123),
        ..Ctrl::new(Status::ACCEPTED, NOW)
    };
    assert_eq!(
        ctrl(full),
        format!(
            r#"{{"ctrl":{{"id":"1a\"2b3","topic":"grp1XUtEhjv6HND","code":202,"text":"message accepted for delivery","params":{{"seq":123}},"ts":"{STAMP}"}}}}"#
        )
    );
}

#[test]
fn params_are_what_the_sdk_looks_for() {
    let params = |params| {
        let said = ctrl(Ctrl { params, ..Ctrl::new(Status::OK, NOW) });
        let (_, rest) = said.split_once(r#""params":"#).expect("params");
        rest.rsplit_once(r#","ts""#).expect("a moment").0.to_owned()
    };
    let hello = Params::Hello { build: "".into(), sid: None };
    assert_eq!(params(hello), r#"{"build":"","ver":"0.5"}"#);
    let hello = Params::Hello { build: "msimd".into(), sid: Some("j3YU0QJ4IdNC".into()) };
    assert_eq!(params(hello), r#"{"build":"msimd","sid":"j3YU0QJ4IdNC","ver":"0.5"}"#);
    assert_eq!(params(Params::LoggedIn { uid: alice() }), r#"{"uid":"usrOj0B3-gSBSs"}"#);
    let named = Params::Named(Topic::peer(alice(), bob()));
    assert_eq!(params(named), r#"{"info":{"name":"p2pOj0B3-gSBSshT8s5XBE2xw"}}"#);
    let account = Account {
        uid: alice(),
        created: NOW,
        updated: NOW,
        defacs: Defacs { auth: Access::GROUP, anon: Access::NONE },
        public: Some(kept(r#"{"fn": "Alice"}"#)),
        private: None,
    };
    let expected = format!(
        r#"{{"uid":"usrOj0B3-gSBSs","info":{{"created":"{STAMP}","updated":"{STAMP}","defacs":{{"auth":"RWP","anon":"N"}},"public":{{"fn": "Alice"}}}}}}"#
    );
    assert_eq!(params(Params::Account(Box::new(account))), expected);
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let busy = Ctrl::refused(Refusal::TooManyRequests { retry_after: 7 }, NOW);
    assert_eq!(
        ctrl(busy),
        format!(
            r#"{{"ctrl":{{"code":429,"text":"too many requests","params":{{"retry_after":7}},"ts":"{STAMP}"}}}}"#
        )
    );
    assert_eq!(Ctrl::refused(Refusal::NotAllowed, NOW), Ctrl::new(Status::DENIED, NOW));
}

#[test]
fn a_message_carries_what_was_published() {
    let data = Data {
        topic: Topic::peer(alice(), bob()),
        from: Some(alice()),
        ts: NOW,
        seq: 123,
        content: Content::Json(kept(r#"{ "b":1.50}"#)),
    };
    assert_eq!(
        written(&Packet::Data(Box::new(data))),
        format!(
            r#"{{"data":{{"topic":"p2pOj0B3-gSBSshT8s5XBE2xw","from":"usrOj0B3-gSBSs","ts":"{STAMP}","seq":123,"content":{{ "b":1.50}}}}}}"#
        )
    );
    let data = Data {
        topic: Topic::Group(7),
        from: None,
        ts: NOW,
        seq: 1,
        content: Content::Json(text("\"hi\"\n")),
    };
    assert_eq!(
        written(&Packet::Data(Box::new(data))),
        format!(
            r#"{{"data":{{"topic":"{}","ts":"{STAMP}","seq":1,"content":"\"hi\"\n"}}}}"#,
            Topic::Group(7)
        )
    );
}

#[test]
fn an_invitation_is_a_message_on_me() {
    let invite = Invite {
        topic: Topic::peer(alice(), bob()),
        user: bob(),
        act: Act::Approve,
        acs: Acs { want: Access::GROUP, given: Access::NONE },
        info: Some(text("let me in")),
    };
    let data = Data {
        topic: Topic::Me,
        from: Some(bob()),
        ts: NOW,
        seq: 2,
        content: Content::Invite(Box::new(invite)),
    };
    assert_eq!(
        written(&Packet::Data(Box::new(data))),
        format!(
            r#"{{"data":{{"topic":"me","from":"usrIU_LOVwRNsc","ts":"{STAMP}","seq":2,"content":{{"topic":"p2pOj0B3-gSBSshT8s5XBE2xw","user":"usrIU_LOVwRNsc","act":"appr","acs":{{"want":"RWP","given":"N"}},"info":"let me in"}}}}}}"#
        )
    );
}

#[test]
fn a_meta_leaves_out_what_is_not_so() {
    let meta = |info, sub| {
        let (id, topic) = (Some("7".into()), Some("me".into()));
        written(&Packet::Meta(Box::new(Meta { id, topic, ts: NOW, info, sub })))
    };
    let head = format!(r#"{{"meta":{{"id":"7","topic":"me","ts":"{STAMP}""#);
    assert_eq!(meta(None, Vec::new()), format!("{head}}}}}"));
    let bare = Some(Box::default());
    assert_eq!(meta(bare, Vec::new()), format!(r#"{head},"info":{{}}}}}}"#));
    let info = Description {
        name: Some(Topic::Me),
        created: Some(NOW),
        updated: Some(NOW),
        defacs: Some(Defacs { auth: Access::GROUP, anon: Access::BANNED }),
        acs: Some(Acs { want: Access::GROUP, given: Access::OWNER }),
        seq: 123,
        read: 112,
        recv: 115,
        clear: 12,
        public: Some(text("p")),
        private: Some(kept("[]")),
    };
    assert_eq!(
        meta(Some(Box::new(info)), Vec::new()),
        format!(
            r#"{head},"info":{{"name":"me","created":"{STAMP}","updated":"{STAMP}","defacs":{{"auth":"RWP","anon":"X"}},"acs":{{"want":"RWP","given":"RWPSDO"}},"seq":123,"read":112,"recv":115,"clear":12,"public":"p","private":[]}}}}}}"#
        )
    );
    let of_group = Subscription {
        user: Some(alice()),
        online: Some(true),
        mode: Access::OWNER,
        ..Subscription::default()
    };
    let of_me = Subscription {
        online: Some(false),
        updated: Some(NOW),
        mode: Access::DIRECT,
        read: 112,
        recv: 315,
        clear: 12,
        private: Some(text("mine")),
        topic: Some(Topic::peer(alice(), bob())),
        seq: 321,
        with: Some(bob()),
        public: Some(text("Bob")),
        seen: Some(Seen { when: NOW, ua: Some("Tinode/1.0".into()) }),
        ..Subscription::default()
    };
    assert_eq!(
        meta(None, vec![of_group, of_me]),
        format!(
            r#"{head},"sub":[{{"user":"usrOj0B3-gSBSs","online":"on","mode":"RWPSDO"}},{{"online":"off","updated":"{STAMP}","mode":"RWPD","read":112,"recv":315,"clear":12,"private":"mine","topic":"p2pOj0B3-gSBSshT8s5XBE2xw","seq":321,"with":"usrIU_LOVwRNsc","public":"Bob","seen":{{"when":"{STAMP}","ua":"Tinode/1.0"}}}}]}}}}"#
        )
    );
}

#[test]
fn presence_has_no_moment() {
    let pres = |what| {
        let (topic, src) = (Topic::Me, Topic::User(alice()));
        let said = written(&Packet::Pres(Box::new(Pres { topic, src, what })));
        let rest = said.strip_prefix(r#"{"pres":{"topic":"me","src":"usrOj0B3-gSBSs","#);
        rest.and_then(|rest| rest.strip_suffix("}}")).expect("a frame").to_owned()
    };
    let cases = [
        (Change::On(Some("JS/1.0".into())), r#""what":"on","ua":"JS/1.0""#),
        (Change::On(Some("".into())), r#""what":"on""#),
        (Change::Off(None), r#""what":"off""#),
        (Change::UserAgent("x".into()), r#""what":"ua","ua":"x""#),
        (Change::Updated, r#""what":"upd""#),
        (Change::Message(3), r#""what":"msg","seq":3"#),
        (Change::Read(3), r#""what":"read","seq":3"#),
        (Change::Received(3), r#""what":"recv","seq":3"#),
        (Change::Deleted(3), r#""what":"del","seq":3"#),
        (Change::Deleted(0), r#""what":"del""#),
    ];
    for (what, expected) in cases {
        assert_eq!(pres(what), expected);
    }
}

#[test]
fn a_note_is_passed_on_as_info() {
    let info = |what| {
        let (topic, from) = (Topic::Me, alice());
        written(&Packet::Info(Box::new(Info { topic, from, what })))
    };
    let head = r#"{"info":{"topic":"me","from":"usrOj0B3-gSBSs","what":"#;
    assert_eq!(info(Noted::KeyPress), format!(r#"{head}"kp"}}}}"#));
    assert_eq!(info(Noted::Read(5)), format!(r#"{head}"read","seq":5}}}}"#));
    assert_eq!(info(Noted::Received(5)), format!(r#"{head}"recv","seq":5}}}}"#));
}

#[test]
fn what_was_written_for_many_is_not_written_again() {
    let packet = Packet::Ctrl(Box::new(Ctrl::new(Status::SHUTDOWN, NOW)));
    let shared = Packet::Written(packet.to_json().into());
    assert_eq!(written(&shared), written(&packet));
}

#[test]
fn what_came_is_not_shown() {
    let said = Packet::Said(r#"{"login":{"secret":"alice:hunter2"}}"#.into());
    assert_eq!(format!("{said:?}"), "Said(36 bytes)");
}
