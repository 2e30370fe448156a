//! What others see of people and groups, and how a chat looks to somebody: the core's words as
//! Tinode's JSON, and back.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::access::Access;
use crate::domain::name::{Name, Tag};
use crate::domain::words::{
    ChatKind, ExtraView, Face, Kind, MessageView, MyselfView, SubscriberView, SubscriptionView,
};
use crate::limits::PROFILE_NAME_BYTES_MAX;
use crate::wire::said::in_words;
use crate::wire::tinode::meta::{Description, Seen, Subscription};
use crate::wire::tinode::names::Topic;
use crate::wire::tinode::packet::{Acs, Content, Defacs, Json};
use crate::wire::tinode::request::Payload;

/// Of a blob that is a message's content.
pub(super) const JSON: &str = "application/json";

/// The number that somebody is named by; `None` for those who live elsewhere.
pub(super) fn uid(name: &Name) -> Option<u64> {
    match name.tag() {
        Tag::Person { public_id, .. } => Some(public_id),
        Tag::Chat { .. } | Tag::Unknown => None,
    }
}

/// A chat as a topic of somebody's.
pub(super) fn topic(name: &Name, me: u64) -> Option<Topic> {
    match name.tag() {
        Tag::Person { public_id, .. } if public_id != me => Some(Topic::peer(me, public_id)),
        Tag::Chat { public_id, .. } => Some(Topic::Group(public_id)),
        Tag::Person { .. } | Tag::Unknown => None,
    }
}

/// What everybody sees. Where somebody has set no card, their name, else the first part of their
/// address.
pub(super) fn public(face: &Face, address: &Name) -> Option<Json> {
    let login = address.split('@').next().unwrap_or_default();
    let name = if face.name.is_empty() { login } else { &face.name };
    let Some(card) = &face.card else { return Some(kept(&serde_json::json!({ "fn": name }))) };
    match serde_json::from_str::<Value>(card) {
        // The name may have been changed by another client since.
        Ok(Value::String(text)) if !face.name.is_empty() && text != *face.name => {
            Some(Json::Text(Arc::from(&*face.name)))
        }
        Ok(Value::Object(mut object)) => match object.get("fn") {
            Some(Value::String(text)) if !face.name.is_empty() && *text != *face.name => {
                object.insert("fn".into(), Value::String(face.name.to_string()));
                Some(kept(&Value::Object(object)))
            }
            Some(_) | None => Some(Json::Kept(Arc::from(&**card))),
        },
        Ok(_) => Some(Json::Kept(Arc::from(&**card))),
        Err(_) => None,
    }
}

/// The same of a chat. A group that shows no face is one that shows nothing at all.
fn public_of(view: &SubscriptionView) -> Option<Json> {
    let is_hidden = view.kind != ChatKind::Direct && view.face == Face::default();
    if is_hidden { None } else { public(&view.face, &view.chat) }
}

fn kept(value: &Value) -> Json {
    Json::Kept(value.to_string().into())
}

/// What somebody keeps for themselves.
pub(super) fn private(card: Option<&str>) -> Option<Json> {
    card.map(|card| Json::Kept(card.into()))
}

/// What a `public` sets: the name that it has in it, if any, and the card.
pub(super) fn from_public(payload: &Payload) -> (Option<Box<str>>, Option<Box<str>>) {
    match payload {
        Payload::Absent => (None, None),
        Payload::Clear => (Some("".into()), Some("".into())),
        Payload::Json(raw) => {
            let name = match serde_json::from_str::<Value>(raw) {
                Ok(Value::String(text)) => Some(text),
                Ok(Value::Object(mut object)) => match object.remove("fn") {
                    Some(Value::String(text)) => Some(text),
                    Some(_) | None => None,
                },
                Ok(_) | Err(_) => None,
            };
            (name.map(|name| short(&name)), Some(raw.clone()))
        }
    }
}

/// As much of a name as the core keeps.
fn short(name: &str) -> Box<str> {
    let name = name.trim();
    let mut end = name.len().min(PROFILE_NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].into()
}

/// A card, where one is set.
pub(super) fn card(payload: &Payload) -> Option<Box<str>> {
    match payload {
        Payload::Absent => None,
        Payload::Clear => Some("".into()),
        Payload::Json(raw) => Some(raw.clone()),
    }
}

/// The text that goes along with an invitation or a request.
pub(super) fn note(payload: &Payload) -> Box<str> {
    match payload {
        Payload::Absent | Payload::Clear => "".into(),
        Payload::Json(raw) => raw.clone(),
    }
}

