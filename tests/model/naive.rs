//! The model: lists that are searched from end to end, everything derived anew each time. Written
//! from the protocol's pages, not from the rules; slow and obvious on purpose.
//!
//! Nothing is ever taken out of a chat: what is gone is told from what is there when somebody
//! looks. Each noun has a file with what can be said of it.

use std::collections::{BTreeMap, VecDeque};

use msimd::domain::id::{AccountNo, MessageId, SessionKey, Timestamp};
use msimd::domain::name::Name;
use msimd::domain::words::{Event, Kind, News, Outcome, Query, Refusal, Reply};
use msimd::limits::Limits;

use super::HOME;
use super::chats::Chat;
use super::contacts::Card;
use super::people::Person;
use super::words::{Key, Me, Op, Who};

/// One event with who hears it, all their sessions but that one.
pub(super) type Told = (u32, Option<Key>, Event);

#[derive(Debug)]
pub(super) struct Model {
    pub(super) limits: Limits,
    /// By the number of their place, from 1.
    pub(super) people: Vec<Person>,
    pub(super) cards: BTreeMap<(u32, String), Card>,
    /// What people keep about chats, and about themselves without one.
    pub(super) kept: BTreeMap<(u32, Option<usize>), String>,
    /// All that there ever were, of every kind.
    pub(super) chats: Vec<Chat>,
    pub(super) now: u64,
    /// Every id that was given so far, and 0.
    pub(super) given: Vec<u64>,
    /// What comes of the command at hand.
    news: Vec<Told>,
    pub(super) ended: Vec<Key>,
    /// The ids that the rules chose for its records: theirs to choose, as long as they grow.
    ids: VecDeque<u64>,
}

impl Model {
    pub(super) fn new(limits: Limits) -> Model {
        Model {
            limits,
            people: Vec::new(),
            cards: BTreeMap::new(),
            kept: BTreeMap::new(),
            chats: Vec::new(),
            now: 0,
            given: vec![0],
            news: Vec::new(),
            ended: Vec::new(),
            ids: VecDeque::new(),
        }
    }

    /// Does a command and compares with what the rules made of it.
    pub(super) fn check(&mut self, who: Who, op: &Op, outcome: &Outcome, now: u64) {
        self.now = now;
        self.news.clear();
        self.ended.clear();
        self.ids = new_ids(&outcome.news);
        let caller = match who {
            Who::Person(me) if self.has_session(me) => Ok(me),
            Who::Person(_) => Err(Refusal::UnknownSession),
            Who::Nobody | Who::Operator => Err(Refusal::NoSession),
        };
        let reply = self.answer(who, caller, op, outcome);
        if let Ok(me) = caller
            && reply.is_ok()
            && !self.ended.contains(&me.key)
        {
            let person = self.person_mut(me.no);
            person.seen = person.seen.max(Some(now));
        }
        let said = format!("{who:?} says {op:?}");
        let found = outcome.reply.clone().map(tidy_reply);
        assert_eq!(format!("{found:?}"), format!("{reply:?}"), "{said}");
        let mut ended: Vec<Key> = outcome.ended.iter().map(|key| key.0).collect();
        ended.sort_unstable();
        self.ended.sort_unstable();
        assert_eq!(ended, self.ended, "{said}");
        // What one account hears keeps its order; between accounts there is none.
        let mut heard: Vec<Told> = outcome.news.iter().flat_map(told).collect();
        heard.sort_by_key(|(to, ..)| *to);
        self.news.sort_by_key(|(to, ..)| *to);
        for (heard, expected) in heard.iter().zip(&self.news) {
            assert_eq!(heard, expected, "{said}");
        }
        assert_eq!(heard.len(), self.news.len(), "{said}: {heard:#?} {:#?}", self.news);
    }

