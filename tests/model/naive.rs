//! The model: lists that are searched from end to end, everything derived anew each time. Written
//! from the protocol's pages, not from the rules; slow and obvious on purpose.

use std::collections::BTreeMap;
use std::sync::Arc;

use msimd::domain::id::{AccountNo, MessageId, Seq, Timestamp};
use msimd::domain::words::{
    AppPasswordView, Changed, ChatView, ContactState, ContactView, Event, KeyId, Kind, MessageView,
    News, Outcome, Query, Range, Refusal, Reply, Take, UserView,
};

/// Who says something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Operator,
    Nobody,
    Person { no: u32, key: [u8; 16] },
}

/// What can be said, with addresses as text.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Send { to: String, text: String, cookie: Option<String> },
    Mark { read: bool, chat: Option<String>, id: u64 },
    Chats { before: u64, count: u32 },
    Unread { count: u32 },
    Newest,
    AddContact(Draft),
    ChangeContact(Draft),
    RemoveContact(String),
    LogOut,
    Register(String),
    Order(Order),
}

/// What the operator can say.
#[derive(Clone, Debug)]
pub(super) enum Order {
    AddUser(String),
    SetPassword(String),
    DisableUser(String),
    EnableUser(String),
    RemoveUser(String),
    Users,
    AddApp { login: String, name: Option<String> },
    Apps(String),
    RevokeApp { login: String, name: String },
}

#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) who: String,
    pub(super) name: Option<String>,
    pub(super) group: Option<Vec<String>>,
    pub(super) note: Option<String>,
    pub(super) dialog: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Disabled,
    Removed,
}

/// Somebody with the number of their place in the list, from 1.
#[derive(Debug)]
struct Person {
    login: String,
    state: State,
    created: u64,
    seen: Option<u64>,
    sessions: Vec<[u8; 16]>,
    /// Name and time of each app password.
    apps: BTreeMap<String, u64>,
}

impl Person {
    fn add_app(&mut self, name: Option<&str>, now: u64) -> Result<Expected, Refusal> {
        let free = (1..).map(|n| format!("app-{n}")).find(|name| !self.apps.contains_key(name));
        let name = name.map_or(free.unwrap_or_default(), str::to_owned);
        if self.apps.contains_key(&name) {
            return Err(Refusal::AlreadyThere);
        }
        if self.apps.len() == 16 {
            return Err(Refusal::TooManyAppPasswords);
        }
        self.apps.insert(name.clone(), now);
        Ok(plain(Reply::AppPassword(name.into())))
    }

    fn list_apps(&self) -> Reply {
        let view = |(name, created): (&String, &u64)| AppPasswordView {
            name: name.as_str().into(),
            created: Timestamp(*created),
            sealed_under: KeyId(7),
        };
        Reply::AppPasswords(self.apps.iter().map(view).collect())
    }
}

#[derive(Debug)]
struct Said {
    id: u64,
    /// The one before it in its chat, and how many there are with it.
    previous: u64,
    seq: usize,
    from: u32,
    to: u32,
    time: u64,
    text: String,
    cookie: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Card {
    name: String,
    group: Vec<String>,
    note: Option<String>,
    dialog: bool,
    blocked: bool,
}

/// A reply, and what else must come of it.
struct Expected {
    reply: Result<Reply, Refusal>,
    news: Vec<(u32, Option<[u8; 16]>, Event)>,
    ended: Vec<[u8; 16]>,
}

#[derive(Debug)]
pub(super) struct Model {
    home: String,
    text_max: usize,
    contacts_max: usize,
    people: Vec<Person>,
    said: Vec<Said>,
    contacts: BTreeMap<(u32, String), Card>,
    /// (me, other) → delivered, read: only what was said in acks.
    acks: BTreeMap<(u32, u32), (u64, u64)>,
}

impl Model {
    pub(super) fn new(home: &str, text_max: usize, contacts_max: usize) -> Model {
        Model {
            home: home.into(),
            text_max,
            contacts_max,
            people: Vec::new(),
            said: Vec::new(),
            contacts: BTreeMap::new(),
            acks: BTreeMap::new(),
        }
    }

    // What the dice need to know.

