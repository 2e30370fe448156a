//! Tinode's messages ⇄ the core's words, for one session.
//!
//! A topic is a view of a chat: `p2p…` of a direct one, `grp…` of a group, `me` of oneself. **A
//! session hears of what happens in a topic while it is attached to it;** of what happens elsewhere
//! it hears on `me`, if it is attached to that.
//!
//! One message may take several questions to the core: it becomes a row of [`Step`]s, and the first
//! that is refused ends it. Our reading, beside what the modules say:
//!
//! - Who is not logged in is told so before anything else but that a topic is missing.
//! - A {pub} to a topic that one is not attached to is 409 `must attach first`; the server of 2016
//!   said nothing, and its SDK waited for ever.
//! - An edit made elsewhere comes as a new message, `(edited) …`, and a single deletion likewise: one
//!   place of a topic has one message. Who came, who went and what a group is called now has no
//!   place and is told by {pres} alone.
//! - Content that is a string is a text of the core. Other JSON is kept as a blob of type
//!   `application/json`, which other clients may open.
//! - A person's `public` follows the name of the profile where it is a string or has a string `fn`,
//!   and sets it; a group's likewise.
//! - `anon` of default access is always N: nobody here is anonymous. N and X for `auth` close a
//!   group: whoever wants in asks its managers.
//! - Whoever writes has read what there was before, and whoever clears a chat for themselves what
//!   they cleared: {info} tells it like any note. Newcomers find nothing unread.
//! - {info} and {pres what="read"} tell the user's own other sessions, too: the one in the topic, the
//!   other on `me`. That somebody types is told to other people alone.
//! - Whoever comes to a group hears so themselves, after the answer, as from the server of 2016.
//! - A group that somebody may only ask to be let into shows them no `public`, and X as somebody's
//!   default is 403 to whoever would begin a chat with them.
//! - To want N or X is no way to subscribe: where there is a part it becomes that, and X also leaves.
//! - An invitation is also a message in the chat of both, where other protocols have it.
//! - Unsubscribing from a chat of two lasts until either side writes in it again.
//! - Of a mailbox that overflowed nobody knows what it held: the session is evicted from its topics
//!   (205) and attaches again.

mod faces;
mod requests;
mod steps;
mod told;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::names::Topic;
use super::packet::{Ctrl, Packet, Params};
use super::reply::Status;
use super::request::Request;
use crate::domain::id::{Address, Seq, SessionId, Timestamp};
use crate::domain::words::{Command, Refusal, Reply, SubscriptionView};
use crate::limits::TINODE_TOPICS_MAX;
use crate::wire::{self, Ask, Farewell, Habit, House, Next, Told, What};
use steps::Step;

/// Tells the time; whoever makes a dialogue has a clock.
pub type Clock = fn() -> Timestamp;

/// What a connection begins with.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// What the first answer is to be found by.
    pub id: Option<Box<str>>,
    /// Of a long poll.
    pub sid: Option<Box<str>>,
}

/// See the module.
pub struct Dialogue {
    house: Arc<House>,
    clock: Clock,
    opening: Opening,
    me: Option<Me>,
    /// Attached to `me`.
    on_me: bool,
    attached: Vec<Attached>,
    /// Topics of which this person wants to hear nothing while not attached (no P).
    quiet: Vec<Topic>,
    pending: Option<Box<Pending>>,
}

/// Who is logged in.
#[derive(Debug)]
struct Me {
    session: SessionId,
    uid: u64,
    /// What the client calls itself.
    agent: Box<str>,
}

/// A topic that the session is attached to.
#[derive(Debug)]
struct Attached {
    topic: Topic,
    chat: Address,
    /// Its last messages are being fetched, and what comes meanwhile is among them.
    fetching: bool,
    /// The first and the last of those that were: what came meanwhile may be told after them.
    page: Option<(Seq, Seq)>,
}

/// A message on its way.
#[derive(Debug)]
struct Pending {
    id: Option<Box<str>>,
    /// As it came.
    asked: Option<Box<str>>,
    topic: Topic,
    /// Where the topic leads, once that is known.
    chat: Option<Address>,
    view: Option<Box<SubscriptionView>>,
    /// It was made by this message.
    is_new: bool,
    steps: VecDeque<Step>,
    /// Whose answer is awaited.
    current: Option<Step>,
}

impl Dialogue {
    pub fn new(house: Arc<House>, opening: Opening, clock: Clock) -> Dialogue {
        Dialogue {
            house,
            clock,
            opening,
            me: None,
            on_me: false,
            attached: Vec::new(),
            quiet: Vec::new(),
            pending: None,
        }
    }

    fn ctrl(&self, status: Status) -> Ctrl {
        Ctrl::new(status, (self.clock)())
    }

