//! Accounts, their sessions, passwords and profiles, and what the operator does with them.

use std::collections::BTreeMap;

use msimd::domain::access::Access;
use msimd::domain::id::{AccountNo, Timestamp};
use msimd::domain::words::{
    AppPasswordView, ContactState, Event, KeyId, ProfileDraft, ProfileView, Refusal, Reply,
    UserView,
};

use super::chats::letter;
use super::naive::{Model, at_home, is_at_home, named};
use super::taking::check_card;
use super::words::{Key, Me, Order, Said};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Active,
    Disabled,
    Removed,
}

#[derive(Debug)]
pub(super) struct Person {
    pub(super) login: String,
    pub(super) state: State,
    pub(super) created: u64,
    pub(super) seen: Option<u64>,
    pub(super) sessions: Vec<Key>,
    /// Name and time of each app password.
    apps: BTreeMap<String, u64>,
    /// Of the profile; empty for nothing.
    pub(super) name: String,
    note: String,
    /// What others see of them, as an application wants it.
    pub(super) card: String,
    /// What others may do in a direct chat that they begin.
    access: Option<Access>,
    pub(super) changed: u64,
}

impl Person {
    pub(super) fn access(&self) -> Access {
        self.access.unwrap_or(Access::DIRECT)
    }

    fn add_app(&mut self, name: Option<&str>, now: u64) -> Result<Reply, Refusal> {
        let free = (1..).map(|n| format!("app-{n}")).find(|name| !self.apps.contains_key(name));
        let name = name.map_or(free.unwrap_or_default(), str::to_owned);
        if self.apps.contains_key(&name) {
            return Err(Refusal::AlreadyThere);
        }
        if self.apps.len() == 16 {
            return Err(Refusal::TooManyAppPasswords);
        }
        self.apps.insert(name.clone(), now);
        Ok(Reply::AppPassword(name.into()))
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

impl Model {
    pub(super) fn person(&self, no: u32) -> &Person {
        &self.people[no as usize - 1]
    }

    pub(super) fn person_mut(&mut self, no: u32) -> &mut Person {
        &mut self.people[no as usize - 1]
    }

    pub(super) fn numbers(&self) -> std::ops::RangeInclusive<u32> {
        1..=self.people.len() as u32
    }

    pub(super) fn has_session(&self, me: Me) -> bool {
        let person = self.people.get(me.no as usize - 1);
        person.is_some_and(|person| person.sessions.contains(&me.key))
    }

    pub(super) fn address(&self, no: u32) -> String {
        at_home(&self.person(no).login)
    }

    /// The account at an address, whatever became of it.
    pub(super) fn account(&self, address: &str) -> Option<u32> {
        self.numbers().find(|no| self.address(*no) == address)
    }

    /// An account of this server that was not removed.
    pub(super) fn somebody(&self, address: &str) -> Result<u32, Refusal> {
        if !is_at_home(address) {
            return Err(Refusal::NoFederation);
        }
        let there = |no: &u32| self.person(*no).state != State::Removed;
        self.account(address).filter(there).ok_or(Refusal::NoSuchAccount)
    }

    /// Accounts, and groups with those that were removed, share one name space.
    pub(super) fn is_taken(&self, address: &str) -> bool {
        let is_its = |chat: &super::chats::Chat| {
            chat.group.as_ref().is_some_and(|group| group.address == address)
        };
        self.account(address).is_some() || self.chats.iter().any(is_its)
    }

    pub(super) fn add_user(&mut self, login: &str) -> Result<Reply, Refusal> {
        if self.is_taken(&at_home(login)) {
            return Err(Refusal::LoginTaken);
        }
        self.people.push(Person {
            login: login.into(),
            state: State::Active,
            created: self.now,
            seen: None,
            sessions: Vec::new(),
            apps: BTreeMap::new(),
            name: String::new(),
            note: String::new(),
            card: String::new(),
            access: None,
            changed: 0,
        });
        Ok(Reply::Done)
    }

    pub(super) fn order(&mut self, order: &Order) -> Result<Reply, Refusal> {
        let now = self.now;
        let no = match order {
            Order::AddUser(login) => return self.add_user(login),
            Order::Users => return Ok(self.list_users()),
            Order::SetPassword(login)
            | Order::DisableUser(login)
            | Order::EnableUser(login)
            | Order::RemoveUser(login)
            | Order::AddApp { login, .. }
            | Order::Apps(login)
            | Order::RevokeApp { login, .. } => self.somebody(&at_home(login))?,
        };
        let person = self.person_mut(no);
        match order {
            Order::AddApp { name, .. } => return person.add_app(name.as_deref(), now),
            Order::Apps(_) => return Ok(person.list_apps()),
            Order::RevokeApp { name, .. } => {
                person.apps.remove(name).ok_or(Refusal::NoSuchAppPassword)?;
            }
            Order::EnableUser(_) => person.state = State::Active,
            Order::DisableUser(_) => {
                person.state = State::Disabled;
                self.ended = std::mem::take(&mut person.sessions);
            }
            Order::RemoveUser(_) => self.remove_user(no),
            Order::SetPassword(_) | Order::AddUser(_) | Order::Users => {}
        }
        Ok(Reply::Done)
    }

    /// The name stays, and what was written.
    fn remove_user(&mut self, no: u32) {
        self.leave_all(no);
        self.cards.retain(|(owner, _), _| *owner != no);
        self.kept.retain(|(owner, _), _| *owner != no);
        let person = self.person_mut(no);
        person.state = State::Removed;
        person.apps.clear();
        person.name.clear();
        person.card.clear();
        (person.access, person.changed) = (None, 0);
        let ended = std::mem::take(&mut person.sessions);
        self.ended = ended;
    }

    fn list_users(&self) -> Reply {
        let here = self.numbers().filter(|no| self.person(*no).state != State::Removed);
        let view = |no: u32| {
            let person = self.person(no);
            UserView {
                account: AccountNo(no),
                login: person.login.as_str().into(),
                created: Timestamp(person.created),
                last_seen: person.seen.map(Timestamp),
                disabled: person.state == State::Disabled,
                sessions: person.sessions.len() as u32,
            }
        };
        Reply::Users(here.map(view).collect())
    }

    pub(super) fn update_profile(
        &mut self,
        me: Me,
        Said { name, note, card, access }: &Said,
    ) -> Result<Reply, Refusal> {
        if access.is_some_and(|access| access.has_any(letter('S').with(letter('O')))) {
            return Err(Refusal::BadAccess);
        }
        check_card(card.as_deref().unwrap_or(""))?;
        let is_long = |text: &Option<String>, most| text.as_ref().is_some_and(|t| t.len() > most);
        if is_long(name, 256) || is_long(note, 1024) {
            return Err(Refusal::FieldTooLong);
        }
        let now = self.now;
        let person = self.person_mut(me.no);
        let mut changed = ProfileDraft::default();
        for (old, new, shown) in [
            (&mut person.name, name, &mut changed.name),
            (&mut person.note, note, &mut changed.note),
        ] {
            if let Some(new) = new.as_ref().filter(|new| *new != old) {
                *old = new.clone();
                *shown = Some(new.as_str().into());
            }
        }
        let has_face =
            changed.name.is_some() || card.as_ref().is_some_and(|new| *new != person.card);
        let has_rule = access.is_some() && *access != person.access;
        if changed == ProfileDraft::default() && !has_face && !has_rule {
            return Ok(Reply::Done);
        }
        person.card = card.clone().unwrap_or(std::mem::take(&mut person.card));
        person.access = access.or(person.access);
        person.changed = now;
        let mine = self.address(me.no);
        if has_face {
            self.tell_face(me);
        }
        // What others may do they are not told.
        if changed == ProfileDraft::default() {
            return Ok(Reply::Done);
        }
        let event = Event::ProfileChanged { who: named(&mine), changed: Box::new(changed) };
        self.tell_my_others(me, event.clone());
        // Those who have me in their contacts, and none whom a block lies between.
        for other in self.numbers().filter(|other| *other != me.no) {
            let state = self.cards.get(&(other, mine.clone())).map(|card| card.state);
            let keeps = matches!(state, Some(ContactState::Plain | ContactState::Requested));
            let is_active = self.person(other).state == State::Active;
            if keeps && is_active && !self.blocks(me.no, other) {
                self.tell(other, None, event.clone());
            }
        }
        Ok(Reply::Done)
    }

    /// Those who have a direct chat with me and want to hear of me there see another face.
    fn tell_face(&mut self, me: Me) {
        let event = Event::FaceChanged { who: named(self.address(me.no)) };
        self.tell_my_others(me, event.clone());
        for other in self.numbers().filter(|other| *other != me.no) {
            let chat = self.direct(me.no, other).filter(|chat| self.has_part(me.no, *chat));
            let Some(chat) = chat else { continue };
            let hears = self.part(other, chat).mode().has(letter('P'));
            if hears && !self.blocks(me.no, other) && !self.blocks(other, me.no) {
                self.tell(other, None, event.clone());
            }
        }
    }

    pub(super) fn look_up_profile(&self, me: u32, who: Option<&str>) -> Result<Reply, Refusal> {
        let no = match who {
            Some(who) => self.somebody(who)?,
            None => me,
        };
        let person = self.person(no);
        let said = |text: &String| Some(text.as_str().into()).filter(|_| !text.is_empty());
        let is_shown = self.shows_presence(no, me);
        Ok(Reply::Profile(Box::new(ProfileView {
            who: named(self.address(no)),
            fields: ProfileDraft {
                name: said(&person.name),
                note: said(&person.note),
                ..ProfileDraft::default()
            },
            created: Timestamp(person.created),
            changed: Timestamp(person.changed),
            online: is_shown.then_some(false),
            last_seen: self.seen_by(no, me),
        })))
    }
}