    fn answer(
        &mut self,
        who: Who,
        caller: Result<Me, Refusal>,
        op: &Op,
        outcome: &Outcome,
    ) -> Result<Reply, Refusal> {
        let me = match (op, who) {
            (Op::Register(login), _) => {
                self.add_user(login)?;
                let (who, created) = (named(at_home(login)), Timestamp(self.now));
                return Ok(Reply::Registered { who, created });
            }
            (Op::Order(order), Who::Operator) => return self.order(order),
            (Op::Order(_), Who::Nobody | Who::Person(_)) => return Err(Refusal::NotAllowed),
            (_, _) => caller?,
        };
        match op {
            Op::Send(letter) => self.send(me, letter, &outcome.reply),
            Op::Mark { read, chat, id } => self.mark_one(me, *read, chat.as_deref(), *id),
            Op::MarkBoth { chat, delivered, read } => self.mark_both(me, chat, *delivered, *read),
            Op::Chats { before, count } => Ok(self.list_chats(me.no, *before, *count as usize)),
            Op::Unread { count } => Ok(self.list_unread(me.no, *count)),
            Op::Newest => {
                let mut all = self.records_of(me.no).into_iter();
                let newest = all.rfind(|(_, record)| record.kind != Kind::Notice);
                let newest = newest.map_or(0, |(_, record)| record.id);
                Ok(Reply::Newest(MessageId(newest)))
            }
            Op::Edit { chat, id, text, bold } => self.edit(me, chat, *id, text, *bold),
            Op::Delete { chat, id, for_all: true } => self.delete_for_all(me, chat, *id),
            Op::Delete { chat, id, for_all: false } => self.delete_for_me(me, chat, *id),
            Op::MarkAt { chat, delivered, read } => self.mark_at(me, chat, *delivered, *read),
            Op::Clear { chat, for_all: true, till } => self.clear_for_all(me, chat, *till),
            Op::Clear { chat, for_all: false, till } => self.clear_for_me(me, chat, *till),
            Op::AddContact(slip) => self.add_contact(me, slip),
            Op::ChangeContact(slip) => self.change_contact(me, slip),
            Op::RemoveContact(who) => self.remove_contact(me, who),
            Op::AskContact { who, note } => self.ask_contact(me, who, note),
            Op::AnswerContact { who, accept } => self.answer_contact(me, who, *accept),
            Op::Block { who, on } => self.block(me, who, *on),
            Op::Profile(said) => self.update_profile(me, said),
            Op::Keep { chat, card } => self.keep(me, chat.as_deref(), card),
            Op::Subscribe { chat, want, note } => self.subscribe(me, chat, *want, note),
            Op::Subscriptions { after, count } => {
                Ok(self.list_subscriptions(me.no, *after, *count as usize))
            }
            Op::Subscription(chat) => self.one_subscription(me.no, chat),
            Op::Subscribers { chat, after, count } => {
                self.list_subscribers(me.no, chat, *after, *count as usize)
            }
            Op::Typing { chat, on } => self.type_in(me, chat, *on),
            Op::Create(plan) => self.create_chat(me, plan, &outcome.reply),
            Op::Change { chat, facts } => self.change_chat(me, chat, facts),
            Op::Remove { chat, is_space } => self.remove_chat(me, chat, *is_space),
            Op::Members { chat, after, count } => {
                self.list_members(me.no, chat, after.as_deref(), *count as usize)
            }
            Op::Invite { chat, who, access, note } => self.invite(me, chat, who, (*access, note)),
            Op::Join(chat) => self.join(me, chat),
            Op::Leave(chat) => self.leave(me, chat),
            Op::Kick { chat, who, ban } => self.kick(me, chat, who, *ban),
            Op::SetAccess { chat, who: Some(who), access } => self.give(me, chat, who, *access),
            Op::SetAccess { chat, who: None, access } => self.want(me, chat, *access),
            Op::LogOut => {
                self.person_mut(me.no).sessions.retain(|key| *key != me.key);
                self.ended.push(me.key);
                Ok(Reply::Done)
            }
            Op::Register(_) | Op::Order(_) => unreachable!("done above"),
        }
    }

    /// A question that is answered from a snapshot.
    pub(super) fn check_query(&self, me: u32, query: &Query, answer: &Result<Reply, Refusal>) {
        let expected = match query {
            Query::History { chat, range } => self.history(me, &chat.to_string(), range),
            Query::Rewind { after, count, own } => Ok(self.rewind(me, *after, *count, *own)),
            Query::Chat { chat } => self.look_up_chat(me, &chat.to_string()),
            Query::Spaces { space } => {
                self.list_spaces(me, space.as_ref().map(|space| space.to_string()).as_deref())
            }
            Query::Profile { who } => {
                self.look_up_profile(me, who.as_ref().map(|who| who.to_string()).as_deref())
            }
            Query::Contacts { after, count, unlisted } => {
                let after = after.as_ref().map(|after| after.to_string());
                Ok(self.list_contacts(me, after.as_deref(), *count as usize, *unlisted))
            }
            Query::Search { text, chat, before, count } => {
                let chat = chat.as_ref().map(|chat| chat.to_string());
                return self.check_search(me, text, chat.as_deref(), (before.0, *count), answer);
            }
            Query::Page { chat, since, before, count } => {
                self.list_page(me, &chat.to_string(), (*since, *before), *count)
            }
            Query::Notices { since, before, count } => {
                Ok(self.list_notices(me, (*since, *before), *count))
            }
            Query::Name { of } => self.look_up_name(me, of),
            Query::Myself => Ok(self.look_up_myself(me)),
            Query::People { .. } | Query::Rosters { .. } => unreachable!("not asked"),
        };
        let mut found = answer.clone().map(tidy_reply);
        if let (Ok(found), Ok(expected)) = (&mut found, &expected) {
            forgive_time(found, expected);
        }
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{me} asks {query:?}");
    }

