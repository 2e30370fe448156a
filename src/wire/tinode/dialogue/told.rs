//! What happens elsewhere, as a session hears of it: in the topic while it is attached to it, else
//! on `me`.

use std::mem;

use crate::domain::id::Seq;
use crate::domain::words::{Act, Bulletin, Event, Kind, Mark, MessageView};
use crate::wire::tinode::dialogue::{Attached, Dialogue, faces};
use crate::wire::tinode::names::Topic;
use crate::wire::tinode::packet::{
    self, Acs, Change, Content, Ctrl, Data, Info, Invite, Json, Noted, Packet, Pres,
};
use crate::wire::tinode::reply::Status;

/// Where the bytes of a group's {data} are kept, which is the same to all of its members.
const SPELLING: usize = 3;

impl Dialogue {
    pub(super) fn tell(&mut self, bulletin: &Bulletin, out: &mut Vec<Packet>) {
        let me = self.uid();
        match &**bulletin {
            Event::Message(message) => self.message(bulletin, message, out),
            Event::Marked { chat, user, read, delivered } => {
                let (Some(topic), Some(from)) = (faces::topic(chat, me), faces::uid(user)) else {
                    return;
                };
                if let Some(what) = noted(*read, *delivered).filter(|_| self.is_attached(topic)) {
                    out.push(Packet::Info(Box::new(Info { topic, from, what })));
                }
            }
            Event::MyMarks { chat, read, delivered } => {
                let Some(topic) = faces::topic(chat, me) else { return };
                let Some(what) = noted(*read, *delivered) else { return };
                // Where it is open it is another client's note like anybody's.
                if self.is_attached(topic) {
                    out.push(Packet::Info(Box::new(Info { topic, from: me, what })));
                }
                let change = match what {
                    Noted::Read(seq) => Change::Read(seq),
                    Noted::Received(seq) => Change::Received(seq),
                    Noted::KeyPress => return,
                };
                self.on_me(topic, change, out);
            }
            Event::Typing { chat, from, on: true } => {
                let (Some(topic), Some(from)) = (faces::topic(chat, me), faces::uid(from)) else {
                    return;
                };
                if self.is_attached(topic) {
                    let what = Noted::KeyPress;
                    out.push(Packet::Info(Box::new(Info { topic, from, what })));
                }
            }
            Event::Watching { chat, who, on } => {
                let (Some(topic), Some(src)) = (faces::topic(chat, me), faces::uid(who)) else {
                    return;
                };
                if self.is_attached(topic) {
                    let what = if *on { Change::On(None) } else { Change::Off(None) };
                    let src = Topic::User(src);
                    out.push(Packet::Pres(Box::new(Pres { topic, src, what })));
                }
            }
            Event::Awake { chat, on } => {
                let Some(topic) = faces::topic(chat, me) else { return };
                self.on_me(topic, if *on { Change::On(None) } else { Change::Off(None) }, out);
            }
            Event::Presence { who, online, agent, at: _ } => {
                let agent = Some(agent.clone()).filter(|agent| !agent.is_empty());
                let what = if *online { Change::On(agent) } else { Change::Off(agent) };
                self.of_person(faces::uid(who), what, out);
            }
            Event::AgentChanged { who, agent } => {
                self.of_person(faces::uid(who), Change::UserAgent(agent.clone()), out);
            }
            Event::FaceChanged { who } => self.of_person(faces::uid(who), Change::Updated, out),
            Event::ChatChanged(info) => {
                let Some(topic) = faces::topic(&info.chat, me) else { return };
                // What somebody's own part is now has no packet.
                if let Some((want, given)) = info.part {
                    return self.note_part(topic, want.and(given));
                }
                if let Some(by) = info.changed_by.as_ref().and_then(faces::uid)
                    && self.is_attached(topic)
                {
                    let (src, what) = (Topic::User(by), Change::Updated);
                    out.push(Packet::Pres(Box::new(Pres { topic, src, what })));
                }
                self.on_me(topic, Change::Updated, out);
            }
            Event::ChatGone { chat } => {
                if let Some(topic) = faces::topic(chat, me)
                    && self.detach(topic)
                {
                    out.push(self.evicted(topic));
                }
            }
            Event::Typing { on: false, .. }
            | Event::ChatsChanged(_)
            | Event::ContactCreated(_)
            | Event::ContactUpdated { .. }
            | Event::ContactRemoved { .. }
            | Event::ContactRequested { .. }
            | Event::ContactAnswered { .. }
            | Event::ContactBlocked { .. }
            | Event::ProfileChanged { .. }
            | Event::Moved { .. }
            | Event::Renamed { .. }
            | Event::Relayed { .. } => {}
        }
    }

