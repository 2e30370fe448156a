//! The steps of a message: what each asks of the core, and what its answer makes of it.

use std::mem;

use crate::domain::access::Access;
use crate::domain::id::{AccountNo, ChatId, Seq};
use crate::domain::words::{
    ChatChange, ChatDraft, Command, Draft, Handle, MessageView, ProfileDraft, Query, Refusal,
    Reply, Start, SubscriberView, SubscriptionView, Whom,
};
use crate::limits::{SUBSCRIBERS_COUNT_MAX, SUBSCRIPTIONS_COUNT_MAX};
use crate::wire::tinode::dialogue::{Dialogue, Me, Pending, faces};
use crate::wire::tinode::meta::{Description, Meta, Subscription};
use crate::wire::tinode::names::Topic;
use crate::wire::tinode::packet::{
    Account, Change, Content, Ctrl, Data, Defacs, Json, Packet, Params, Pres,
};
use crate::wire::tinode::reply::Status;
use crate::wire::{Credentials, Next, What};

/// One step. Those that ask nothing are done at once.
#[derive(Debug)]
pub(super) enum Step {
    LogIn {
        credentials: Credentials,
        agent: Box<str>,
    },
    Register {
        credentials: Credentials,
        invite: Option<Box<str>>,
        start: Box<Start>,
    },
    /// Another one for whoever is logged in.
    Password(Credentials),
    Appear(bool),
    /// Finds where the topic leads.
    Resolve(Handle),
    /// The chat of two must have been begun before.
    Begun,
    Create(Box<ChatDraft>),
    Want(Access),
    Subscribe {
        want: Option<Access>,
        note: Box<str>,
    },
    /// To want nothing, or never again: there is nothing to subscribe to for that.
    Renounce(Access),
    KeepIfNew(Box<str>),
    Keep(Box<str>),
    /// From here on the session is attached, and is told so.
    Attach {
        fetching: bool,
    },
    Detach,
    Look,
    /// {meta info} of what was looked at.
    Describe,
    Myself,
    Subscriptions {
        after: Option<ChatId>,
    },
    Subscribers {
        after: Option<AccountNo>,
    },
    Page {
        since: Seq,
        before: Seq,
        count: u32,
    },
    Watch(bool),
    /// {pres on} for everybody and everything that is live.
    Greet {
        after: Option<ChatId>,
    },
    Leave,
    Send {
        draft: Box<Draft>,
        echo: Option<Box<str>>,
    },
    Profile(Box<ProfileDraft>),
    Change(Box<ChatChange>),
    ResolveUser {
        user: u64,
        access: Option<Access>,
        note: Box<str>,
    },
    Give {
        who: Box<str>,
        access: Access,
        note: Box<str>,
    },
    Invite {
        who: Box<str>,
        access: Option<Access>,
        note: Box<str>,
    },
    Clear {
        whom: Whom,
        till: Option<Seq>,
    },
    Remove,
    Typing,
    Mark {
        delivered: Option<Seq>,
        read: Option<Seq>,
    },
    Say(Status),
}

impl Step {
    /// Whether it only shows a topic, or who is in it, to one who is in it.
    pub(super) fn is_for_attached(&self) -> bool {
        matches!(
            self,
            Step::Look
                | Step::Describe
                | Step::Subscriptions { .. }
                | Step::Subscribers { .. }
                | Step::Page { .. }
                | Step::Watch(true)
                | Step::Greet { .. }
        )
    }
}

impl Dialogue {
    /// Does the steps that ask nothing, up to one that does.
    pub(super) fn next(&mut self, out: &mut Vec<Packet>) -> Next {
        loop {
            let Some(mut pending) = self.pending.take() else { return Next::Listen };
            let Some(step) = pending.steps.pop_front() else { return Next::Listen };
            match self.question(&step, &pending) {
                Some(what) => {
                    pending.current = Some(step);
                    self.pending = Some(pending);
                    return self.ask(what);
                }
                None => {
                    let goes_on = self.at_once(step, &mut pending, out);
                    if goes_on {
                        self.pending = Some(pending);
                    }
                }
            }
        }
    }