    pub(super) fn tell(&mut self, to: u32, except: Option<Key>, event: Event) {
        self.news.push((to, except, event));
    }

    pub(super) fn tell_my_others(&mut self, me: Me, event: Event) {
        self.tell(me.no, Some(me.key), event);
    }

    /// The id of a new record.
    pub(super) fn next_id(&mut self) -> u64 {
        // Where the rules have made no record this one is told wrong, and the test fails there.
        let last = self.given[self.given.len() - 1];
        let id = self.ids.pop_front().unwrap_or(last + 1);
        assert!(id > last, "{id} does not grow");
        self.given.push(id);
        id
    }
}

/// The ids of new records among what was told: who writes one hears it too.
fn new_ids(news: &[News]) -> VecDeque<u64> {
    let id = |news: &News| match &**news.event {
        Event::Message(message) => Some(message.id.0),
        _ => None,
    };
    let mut ids: Vec<u64> = news.iter().filter_map(id).collect();
    ids.dedup();
    ids.into()
}

fn told(news: &News) -> Vec<Told> {
    let except = news.except.map(|SessionKey(key)| key);
    let event = || tidy_event((**news.event).clone());
    news.to.accounts().map(|AccountNo(to)| (to, except, event())).collect()
}

/// What says nothing is nothing.
fn tidy_message(message: &mut msimd::domain::words::MessageView) {
    let says_nothing = |extra: &Box<_>| **extra == msimd::domain::words::ExtraView::default();
    if message.extra.as_ref().is_some_and(says_nothing) {
        message.extra = None;
    }
}

fn tidy_event(mut event: Event) -> Event {
    match &mut event {
        Event::Message(message) => tidy_message(message),
        Event::ContactCreated(contact) | Event::ContactUpdated { contact, .. } => {
            contact.last_message.iter_mut().for_each(|last| tidy_message(last));
        }
        _ => {}
    }
    event
}

pub(super) fn tidy_reply(mut reply: Reply) -> Reply {
    match &mut reply {
        Reply::Messages { messages, .. } | Reply::Found { messages, .. } => {
            messages.iter_mut().for_each(tidy_message);
        }
        Reply::Contacts { contacts, .. } => {
            let last =
                contacts.iter_mut().filter_map(|contact| contact.last_message.as_deref_mut());
            last.for_each(tidy_message);
        }
        _ => {}
    }
    reply
}

/// A snapshot may not have the latest time that somebody was seen.
fn forgive_time(found: &mut Reply, expected: &Reply) {
    let forgive = |found: &mut Option<Timestamp>, expected: &Option<Timestamp>| {
        if *found < *expected {
            *found = *expected;
        }
    };
    match (found, expected) {
        (Reply::Contacts { contacts: found, .. }, Reply::Contacts { contacts: expected, .. }) => {
            for (found, expected) in found.iter_mut().zip(expected) {
                forgive(&mut found.last_seen, &expected.last_seen);
            }
        }
        (Reply::Chat(found), Reply::Chat(expected)) => {
            forgive(&mut found.last_seen, &expected.last_seen);
        }
        (Reply::Profile(found), Reply::Profile(expected)) => {
            forgive(&mut found.last_seen, &expected.last_seen);
        }
        (_, _) => {}
    }
}

/// An address of this server.
pub(super) fn at_home(login: &str) -> String {
    format!("{login}@{HOME}")
}

pub(super) fn is_at_home(address: &str) -> bool {
    address.ends_with(&format!("@{HOME}"))
}

pub(super) fn named(text: impl AsRef<str>) -> Name {
    text.as_ref().into()
}
