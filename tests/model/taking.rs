//! Taking up chats and leaving direct ones, what chats are like for those in them by places, and
//! what people keep about them.

use std::collections::BTreeMap;

use msimd::domain::access::Access;
use msimd::domain::id::{AccountNo, ChatId, MessageId, Seq, Timestamp};
use msimd::domain::words::{
    Act, ChatKind, Event, Face, Handle, Kind, MyselfView, Range, Refusal, Reply, SubscriberView,
    SubscriptionView, Take,
};

use super::chats::{Chat, Part, letter};
use super::naive::{Model, named};
use super::people::State;
use super::words::Me;

const CARD_BYTES_MAX: usize = 8 * 1024;

/// What of these letters there is in a direct chat.
fn in_direct(access: Access) -> Access {
    Access(access.0 & Access::DIRECT.0)
}

fn card(text: &str) -> Option<Box<str>> {
    Some(text.into()).filter(|_| !text.is_empty())
}

pub(super) fn check_card(text: &str) -> Result<(), Refusal> {
    if text.len() <= CARD_BYTES_MAX { Ok(()) } else { Err(Refusal::FieldTooLong) }
}

impl Model {
    /// The direct chat with somebody, which may have nobody in it yet.
    pub(super) fn direct_or_new(&mut self, me: u32, other: u32) -> usize {
        self.direct(me, other).unwrap_or_else(|| {
            let pair = Some((me.min(other), me.max(other)));
            self.chats.push(Chat { pair, ..Chat::default() });
            self.chats.len() - 1
        })
    }

    pub(super) fn other_in(&self, me: u32, chat: usize) -> Option<u32> {
        let (a, b) = self.chats[chat].pair?;
        Some(if a == me { b } else { a })
    }

    /// Somebody comes into a direct chat as far as its end; what they deleted stays deleted.
    fn come(&mut self, who: u32, chat: usize, want: Access) {
        let last = self.chats[chat].records.last().map_or(0, |last| last.id);
        let had = self.chats[chat].left.remove(&who).unwrap_or_default();
        let part = Part { want, given: Access::DIRECT, read: last, delivered: last, ..had };
        self.chats[chat].parts.insert(who, part);
    }

    /// What is said in a direct chat brings both sides into it.
    pub(super) fn come_both(&mut self, me: Me, chat: usize) {
        let Some(other) = self.other_in(me.no, chat) else { return };
        if !self.has_part(me.no, chat) {
            self.come(me.no, chat, Access::DIRECT);
        }
        if !self.has_part(other, chat) {
            match self.chats[chat].left.get(&other) {
                Some(left) => self.come(other, chat, left.want),
                None => self.come_first(me, other, chat, false, ""),
            }
        }
    }

    /// Somebody who never had a part is given what they want others to begin with, and may have to
    /// be asked.
    fn come_first(&mut self, me: Me, who: u32, chat: usize, tells: bool, note: &str) {
        self.come(who, chat, in_direct(self.person(who).access()));
        let part = self.part(who, chat);
        if !part.is_in() {
            self.leave_notice(me, who, (Act::Invited, chat, part), note);
        } else if tells {
            self.leave_notice(me, who, (Act::Admitted, chat, part), note);
        }
    }

    /// Whether somebody may be given a part in a direct chat that they are not in.
    pub(super) fn may_be_drawn_in(&self, me: u32, other: u32) -> Result<(), Refusal> {
        let is_in = self.direct(me, other).is_some_and(|chat| self.has_part(other, chat));
        let is_closed = other != me && !is_in && self.person(other).access().is_banned();
        if is_closed { Err(Refusal::NotAllowed) } else { Ok(()) }
    }

    pub(super) fn subscribe(
        &mut self,
        me: Me,
        address: &str,
        want: Option<Access>,
        note: &str,
    ) -> Result<Reply, Refusal> {
        check_card(note)?;
        let (chat, is_new) = match self.account(address) {
            Some(other) if other == me.no => return Err(Refusal::NotAllowed),
            Some(other) => self.begin(me, other, want, note)?,
            None => {
                let chat = self.group_at(address).ok_or(Refusal::NoSuchChat)?;
                (chat, self.enter(me, chat, want, note)?)
            }
        };
        let view = self.subscription(me.no, chat).expect("it was taken up");
        Ok(Reply::Subscribed { subscription: Box::new(view), is_new })
    }