    pub(super) fn message_count(&self) -> u64 {
        self.said.len() as u64
    }

    /// All ids so far; never empty.
    pub(super) fn ids(&self) -> Vec<u64> {
        std::iter::once(0).chain(self.said.iter().map(|said| said.id)).collect()
    }

    pub(super) fn every_nth_id(&self, n: usize) -> Vec<u64> {
        self.ids().into_iter().step_by(n).collect()
    }

    pub(super) fn logins(&self) -> Vec<String> {
        self.people.iter().map(|p| p.login.clone()).collect()
    }

    pub(super) fn some_login(&self, roll: u64) -> String {
        self.people[(roll % self.people.len() as u64) as usize].login.clone()
    }

    pub(super) fn some_session(&self, roll: u64) -> Option<(u32, [u8; 16])> {
        let all: Vec<_> = (1..)
            .zip(&self.people)
            .flat_map(|(no, p)| p.sessions.iter().map(move |key| (no, *key)))
            .collect();
        (!all.is_empty()).then(|| all[(roll % all.len() as u64) as usize])
    }

    pub(super) fn session_of(&self, login: &str) -> Option<(u32, [u8; 16])> {
        let no = self.active(login)?;
        self.person(no).sessions.last().map(|key| (no, *key))
    }

    pub(super) fn active(&self, login: &str) -> Option<u32> {
        let no = self.number(login)?;
        (self.person(no).state == State::Active).then_some(no)
    }

    pub(super) fn active_count(&self) -> usize {
        self.people.iter().filter(|p| p.state == State::Active).count()
    }

    pub(super) fn add_session(&mut self, no: u32, key: [u8; 16]) {
        self.person_mut(no).sessions.push(key);
    }

    /// Whether there was a contact to block.
    pub(super) fn block(&mut self, no: u32, who: &str) -> bool {
        match self.contacts.get_mut(&(no, who.to_string())) {
            Some(card) => {
                card.blocked = true;
                true
            }
            None => false,
        }
    }

    // What must be answered.

    /// Does a command and compares with what the rules made of it.
    pub(super) fn check(&mut self, who: Who, op: &Op, outcome: &Outcome, now: u64) {
        let caller = match who {
            Who::Person { no, key } if self.person_has(no, key) => Ok((no, key)),
            Who::Person { .. } => Err(Refusal::UnknownSession),
            Who::Nobody | Who::Operator => Err(Refusal::NoSession),
        };
        let expected = match self.expected(who, caller, op, outcome, now) {
            Ok(expected) => expected,
            Err(refusal) => Expected { reply: Err(refusal), news: Vec::new(), ended: Vec::new() },
        };
        if let Ok((no, _)) = caller
            && expected.reply.is_ok()
            && expected.ended.is_empty()
        {
            let person = self.person_mut(no);
            person.seen = person.seen.max(Some(now));
        }
        let context = format!("{who:?} says {op:?}");
        assert_eq!(format!("{:?}", outcome.reply), format!("{:?}", expected.reply), "{context}");
        let mut ended: Vec<_> = outcome.ended.iter().map(|key| key.0).collect();
        ended.sort_unstable();
        let mut expected_ended = expected.ended;
        expected_ended.sort_unstable();
        assert_eq!(ended, expected_ended, "{context}");
        // What one account hears keeps its order; between accounts there is none.
        let told = |news: &News| {
            let to = news.to.accounts().next().expect("a direct chat's news are for one");
            (to.0, news.except.map(|key| key.0), (**news.event).clone())
        };
        let mut news: Vec<_> = outcome.news.iter().map(told).collect();
        news.sort_by_key(|(to, ..)| *to);
        let mut expected_news = expected.news;
        expected_news.sort_by_key(|(to, ..)| *to);
        assert_eq!(news, expected_news, "{context}");
    }

