//! Chance, and what people say by it.

use msimd::domain::access::Access;
use msimd::domain::id::{AccountNo, ChatId, MessageId, Seq, Timestamp};
use msimd::domain::words::{ContactState, Handle, Kind, Query, Range, Take};

use super::naive::{Model, at_home};
use super::people::{Person, State};
use super::records::Record;
use super::words::{Facts, Key, Letter, Me, Op, Order, Plan, Said, Slip, Who, address};

/// Small, so that limits are passed now and then.
pub(super) const TEXT_BYTES_MAX: usize = 40;
pub(super) const CONTACTS_MAX: usize = 8;
const PEOPLE_MAX: usize = 14;

const LETTERS: [&str; 12] =
    ["RWP", "RWP", "RP", "R", "W", "RWPS", "RWPSD", "RWPSDO", "O", "RWPD", "N", "X"];

/// SplitMix64.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(super) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.roll().to_be_bytes());
        }
        bytes
    }

    pub(super) fn some_login(&mut self, model: &Model) -> String {
        self.pick(&model.people).login.clone()
    }

    pub(super) fn some_session(&mut self, model: &Model) -> Option<Me> {
        let of = |no: u32| model.person(no).sessions.iter().map(move |key| Me { no, key: *key });
        let all: Vec<Me> = model.numbers().flat_map(of).collect();
        (!all.is_empty()).then(|| *self.pick(&all))
    }

    /// Somebody says something; two of them say more than the others.
    pub(super) fn some_op(&mut self, model: &Model) -> (Who, Op) {
        if self.once_in(60) {
            return self.some_order(model);
        }
        let busy = *self.pick(&["alice", "bob", "", ""]);
        let session = match model.session_of(busy) {
            Some(session) => Some(session),
            None => self.some_session(model),
        };
        let Some(me) = session else { return (Who::Nobody, Op::Newest) };
        let who = match self.below(150) {
            0 => Who::Nobody,
            1 => Who::Person(Me { key: [0; 16], ..me }),
            2 => Who::Person(Me { no: me.no % 4 + 1, ..me }),
            _ => Who::Person(me),
        };
        let op = match self.below(100) {
            0..=27 => self.some_message(model, me.no),
            28..=41 => self.some_mark(model, me.no),
            42..=49 => match self.below(8) {
                0 => Op::Newest,
                1 => Op::Chats { before: u64::MAX, count: 500 },
                2 | 3 => Op::Chats { before: self.some_bound(model), count: self.some_count() },
                4 => self.some_members(model, me.no),
                _ => Op::Unread { count: self.some_count() },
            },
            50..=63 => self.some_contact(model, me.no),
            64..=75 => self.some_change(model, me.no),
            76..=91 => self.some_group(model, me.no),
            92..=97 => self.some_taking(model, me.no),
            98 => self.some_profile(),
            _ => match self.once_in(6) {
                true => Op::LogOut,
                false => Op::Typing { chat: self.some_chat(model, me.no), on: self.once_in(2) },
            },
        };
        (who, op)
    }

    fn some_order(&mut self, model: &Model) -> (Who, Op) {
        let login = self.some_login(model);
        let is_active = |person: &&Person| person.state == State::Active;
        let active = model.people.iter().filter(is_active).count();
        let order = match self.below(16) {
            0 if active > 4 => Order::RemoveUser(login),
            1 if active > 4 => Order::DisableUser(login),
            0..=5 => Order::EnableUser(login),
            6 | 7 => {
                let login = format!("user{}", self.below(PEOPLE_MAX));
                if self.once_in(2) {
                    return (Who::Nobody, Op::Register(login));
                }
                Order::AddUser(login)
            }
            8 if self.once_in(2) => Order::AddUser(format!("g{}", self.below(20))),
            8 => Order::AddUser(login),
            9 => Order::SetPassword(login),
            10 => return (Who::Nobody, Op::Order(Order::Users)),
            11 => Order::Apps(login),
            12..=14 => {
                // Mostly of one account, so that the limit is passed.
                let login = if self.once_in(3) { login } else { "alice".into() };
                let name = format!("a{}", self.below(24));
                match self.below(8) {
                    0 => Order::RevokeApp { login, name },
                    1 => Order::RevokeApp { login, name: "app-1".into() },
                    2 => Order::AddApp { login, name: None },
                    _ => Order::AddApp { login, name: Some(name) },
                }
            }
            _ => Order::Users,
        };
        (Who::Operator, Op::Order(order))
    }

    fn some_message(&mut self, model: &Model, me: u32) -> Op {
        let to = self.some_chat(model, me);
        let cookie = self.once_in(3).then(|| match self.below(30) {
            0 => String::new(),
            1 => "c".repeat(129),
            // Few enough that some come again.
            _ => format!("c{}", self.below(100)),
        });
        let kind = match self.below(12) {
            0 => Kind::Blob,
            1 => Kind::Formatted,
            _ => Kind::Text,
        };
        let reply_to = match self.once_in(8) {
            true => self.some_id_in(model, me, &to),
            false => 0,
        };
        Op::Send(Letter { text: self.some_text(), to, kind, cookie, reply_to })
    }

    pub(super) fn some_text(&mut self) -> String {
        match self.below(60) {
            0 => String::new(),
            1 => "x".repeat(TEXT_BYTES_MAX + 1),
            n => format!("{} \u{1}\"{n}", self.pick(&["Tea", "garden", "Ёлка", "x"])),
        }
    }

    fn some_mark(&mut self, model: &Model, me: u32) -> Op {
        let chat = self.some_chat(model, me);
        let id = self.some_id_in(model, me, &chat);
        match self.below(6) {
            0 => {
                let one = (!self.once_in(4)).then_some(id);
                let other = self.once_in(2).then(|| self.some_id_in(model, me, &chat));
                Op::MarkBoth { chat, delivered: one, read: other }
            }
            1 => {
                let delivered = self.once_in(2).then(|| self.some_place_in(model, me, &chat));
                let read = self.once_in(2).then(|| self.some_place_in(model, me, &chat));
                Op::MarkAt { chat, delivered, read }
            }
            n => Op::Mark { read: n < 4, chat: self.once_in(2).then_some(chat), id },
        }
    }

    fn some_change(&mut self, model: &Model, me: u32) -> Op {
        let chat = self.some_chat(model, me);
        let mut id = self.some_id_in(model, me, &chat);
        if !self.once_in(3)
            && let Some(place) = model.chat_at(me, &chat)
        {
            // Something of one's own, mostly late.
            let late = model.chats[place].records.iter().rev().take(60);
            let is_mine = |record: &&Record| record.from == me && record.is_message();
            let mine: Vec<u64> = late.filter(is_mine).map(|record| record.id).collect();
            id = if mine.is_empty() { id } else { *self.pick(&mine) };
        }
        let for_all = self.once_in(2);
        match self.below(12) {
            0 => {
                let till = self.once_in(2).then(|| self.some_place_in(model, me, &chat));
                Op::Clear { chat, for_all: self.once_in(2), till }
            }
            1..=5 => Op::Delete { chat, id, for_all },
            _ => Op::Edit { chat, id, text: self.some_text(), bold: self.once_in(4) },
        }
    }

    fn some_contact(&mut self, model: &Model, me: u32) -> Op {
        let mine = model.cards.iter().filter(|((owner, _), _)| *owner == me);
        let asked = mine.filter(|(_, card)| card.state == ContactState::Pending);
        let asked: Vec<&String> = asked.map(|((_, who), _)| who).collect();
        let mut who = self.some_person(model);
        match self.below(15) {
            0 | 1 => Op::AddContact(self.some_slip(who)),
            2 | 3 => Op::ChangeContact(self.some_slip(who)),
            4 | 5 => Op::RemoveContact(who),
            6..=8 => Op::AskContact { who, note: self.some_words(256).unwrap_or_default() },
            9..=11 => {
                if !asked.is_empty() && !self.once_in(4) {
                    who = (*self.pick(&asked)).clone();
                }
                Op::AnswerContact { who, accept: self.once_in(2) }
            }
            12 => Op::Block { who, on: true },
            _ => Op::Block { who, on: false },
        }
    }

    fn some_slip(&mut self, who: String) -> Slip {
        let (name, note) = (self.some_words(256), self.some_words(1024));
        let groups = if self.once_in(60) { 9 } else { self.below(3) };
        let group = self.once_in(2).then(|| vec!["g".to_string(); groups]);
        let dialog = self.once_in(3).then(|| !self.once_in(3));
        Slip { who, name, group, note, dialog }
    }

    fn some_words(&mut self, most: usize) -> Option<String> {
        let size = if self.once_in(60) { most + 1 } else { self.below(3) };
        self.once_in(2).then(|| "n".repeat(size))
    }

    fn some_group(&mut self, model: &Model, me: u32) -> Op {
        let mut chat = self.some_group_address(model, me);
        let who = self.some_person(model);
        let what = self.below(30);
        // Mostly where something may come of it.
        let part = |chat: usize| model.part(me, chat);
        let mut fit = model.groups();
        fit.retain(|chat| match what {
            12..=17 => !part(*chat).is_in() && (model.group(*chat).open || part(*chat).given.0 > 0),
            18 | 19 | 26 | 27 => part(*chat).given.0 > 0,
            _ => part(*chat).mode().has_any(Access::SHARE.with(Access::OWN)),
        });
        if !fit.is_empty() && !self.once_in(4) {
            chat = model.group(*self.pick(&fit)).address.clone();
        }
        match what {
            0..=2 => Op::Create(self.some_plan(model, me)),
            3..=5 => {
                let name = self.once_in(2).then(|| format!("name {}", self.below(6)));
                let about = self.once_in(3).then(|| format!("about {}", self.below(3)));
                let open = self.once_in(3).then(|| !self.once_in(3));
                let default = self.once_in(4).then(|| self.some_letters());
                let card = self.once_in(4).then(|| self.some_card());
                Op::Change { chat, facts: Facts { name, about, open, default, card } }
            }
            6 => Op::Remove { chat, is_space: self.once_in(3) },
            7..=11 => {
                let access = self.once_in(2).then(|| self.some_letters());
                Op::Invite { chat, who, access, note: self.some_words(256).unwrap_or_default() }
            }
            12..=17 => Op::Join(chat),
            18 | 19 => Op::Leave(chat),
            20 | 21 => Op::Kick { chat, who, ban: self.once_in(3) },
            22..=25 => Op::SetAccess { chat, who: Some(who), access: self.some_letters() },
            26..=27 => Op::SetAccess { chat, who: None, access: self.some_letters() },
            _ => self.some_members(model, me),
        }
    }

    fn some_members(&mut self, model: &Model, me: u32) -> Op {
        let chat = self.some_group_address(model, me);
        let after = self.once_in(3).then(|| self.some_person(model));
        Op::Members { chat, after, count: self.some_count() }
    }

    fn some_plan(&mut self, model: &Model, me: u32) -> Plan {
        let is_space = self.once_in(4);
        let in_space = self.once_in(if is_space { 20 } else { 3 });
        let made = model.chats.len() / 4;
        Plan {
            is_channel: self.once_in(3),
            is_space,
            login: (!self.once_in(4)).then(|| format!("g{}", self.below(10 + made))),
            space: in_space.then(|| self.some_group_address(model, me)),
            name: match self.below(20) {
                0 => " ".into(),
                1 => "n".repeat(257),
                2..=8 => format!("plot{}", self.below(20)),
                n => format!("name {n}"),
            },
            about: self.some_words(1024).unwrap_or_default(),
            open: self.once_in(2).then(|| !self.once_in(4)),
            default: self.once_in(4).then(|| self.some_letters()),
            card: self.some_card(),
        }
    }

    fn some_profile(&mut self) -> Op {
        let letters = ["RWPD", "RWPD", "RWPD", "RWPD", "RW", "W", "N", "X", "RWPS"];
        let access = Access::parse(letters[self.below(letters.len())]).unwrap();
        Op::Profile(Said {
            name: self.some_words(256),
            note: self.some_words(1024),
            card: self.once_in(3).then(|| self.some_card()),
            access: self.once_in(3).then_some(access),
        })
    }

    fn some_card(&mut self) -> String {
        let most = if self.once_in(60) { 8193 } else { 3 };
        format!("{{{}}}", "k".repeat(self.below(most)))
    }

    /// Taking up, leaving and looking at chats, direct ones first of all.
    fn some_taking(&mut self, model: &Model, me: u32) -> Op {
        let chat = match self.once_in(3) {
            true => self.some_group_address(model, me),
            false => self.some_person(model),
        };
        match self.below(16) {
            0..=4 => {
                let want = self.once_in(3).then(|| self.some_letters());
                Op::Subscribe { chat, want, note: self.some_words(8192).unwrap_or_default() }
            }
            5 | 6 => Op::Leave(self.some_person(model)),
            7..=9 => {
                // Mostly back to what everybody begins with.
                let letters = ["RWPD", "RWPD", "RWPD", "RW", "W", "RPD", "N", "X", "O"];
                let access = Access::parse(letters[self.below(letters.len())]).unwrap();
                let who = self.once_in(3).then(|| self.some_person(model));
                Op::SetAccess { chat: self.some_person(model), who, access }
            }
            10 | 11 => {
                let chat = (!self.once_in(5)).then_some(chat);
                let card = if self.once_in(4) { String::new() } else { self.some_card() };
                Op::Keep { chat, card }
            }
            12 => {
                let after = self.once_in(2).then(|| self.some_chat_id(model));
                Op::Subscriptions { after, count: self.some_count() }
            }
            13 => Op::Subscription(chat),
            _ => {
                let after = self.once_in(3).then(|| AccountNo(self.below(10) as u32));
                Op::Subscribers { chat, after, count: self.some_count() }
            }
        }
    }

    fn some_chat_id(&mut self, model: &Model) -> ChatId {
        let groups = model.groups();
        let account = |dice: &mut Dice| AccountNo(1 + dice.below(model.people.len()) as u32);
        match self.once_in(2) && !groups.is_empty() {
            true => model.group(*self.pick(&groups)).id,
            false => ChatId::direct(account(self), account(self)),
        }
    }

    /// Mostly of a message of that chat.
    fn some_place_in(&mut self, model: &Model, me: u32, chat: &str) -> u32 {
        let place = model.chat_at(me, chat);
        let last = place.and_then(|place| model.chats[place].records.last());
        let last = last.map_or(0, |last| last.seq) as usize;
        match self.below(12) {
            0 => last as u32 + 1,
            1 => self.below(3) as u32,
            2..=7 => (last - self.below(last.min(12) + 1)) as u32,
            _ => self.below(last + 1) as u32,
        }
    }

    fn some_letters(&mut self) -> Access {
        Access::parse(LETTERS[self.below(LETTERS.len())]).unwrap()
    }

    pub(super) fn some_person(&mut self, model: &Model) -> String {
        match self.below(40) {
            0 => at_home("nobody"),
            1 => format!("u{}@far.test", self.below(3)),
            14..=34 => {
                let is_here = |person: &&Person| person.state != State::Removed;
                let here: Vec<&Person> = model.people.iter().filter(is_here).collect();
                at_home(&self.pick(&here).login)
            }
            // Long chats, too.
            2..=13 => at_home(["alice", "bob"][self.below(2)]),
            _ => at_home(&self.some_login(model)),
        }
    }

    pub(super) fn some_group_address(&mut self, model: &Model, me: u32) -> String {
        let groups = model.groups();
        let mine: Vec<usize> =
            groups.iter().copied().filter(|chat| model.part(me, *chat).is_in()).collect();
        match self.below(20) {
            0 => at_home(&format!("g{}", self.below(10))),
            1 => self.some_person(model),
            2 | 3 if !groups.is_empty() => model.group(*self.pick(&groups)).address.clone(),
            _ if !mine.is_empty() => model.group(*self.pick(&mine)).address.clone(),
            _ if !groups.is_empty() => model.group(*self.pick(&groups)).address.clone(),
            _ => at_home("g1"),
        }
    }

    pub(super) fn some_chat(&mut self, model: &Model, me: u32) -> String {
        if self.below(5) < 2 { self.some_group_address(model, me) } else { self.some_person(model) }
    }

    /// Mostly of a record of that chat, often of a late one.
    pub(super) fn some_id_in(&mut self, model: &Model, me: u32, chat: &str) -> u64 {
        let place = model.chat_at(me, chat).filter(|_| !self.once_in(20));
        let ids: Vec<u64> = match place {
            Some(place) => model.chats[place].records.iter().map(|record| record.id).collect(),
            None => Vec::new(),
        };
        match self.below(8) {
            _ if ids.is_empty() => self.some_id(model).0,
            0..=4 => *self.pick(&ids[ids.len().saturating_sub(20)..]),
            _ => *self.pick(&ids),
        }
    }

    pub(super) fn some_id(&mut self, model: &Model) -> MessageId {
        let given = &model.given;
        MessageId(match self.below(20) {
            0 => 0,
            1 => self.roll() % 100_000,
            2..=11 => *self.pick(&given[given.len().saturating_sub(40)..]),
            _ => *self.pick(given),
        })
    }

    fn some_bound(&mut self, model: &Model) -> u64 {
        if self.once_in(3) { u64::MAX } else { self.some_id(model).0 }
    }

    fn some_count(&mut self) -> u32 {
        let most = *self.pick(&[3, 20, 600]);
        1 + self.below(most) as u32
    }

    pub(super) fn some_query(&mut self, model: &Model, me: u32, now: u64) -> Query {
        match self.below(16) {
            12 | 13 => {
                let chat = self.some_chat(model, me);
                let since = Seq(self.some_place_in(model, me, &chat));
                let before = match self.once_in(2) {
                    true => Seq(u32::MAX),
                    false => Seq(self.some_place_in(model, me, &chat)),
                };
                let since = if self.once_in(2) { Seq(0) } else { since };
                let count = self.some_count() - u32::from(self.once_in(20));
                Query::Page { chat: address(&chat), since, before, count }
            }
            14 => {
                let (since, before) = (Seq(self.below(40) as u32), Seq(self.below(80) as u32));
                Query::Notices { since, before, count: self.some_count() }
            }
            15 => match self.below(3) {
                0 => Query::Myself,
                1 => Query::Name { of: Handle::Person(AccountNo(self.below(16) as u32)) },
                _ => Query::Name { of: Handle::Chat(self.some_chat_id(model)) },
            },
            0 | 1 => {
                let after = self.once_in(2).then(|| address(&self.some_person(model)));
                let (count, unlisted) = (1 + self.below(12) as u32, !self.once_in(3));
                Query::Contacts { after, count, unlisted }
            }
            2 | 3 => {
                let (after, own) = (self.some_id(model), !self.once_in(3));
                Query::Rewind { after, count: self.some_count(), own }
            }
            4 => {
                let who = (!self.once_in(4)).then(|| address(&self.some_person(model)));
                Query::Profile { who }
            }
            5 => Query::Chat { chat: address(&self.some_chat(model, me)) },
            6 => {
                let space = self.once_in(2).then(|| address(&self.some_group_address(model, me)));
                Query::Spaces { space }
            }
            7 | 8 => {
                let text = *self.pick(&["tea", "ARD", "ёл", "x \u{1}\"7", " "]);
                let chat = self.once_in(2).then(|| address(&self.some_chat(model, me)));
                let before = MessageId(self.some_bound(model));
                Query::Search { text: text.into(), chat, before, count: self.some_count() }
            }
            _ => {
                let chat = address(&self.some_chat(model, me));
                Query::History { chat, range: self.some_range(model, now) }
            }
        }
    }

    fn some_range(&mut self, model: &Model, now: u64) -> Range {
        let since = self.once_in(5).then(|| Timestamp(now - self.roll() % 9_000_000));
        let take = if since.is_none() && self.once_in(2) { Take::Last } else { Take::First };
        let after = if self.once_in(2) { MessageId(0) } else { self.some_id(model) };
        let before = MessageId(self.some_bound(model));
        Range { after, before, since, count: self.some_count(), take }
    }
}

impl Model {
    /// The account with a login, while it may log in.
    pub(super) fn active(&self, login: &str) -> Option<u32> {
        let is_its =
            |no: &u32| self.person(*no).login == login && self.person(*no).state == State::Active;
        self.numbers().find(is_its)
    }

    pub(super) fn session_of(&self, login: &str) -> Option<Me> {
        let no = self.active(login)?;
        self.person(no).sessions.last().map(|key| Me { no, key: *key })
    }

    pub(super) fn add_session(&mut self, no: u32, key: Key) {
        self.person_mut(no).sessions.push(key);
    }
}