    /// Answers a message at once.
    fn answer(&self, request: &Request, status: Status, out: &mut Vec<Packet>) -> Next {
        let (id, topic) = (request.id.clone(), request.topic.clone());
        out.push(Packet::Ctrl(Box::new(Ctrl { id, topic, ..self.ctrl(status) })));
        Next::Listen
    }

    fn is_attached(&self, topic: Topic) -> bool {
        match topic {
            Topic::Me => self.on_me,
            _ => self.attached.iter().any(|attached| attached.topic == topic),
        }
    }

    fn attached(&self, topic: Topic) -> Option<&Attached> {
        self.attached.iter().find(|attached| attached.topic == topic)
    }

    fn attach(&mut self, topic: Topic, chat: Address, fetching: bool) {
        if !self.is_attached(topic) {
            self.attached.push(Attached { topic, chat, fetching, page: None });
        }
    }

    fn detach(&mut self, topic: Topic) -> bool {
        let before = self.attached.len();
        self.attached.retain(|attached| attached.topic != topic);
        if self.attached.is_empty() {
            self.attached = Vec::new();
        }
        self.attached.len() < before
    }

    /// Whether one more topic would be too many.
    fn is_full(&self) -> bool {
        self.attached.len() >= TINODE_TOPICS_MAX
    }

    fn set_quiet(&mut self, topic: Topic, quiet: bool) {
        self.quiet.retain(|there| *there != topic);
        if quiet && self.quiet.len() < TINODE_TOPICS_MAX {
            self.quiet.push(topic);
        }
    }

    /// A topic as this person has it: somebody's id stands for the chat with them.
    fn real(&self, topic: Topic) -> Topic {
        match (topic, &self.me) {
            (Topic::User(uid), Some(me)) => Topic::peer(me.uid, uid),
            (topic, _) => topic,
        }
    }

    /// The other side of a chat of two that this person is in.
    fn other(&self, topic: Topic) -> Option<u64> {
        match (topic, &self.me) {
            (Topic::User(uid), _) => Some(uid),
            (Topic::Peer(low, high), Some(me)) if me.uid == low => Some(high),
            (Topic::Peer(low, high), Some(me)) if me.uid == high => Some(low),
            _ => None,
        }
    }

    fn ask(&self, what: What) -> Next {
        let who = self.me.as_ref().map(|me| me.session);
        let session_required = who.is_some();
        Next::Ask(Ask { who, session_required, layer: LAYER, habit: HABIT, what: Ok(what) })
    }
}

/// What a seat is told of a session of this protocol: nothing is held back from it.
const LAYER: u32 = crate::wire::msim2::LAYER_MAX;

/// A session is its user being here only while it is attached to `me`, and hears everything.
const HABIT: Habit = Habit { hidden: true, fine: true };

impl wire::Dialogue for Dialogue {
    type Packet = Packet;

    fn on_open(&mut self, out: &mut Vec<Packet>) {
        let Opening { id, sid } = std::mem::take(&mut self.opening);
        let params = Params::Hello { build: "".into(), sid };
        out.push(Packet::Ctrl(Box::new(Ctrl { id, params, ..self.ctrl(Status::CREATED) })));
    }

    fn on_packet(&mut self, packet: Packet, out: &mut Vec<Packet>) -> Next {
        let Packet::Said(text) = packet else { return Next::Listen };
        match Request::parse(&text) {
            Ok(request) => self.on_request(request, out),
            Err(_malformed) => {
                out.push(Packet::Ctrl(Box::new(self.ctrl(Status::MALFORMED))));
                Next::Listen
            }
        }
    }

    fn on_reply(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<Packet>) -> Next {
        self.go_on(reply, out)
    }

    fn on_told(
        &mut self,
        _session: &SessionId,
        _layer: u32,
        told: &Told<'_>,
        out: &mut Vec<Packet>,
    ) {
        match told {
            Told::Event(bulletin) => self.tell(bulletin, out),
            Told::Resync { .. } => self.evict_all(out),
        }
    }

    fn on_close(&mut self, why: Farewell, out: &mut Vec<Packet>) {
        if why == Farewell::GoingAway {
            out.push(Packet::Ctrl(Box::new(self.ctrl(Status::SHUTDOWN))));
        }
    }

    /// A session ends with its connection: nothing brings it back.
    fn last_words(&mut self) -> Option<Ask> {
        let me = self.me.take()?;
        let what = Ok(What::Command(Command::LogOut));
        let who = Some(me.session);
        Some(Ask { who, session_required: true, layer: LAYER, habit: HABIT, what })
    }
}

impl fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Dialogue");
        all.field("me", &self.me).field("on_me", &self.on_me).field("attached", &self.attached);
        all.field("pending", &self.pending).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