    fn begin(
        &mut self,
        me: Me,
        other: u32,
        want: Option<Access>,
        note: &str,
    ) -> Result<(usize, bool), Refusal> {
        if let Some(chat) = self.direct(me.no, other).filter(|chat| self.has_part(me.no, *chat)) {
            if let Some(want) = want {
                self.want_direct(me, other, want)?;
            }
            return Ok((chat, false));
        }
        let usual = match in_direct(self.person(me.no).access()) {
            Access::NONE => Access::DIRECT,
            usual => usual,
        };
        let want = want.map_or(usual, in_direct);
        if want == Access::NONE {
            return Err(Refusal::BadAccess);
        }
        if self.person(other).state == State::Removed {
            return Err(Refusal::NoSuchAccount);
        }
        if self.blocks(other, me.no) {
            return Err(Refusal::NotAllowed);
        }
        self.may_be_drawn_in(me.no, other)?;
        let chat = self.direct_or_new(me.no, other);
        self.come(me.no, chat, want);
        // Who has left is back with the next message only.
        if !self.has_part(other, chat) && !self.chats[chat].left.contains_key(&other) {
            self.come_first(me, other, chat, true, note);
        }
        Ok((chat, true))
    }

    fn enter(
        &mut self,
        me: Me,
        chat: usize,
        want: Option<Access>,
        note: &str,
    ) -> Result<bool, Refusal> {
        let is_some = |access: Access| access != Access::NONE && !access.is_banned();
        let had = self.part(me.no, chat);
        if had.given.is_banned() {
            return Err(Refusal::NotAllowed);
        }
        if want.is_some_and(|want| !is_some(want)) {
            return Err(Refusal::BadAccess);
        }
        if want.is_none() && had.want.is_banned() {
            return Err(Refusal::NotAllowed);
        }
        if want.is_none() && is_some(had.want) {
            return Ok(false);
        }
        let default = self.group(chat).default;
        let given = match self.has_part(me.no, chat) {
            true => had.given,
            false if self.group(chat).open => default,
            false => Access::NONE,
        };
        let usual = Some(given.without(letter('O'))).filter(|usual| is_some(*usual));
        let want = want.or(usual).unwrap_or(default);
        if self.has_part(me.no, chat) {
            let address = self.group(chat).address.clone();
            self.want(me, &address, want)?;
        } else {
            if want.has(letter('O')) {
                return Err(Refusal::BadAccess);
            }
            self.is_full(chat)?;
            self.has_room_for_a_chat(me.no)?;
            self.settle(me, chat, me.no, want, given);
        }
        self.ask_to_be_let_in(me, chat, note);
        Ok(!is_some(had.want))
    }

    /// Once, until those who can have decided.
    fn ask_to_be_let_in(&mut self, me: Me, chat: usize, note: &str) {
        let part = self.part(me.no, chat);
        if part.told || !part.is_waiting() {
            return;
        }
        self.chats[chat].parts.get_mut(&me.no).expect("they are waiting").told = true;
        let manages = |part: &Part| part.mode().has_any(letter('S').with(letter('O')));
        let all = self.chats[chat].parts.iter();
        let mut managers: Vec<u32> =
            all.filter(|(_, part)| manages(part)).map(|(who, _)| *who).collect();
        managers.sort_by_key(|who| !self.part(*who, chat).mode().has(letter('O')));
        for who in managers {
            if who != me.no && !self.blocks(who, me.no) {
                self.leave_notice(me, who, (Act::Asked, chat, part), note);
            }
        }
    }

    /// What I want of a direct chat; X is a block.
    pub(super) fn want_direct(
        &mut self,
        me: Me,
        other: u32,
        access: Access,
    ) -> Result<Reply, Refusal> {
        let chat = self.direct(me.no, other).filter(|chat| self.has_part(me.no, *chat));
        let chat = chat.ok_or(Refusal::NoSuchChat)?;
        self.block(me, &self.address(other), access.is_banned())?;
        if !access.is_banned() {
            let part = self.chats[chat].parts.get_mut(&me.no).expect("they have one");
            part.want = in_direct(access);
        }
        Ok(Reply::Done)
    }