    /// What a step asks; `None` where it asks nothing.
    fn question(&self, step: &Step, pending: &Pending) -> Option<What> {
        let chat = || pending.chat.clone();
        let command = match step {
            Step::LogIn { credentials, .. } => {
                return Some(What::LogIn(copy(credentials)));
            }
            Step::Register { credentials, invite, start } => {
                return Some(What::Register {
                    credentials: copy(credentials),
                    invite: invite.clone(),
                    sealed: false,
                    start: Some(start.clone()),
                });
            }
            Step::Password(new) => {
                let new = new.password.clone();
                return Some(What::ChangePassword { old: None, new });
            }
            Step::Resolve(of) => return Some(What::Query(Query::Name { of: *of })),
            Step::ResolveUser { user, .. } => {
                return Some(What::Query(Query::Name { of: Handle::PublicPerson(*user) }));
            }
            Step::Myself => return Some(What::Query(Query::Myself)),
            Step::Page { since, before, count } => {
                let (since, before, count) = (*since, *before, *count);
                return Some(What::Query(match pending.topic {
                    Topic::Me => Query::Notices { since, before, count },
                    _ => Query::Page { chat: chat()?, since, before, count },
                }));
            }
            Step::Appear(on) => {
                let agent = self.me.as_ref().map(|me| me.agent.clone()).unwrap_or_default();
                Command::Appear { on: *on, agent }
            }
            Step::Begun | Step::Look => Command::Subscription { chat: chat()? },
            Step::Create(draft) => Command::CreateChat((**draft).clone()),
            Step::Want(access) | Step::Renounce(access) => {
                Command::SetAccess { chat: chat()?, who: None, access: *access }
            }
            Step::Subscribe { want, note } => {
                Command::Subscribe { chat: chat()?, want: *want, note: note.clone() }
            }
            Step::KeepIfNew(card) if pending.is_new => {
                Command::Keep { chat: Some(chat()?), card: card.clone() }
            }
            Step::Keep(card) if pending.topic == Topic::Me => {
                Command::Keep { chat: None, card: card.clone() }
            }
            Step::Keep(card) => Command::Keep { chat: Some(chat()?), card: card.clone() },
            Step::Subscriptions { after } | Step::Greet { after } => {
                Command::Subscriptions { after: *after, count: SUBSCRIPTIONS_COUNT_MAX }
            }
            Step::Subscribers { after } => {
                Command::Subscribers { chat: chat()?, after: *after, count: SUBSCRIBERS_COUNT_MAX }
            }
            // Nobody is told who has a chat of two open.
            Step::Watch(on) if matches!(pending.topic, Topic::Group(_)) => {
                Command::Watch { chat: chat()?, on: *on }
            }
            Step::Leave => Command::Leave { chat: chat()? },
            Step::Send { draft, .. } => Command::Send((**draft).clone()),
            Step::Profile(draft) => Command::UpdateProfile(draft.clone()),
            Step::Change(change) => {
                Command::ChangeChat { chat: chat()?, change: (**change).clone() }
            }
            Step::Give { who, access, .. } => {
                Command::SetAccess { chat: chat()?, who: Some(self.address(who)?), access: *access }
            }
            Step::Invite { who, access, note } => Command::Invite {
                chat: chat()?,
                who: self.address(who)?,
                access: *access,
                note: note.clone(),
            },
            Step::Clear { whom, till } => {
                Command::Clear { chat: chat()?, whom: *whom, till: *till }
            }
            Step::Remove => Command::RemoveChat { chat: chat()?, is_space: false },
            Step::Typing => Command::Typing { chat: chat()?, on: true },
            Step::Mark { delivered, read } => {
                Command::MarkAt { chat: chat()?, delivered: *delivered, read: *read }
            }
            Step::KeepIfNew(_)
            | Step::Watch(_)
            | Step::Attach { .. }
            | Step::Detach
            | Step::Describe
            | Step::Say(_) => return None,
        };
        Some(What::Command(command))
    }

    /// A step that asks nothing. False: it was the last.
    fn at_once(&mut self, step: Step, pending: &mut Pending, out: &mut Vec<Packet>) -> bool {
        match step {
            Step::Attach { fetching } => self.say_attached(fetching, pending, out),
            Step::Detach if pending.topic == Topic::Me => self.on_me = false,
            Step::Detach => drop(self.detach(pending.topic)),
            Step::Describe => {
                let is_attached = self.is_attached(pending.topic);
                if let Some(view) = &pending.view {
                    let mut info = faces::description(view, is_attached);
                    let is_as_asked =
                        pending.asked.as_deref().map(Topic::parse) == Some(pending.topic);
                    info.name = Some(pending.topic).filter(|_| is_attached && !is_as_asked);
                    out.push(self.meta(pending, Some(info), Vec::new()));
                }
            }
            Step::Say(status) => {
                let ctrl = self.reply_to(pending, status);
                out.push(Packet::Ctrl(Box::new(ctrl)));
            }
            // Nothing to do there.
            Step::KeepIfNew(_) | Step::Watch(_) => {}
            // Only questions without the chat that they need come here.
            _ => {
                out.push(Packet::Ctrl(Box::new(self.reply_to(pending, Status::INTERNAL))));
                return false;
            }
        }
        true
    }