    fn expected(
        &mut self,
        who: Who,
        caller: Result<(u32, [u8; 16]), Refusal>,
        op: &Op,
        outcome: &Outcome,
        now: u64,
    ) -> Result<Expected, Refusal> {
        let (me, key) = match (op, who) {
            (Op::Register(login), _) => return self.add_user(login, now),
            (Op::Order(order), Who::Operator) => return self.order(order, now),
            (Op::Order(_), Who::Nobody | Who::Person { .. }) => return Err(Refusal::NotAllowed),
            (_, _) => caller?,
        };
        let said = match op {
            Op::Send { to, text, cookie } => {
                return self.send(me, key, to, text, cookie, outcome, now);
            }
            Op::Mark { read, chat, id } => return self.mark(me, key, *read, chat, *id),
            Op::AddContact(draft) => {
                self.add_contact(me, draft)?;
                Some(Event::ContactCreated(self.contact_view(me, &draft.who, now)))
            }
            Op::ChangeContact(draft) => self.change_contact(me, draft)?.map(|changed| {
                Event::ContactUpdated { contact: self.contact_view(me, &draft.who, now), changed }
            }),
            Op::RemoveContact(who) => {
                let card = self.contacts.remove(&(me, who.clone()));
                card.ok_or(Refusal::NoSuchContact)?;
                Some(Event::ContactRemoved { who: who.as_str().into() })
            }
            Op::LogOut => {
                self.person_mut(me).sessions.retain(|k| *k != key);
                return Ok(Expected { ended: vec![key], ..plain(Reply::Done) });
            }
            Op::Chats { before, count } => {
                let mut chats: Vec<_> =
                    self.partners(me).iter().map(|other| self.chat_view(me, *other)).collect();
                chats.retain(|chat| chat.last.0 < *before);
                chats.sort_by_key(|chat| std::cmp::Reverse(chat.last));
                let more = chats.len() > *count as usize;
                chats.truncate(*count as usize);
                return Ok(plain(Reply::Chats { chats, more }));
            }
            Op::Unread { count } => {
                let is_unread = |said: &&Said| {
                    said.to == me && said.from != me && said.id > self.read_mark(me, said.from)
                };
                let all: Vec<_> = self.said.iter().filter(is_unread).collect();
                let range = Range {
                    after: MessageId(0),
                    before: MessageId::END,
                    since: None,
                    count: (*count).min(200),
                    take: Take::Last,
                };
                return Ok(plain(self.page(me, all, &range)));
            }
            Op::Newest => {
                let newest = self.said.iter().rfind(|said| said.from == me || said.to == me);
                return Ok(plain(Reply::Newest(MessageId(newest.map_or(0, |said| said.id)))));
            }
            Op::Register(_) | Op::Order(_) => unreachable!("done above"),
        };
        let news = said.into_iter().map(|event| (me, Some(key), event)).collect();
        Ok(Expected { news, ..plain(Reply::Done) })
    }

    pub(super) fn check_query(&self, me: u32, query: &Query, answer: &Result<Reply, Refusal>) {
        let expected = match query {
            Query::History { chat, range } => self.history(me, &chat.to_string(), range),
            Query::Rewind { after, count, .. } => {
                let mine: Vec<_> =
                    self.said.iter().filter(|said| said.from == me || said.to == me).collect();
                let (after, before, since) = (*after, MessageId::END, None);
                let range = Range { after, before, since, count: *count, take: Take::First };
                Ok(self.page(me, mine, &range))
            }
            Query::Chat { .. }
            | Query::Profile { .. }
            | Query::Spaces { .. }
            | Query::Search { .. } => unreachable!("not asked"),
            Query::Contacts { after, count } => {
                let after = after.as_ref().map(|a| a.to_string());
                return self.check_contacts(me, after.as_deref(), *count as usize, answer);
            }
        };
        assert_eq!(format!("{answer:?}"), format!("{expected:?}"), "{me} asks {query:?}");
    }

    fn check_contacts(
        &self,
        me: u32,
        after: Option<&str>,
        count: usize,
        answer: &Result<Reply, Refusal>,
    ) {
        let Ok(Reply::Contacts { contacts, more }) = answer else { panic!("{answer:?}") };
        let all = self
            .contacts
            .keys()
            .filter(|(owner, who)| *owner == me && after.is_none_or(|after| who.as_str() > after));
        let all: Vec<_> = all.collect();
        assert_eq!(*more, all.len() > count);
        assert_eq!(contacts.len(), all.len().min(count));
        for (found, (_, who)) in contacts.iter().zip(all) {
            let expected = self.contact_view(me, who, u64::MAX);
            // A snapshot may not have the latest time yet.
            assert!(found.last_seen <= expected.last_seen, "{found:?} {expected:?}");
            assert_eq!(ContactView { last_seen: expected.last_seen, ..found.clone() }, expected);
        }
    }