    pub(super) fn leave_direct(&mut self, me: Me, other: u32) -> Result<Reply, Refusal> {
        let chat = self.direct(me.no, other).filter(|chat| self.has_part(me.no, *chat));
        let chat = chat.ok_or(Refusal::NoSuchChat)?;
        let part = self.chats[chat].parts.remove(&me.no).expect("they have one");
        self.chats[chat].left.insert(me.no, part);
        self.kept.remove(&(me.no, Some(chat)));
        let event = Event::ChatGone { chat: named(self.address(other)) };
        self.tell_my_others(me, event);
        Ok(Reply::Done)
    }

    pub(super) fn keep(
        &mut self,
        me: Me,
        address: Option<&str>,
        text: &str,
    ) -> Result<Reply, Refusal> {
        check_card(text)?;
        let chat = match address {
            None => None,
            Some(address) => {
                let chat = self.chat_at(me.no, address);
                let chat = chat.filter(|chat| self.has_part(me.no, *chat));
                Some(chat.ok_or(Refusal::NoSuchChat)?)
            }
        };
        match text {
            "" => drop(self.kept.remove(&(me.no, chat))),
            text => drop(self.kept.insert((me.no, chat), text.into())),
        }
        Ok(Reply::Done)
    }

    fn kept_card(&self, of: u32, chat: Option<usize>) -> Option<Box<str>> {
        self.kept.get(&(of, chat)).map(|text| text.as_str().into())
    }

    fn face(&self, who: u32) -> Face {
        let person = self.person(who);
        Face { name: person.name.as_str().into(), card: card(&person.card) }
    }

    /// Their number as the rules count chats.
    fn chat_id(&self, chat: usize) -> ChatId {
        match (self.chats[chat].pair, &self.chats[chat].group) {
            (Some((a, b)), _) => ChatId::direct(AccountNo(a), AccountNo(b)),
            (None, group) => group.as_ref().expect("it is no own chain").id,
        }
    }

    pub(super) fn list_subscriptions(&self, me: u32, after: Option<ChatId>, count: usize) -> Reply {
        let all = 0..self.chats.len();
        let mine = all.filter(|chat| {
            self.has_part(me, *chat) && !self.is_notes(*chat) && self.chats[*chat].own.is_none()
        });
        let by_id: BTreeMap<ChatId, usize> = mine.map(|chat| (self.chat_id(chat), chat)).collect();
        let later = by_id.into_iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        let mut subscriptions: Vec<SubscriptionView> =
            later.filter_map(|(_, chat)| self.subscription(me, chat)).collect();
        let count = count.min(64);
        let more = subscriptions.len() > count;
        subscriptions.truncate(count);
        Reply::Subscriptions { subscriptions, more }
    }

    pub(super) fn one_subscription(&self, me: u32, address: &str) -> Result<Reply, Refusal> {
        let view = match self.account(address) {
            Some(other) if other == me => return Err(Refusal::NotAllowed),
            Some(other) => match self.direct(me, other) {
                Some(chat) => self.subscription(me, chat),
                None => Some(self.direct_view(me, other, None)),
            },
            None => self.group_at(address).and_then(|chat| self.subscription(me, chat)),
        };
        let subscriptions = vec![view.ok_or(Refusal::NoSuchChat)?];
        Ok(Reply::Subscriptions { subscriptions, more: false })
    }

    /// A chat as somebody has it, who may know of it.
    fn subscription(&self, me: u32, chat: usize) -> Option<SubscriptionView> {
        let view = match self.other_in(me, chat) {
            Some(other) => {
                let part = self.chats[chat].parts.get(&me);
                self.direct_view(me, other, part)
            }
            None if self.is_known(me, chat) => self.group_view(me, chat),
            None => return None,
        };
        let view = SubscriptionView { card: self.kept_card(me, Some(chat)), ..view };
        let Some(horizon) = self.horizon(me, chat) else { return Some(view) };
        let (read, received) = self.marks(me, chat);
        let last = self.chats[chat].records.last().map_or(0, |last| last.seq);
        Some(SubscriptionView {
            last: Seq(last),
            read: self.mark(chat, read).seq,
            received: self.mark(chat, received).seq,
            cleared: self.gone(chat, horizon),
            ..view
        })
    }

