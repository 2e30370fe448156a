//! Contacts, requests, blocks, and who is told of whom.

use msimd::domain::id::Timestamp;
use msimd::domain::words::{Changed, ContactState, ContactView, Event, News, Refusal, Reply};

use super::chats::letter;
use super::naive::{Model, is_at_home, named};
use super::people::State;
use super::words::{Me, Slip};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Card {
    name: String,
    group: Vec<String>,
    note: Option<String>,
    dialog: bool,
    pub(super) state: ContactState,
    /// In the owner's list, and not there for its state alone.
    listed: bool,
}

impl Card {
    fn bare(who: &str, state: ContactState, listed: bool) -> Card {
        let (name, group, note) = (who.into(), Vec::new(), None);
        Card { name, group, note, dialog: false, state, listed }
    }
}

impl Model {
    fn card(&self, owner: u32, who: &str) -> Option<&Card> {
        self.cards.get(&(owner, who.to_owned()))
    }

    fn put_card(&mut self, owner: u32, who: &str, card: Card) {
        self.cards.insert((owner, who.to_owned()), card);
    }

    fn drop_card(&mut self, owner: u32, who: &str) {
        self.cards.remove(&(owner, who.to_owned()));
    }

    /// Whether they have room for one more in their contacts.
    fn has_room(&self, owner: u32) -> Result<(), Refusal> {
        let count = self.cards.keys().filter(|(of, _)| *of == owner).count();
        if count < self.limits.contacts { Ok(()) } else { Err(Refusal::TooManyContacts) }
    }

    /// Whether `owner` wants nothing of `from`.
    pub(super) fn blocks(&self, owner: u32, from: u32) -> bool {
        let card = self.card(owner, &self.address(from));
        card.is_some_and(|card| card.state == ContactState::Blocked)
    }

    pub(super) fn add_contact(&mut self, me: Me, slip: &Slip) -> Result<Reply, Refusal> {
        fits(slip)?;
        let old = self.card(me.no, &slip.who).cloned();
        if old.as_ref().is_some_and(|old| old.listed) {
            return Err(Refusal::AlreadyThere);
        }
        if is_at_home(&slip.who) {
            self.somebody(&slip.who)?;
        }
        let state = match old.map(|old| old.state) {
            None => {
                self.has_room(me.no)?;
                ContactState::Plain
            }
            Some(ContactState::Pending) => ContactState::Plain,
            Some(state) => state,
        };
        if state == ContactState::Plain {
            self.settle_request(me, &slip.who, true);
        }
        let card = Card {
            name: slip.name.clone().unwrap_or_else(|| slip.who.clone()),
            group: slip.group.clone().unwrap_or_default(),
            note: slip.note.clone().filter(|note| !note.is_empty()),
            dialog: slip.dialog.unwrap_or(false),
            state,
            listed: true,
        };
        self.put_card(me.no, &slip.who, card);
        let view = self.contact_view(me.no, &slip.who);
        self.tell_my_others(me, Event::ContactCreated(view));
        Ok(Reply::Done)
    }

    pub(super) fn change_contact(&mut self, me: Me, slip: &Slip) -> Result<Reply, Refusal> {
        fits(slip)?;
        let old = self.card(me.no, &slip.who).filter(|card| card.listed);
        let old = old.ok_or(Refusal::NoSuchContact)?.clone();
        let new = Card {
            name: slip.name.clone().unwrap_or(old.name.clone()),
            group: slip.group.clone().unwrap_or(old.group.clone()),
            note: match &slip.note {
                None => old.note.clone(),
                Some(note) => Some(note.clone()).filter(|note| !note.is_empty()),
            },
            dialog: slip.dialog.unwrap_or(old.dialog),
            ..old.clone()
        };
        let changed = Changed {
            name: new.name != old.name,
            group: new.group != old.group,
            note: new.note != old.note,
            dialog: new.dialog != old.dialog,
            state: false,
        };
        self.put_card(me.no, &slip.who, new);
        if changed != Changed::default() {
            let contact = self.contact_view(me.no, &slip.who);
            self.tell_my_others(me, Event::ContactUpdated { contact, changed });
        }
        Ok(Reply::Done)
    }

    pub(super) fn remove_contact(&mut self, me: Me, who: &str) -> Result<Reply, Refusal> {
        let old = self.card(me.no, who).filter(|card| card.listed);
        // A contact that is deleted stays blocked.
        match old.ok_or(Refusal::NoSuchContact)?.state {
            ContactState::Blocked => {
                self.put_card(me.no, who, Card::bare(who, ContactState::Blocked, false));
            }
            _ => self.drop_card(me.no, who),
        }
        self.tell_my_others(me, Event::ContactRemoved { who: named(who) });
        Ok(Reply::Done)
    }