    fn order(&mut self, order: &Order, now: u64) -> Result<Expected, Refusal> {
        let (login, state) = match order {
            Order::AddUser(login) => return self.add_user(login, now),
            Order::SetPassword(login) => (login, None),
            Order::DisableUser(login) => (login, Some(State::Disabled)),
            Order::EnableUser(login) => (login, Some(State::Active)),
            Order::RemoveUser(login) => (login, Some(State::Removed)),
            Order::Users => return Ok(plain(self.users())),
            Order::AddApp { login, .. } | Order::Apps(login) | Order::RevokeApp { login, .. } => {
                (login, None)
            }
        };
        let no = self.number(login).filter(|no| self.person(*no).state != State::Removed);
        let no = no.ok_or(Refusal::NoSuchAccount)?;
        let person = self.person_mut(no);
        match order {
            Order::AddApp { name, .. } => return person.add_app(name.as_deref(), now),
            Order::Apps(_) => return Ok(plain(person.list_apps())),
            Order::RevokeApp { name, .. } => {
                person.apps.remove(name).ok_or(Refusal::NoSuchAppPassword)?;
                return Ok(plain(Reply::Done));
            }
            Order::AddUser(_)
            | Order::SetPassword(_)
            | Order::DisableUser(_)
            | Order::EnableUser(_)
            | Order::RemoveUser(_)
            | Order::Users => {}
        }
        person.state = state.unwrap_or(person.state);
        let mut ended = Vec::new();
        if matches!(state, Some(State::Disabled | State::Removed)) {
            ended = std::mem::take(&mut person.sessions);
        }
        if state == Some(State::Removed) {
            self.person_mut(no).apps.clear();
            self.contacts.retain(|(owner, _), _| *owner != no);
        }
        Ok(Expected { ended, ..plain(Reply::Done) })
    }

    fn add_user(&mut self, login: &str, now: u64) -> Result<Expected, Refusal> {
        if self.number(login).is_some() {
            return Err(Refusal::LoginTaken);
        }
        self.people.push(Person {
            login: login.into(),
            state: State::Active,
            created: now,
            seen: None,
            sessions: Vec::new(),
            apps: BTreeMap::new(),
        });
        Ok(plain(Reply::Done))
    }

    fn users(&self) -> Reply {
        let here = (1..).zip(&self.people).filter(|(_, p)| p.state != State::Removed);
        let view = |(no, p): (u32, &Person)| UserView {
            account: AccountNo(no),
            login: p.login.as_str().into(),
            created: Timestamp(p.created),
            last_seen: p.seen.map(Timestamp),
            disabled: p.state == State::Disabled,
            sessions: p.sessions.len() as u32,
        };
        Reply::Users(here.map(view).collect())
    }