    /// The last place that is gone.
    fn gone(&self, chat: usize, horizon: u64) -> Seq {
        let gone = self.chats[chat].records.iter().filter(|record| record.id <= horizon);
        Seq(gone.map(|record| record.seq).max().unwrap_or(0))
    }

    fn direct_view(&self, me: u32, other: u32, part: Option<&Part>) -> SubscriptionView {
        let (mine, theirs) = (self.person(me), self.person(other));
        let created = mine.created.max(theirs.created);
        let want = |part: &Part| if self.blocks(me, other) { letter('X') } else { part.want };
        SubscriptionView {
            chat: named(self.address(other)),
            id: ChatId::direct(AccountNo(me), AccountNo(other)),
            kind: ChatKind::Direct,
            part: part.map(|part| (want(part), part.given)),
            created: Timestamp(created),
            updated: Timestamp(created.max(theirs.changed)),
            open: false,
            default_access: Access::DIRECT,
            last: Seq(0),
            read: Seq(0),
            received: Seq(0),
            cleared: Seq(0),
            face: self.face(other),
            card: None,
            online: false,
            last_seen: self.seen_by(other, me).map(|at| (at, "".into())),
        }
    }

    fn group_view(&self, me: u32, chat: usize) -> SubscriptionView {
        let group = self.group(chat);
        let part = self.chats[chat].parts.get(&me);
        SubscriptionView {
            chat: named(&group.address),
            id: group.id,
            kind: group.kind(),
            part: part.map(|part| (part.want, part.given)),
            created: Timestamp(group.created),
            updated: Timestamp(group.changed.max(group.created)),
            open: group.open,
            default_access: group.default,
            last: Seq(0),
            read: Seq(0),
            received: Seq(0),
            cleared: Seq(0),
            // Who has only asked sees no more than that it is there.
            face: match self.knows(me, chat) {
                true => Face { name: group.name.as_str().into(), card: card(&group.card) },
                false => Face::default(),
            },
            card: None,
            online: false,
            last_seen: None,
        }
    }

    /// Whether it is there for somebody, who may have asked to be let in.
    fn is_known(&self, me: u32, chat: usize) -> bool {
        let part = self.part(me, chat);
        let asks = part.want != Access::NONE && !part.mode().is_banned();
        !self.group(chat).removed && (self.knows(me, chat) || asks)
    }

    pub(super) fn list_subscribers(
        &self,
        me: u32,
        address: &str,
        after: Option<AccountNo>,
        count: usize,
    ) -> Result<Reply, Refusal> {
        let chat = match self.account(address) {
            Some(other) => self.direct(me, other).filter(|chat| self.has_part(me, *chat)),
            None => self.my_group(me, address).ok(),
        };
        let chat = chat.ok_or(Refusal::NoSuchChat)?;
        let is_group = self.chats[chat].group.is_some();
        let sees_all = self.part(me, chat).mode().has_any(letter('S').with(letter('O')));
        let parts = self.chats[chat].parts.iter();
        let shown = parts.filter(|(_, part)| !is_group || sees_all || part.is_in());
        let later = shown.filter(|(who, _)| after.is_none_or(|after| **who > after.0));
        let mut subscribers: Vec<SubscriberView> =
            later.map(|(who, _)| self.subscriber(me, *who, chat)).collect();
        let count = count.min(64);
        let more = subscribers.len() > count;
        subscribers.truncate(count);
        Ok(Reply::Subscribers { subscribers, more })
    }

