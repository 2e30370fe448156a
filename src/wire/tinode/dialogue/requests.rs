//! What each message asks for: what is refused at once, and the steps of the rest.

use std::collections::VecDeque;

use super::faces::{self, Kept, kept_content};
use super::steps::Step;
use super::{Dialogue, Pending};
use crate::domain::access::Access;
use crate::domain::id::{Address, Seq};
use crate::domain::words::{ChatChange, ChatDraft, Draft, Handle, Kind, ProfileDraft, Start, Whom};
use crate::wire::tinode::mode::Mode;
use crate::wire::tinode::names::{Topic, parse_user};
use crate::wire::tinode::packet::Packet;
use crate::wire::tinode::reply::Status;
use crate::wire::tinode::request::{
    Acc, Auth, Browse, Del, Delete, Login, Note, Payload, Request, Scheme, Set, Settings, Sub,
    Verb, Wants, Whose,
};
use crate::wire::{Credentials, Next};

/// What a group is called that its maker gave no name.
const NAMELESS: &str = "Group";
/// Messages in one answer where the client does not say how many.
const USUAL_COUNT: u64 = 32;

type Steps = VecDeque<Step>;

impl Dialogue {
    pub(super) fn on_request(&mut self, request: Request, out: &mut Vec<Packet>) -> Next {
        match &request.verb {
            Verb::Login(login) => return self.login(&request, login, out),
            Verb::Acc(acc) => return self.account(&request, acc, out),
            Verb::Note(note) => return self.note(&request, *note, out),
            Verb::Sub(_)
            | Verb::Leave { .. }
            | Verb::Pub { .. }
            | Verb::Get { .. }
            | Verb::Set(_)
            | Verb::Del(_) => {}
        }
        let Some(asked) = request.topic.as_deref() else {
            return self.answer(&request, Status::MALFORMED, out);
        };
        if self.me.is_none() {
            return self.answer(&request, Status::LOGIN_FIRST, out);
        }
        let topic = Topic::parse(asked);
        let steps = match &request.verb {
            Verb::Sub(sub) => self.sub(topic, sub),
            Verb::Leave { unsub } => self.leave(self.real(topic), *unsub),
            Verb::Pub { noecho, content } => self.publish(self.real(topic), *noecho, content),
            Verb::Get { what, browse } => self.get(topic, *what, browse),
            Verb::Set(set) => self.set(self.real(topic), set),
            Verb::Del(del) => self.del(self.real(topic), *del),
            Verb::Login(_) | Verb::Acc(_) | Verb::Note(_) => return Next::Listen,
        };
        match steps {
            Ok(steps) => self.begin(request, topic, steps, out),
            Err(status) => self.answer(&request, status, out),
        }
    }

    fn begin(
        &mut self,
        request: Request,
        topic: Topic,
        steps: Steps,
        out: &mut Vec<Packet>,
    ) -> Next {
        let topic = self.real(topic);
        let chat = self.attached(topic).map(|attached| attached.chat.clone());
        self.pending = Some(Box::new(Pending {
            id: request.id,
            asked: request.topic,
            topic,
            chat,
            view: None,
            is_new: false,
            steps,
            current: None,
        }));
        self.next(out)
    }

    fn credentials(&self, auth: &Auth) -> Result<Credentials, Status> {
        if auth.scheme == Scheme::Unknown {
            return Err(Status::UNKNOWN_SCHEME);
        }
        let (login, password) =
            auth.secret.as_ref().and_then(|secret| secret.split()).ok_or(Status::MALFORMED)?;
        if login.is_empty() {
            return Err(Status::MALFORMED);
        }
        let login = self.house.own_login(login);
        Ok(Credentials { login, password: password.as_bytes().to_vec() })
    }

    fn login(&mut self, request: &Request, login: &Login, out: &mut Vec<Packet>) -> Next {
        if self.me.is_some() {
            return self.answer(request, Status::ALREADY_LOGGED_IN, out);
        }
        let auth = Auth { scheme: login.scheme, secret: login.secret.clone() };
        match self.credentials(&auth) {
            Ok(credentials) => {
                let agent = login.ua.clone().unwrap_or_default();
                let step = Step::LogIn { credentials, agent };
                self.begin(request.clone(), Topic::Unknown, [step].into(), out)
            }
            Err(status) => self.answer(request, status, out),
        }
    }

    fn account(&mut self, request: &Request, acc: &Acc, out: &mut Vec<Packet>) -> Next {
        let step = match acc.whose {
            Whose::New => self.register(acc),
            Whose::Mine if self.me.is_none() => Err(Status::DENIED),
            Whose::Mine => self.another_password(acc),
            Whose::Others => Err(Status::DENIED),
        };
        match step {
            Ok(step) => self.begin(request.clone(), Topic::Unknown, [step].into(), out),
            Err(status) => self.answer(request, status, out),
        }
    }