/// What newcomers to a group are given, as its managers are told.
fn defaults(view: &SubscriptionView) -> Defacs {
    let auth = if view.open { view.default_access } else { Access::NONE };
    Defacs { auth, anon: Access::NONE }
}

/// A chat described. `attached`: to one who is attached to it.
pub(super) fn description(view: &SubscriptionView, attached: bool) -> Description {
    let public = public_of(view);
    let (created, updated) = (Some(view.created), Some(view.updated));
    let Some((want, given)) = view.part.filter(|_| attached) else {
        return Description { created, updated, public, ..Description::default() };
    };
    let shares = want.and(given).has(Access::SHARE) && view.kind != ChatKind::Direct;
    Description {
        name: None,
        created,
        updated,
        defacs: shares.then(|| defaults(view)),
        acs: Some(Acs { want, given }),
        seq: view.last.0.into(),
        read: view.read.0.into(),
        recv: view.received.0.into(),
        clear: view.cleared.0.into(),
        public,
        private: private(view.card.as_deref()),
    }
}

/// What there is of `me`.
pub(super) fn of_me(view: &MyselfView, attached: bool) -> Description {
    let public = public(&view.face, &view.who);
    let (created, updated) = (Some(view.created), Some(view.updated));
    if !attached {
        return Description { created, updated, public, ..Description::default() };
    }
    let own = Access::READ.with(Access::PRESENCE).with(Access::DELETE);
    Description {
        created,
        updated,
        defacs: Some(Defacs { auth: view.access, anon: Access::NONE }),
        acs: Some(Acs { want: own, given: own }),
        seq: view.last.0.into(),
        public,
        private: private(view.card.as_deref()),
        ..Description::default()
    }
}

/// One of somebody's chats, in the list on `me`.
pub(super) fn on_me(view: &SubscriptionView, me: u64) -> Option<Subscription> {
    let topic = topic(&view.chat, me)?;
    let (want, given) = view.part?;
    let seen = view.last_seen.as_ref().map(|(at, agent)| Seen {
        when: *at,
        ua: Some(agent.clone()).filter(|agent| !agent.is_empty()),
    });
    Some(Subscription {
        user: None,
        online: None,
        updated: Some(view.updated),
        mode: want.and(given),
        read: view.read.0.into(),
        recv: view.received.0.into(),
        clear: view.cleared.0.into(),
        private: private(view.card.as_deref()),
        topic: Some(topic),
        seq: view.last.0.into(),
        with: uid(&view.chat),
        public: public_of(view),
        seen,
    })
}

/// One of those in a chat.
pub(super) fn subscriber(view: &SubscriberView, me: u64, is_group: bool) -> Option<Subscription> {
    let user = uid(&view.who)?;
    let is_mine = user == me;
    Some(Subscription {
        user: Some(user),
        online: is_group.then_some(view.watching || is_mine),
        updated: is_mine.then_some(view.updated).filter(|at| at.0 > 0),
        mode: view.want.and(view.given),
        read: view.read.0.into(),
        recv: view.received.0.into(),
        clear: view.cleared.0.into(),
        private: private(view.card.as_deref()),
        public: public(&view.face, &view.who),
        ..Subscription::default()
    })
}

/// A message's content, as it was published where that was here.
pub(super) fn content(view: &MessageView) -> Content {
    let nothing = ExtraView::default();
    let extra = view.extra.as_deref().unwrap_or(&nothing);
    let json = match view.kind {
        Kind::Text if !extra.deleted => Json::Text(view.text.clone()),
        Kind::Blob if !extra.deleted && extra.mime.as_deref() == Some(JSON) => {
            // Anybody may call a blob JSON.
            json_of(&view.text).unwrap_or_else(|| Json::Text(in_words(view).into()))
        }
        _ => Json::Text(in_words(view).into()),
    };
    Content::Json(json)
}

fn json_of(base64: &str) -> Option<Json> {
    let text = String::from_utf8(BASE64_STANDARD.decode(base64).ok()?).ok()?;
    serde_json::from_str::<&RawValue>(&text).ok()?;
    Some(Json::Kept(text.into()))
}

/// Content as the core keeps it: a text, or the base64 of anything else.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Text(Arc<str>),
    Blob(Arc<str>),
}

pub(super) fn kept_content(content: &str) -> Kept {
    match serde_json::from_str::<String>(content) {
        Ok(text) if !text.is_empty() => Kept::Text(text.into()),
        Ok(_) | Err(_) => Kept::Blob(BASE64_STANDARD.encode(content).into()),
    }
}