    pub(super) fn ask_contact(&mut self, me: Me, who: &str, note: &str) -> Result<Reply, Refusal> {
        if note.len() > 256 {
            return Err(Refusal::FieldTooLong);
        }
        let other = self.somebody(who)?;
        if other == me.no {
            return Err(Refusal::BadField);
        }
        let old = self.card(me.no, who).map(|card| card.state);
        match old {
            Some(ContactState::Pending) => return self.answer_contact(me, who, true),
            Some(ContactState::Blocked) => return Err(Refusal::NotAllowed),
            Some(ContactState::Plain | ContactState::Requested) => {}
            None => self.has_room(me.no)?,
        }
        let mine = self.address(me.no);
        let theirs = self.card(other, &mine).map(|card| card.state);
        match theirs {
            Some(ContactState::Plain | ContactState::Requested) => {
                self.settle_request(me, who, true);
                self.set_state(me, who, ContactState::Plain);
            }
            // Who blocks me is not told, and I do not see it.
            Some(ContactState::Pending | ContactState::Blocked) => {
                self.set_state(me, who, ContactState::Requested);
            }
            None => {
                self.set_state(me, who, ContactState::Requested);
                let card = Card {
                    note: Some(note.to_owned()).filter(|note| !note.is_empty()),
                    ..Card::bare(&mine, ContactState::Pending, false)
                };
                self.put_card(other, &mine, card);
                let event = Event::ContactRequested { who: named(mine), note: note.into() };
                self.tell(other, None, event);
            }
        }
        Ok(Reply::Done)
    }

    pub(super) fn answer_contact(
        &mut self,
        me: Me,
        who: &str,
        accept: bool,
    ) -> Result<Reply, Refusal> {
        if self.card(me.no, who).map(|card| card.state) != Some(ContactState::Pending) {
            return Err(Refusal::NoSuchRequest);
        }
        if accept {
            self.somebody(who)?;
        }
        self.settle_request(me, who, accept);
        if accept {
            self.set_state(me, who, ContactState::Plain);
        } else {
            self.drop_card(me.no, who);
            self.tell_my_others(me, Event::ContactRemoved { who: named(who) });
        }
        Ok(Reply::Done)
    }

    pub(super) fn block(&mut self, me: Me, who: &str, on: bool) -> Result<Reply, Refusal> {
        if self.account(who) == Some(me.no) {
            return Err(Refusal::BadField);
        }
        let old = self.card(me.no, who).cloned();
        let is_on = old.as_ref().is_some_and(|old| old.state == ContactState::Blocked);
        if is_on == on {
            return Ok(Reply::Done);
        }
        let state = if on { ContactState::Blocked } else { ContactState::Plain };
        match old {
            Some(old) if old.listed => self.put_card(me.no, who, Card { state, ..old }),
            _ if !on => self.drop_card(me.no, who),
            old => {
                if old.is_none() {
                    if is_at_home(who) {
                        self.somebody(who)?;
                    }
                    self.has_room(me.no)?;
                }
                self.put_card(me.no, who, Card::bare(who, state, false));
            }
        }
        self.tell_my_others(me, Event::ContactBlocked { who: named(who), on });
        Ok(Reply::Done)
    }

    /// Who has asked me waits no longer, and hears it.
    fn settle_request(&mut self, me: Me, who: &str, accepted: bool) {
        let Some(other) = self.account(who) else { return };
        let mine = self.address(me.no);
        let theirs = self.cards.get_mut(&(other, mine.clone()));
        if let Some(card) = theirs.filter(|card| card.state == ContactState::Requested) {
            card.state = ContactState::Plain;
            self.tell(other, None, Event::ContactAnswered { who: named(mine), accepted });
        }
    }

    /// Somebody is in my list with this state, and my other sessions hear it.
    fn set_state(&mut self, me: Me, who: &str, state: ContactState) {
        let old = self.card(me.no, who).filter(|card| card.listed).cloned();
        let is_new = old.is_none();
        if old.as_ref().is_some_and(|old| old.state == state) {
            return;
        }
        let card = Card { state, ..old.unwrap_or(Card::bare(who, state, true)) };
        self.put_card(me.no, who, card);
        let contact = self.contact_view(me.no, who);
        let changed = Changed { state: true, ..Changed::default() };
        let event = match is_new {
            true => Event::ContactCreated(contact),
            false => Event::ContactUpdated { contact, changed },
        };
        self.tell_my_others(me, event);
    }

    pub(super) fn list_contacts(
        &self,
        me: u32,
        after: Option<&str>,
        count: usize,
        unlisted: bool,
    ) -> Reply {
        let mine = self.cards.keys().filter(|(owner, _)| *owner == me).map(|(_, who)| who);
        let later = mine.filter(|who| after.is_none_or(|after| who.as_str() > after));
        let mut contacts: Vec<_> = later.map(|who| self.contact_view(me, who)).collect();
        contacts.retain(|contact| unlisted || !contact.unlisted);
        let more = contacts.len() > count;
        contacts.truncate(count);
        Reply::Contacts { contacts, more }
    }