    fn register(&self, acc: &Acc) -> Result<Step, Status> {
        let auth = acc.auth.as_ref().ok_or(Status::MALFORMED)?;
        let auth = auth.first().ok_or(Status::UNKNOWN_SCHEME)?;
        let credentials = self.credentials(auth)?;
        let (name, card) = faces::from_public(&acc.init.public);
        // Ownership is nobody's to give away beforehand, and is passed over.
        let access = match acc.init.defacs.auth {
            Mode::Absent | Mode::Usual => Access::GROUP,
            Mode::Letters(access) => Access(access.0 & (Access::DIRECT.0 | Access::BANNED.0)),
            Mode::Bad => return Err(Status::MALFORMED),
        };
        let profile = ProfileDraft { name, card, access: Some(access), ..ProfileDraft::default() };
        let card = faces::card(&acc.init.private).unwrap_or_default();
        let start = Box::new(Start { profile, card, logs_in: false });
        Ok(Step::Register { credentials, invite: acc.invite.clone(), start })
    }

    /// The basic scheme changes no login: what stands before the colon is not looked at.
    fn another_password(&self, acc: &Acc) -> Result<Step, Status> {
        let auth = acc.auth.as_ref().ok_or(Status::MALFORMED)?;
        let auth = auth.first().ok_or(Status::UNKNOWN_SCHEME)?;
        if auth.scheme == Scheme::Unknown {
            return Err(Status::UNKNOWN_SCHEME);
        }
        let secret = auth.secret.as_ref().ok_or(Status::MALFORMED)?;
        // It is the only one there is, and without any nobody would get in again.
        if secret.is_clear() {
            return Err(Status::DENIED);
        }
        let (_, password) = secret.split().ok_or(Status::MALFORMED)?;
        let password = password.as_bytes().to_vec();
        Ok(Step::Password(Credentials { login: None, password }))
    }

    fn sub(&self, topic: Topic, sub: &Sub) -> Result<Steps, Status> {
        let real = self.real(topic);
        if self.is_attached(real) {
            return Err(Status::ALREADY_SUBSCRIBED);
        }
        if sub.sub.user.is_some() || sub.sub.mode == Mode::Bad {
            return Err(Status::MALFORMED);
        }
        if topic != Topic::Me && self.is_full() {
            return Err(Status::LIMIT_REACHED);
        }
        let mut steps = Steps::new();
        match topic {
            Topic::Me => steps.push_back(Step::Appear(true)),
            Topic::New => {
                steps.push_back(Step::Create(Box::new(new_group(&sub.init)?)));
                if let Mode::Letters(access) = sub.sub.mode {
                    steps.push_back(Step::Want(access.with(Access::OWN)));
                }
            }
            Topic::User(_) | Topic::Peer(..) => {
                let other = self.other(topic).ok_or(Status::DENIED)?;
                if self.me.as_ref().is_some_and(|me| me.uid == other) {
                    return Err(Status::DENIED);
                }
                steps.push_back(Step::Resolve(Handle::PublicPerson(other)));
                if let Topic::Peer(..) = topic {
                    // By this name only what was begun already is found.
                    steps.push_back(Step::Begun);
                }
            }
            Topic::Group(id) => steps.push_back(Step::Resolve(Handle::PublicChat(id))),
            Topic::Bad => return Err(Status::MALFORMED),
            Topic::Unknown => return Err(Status::NO_TOPIC),
        }
        if !matches!(topic, Topic::Me | Topic::New) {
            let want = match sub.sub.mode {
                Mode::Letters(access) if !access.is_member() => {
                    steps.extend([Step::Renounce(access), Step::Say(Status::OK)]);
                    return Ok(steps);
                }
                Mode::Letters(access) => Some(access),
                Mode::Absent | Mode::Usual | Mode::Bad => None,
            };
            steps.push_back(Step::Subscribe { want, note: faces::note(&sub.sub.info) });
        }
        if topic != Topic::Me
            && let Some(card) = faces::card(&sub.init.private)
        {
            steps.push_back(Step::KeepIfNew(card));
        }
        let page = sub.get.data.then(|| range(&sub.browse));
        steps.push_back(Step::Attach { fetching: page.is_some() && sub.browse.before.is_none() });
        if sub.get.info {
            steps.push_back(if topic == Topic::Me { Step::Myself } else { Step::Describe });
        }
        if sub.get.sub {
            steps.push_back(list(topic));
        }
        if let Some((since, before, count)) = page {
            steps.push_back(Step::Page { since, before, count });
        }
        steps.push_back(match topic {
            // What is live is told after what there is.
            Topic::Me => Step::Greet { after: None },
            _ => Step::Watch(true),
        });
        Ok(steps)
    }