    #[expect(clippy::too_many_arguments, reason = "a message has that many parts")]
    fn send(
        &mut self,
        me: u32,
        key: [u8; 16],
        to: &str,
        text: &str,
        cookie: &Option<String>,
        outcome: &Outcome,
        now: u64,
    ) -> Result<Expected, Refusal> {
        if text.is_empty() {
            return Err(Refusal::TextEmpty);
        }
        if text.len() > self.text_max {
            return Err(Refusal::TextTooLong);
        }
        if cookie.as_ref().is_some_and(|c| c.is_empty() || c.len() > 128) {
            return Err(Refusal::BadField);
        }
        if !to.ends_with(&format!("@{}", self.home)) {
            return Err(Refusal::NoFederation);
        }
        let other = self.find(to).ok_or(Refusal::NoSuchAccount)?;
        let chat = self.chat(me, other);
        let window = &chat[chat.len().saturating_sub(1000)..];
        let is_same = |said: &&(usize, &Said)| said.1.from == me && said.1.cookie == *cookie;
        if cookie.is_some()
            && let Some((seq, said)) = window.iter().find(is_same)
        {
            return Ok(plain(sent(said.id, *seq, said.time, true)));
        }
        let me_address = self.address(me);
        if other != me && self.person(other).state == State::Removed {
            return Err(Refusal::NoSuchAccount);
        }
        if other != me && self.contacts.get(&(other, me_address)).is_some_and(|c| c.blocked) {
            return Err(Refusal::NotAllowed);
        }
        let read_before = self.read_mark(me, other);
        let last_of_other = chat.iter().rfind(|(_, said)| said.from != me).map(|(_, said)| said.id);
        let seq = chat.len() + 1;
        let previous = chat.last().map_or(0, |(_, said)| said.id);
        let time = now.max(chat.last().map_or(0, |(_, said)| said.time));
        // The number itself is the server's to choose, as long as it grows.
        let Ok(Reply::Sent { id, .. }) = &outcome.reply else {
            panic!("{:?} to a good message", outcome.reply)
        };
        let id = id.0;
        assert!(self.said.last().is_none_or(|last| last.id < id), "{id} does not grow");
        let (text, cookie) = (text.into(), cookie.clone());
        self.said.push(Said { id, previous, seq, from: me, to: other, time, text, cookie });

        let said = &self.said[self.said.len() - 1];
        let message = |reader| Event::Message(self.message_view(reader, said));
        let mut news = vec![(me, Some(key), message(me))];
        if other != me {
            news.push((other, None, message(other)));
        }
        if let Some(last) = last_of_other.filter(|last| *last > read_before && other != me) {
            self.tell_marks(me, key, other, Some(last), &mut news);
        }
        Ok(Expected { news, ..plain(sent(id, seq, time, false)) })
    }

    fn mark(
        &mut self,
        me: u32,
        key: [u8; 16],
        read: bool,
        chat: &Option<String>,
        id: u64,
    ) -> Result<Expected, Refusal> {
        let other = match chat {
            Some(address) => {
                let other = self.find(address).ok_or(Refusal::NoSuchChat)?;
                let messages = self.chat(me, other);
                if messages.is_empty() {
                    return Err(Refusal::NoSuchChat);
                }
                let has = messages.iter().any(|(_, said)| said.id == id);
                has.then_some(other).ok_or(Refusal::NoSuchMessage)?
            }
            None => {
                let said = self.said.iter().find(|said| said.id == id);
                match said.ok_or(Refusal::NoSuchMessage)? {
                    said if said.from == me => said.to,
                    said if said.to == me => said.from,
                    _ => return Err(Refusal::NoSuchMessage),
                }
            }
        };
        let before = (self.delivered_mark(me, other), self.read_mark(me, other));
        let ack = self.acks.entry((me, other)).or_default();
        ack.0 = ack.0.max(id);
        if read {
            ack.1 = ack.1.max(id);
        }
        let after = (self.delivered_mark(me, other), self.read_mark(me, other));
        let mut news = Vec::new();
        if before != after && me != other {
            let read_till = (before.1 != after.1).then_some(after.1);
            self.tell_marks(me, key, other, read_till, &mut news);
        }
        Ok(Expected { news, ..plain(Reply::Done) })
    }

    fn tell_marks(
        &self,
        me: u32,
        key: [u8; 16],
        other: u32,
        read_till: Option<u64>,
        news: &mut Vec<(u32, Option<[u8; 16]>, Event)>,
    ) {
        if let Some(id) = read_till {
            let my: Arc<str> = self.address(me).into();
            let event = Event::ReadTill { chat: my.clone(), id: MessageId(id), user: my };
            news.push((other, None, event));
        }
        news.push((other, None, Event::ChatsChanged(vec![self.chat_view(other, me)])));
        news.push((me, Some(key), Event::ChatsChanged(vec![self.chat_view(me, other)])));
    }

    fn history(&self, me: u32, chat: &str, range: &Range) -> Result<Reply, Refusal> {
        let other = self.find(chat).ok_or(Refusal::NoSuchChat)?;
        let messages: Vec<_> = self.chat(me, other).into_iter().map(|(_, said)| said).collect();
        if messages.is_empty() {
            return Err(Refusal::NoSuchChat);
        }
        Ok(self.page(me, messages, range))
    }