    fn say_attached(&mut self, fetching: bool, pending: &Pending, out: &mut Vec<Packet>) {
        let real = pending.topic;
        if real == Topic::Me {
            self.on_me = true;
        } else if let Some(chat) = pending.chat.clone() {
            let mode = pending.view.as_ref().and_then(|view| view.part);
            if let Some((want, given)) = mode {
                self.note_part(real, want.and(given));
            }
            self.attach(real, chat, fetching);
        }
        let name = real.to_string();
        let is_as_asked = pending.asked.as_deref() == Some(&*name);
        let params = if is_as_asked { Params::Nothing } else { Params::Named(real) };
        let topic = Some(name.into());
        let (id, ctrl) = (pending.id.clone(), self.ctrl(Status::OK));
        out.push(Packet::Ctrl(Box::new(Ctrl { id, topic, params, ..ctrl })));
    }

    /// The answer to a step.
    pub(super) fn go_on(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<Packet>) -> Next {
        let Some(mut pending) = self.pending.take() else { return Next::Listen };
        let Some(step) = pending.current.take() else { return Next::Listen };
        match reply {
            Ok(reply) => self.done(step, reply, &mut pending, out),
            Err(refusal) => {
                if !self.refused(step, refusal, &mut pending, out) {
                    return Next::Listen;
                }
            }
        }
        self.pending = Some(pending);
        self.next(out)
    }