    fn leave(&self, topic: Topic, unsub: bool) -> Result<Steps, Status> {
        match topic {
            Topic::Me if unsub => Err(Status::DENIED),
            topic if !self.is_attached(topic) => {
                Err(if unsub { Status::NOT_ATTACHED } else { Status::NOT_JOINED })
            }
            Topic::Me => Ok([Step::Appear(false), Step::Detach, Step::Say(Status::OK)].into()),
            _ if unsub => Ok([Step::Leave, Step::Detach, Step::Say(Status::OK)].into()),
            _ => Ok([Step::Watch(false), Step::Detach, Step::Say(Status::OK)].into()),
        }
    }

    fn publish(&self, topic: Topic, noecho: bool, content: &str) -> Result<Steps, Status> {
        if topic == Topic::Me {
            return Err(Status::DENIED);
        }
        let attached = self.attached(topic).ok_or(Status::ATTACH_FIRST)?;
        let (kind, text) = match kept_content(content) {
            Kept::Text(text) => (Kind::Text, text),
            Kept::Blob(text) => (Kind::Blob, text),
        };
        let mime = (kind == Kind::Blob).then(|| faces::JSON.into());
        let draft = Draft::text(attached.chat.clone(), text, None);
        let draft = Box::new(Draft { kind, mime, ..draft });
        let echo = (!noecho).then(|| content.into());
        Ok([Step::Send { draft, echo }].into())
    }

    fn get(&self, topic: Topic, what: Wants, browse: &Browse) -> Result<Steps, Status> {
        if what.is_empty() {
            return Err(Status::MALFORMED);
        }
        let mut steps = Steps::new();
        if !self.is_attached(self.real(topic)) {
            if what.info {
                steps.extend(self.glance(topic)?);
            }
            if what.sub || what.data {
                steps.push_back(Step::Say(Status::DENIED));
            }
            return Ok(steps);
        }
        if what.info {
            match topic {
                Topic::Me => steps.push_back(Step::Myself),
                _ => steps.extend([Step::Look, Step::Describe]),
            }
        }
        if what.sub {
            steps.push_back(list(topic));
        }
        if what.data {
            let (since, before, count) = range(browse);
            steps.push_back(Step::Page { since, before, count });
        }
        Ok(steps)
    }

    /// What somebody may know of a topic that they are not attached to.
    fn glance(&self, topic: Topic) -> Result<Steps, Status> {
        let handle = match topic {
            Topic::Me => return Ok([Step::Myself].into()),
            Topic::Group(id) => Handle::PublicChat(id),
            Topic::User(_) | Topic::Peer(..) => {
                let other = self.other(topic).ok_or(Status::DENIED)?;
                if self.me.as_ref().is_some_and(|me| me.uid == other) {
                    return Ok([Step::Myself].into());
                }
                Handle::PublicPerson(other)
            }
            Topic::Bad => return Err(Status::MALFORMED),
            Topic::New | Topic::Unknown => return Err(Status::NO_TOPIC),
        };
        Ok([Step::Resolve(handle), Step::Look, Step::Describe].into())
    }

    fn set(&self, topic: Topic, set: &Set) -> Result<Steps, Status> {
        if !set.what.info && !set.what.sub {
            return Err(Status::MALFORMED);
        }
        let missing = set.what.info && set.info.is_none() || set.what.sub && set.sub.is_none();
        if missing {
            return Err(Status::MALFORMED);
        }
        if !self.is_attached(topic) {
            return Err(Status::DENIED);
        }
        let mut steps = Steps::new();
        if let Some(info) = set.info.as_ref().filter(|_| set.what.info) {
            steps.extend(self.settings(topic, info)?);
        }
        if let Some(member) = set.sub.as_ref().filter(|_| set.what.sub) {
            let note = faces::note(&member.info);
            let user = member.user.as_deref().map(|user| parse_user(user).ok_or(Status::MALFORMED));
            let me = self.me.as_ref().map(|me| me.uid);
            let access = match member.mode {
                Mode::Letters(access) => Some(access),
                Mode::Absent | Mode::Usual => None,
                Mode::Bad => return Err(Status::MALFORMED),
            };
            match user.transpose()?.filter(|user| Some(*user) != me) {
                _ if topic == Topic::Me => return Err(Status::DENIED),
                None => steps.push_back(match access.filter(|access| !access.is_member()) {
                    Some(access) => Step::Renounce(access),
                    None => Step::Subscribe { want: access, note },
                }),
                Some(user) => steps.push_back(Step::ResolveUser { user, access, note }),
            }
        }
        steps.push_back(Step::Say(Status::OK));
        Ok(steps)
    }

