//! What a session hears unasked: a push's type and body, for each layer.

use super::{layer2, layer3, layer4, layer5, record};
use crate::domain::words::{Event, Kind};
use crate::wire::json::ObjectWriter;

/// A push's type; `None` where the layer has no word for it.
pub(super) fn name(event: &Event, layer: u32) -> Option<&'static str> {
    let (of_layer, name) = match event {
        Event::ContactCreated(contact) if !layer2::is_for(contact, layer) => return None,
        Event::ContactCreated(_) => (2, "CONTACT-CREATED"),
        // A state alone is nothing to who does not know of states.
        Event::ContactUpdated { changed, .. } if changed.state => (4, "CONTACT-UPDATED"),
        Event::ContactUpdated { .. } => (2, "CONTACT-UPDATED"),
        Event::ContactRemoved { .. } => (2, "CONTACT-DELETED"),
        Event::Message(message) if !record::is_for(message, layer) => return None,
        Event::Message(message) => (3, of_record(message.kind, layer)),
        Event::ChatsChanged(_) => (3, "CHATS-UPDATED"),
        Event::Marked { read: Some(_), .. } => (3, "CHAT-READ-TILL"),
        // CHATS-UPDATED tells of it, or there is no packet for it.
        Event::Marked { read: None, .. }
        | Event::MyMarks { .. }
        | Event::Watching { .. }
        | Event::Awake { .. }
        | Event::FaceChanged { .. }
        | Event::AgentChanged { .. }
        // A contact that is gone and one that is new tell those of it who keep them.
        | Event::Renamed { .. }
        | Event::Moved { .. }
        | Event::Relayed { .. } => return None,
        Event::Typing { on: true, .. } => (4, "TYPING-STARTED"),
        Event::Typing { on: false, .. } => (4, "TYPING-END"),
        Event::Presence { .. } => (4, "UPDATE-LAST-SEEN"),
        Event::ProfileChanged { .. } => (4, "CONTACT-UPDATED"),
        Event::ContactRequested { .. } => (4, "CONTACT-REQUESTED"),
        Event::ContactAnswered { accepted: true, .. } => (4, "CONTACT-ACCEPTED"),
        Event::ContactAnswered { accepted: false, .. } => (4, "CONTACT-DECLINED"),
        Event::ContactBlocked { on: true, .. } => (4, "CONTACT-BLOCKED"),
        Event::ContactBlocked { on: false, .. } => (4, "CONTACT-UNBLOCKED"),
        Event::ChatChanged(_) => (5, "CHAT-UPDATED"),
        Event::ChatGone { .. } => (5, "CHAT-REMOVED"),
    };
    (of_layer <= layer).then_some(name)
}

/// The push that tells of a record.
fn of_record(kind: Kind, layer: u32) -> &'static str {
    match kind {
        Kind::Edited if layer >= 4 => "MESSAGE-UPDATED",
        Kind::Deleted if layer >= 4 => "MESSAGE-DELETED",
        Kind::Cleared if layer >= 4 => "CHAT-DELETED",
        _ => "MESSAGE-RECEIVE",
    }
}

/// Layers that write everything alike share a place among an event's spellings: below 4, 4, and
/// above.
pub(super) fn spelling(layer: u32) -> usize {
    layer.clamp(3, 5) as usize - 3
}

pub(super) fn body(event: &Event, layer: u32) -> Vec<u8> {
    let mut body = Vec::new();
    match event {
        Event::ContactCreated(contact) | Event::ContactUpdated { contact, .. } => {
            layer2::contact(contact, layer, ObjectWriter::new(&mut body));
        }
        Event::ContactRemoved { who } => layer2::removed(who, &mut body),
        Event::Message(message) => layer3::received(message, layer, &mut body),
        Event::ChatsChanged(chats) => layer3::chats_changed(chats, layer, &mut body),
        Event::Marked { chat, user, read, delivered: _ } => {
            layer3::read_till(chat, read.unwrap_or_default().id, user, &mut body);
        }
        Event::Typing { chat, from, on: _ } => layer4::typing(chat, from, &mut body),
        Event::Presence { who, online, at, agent: _ } => {
            layer4::presence(who, *online, *at, &mut body);
        }
        Event::ProfileChanged { who, changed } => {
            layer4::profile_changed(who, changed, &mut body);
        }
        Event::ContactRequested { who, note } => layer4::about(who, Some(note), &mut body),
        Event::ContactAnswered { who, .. } | Event::ContactBlocked { who, .. } => {
            layer4::about(who, None, &mut body);
        }
        Event::ChatChanged(info) => layer5::facts(info, ObjectWriter::new(&mut body)),
        Event::ChatGone { chat } => layer5::gone(chat, &mut body),
        // They have no name and so are never written.
        Event::MyMarks { .. }
        | Event::Watching { .. }
        | Event::Awake { .. }
        | Event::FaceChanged { .. }
        | Event::AgentChanged { .. }
        | Event::Renamed { .. }
        | Event::Moved { .. }
        | Event::Relayed { .. } => {}
    }
    body
}