    fn done(&mut self, step: Step, reply: Reply, pending: &mut Pending, out: &mut Vec<Packet>) {
        match (step, reply) {
            (Step::LogIn { agent, .. }, Reply::LoggedIn { session, who, .. }) => {
                let uid = faces::uid(&who).unwrap_or_default();
                self.me = Some(Me { session, uid, agent });
                let params = Params::LoggedIn { uid };
                let ctrl = self.reply_to(pending, Status::LOGGED_IN);
                out.push(Packet::Ctrl(Box::new(Ctrl { params, ..ctrl })));
            }
            (Step::Register { start, .. }, Reply::Registered { who, created }) => {
                let face = crate::domain::words::Face {
                    name: start.profile.name.clone().unwrap_or_default(),
                    card: start.profile.card.clone().filter(|card| !card.is_empty()),
                };
                let auth = start.profile.access.unwrap_or_default();
                let params = Params::Account(Box::new(Account {
                    uid: faces::uid(&who).unwrap_or_default(),
                    created,
                    updated: created,
                    defacs: Defacs { auth, anon: Access::NONE },
                    public: faces::public(&face, &who),
                    private: faces::private(Some(&*start.card).filter(|card| !card.is_empty())),
                }));
                let ctrl = self.reply_to(pending, Status::CREATED);
                out.push(Packet::Ctrl(Box::new(Ctrl { params, ..ctrl })));
            }
            (Step::Password(_), _) => {
                out.push(Packet::Ctrl(Box::new(self.reply_to(pending, Status::OK))));
            }
            (Step::Resolve(_), Reply::Name(name)) => pending.chat = self.address(&name),
            (Step::ResolveUser { access, note, .. }, Reply::Name(name)) => {
                let who: Box<str> = (*name).into();
                pending.steps.push_front(match access {
                    Some(access) => Step::Give { who, access, note },
                    None => Step::Invite { who, access, note },
                });
            }
            (Step::Begun, Reply::Subscriptions { subscriptions, .. }) => {
                if subscriptions.first().is_none_or(|view| view.part.is_none()) {
                    let ctrl = self.reply_to(pending, Status::NO_TOPIC);
                    out.push(Packet::Ctrl(Box::new(ctrl)));
                    pending.steps.clear();
                }
            }
            (Step::Look, Reply::Subscriptions { subscriptions, .. }) => {
                pending.view = subscriptions.into_iter().next().map(Box::new);
            }
            (Step::Create(_), Reply::Chat(info)) => {
                pending.topic = Topic::Group(info.public_id);
                pending.chat = self.address(&info.chat);
                pending.is_new = true;
                pending.steps.push_front(Step::Look);
            }
            (Step::Subscribe { .. }, Reply::Subscribed { subscription, is_new }) => {
                let mode = subscription.part.map(|(want, given)| want.and(given));
                self.note_part(pending.topic, mode.unwrap_or_default());
                pending.view = Some(subscription);
                pending.is_new = is_new;
            }
            (Step::Renounce(access), _) => {
                if access.is_banned() {
                    self.detach(pending.topic);
                }
                self.note_part(pending.topic, access);
            }
            // What was looked at before is another by now.
            (Step::Want(_) | Step::KeepIfNew(_), _) => pending.steps.push_front(Step::Look),
            (Step::Myself, Reply::Myself(view)) => {
                let is_attached = pending.topic == Topic::Me && self.on_me;
                let info = faces::of_me(&view, is_attached);
                out.push(self.meta(pending, Some(info), Vec::new()));
            }
            (Step::Subscriptions { .. }, Reply::Subscriptions { subscriptions, more }) => {
                let me = self.uid();
                let sub = subscriptions.iter().filter_map(|view| faces::on_me(view, me)).collect();
                out.push(self.meta(pending, None, sub));
                if let Some(last) = subscriptions.last().filter(|_| more) {
                    pending.steps.push_front(Step::Subscriptions { after: Some(last.id) });
                }
            }
            (Step::Subscribers { .. }, Reply::Subscribers { subscribers, more }) => {
                let (me, is_group) = (self.uid(), matches!(pending.topic, Topic::Group(_)));
                let one = |view: &SubscriberView| faces::subscriber(view, me, is_group);
                let sub = subscribers.iter().filter_map(one).collect();
                out.push(self.meta(pending, None, sub));
                if let Some(last) = subscribers.last().filter(|_| more) {
                    pending.steps.push_front(Step::Subscribers { after: Some(last.no) });
                }
            }
            (Step::Page { .. }, Reply::Messages { messages, .. }) => {
                self.page(pending.topic, &messages, out);
            }
            (Step::Greet { .. }, Reply::Subscriptions { subscriptions, more }) => {
                self.greet(&subscriptions, out);
                if let Some(last) = subscriptions.last().filter(|_| more) {
                    pending.steps.push_front(Step::Greet { after: Some(last.id) });
                }
            }
            (Step::Send { echo, .. }, Reply::Sent { seq, time, .. }) => {
                if pending.id.is_some() {
                    let params = Params::Seq(seq.0.into());
                    let ctrl = self.reply_to(pending, Status::ACCEPTED);
                    let topic = Some(pending.topic.to_string().into());
                    out.push(Packet::Ctrl(Box::new(Ctrl { topic, params, ..ctrl })));
                }
                if let Some(content) = echo {
                    out.push(Packet::Data(Box::new(Data {
                        topic: pending.topic,
                        from: Some(self.uid()),
                        ts: time,
                        seq: seq.0.into(),
                        content: Content::Json(Json::Kept(content.into())),
                    })));
                }
            }
            (Step::Clear { .. }, reply) => {
                let status = match reply {
                    Reply::Done => Status::NO_ACTION,
                    _ => Status::OK,
                };
                out.push(Packet::Ctrl(Box::new(self.reply_to(pending, status))));
            }
            // The others are done, and say so together at the end.
            (_, _) => {}
        }
    }