    /// What of these messages a range has, in the words of `me`.
    fn page(&self, me: u32, mut messages: Vec<&Said>, range: &Range) -> Reply {
        messages.retain(|said| {
            said.id > range.after.0
                && said.id < range.before.0
                && range.since.is_none_or(|since| said.time >= since.0)
        });
        let count = (range.count as usize).min(500);
        let more = messages.len() > count;
        match range.take {
            Take::First => messages.truncate(count),
            Take::Last => drop(messages.drain(..messages.len().saturating_sub(count))),
        }
        let view = |said: &Said| self.message_view(me, said);
        Reply::Messages { messages: messages.into_iter().map(view).collect(), more }
    }

    fn message_view(&self, reader: u32, said: &Said) -> MessageView {
        let other = if said.from == reader { said.to } else { said.from };
        MessageView {
            chat: self.address(other).into(),
            from: self.address(said.from).into(),
            id: MessageId(said.id),
            previous: MessageId(said.previous),
            seq: Seq(said.seq as u32),
            time: Timestamp(said.time),
            kind: Kind::Text,
            text: said.text.as_str().into(),
            cookie: said.cookie.as_deref().filter(|_| said.from == reader).map(Into::into),
            extra: None,
        }
    }

    fn chat_view(&self, me: u32, other: u32) -> ChatView {
        let chat = self.chat(me, other);
        let last = chat.last().map_or(0, |(_, said)| said.id);
        let read = self.read_mark(me, other);
        let unread = chat.iter().filter(|(_, said)| said.from != me && said.id > read).count();
        let mark = |mark| MessageId(if me == other { last } else { mark });
        ChatView {
            chat: self.address(other).into(),
            unread: unread as u32,
            last: MessageId(last),
            read: mark(self.read_mark(other, me)),
            delivered: mark(self.delivered_mark(other, me)),
            my_read: mark(read),
            group: None,
        }
    }

    /// The messages of two people with their places, from 1.
    fn chat(&self, a: u32, b: u32) -> Vec<(usize, &Said)> {
        let is_theirs =
            |said: &&Said| (said.from, said.to) == (a, b) || (said.from, said.to) == (b, a);
        (1..).zip(self.said.iter().filter(is_theirs)).collect()
    }

    fn partners(&self, me: u32) -> Vec<u32> {
        let all = 1..=self.people.len() as u32;
        all.filter(|other| !self.chat(me, *other).is_empty()).collect()
    }

    fn read_mark(&self, me: u32, other: u32) -> u64 {
        let own = self.said.iter().rfind(|said| said.from == me && said.to == other);
        let ack = self.acks.get(&(me, other)).map_or(0, |ack| ack.1);
        ack.max(own.map_or(0, |said| said.id))
    }

    fn delivered_mark(&self, me: u32, other: u32) -> u64 {
        let ack = self.acks.get(&(me, other)).map_or(0, |ack| ack.0);
        ack.max(self.read_mark(me, other))
    }

    fn add_contact(&mut self, me: u32, draft: &Draft) -> Result<(), Refusal> {
        fits(draft)?;
        let place = (me, draft.who.clone());
        if self.contacts.contains_key(&place) {
            return Err(Refusal::AlreadyThere);
        }
        let is_here = draft.who.ends_with(&format!("@{}", self.home));
        let exists = |no: u32| self.person(no).state != State::Removed;
        if is_here && !self.find(&draft.who).is_some_and(exists) {
            return Err(Refusal::NoSuchAccount);
        }
        if self.contacts.keys().filter(|(owner, _)| *owner == me).count() >= self.contacts_max {
            return Err(Refusal::TooManyContacts);
        }
        let card = Card {
            name: draft.name.clone().unwrap_or_else(|| draft.who.clone()),
            group: draft.group.clone().unwrap_or_default(),
            note: draft.note.clone().filter(|note| !note.is_empty()),
            dialog: draft.dialog.unwrap_or(false),
            blocked: false,
        };
        self.contacts.insert(place, card);
        Ok(())
    }