    fn subscriber(&self, me: u32, who: u32, chat: usize) -> SubscriberView {
        let part = self.part(who, chat);
        let (read, received) = if part.is_in() { self.marks(who, chat) } else { (0, 0) };
        let horizon = self.horizon(who, chat).filter(|_| who == me);
        let other = self.other_in(me, chat);
        let blocks = who == me && other.is_some_and(|other| self.blocks(me, other));
        SubscriberView {
            who: named(self.address(who)),
            no: AccountNo(who),
            want: if blocks { letter('X') } else { part.want },
            given: part.given,
            read: self.mark(chat, read).seq,
            received: self.mark(chat, received).seq,
            cleared: horizon.map_or(Seq(0), |horizon| self.gone(chat, horizon)),
            card: self.kept_card(who, Some(chat)).filter(|_| who == me),
            updated: Timestamp(
                self.chats[chat].group.as_ref().map_or(0, |group| group.changed.max(group.created)),
            ),
            face: self.face(who),
            watching: false,
        }
    }

    // What is answered from a snapshot.

    /// Messages by their places; nothing else has one.
    pub(super) fn list_page(
        &self,
        me: u32,
        address: &str,
        (since, before): (Seq, Seq),
        count: u32,
    ) -> Result<Reply, Refusal> {
        let chat = self.chat_at(me, address).filter(|chat| self.horizon(me, *chat).is_some());
        let chat = chat.ok_or(Refusal::NoSuchChat)?;
        let mut all = self.visible(me, chat);
        all.retain(|record| record.counts() && (since.0..before.0).contains(&record.seq));
        let all = all.into_iter().map(|record| (chat, record)).collect();
        Ok(self.last_of(me, all, count))
    }

    pub(super) fn list_notices(&self, me: u32, (since, before): (Seq, Seq), count: u32) -> Reply {
        let own = self.chats.iter().position(|chat| chat.own == Some(me));
        let mut all: Vec<_> = own.map_or(Vec::new(), |own| {
            self.chats[own].records.iter().map(|record| (own, record)).collect()
        });
        all.retain(|(_, record)| {
            record.kind == Kind::Notice && (since.0..before.0).contains(&record.seq)
        });
        self.last_of(me, all, count)
    }

    fn last_of(&self, me: u32, all: Vec<(usize, &super::records::Record)>, count: u32) -> Reply {
        let (after, before, since) = (MessageId(0), MessageId::END, None);
        let range = Range { after, before, since, count, take: Take::Last };
        match self.page(me, all, &range) {
            Reply::Messages { messages, .. } => Reply::Messages { messages, more: false },
            other => other,
        }
    }

    pub(super) fn look_up_myself(&self, me: u32) -> Reply {
        let person = self.person(me);
        let own = self.chats.iter().find(|chat| chat.own == Some(me));
        let last = own.and_then(|own| own.records.last());
        Reply::Myself(Box::new(MyselfView {
            who: named(self.address(me)),
            face: self.face(me),
            card: self.kept_card(me, None),
            created: Timestamp(person.created),
            updated: Timestamp(person.changed.max(person.created)),
            access: person.access(),
            last: Seq(last.map_or(0, |last| last.seq)),
        }))
    }

    /// Numbers of groups can be counted through, so they tell those nothing who may not know.
    pub(super) fn look_up_name(&self, me: u32, of: &Handle) -> Result<Reply, Refusal> {
        match of {
            Handle::Person(no) => {
                let there = self.numbers().find(|number| *number == no.0);
                let there = there.filter(|no| self.person(*no).state != State::Removed);
                let no = there.ok_or(Refusal::NoSuchAccount)?;
                Ok(Reply::Name(named(self.address(no))))
            }
            Handle::Chat(id) => {
                let mut groups = self.groups().into_iter();
                let chat = groups.find(|chat| self.group(*chat).id == *id);
                let chat = chat.filter(|chat| self.is_known(me, *chat));
                let chat = chat.ok_or(Refusal::NoSuchChat)?;
                Ok(Reply::Name(named(&self.group(chat).address)))
            }
            Handle::PublicChat(id) => {
                let mut groups = self.groups().into_iter();
                let chat = groups.find(|chat| self.group(*chat).public_id == *id);
                let chat = chat.ok_or(Refusal::NoSuchChat)?;
                Ok(Reply::Name(named(&self.group(chat).address)))
            }
            Handle::PublicPerson(_) => unreachable!("the model knows none of them"),
        }
    }
}