    fn contact_view(&self, me: u32, who: &str) -> ContactView {
        let card = &self.cards[&(me, who.to_owned())];
        let other = self.account(who);
        let is_shown = other.is_some_and(|other| self.shows_presence(other, me));
        let chat = other.and_then(|other| self.direct(me, other)).filter(|_| card.dialog);
        let last = chat.filter(|chat| self.is_there(me, *chat)).map(|chat| {
            let last = self.chats[chat].records.last().expect("it is there");
            Box::new(self.see(me, chat, last))
        });
        ContactView {
            who: who.into(),
            name: card.name.as_str().into(),
            group: card.group.iter().map(|g| g.as_str().into()).collect(),
            note: card.note.as_deref().map(Into::into),
            dialog: card.dialog,
            state: card.state,
            unlisted: !card.listed,
            last_seen: other.and_then(|other| self.seen_by(other, me)),
            online: is_shown.then_some(false),
            last_message: last,
        }
    }

    /// Whether `viewer` may see when `who` is here: `who` has them in their contacts or they have
    /// a direct chat, and no block lies between.
    pub(super) fn shows_presence(&self, who: u32, viewer: u32) -> bool {
        let state = self.card(who, &self.address(viewer)).map(|card| card.state);
        let keeps = matches!(state, Some(ContactState::Plain | ContactState::Requested));
        let has_p = |who, chat| self.part(who, chat).mode().has(letter('P'));
        let chat = self.direct(who, viewer);
        let is_open = keeps || chat.is_some_and(|chat| has_p(who, chat) && has_p(viewer, chat));
        who == viewer || is_open && !self.blocks(who, viewer) && !self.blocks(viewer, who)
    }

    pub(super) fn seen_by(&self, who: u32, viewer: u32) -> Option<Timestamp> {
        let seen = self.person(who).seen.filter(|_| self.shows_presence(who, viewer));
        seen.map(|at| Timestamp(at.min(self.now)))
    }

    /// That somebody came or went.
    pub(super) fn check_announcement(&self, who: u32, online: bool, news: &[News], now: u64) {
        let mut heard: Vec<u32> =
            news.iter().flat_map(|news| news.to.accounts().map(|to| to.0)).collect();
        heard.sort_unstable();
        // Who was disabled does not come, and may still have to go.
        let may = !online || self.person(who).state == State::Active;
        let sees = |viewer: &u32| may && *viewer != who && self.shows_presence(who, *viewer);
        assert_eq!(heard, self.numbers().filter(sees).collect::<Vec<_>>(), "of {who}");
        let at = Timestamp(self.person(who).seen.unwrap_or(now).min(now));
        let agent = "".into();
        let event = Event::Presence { who: named(self.address(who)), online, at, agent };
        assert!(news.iter().all(|news| **news.event == event), "{news:?} {event:?}");
    }

    pub(super) fn type_in(&mut self, me: Me, chat: &str, on: bool) -> Result<Reply, Refusal> {
        let from = named(self.address(me.no));
        if let Some(other) = self.account(chat) {
            let is_apart = self.blocks(me.no, other) || self.blocks(other, me.no);
            let direct = self.direct(me.no, other);
            if let Some(chat) = direct.filter(|chat| self.has_part(me.no, *chat)) {
                self.needs(me.no, chat, 'W')?;
            }
            let theirs = match direct.filter(|chat| self.has_part(other, *chat)) {
                Some(chat) => self.part(other, chat).mode(),
                None => self.person(other).access(),
            };
            if other != me.no && !is_apart && theirs.has(letter('R')) {
                self.tell(other, None, Event::Typing { chat: from.clone(), from, on });
            }
            return Ok(Reply::Done);
        }
        let group = self.my_group(me.no, chat)?;
        self.needs(me.no, group, 'W')?;
        for reader in self.readers(group) {
            let is_apart = self.blocks(me.no, reader) || self.blocks(reader, me.no);
            if reader != me.no && !is_apart {
                let event = Event::Typing { chat: named(chat), from: from.clone(), on };
                self.tell(reader, None, event);
            }
        }
        Ok(Reply::Done)
    }
}

fn fits(slip: &Slip) -> Result<(), Refusal> {
    let is_long = slip.name.as_ref().is_some_and(|n| n.len() > 256)
        || slip.note.as_ref().is_some_and(|n| n.len() > 1024)
        || slip.group.as_ref().is_some_and(|g| g.len() > 8);
    if is_long { Err(Refusal::FieldTooLong) } else { Ok(()) }
}