    fn message(&mut self, bulletin: &Bulletin, message: &MessageView, out: &mut Vec<Packet>) {
        if message.kind == Kind::Notice {
            self.note_notice(message);
            if self.on_me {
                out.extend(self.notice(message).map(|data| Packet::Data(Box::new(data))));
            }
            return;
        }
        let Some(topic) = faces::topic(&message.chat, self.uid()) else { return };
        if message.kind == Kind::Cleared {
            return self.cleared(topic, message, out);
        }
        if !message.kind.has_place() || message.is_private() {
            return;
        }
        match self.attached(topic) {
            Some(attached) if attached.fetching => {}
            Some(Attached { page: Some((first, last)), .. })
                if *first <= message.seq && message.seq <= *last => {}
            Some(_) => out.push(self.spelled(bulletin, topic, message)),
            None => self.on_me(topic, Change::Message(message.seq.0.into()), out),
        }
    }

    /// A group's message is written once for all who read it.
    fn spelled(&self, bulletin: &Bulletin, topic: Topic, message: &MessageView) -> Packet {
        let write = || Packet::Data(Box::new(self.data(topic, message)));
        match bulletin.spelling(SPELLING) {
            Some(spelling) => {
                Packet::Written(spelling.get_or_init(|| write().to_json().into()).clone())
            }
            None => write(),
        }
    }

    fn cleared(&mut self, topic: Topic, message: &MessageView, out: &mut Vec<Packet>) {
        let reach = message.extra.as_ref().map_or(Seq(0), |extra| extra.reach);
        let what = Change::Deleted(reach.0.into());
        let by = faces::uid(&message.from).filter(|_| self.is_attached(topic));
        match by {
            Some(by) if !message.is_private() => {
                let src = Topic::User(by);
                out.push(Packet::Pres(Box::new(Pres { topic, src, what })));
            }
            Some(_) | None => self.on_me(topic, what, out),
        }
    }

    pub(super) fn data(&self, topic: Topic, message: &MessageView) -> Data {
        Data {
            topic,
            from: faces::uid(&message.from),
            ts: message.time,
            seq: message.seq.0.into(),
            content: faces::content(message),
        }
    }

    /// A notice of one's own part says what that is.
    fn note_notice(&mut self, message: &MessageView) {
        let Some(extra) = message.extra.as_deref() else { return };
        let (Some(topic), Some(notice)) = (faces::topic(&message.chat, self.uid()), extra.notice)
        else {
            return;
        };
        if notice.act != Act::Asked {
            self.note_part(topic, notice.given.and(extra.access.unwrap_or_default()));
        }
    }

    /// A notice as {data} on `me`.
    pub(super) fn notice(&self, message: &MessageView) -> Option<Data> {
        let me = self.uid();
        let extra = message.extra.as_deref()?;
        let notice = extra.notice?;
        let from = extra.person.as_ref().and_then(faces::uid);
        let (act, user) = match notice.act {
            Act::Invited => (packet::Act::Join, me),
            Act::Asked => (packet::Act::Approve, from?),
            Act::Admitted => (packet::Act::Info, me),
        };
        let invite = Invite {
            topic: faces::topic(&message.chat, me)?,
            user,
            act,
            acs: Acs { want: extra.access.unwrap_or_default(), given: notice.given },
            info: Some(&*message.text)
                .filter(|note| !note.is_empty())
                .map(|n| Json::Kept(n.into())),
        };
        Some(Data {
            topic: Topic::Me,
            from,
            ts: message.time,
            seq: message.seq.0.into(),
            content: Content::Invite(Box::new(invite)),
        })
    }

    fn of_person(&mut self, who: Option<u64>, what: Change, out: &mut Vec<Packet>) {
        let Some(who) = who else { return };
        let is_quiet = self.quiet.contains(&Topic::peer(self.uid(), who));
        if self.on_me && !is_quiet {
            let (topic, src) = (Topic::Me, Topic::User(who));
            out.push(Packet::Pres(Box::new(Pres { topic, src, what })));
        }
    }

    fn on_me(&mut self, src: Topic, what: Change, out: &mut Vec<Packet>) {
        if self.on_me && !self.quiet.contains(&src) {
            out.push(Packet::Pres(Box::new(Pres { topic: Topic::Me, src, what })));
        }
    }

    fn evicted(&self, topic: Topic) -> Packet {
        let topic = Some(topic.to_string().into());
        Packet::Ctrl(Box::new(Ctrl { topic, ..self.ctrl(Status::EVICTED) }))
    }

    /// Updates were lost: nothing that is shown of any topic can be trusted.
    pub(super) fn evict_all(&mut self, out: &mut Vec<Packet>) {
        let is_open = self.pending.as_ref().is_some_and(|pending| self.is_attached(pending.topic));
        if let Some(pending) = self.pending.as_mut().filter(|_| is_open) {
            pending.steps.retain(|step| !step.is_for_attached());
        }
        for attached in mem::take(&mut self.attached) {
            out.push(self.evicted(attached.topic));
        }
        if mem::take(&mut self.on_me) {
            out.push(self.evicted(Topic::Me));
        }
    }
}

/// What is read has been received: one word for both.
fn noted(read: Option<Mark>, delivered: Option<Mark>) -> Option<Noted> {
    match (read, delivered) {
        (Some(read), _) => Some(Noted::Read(read.seq.0.into())),
        (None, Some(delivered)) => Some(Noted::Received(delivered.seq.0.into())),
        (None, None) => None,
    }
}