    /// Whether anything changed.
    fn change_contact(&mut self, me: u32, draft: &Draft) -> Result<Option<Changed>, Refusal> {
        fits(draft)?;
        let place = (me, draft.who.clone());
        let old = self.contacts.get(&place).ok_or(Refusal::NoSuchContact)?.clone();
        let new = Card {
            name: draft.name.clone().unwrap_or(old.name.clone()),
            group: draft.group.clone().unwrap_or(old.group.clone()),
            note: match &draft.note {
                None => old.note.clone(),
                Some(note) if note.is_empty() => None,
                Some(note) => Some(note.clone()),
            },
            dialog: draft.dialog.unwrap_or(old.dialog),
            blocked: old.blocked,
        };
        let changed = Changed {
            name: new.name != old.name,
            group: new.group != old.group,
            note: new.note != old.note,
            dialog: new.dialog != old.dialog,
            state: false,
        };
        self.contacts.insert(place, new);
        Ok((changed != Changed::default()).then_some(changed))
    }

    fn contact_view(&self, me: u32, who: &str, now: u64) -> ContactView {
        let card = &self.contacts[&(me, who.to_string())];
        let other = self.find(who);
        let shown = other.filter(|no| self.shares(*no, me));
        let last = other.and_then(|no| self.chat(me, no).pop().map(|(_, said)| said));
        let last_message = last.filter(|_| card.dialog).map(|said| self.message_view(me, said));
        let last_seen = shown.and_then(|no| self.person(no).seen).map(|at| at.min(now));
        ContactView {
            who: who.into(),
            name: card.name.as_str().into(),
            group: card.group.iter().map(|g| g.as_str().into()).collect(),
            note: card.note.as_deref().map(Into::into),
            dialog: card.dialog,
            state: if card.blocked { ContactState::Blocked } else { ContactState::Plain },
            unlisted: false,
            last_seen: last_seen.map(Timestamp),
            online: shown.map(|_| false),
            last_message: last_message.map(Box::new),
        }
    }

    /// Whether `who` shows `viewer` when they are here: who has them as a contact or a chat with
    /// them, and no block lies between.
    fn shares(&self, who: u32, viewer: u32) -> bool {
        let card = |owner: u32, of: u32| self.contacts.get(&(owner, self.address(of)));
        let is_apart = |owner, of| card(owner, of).is_some_and(|card| card.blocked);
        let knows = card(who, viewer).is_some() || !self.chat(who, viewer).is_empty();
        who == viewer || knows && !is_apart(who, viewer) && !is_apart(viewer, who)
    }

    fn person(&self, no: u32) -> &Person {
        &self.people[no as usize - 1]
    }

    fn person_mut(&mut self, no: u32) -> &mut Person {
        &mut self.people[no as usize - 1]
    }

    fn person_has(&self, no: u32, key: [u8; 16]) -> bool {
        self.people.get(no as usize - 1).is_some_and(|p| p.sessions.contains(&key))
    }

    fn number(&self, login: &str) -> Option<u32> {
        (1..).zip(&self.people).find(|(_, p)| p.login == login).map(|(no, _)| no)
    }

    fn find(&self, address: &str) -> Option<u32> {
        (1..=self.people.len() as u32).find(|no| self.address(*no) == address)
    }

    fn address(&self, no: u32) -> String {
        format!("{}@{}", self.person(no).login, self.home)
    }
}

fn plain(reply: Reply) -> Expected {
    Expected { reply: Ok(reply), news: Vec::new(), ended: Vec::new() }
}

fn sent(id: u64, seq: usize, time: u64, repeated: bool) -> Reply {
    Reply::Sent { id: MessageId(id), seq: Seq(seq as u32), time: Timestamp(time), repeated }
}

fn fits(draft: &Draft) -> Result<(), Refusal> {
    let is_long = draft.name.as_ref().is_some_and(|n| n.len() > 256)
        || draft.note.as_ref().is_some_and(|n| n.len() > 1024)
        || draft.group.as_ref().is_some_and(|g| g.len() > 8);
    if is_long { Err(Refusal::FieldTooLong) } else { Ok(()) }
}
