//! {meta}: what a topic is, and who is in it, or what somebody is in.

use super::names::Topic;
use super::packet::{Acs, Defacs, Json, count, free, name, optional};
use super::time::stamp;
use crate::domain::access::Access;
use crate::domain::id::Timestamp;
use crate::wire::json::ObjectWriter;

/// The answer to a {get}, in one packet or a packet each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub id: Option<Box<str>>,
    /// The topic's real name where it is known, else as it came.
    pub topic: Option<Box<str>>,
    pub ts: Timestamp,
    pub info: Option<Box<Description>>,
    /// Left out where it is empty.
    pub sub: Vec<Subscription>,
}

/// What there is to say of a topic to one who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Of a topic that was just made.
    pub name: Option<Topic>,
    pub created: Option<Timestamp>,
    pub updated: Option<Timestamp>,
    /// Only those who share a topic are told.
    pub defacs: Option<Defacs>,
    /// Of a subscriber.
    pub acs: Option<Acs>,
    pub seq: u64,
    pub read: u64,
    pub recv: u64,
    pub clear: u64,
    pub public: Option<Json>,
    pub private: Option<Json>,
}

/// One subscriber of a topic, or one topic of a subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// `None` on `me`.
    pub user: Option<u64>,
    /// Of groups only.
    pub online: Option<bool>,
    pub updated: Option<Timestamp>,
    /// What is wanted of what is given.
    pub mode: Access,
    pub read: u64,
    pub recv: u64,
    pub clear: u64,
    pub private: Option<Json>,
    /// On `me`, from here on.
    pub topic: Option<Topic>,
    pub seq: u64,
    /// Of a chat of two: the other one.
    pub with: Option<u64>,
    pub public: Option<Json>,
    pub seen: Option<Seen>,
}

/// When somebody was last online, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub when: Timestamp,
    pub ua: Option<Box<str>>,
}

impl Meta {
    pub(super) fn write(&self, mut object: ObjectWriter<'_>) {
        optional(&mut object, "id", self.id.as_deref());
        optional(&mut object, "topic", self.topic.as_deref());
        object.text("ts", &stamp(self.ts));
        if let Some(info) = &self.info {
            info.write(object.object("info"));
        }
        if !self.sub.is_empty() {
            let mut array = object.array("sub");
            for subscription in &self.sub {
                subscription.write(array.object());
            }
        }
    }
}

impl Description {
    fn write(&self, mut object: ObjectWriter<'_>) {
        if let Some(topic) = self.name {
            name(&mut object, "name", topic);
        }
        moment(&mut object, "created", self.created);
        moment(&mut object, "updated", self.updated);
        if let Some(defacs) = self.defacs {
            defacs.write(&mut object);
        }
        if let Some(acs) = self.acs {
            acs.write(&mut object);
        }
        count(&mut object, "seq", self.seq);
        count(&mut object, "read", self.read);
        count(&mut object, "recv", self.recv);
        count(&mut object, "clear", self.clear);
        free(&mut object, "public", self.public.as_ref());
        free(&mut object, "private", self.private.as_ref());
    }
}

impl Subscription {
    fn write(&self, mut object: ObjectWriter<'_>) {
        if let Some(user) = self.user {
            name(&mut object, "user", Topic::User(user));
        }
        // Words, where later versions have a truth value.
        optional(&mut object, "online", self.online.map(|on| if on { "on" } else { "off" }));
        moment(&mut object, "updated", self.updated);
        object.text("mode", &self.mode.to_string());
        count(&mut object, "read", self.read);
        count(&mut object, "recv", self.recv);
        count(&mut object, "clear", self.clear);
        free(&mut object, "private", self.private.as_ref());
        if let Some(topic) = self.topic {
            name(&mut object, "topic", topic);
        }
        count(&mut object, "seq", self.seq);
        if let Some(with) = self.with {
            name(&mut object, "with", Topic::User(with));
        }
        free(&mut object, "public", self.public.as_ref());
        if let Some(seen) = &self.seen {
            let mut object = object.object("seen");
            moment(&mut object, "when", Some(seen.when));
            optional(&mut object, "ua", seen.ua.as_deref());
        }
    }
}

fn moment(object: &mut ObjectWriter<'_>, field: &str, at: Option<Timestamp>) {
    if let Some(at) = at {
        object.text(field, &stamp(at));
    }
}