    /// {set info}: at least one thing that can be set there.
    fn settings(&self, topic: Topic, info: &Settings) -> Result<Steps, Status> {
        let mut steps = Steps::new();
        let access = match info.defacs.auth {
            Mode::Absent | Mode::Usual => None,
            Mode::Letters(access) if access.has(Access::OWN) => return Err(Status::MALFORMED),
            Mode::Letters(access) => Some(access),
            Mode::Bad => return Err(Status::MALFORMED),
        };
        let (name, card) = faces::from_public(&info.public);
        let is_public = card.is_some() || access.is_some();
        match topic {
            Topic::Me if is_public => {
                let access = access.map(|a| Access(a.0 & (Access::DIRECT.0 | Access::BANNED.0)));
                let draft = ProfileDraft { name, card, access, ..ProfileDraft::default() };
                steps.push_back(Step::Profile(Box::new(draft)));
            }
            Topic::Group(_) if is_public => {
                let (open, default_access) = newcomers(access);
                let name = name.filter(|name| !name.is_empty());
                let change =
                    ChatChange { name, card, open, default_access, ..ChatChange::default() };
                steps.push_back(Step::Change(Box::new(change)));
            }
            _ => {}
        }
        if let Some(card) = faces::card(&info.private) {
            steps.push_back(Step::Keep(card));
        }
        // A chat of two shows what its sides show of themselves.
        if steps.is_empty() { Err(Status::MALFORMED) } else { Ok(steps) }
    }

    fn del(&self, topic: Topic, del: Del) -> Result<Steps, Status> {
        match del.what {
            Delete::Unknown => Err(Status::MALFORMED),
            Delete::Topic => match self.attached(topic) {
                Some(_) if matches!(topic, Topic::Group(_)) => {
                    Ok([Step::Remove, Step::Detach, Step::Say(Status::OK)].into())
                }
                Some(_) | None => Err(Status::DENIED),
            },
            Delete::Messages if topic == Topic::Me => Err(Status::DENIED),
            Delete::Messages => {
                self.attached(topic).ok_or(Status::MALFORMED)?;
                let till = match del.before {
                    None => None,
                    Some(0) => return Err(Status::NO_ACTION),
                    Some(before) => {
                        Some(Seq(u32::try_from(before).map_err(|_| Status::MALFORMED)?))
                    }
                };
                let whom = if del.hard { Whom::All } else { Whom::Me };
                Ok([Step::Clear { whom, till }].into())
            }
        }
    }

    /// Nobody is answered, whatever comes of it.
    fn note(&mut self, request: &Request, note: Note, out: &mut Vec<Packet>) -> Next {
        let asked = request.topic.as_deref().unwrap_or_default();
        let topic = self.real(Topic::parse(asked));
        if self.me.is_none() || self.attached(topic).is_none() {
            return Next::Listen;
        }
        let place = |seq: u64| u32::try_from(seq).ok().map(Seq);
        let step = match note {
            Note::KeyPress => Step::Typing,
            Note::Read(seq) => Step::Mark { delivered: None, read: place(seq) },
            Note::Received(seq) => Step::Mark { delivered: place(seq), read: None },
            Note::Invalid => return Next::Listen,
        };
        self.begin(request.clone(), topic, [step].into(), out)
    }

    /// The address of somebody or something that was resolved.
    pub(super) fn address(&self, name: &str) -> Option<Address> {
        Address::parse(name, &self.house.name).ok()
    }
}

fn list(topic: Topic) -> Step {
    match topic {
        Topic::Me => Step::Subscriptions { after: None },
        _ => Step::Subscribers { after: None },
    }
}

fn range(browse: &Browse) -> (Seq, Seq, u32) {
    let place = |seq: u64| Seq(u32::try_from(seq).unwrap_or(u32::MAX));
    let count = browse.limit.unwrap_or(USUAL_COUNT);
    (
        place(browse.since.unwrap_or(0)),
        browse.before.map_or(Seq(u32::MAX), place),
        u32::try_from(count).unwrap_or(u32::MAX),
    )
}

/// What a group's `defacs.auth` makes of it.
fn newcomers(access: Option<Access>) -> (Option<bool>, Option<Access>) {
    match access {
        None => (None, None),
        Some(access) if !access.is_member() => (Some(false), None),
        Some(access) => (Some(true), Some(access)),
    }
}

fn new_group(init: &Settings) -> Result<ChatDraft, Status> {
    let access = match init.defacs.auth {
        Mode::Absent | Mode::Usual => Some(Access::GROUP),
        Mode::Letters(access) => Some(access.without(Access::OWN)),
        Mode::Bad => return Err(Status::MALFORMED),
    };
    let (open, default_access) = newcomers(access);
    let (name, card) = faces::from_public(&init.public);
    Ok(ChatDraft {
        is_channel: false,
        is_space: false,
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| NAMELESS.into()),
        about: "".into(),
        login: None,
        space: None,
        open,
        default_access,
        card: card.filter(|_| init.public != Payload::Clear).unwrap_or_default(),
        retention: 0,
    })
}
