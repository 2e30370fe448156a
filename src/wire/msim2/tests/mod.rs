//! The dialogue, carrier by carrier: what is asked for what was sent, and what is said for what
//! was answered.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::domain::Registration;
use crate::domain::id::{AccountNo, MessageId, Seq, Timestamp};
use crate::domain::nouns::Mark;
use crate::domain::words::{
    Bulletin, Changed, ChatView, Command, ContactState, ContactView, Event, Kind, MessageView,
    Query, Range,
};
use crate::limits::ANSWER_BYTES_MAX;
use crate::wire::Dialogue as _;

mod layer1;
mod layer2;
mod layer3;

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
fn pushes_are_told_up_to_the_sessions_layer_only() {
    let message = Bulletin::new(Event::Message(message_view(9, "hi")));
    let chats = Bulletin::new(Event::ChatsChanged(vec![chat_view()]));
    let mark = Some(Mark { id: MessageId(5), seq: Seq(5) });
    let read = Bulletin::new(Event::Marked {
        chat: "a@b".into(),
        user: "bob@im.test".into(),
        read: mark,
        delivered: mark,
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
fn what_is_told_to_many_is_written_once_for_all_who_write_it_alike() {
    let event = || Event::Message(message_view(9, "hi"));
    let (one, many) = (Bulletin::new(event()), Bulletin::to_many(event()));
    let body = |who: &SessionId, layer, bulletin: &Bulletin| {
        push(who, layer, &Told::Event(bulletin)).expect("a push").body
    };
    for layer in 3..=LAYER_MAX {
        let first = body(&alice(), layer, &many);
        assert_eq!(&*first, &*body(&bob(), layer, &one), "layer {layer}");
        let (Body::Shared(first), Body::Shared(second)) = (first, body(&bob(), layer, &many))
        else {
            panic!("layer {layer} writes it for each");
        };
        assert!(Arc::ptr_eq(&first, &second), "layer {layer} writes it again");
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
    assert!(include_str!("../../../../docs/msim2.md").contains(&shown), "{shown}");
}