    /// What a refusal makes of a message. True: it goes on with another step.
    fn refused(
        &mut self,
        step: Step,
        refusal: Refusal,
        pending: &mut Pending,
        out: &mut Vec<Packet>,
    ) -> bool {
        let status = match (step, refusal) {
            // Notes are never answered.
            (Step::Typing | Step::Mark { .. }, _) => return false,
            (Step::Give { who, access, note }, Refusal::NoSuchMember) => {
                pending.steps.push_front(Step::Invite { who, access: Some(access), note });
                return true;
            }
            // What is live is told where it can be; the topic is attached all the same.
            (Step::Greet { .. } | Step::Watch(_), _) => return true,
            // What cannot be had keeps nothing else from coming.
            (Step::Page { .. } | Step::Subscribers { .. }, refusal) => {
                self.fetched(pending.topic, &[]);
                let ctrl = match refusal {
                    // It is there, as far as that goes, but not theirs to read.
                    Refusal::NoSuchChat => self.reply_to(pending, Status::DENIED),
                    refusal => self.refusal(pending, refusal),
                };
                out.push(Packet::Ctrl(Box::new(ctrl)));
                return true;
            }
            // There is nothing in it, which is what was wanted.
            (Step::Clear { .. }, Refusal::NoSuchChat) => Status::NO_ACTION,
            (Step::Leave, Refusal::LastOwner) => Status::DENIED,
            (Step::Resolve(Handle::PublicPerson(_)), Refusal::NoSuchAccount) => {
                let asked_by_name =
                    matches!(pending.asked.as_deref().map(Topic::parse), Some(Topic::Peer(..)));
                if asked_by_name {
                    Status::NO_TOPIC
                } else {
                    let topic = Some(pending.topic.to_string().into());
                    let ctrl = self.reply_to(pending, Status::NO_USER);
                    out.push(Packet::Ctrl(Box::new(Ctrl { topic, ..ctrl })));
                    return false;
                }
            }
            // An attached topic is there; what is not is the right to it.
            (_, Refusal::NoSuchChat) if self.is_attached(pending.topic) => Status::DENIED,
            (_, refusal) => {
                out.push(Packet::Ctrl(Box::new(self.refusal(pending, refusal))));
                return false;
            }
        };
        out.push(Packet::Ctrl(Box::new(self.reply_to(pending, status))));
        false
    }

    /// A page of a topic's history.
    fn page(&mut self, topic: Topic, messages: &[MessageView], out: &mut Vec<Packet>) {
        for message in messages {
            let data = match topic {
                Topic::Me => self.notice(message),
                topic => Some(self.data(topic, message)),
            };
            out.extend(data.map(|data| Packet::Data(Box::new(data))));
        }
        self.fetched(topic, messages);
    }

    /// From here on what is new in a topic is told.
    fn fetched(&mut self, topic: Topic, page: &[MessageView]) {
        for attached in self.attached.iter_mut().filter(|attached| attached.topic == topic) {
            if mem::take(&mut attached.fetching) {
                let ends = page.first().zip(page.last());
                attached.page = ends.map(|(first, last)| (first.seq, last.seq));
            }
        }
    }

    fn greet(&mut self, subscriptions: &[SubscriptionView], out: &mut Vec<Packet>) {
        let me = self.uid();
        for view in subscriptions {
            let (Some(topic), Some((want, given))) = (faces::topic(&view.chat, me), view.part)
            else {
                continue;
            };
            self.note_part(topic, want.and(given));
            if want.and(given).has(Access::PRESENCE) && view.online {
                let src = faces::uid(&view.chat).map_or(topic, Topic::User);
                let agent = view.last_seen.as_ref().map(|(_, agent)| agent.clone());
                let what = Change::On(agent.filter(|agent| !agent.is_empty()));
                out.push(Packet::Pres(Box::new(Pres { topic: Topic::Me, src, what })));
            }
        }
    }

    /// What somebody may do in a topic now: without P they hear nothing of it on `me`.
    pub(super) fn note_part(&mut self, topic: Topic, mode: Access) {
        self.set_quiet(topic, !mode.has(Access::PRESENCE));
    }

    pub(super) fn uid(&self) -> u64 {
        self.me.as_ref().map(|me| me.uid).unwrap_or_default()
    }

    fn reply_to(&self, pending: &Pending, status: Status) -> Ctrl {
        Ctrl { id: pending.id.clone(), topic: pending.asked.clone(), ..self.ctrl(status) }
    }

    fn refusal(&self, pending: &Pending, refusal: Refusal) -> Ctrl {
        let ctrl = Ctrl::refused(refusal, (self.clock)());
        Ctrl { id: pending.id.clone(), topic: pending.asked.clone(), ..ctrl }
    }

    fn meta(&self, pending: &Pending, info: Option<Description>, sub: Vec<Subscription>) -> Packet {
        // The real name where the session is attached, as it came where it is not.
        let topic = match self.is_attached(pending.topic) {
            true => Some(pending.topic.to_string().into()),
            false => pending.asked.clone(),
        };
        let (id, ts) = (pending.id.clone(), (self.clock)());
        Packet::Meta(Box::new(Meta { id, topic, ts, info: info.map(Box::new), sub }))
    }
}

fn copy(credentials: &Credentials) -> Credentials {
    Credentials { login: credentials.login.clone(), password: credentials.password.clone() }
}
