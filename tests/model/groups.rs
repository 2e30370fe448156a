//! Groups, channels and spaces: their facts, making them, changing them, removing them.

use std::collections::BTreeMap;

use msimd::domain::access::Access;
use msimd::domain::id::{ChatId, Timestamp};
use msimd::domain::name::Tag;
use msimd::domain::words::{ChatInfo, ChatKind, Event, Kind, Refusal, Reply, SpaceView};

use super::chats::{Chat, Part, letter};
use super::naive::{Model, at_home, named};
use super::records::Record;
use super::taking::check_card;
use super::words::{Facts, Me, Plan};

#[derive(Debug)]
pub(super) struct Group {
    pub(super) address: String,
    is_channel: bool,
    pub(super) name: String,
    about: String,
    pub(super) open: bool,
    pub(super) default: Access,
    /// The general chat of its space; its own number for a general chat.
    space: Option<usize>,
    pub(super) removed: bool,
    pub(super) created: u64,
    /// When any of its facts was last changed.
    pub(super) changed: u64,
    pub(super) public_id: u64,
    /// Its number, which is the server's to choose.
    pub(super) id: ChatId,
    /// What its members see of it, as an application wants it.
    pub(super) card: String,
}

impl Group {
    pub(super) fn kind(&self) -> ChatKind {
        if self.is_channel { ChatKind::Channel } else { ChatKind::Group }
    }
}

impl Model {
    pub(super) fn group(&self, chat: usize) -> &Group {
        self.chats[chat].group.as_ref().expect("it is a group")
    }

    fn group_mut(&mut self, chat: usize) -> &mut Group {
        self.chats[chat].group.as_mut().expect("it is a group")
    }

    /// All that were not removed, in the order in which they were made.
    pub(super) fn groups(&self) -> Vec<usize> {
        let is_one = |chat: &Chat| chat.group.as_ref().is_some_and(|group| !group.removed);
        let all = self.chats.iter().enumerate();
        all.filter(|(_, chat)| is_one(chat)).map(|(place, _)| place).collect()
    }

    pub(super) fn group_at(&self, address: &str) -> Option<usize> {
        self.groups().into_iter().find(|chat| self.group(*chat).address == address)
    }

    /// One that somebody is in; to everybody else it is not there.
    pub(super) fn my_group(&self, me: u32, address: &str) -> Result<usize, Refusal> {
        let group = self.group_at(address).filter(|chat| self.part(me, *chat).is_in());
        group.ok_or(Refusal::NoSuchChat)
    }

    pub(super) fn is_space(&self, chat: usize) -> bool {
        self.group(chat).space == Some(chat)
    }

    /// The chats of a space, the general one first.
    fn chats_in(&self, space: usize) -> Vec<usize> {
        let mut chats = self.groups();
        chats.retain(|chat| self.group(*chat).space == Some(space));
        chats
    }

    pub(super) fn create_chat(
        &mut self,
        me: Me,
        plan: &Plan,
        answer: &Result<Reply, Refusal>,
    ) -> Result<Reply, Refusal> {
        check_texts(Some(&plan.name), Some(&plan.about))?;
        check_card(&plan.card)?;
        let usual = if plan.is_channel { "RP" } else { "RWP" };
        let usual = Access::parse(usual).expect("letters");
        let default = newcomers(plan.default.unwrap_or(usual))?;
        self.has_room_for_a_chat(me.no)?;
        let owned = self
            .groups()
            .into_iter()
            .filter(|chat| self.is_space(*chat) && self.part(me.no, *chat).mode().has(letter('O')));
        if plan.is_space && owned.count() >= self.limits.spaces_per_account {
            return Err(Refusal::TooManyChats);
        }
        let space = match &plan.space {
            Some(_) if plan.is_space => return Err(Refusal::BadField),
            Some(address) => Some(self.space_to_make_chats_in(me.no, address)?),
            None => None,
        };
        let wanted = plan.login.as_deref().map(at_home);
        if wanted.as_ref().is_some_and(|wanted| self.is_taken(wanted)) {
            return Err(Refusal::AlreadyThere);
        }
        // Its random number, and its address where none was wanted, are the server's to choose.
        let Ok(Reply::Chat(made)) = answer else { panic!("{answer:?} to a good chat") };
        let address = made.chat.to_string();
        let Tag::Chat { id, .. } = made.chat.tag() else { panic!("{made:?} is no group") };
        assert!(!self.is_taken(&address), "{address} is taken");
        let named = at_home(&plan.name);
        let may_be_named = !plan.name.contains(' ') && !self.is_taken(&named);
        match wanted.or(may_be_named.then_some(named)) {
            Some(wanted) => assert_eq!(address, wanted),
            None => assert!(address.starts_with("room-"), "{address}"),
        }
        let chat = self.chats.len();
        let opened = space.is_some_and(|space| self.group(space).open);
        let group = Group {
            address,
            is_channel: plan.is_channel,
            name: plan.name.clone(),
            about: plan.about.clone(),
            open: plan.open.unwrap_or(opened),
            default,
            space: space.or(plan.is_space.then_some(chat)),
            removed: false,
            created: self.now,
            changed: self.now,
            public_id: made.public_id,
            id,
            card: plan.card.clone(),
        };
        let all = Access::parse("RWPSDO").expect("letters");
        let parts = BTreeMap::from([(me.no, Part { want: all, given: all, ..Part::default() })]);
        self.chats.push(Chat { group: Some(group), parts, ..Chat::default() });
        self.post(me, chat, Record { text: plan.name.clone(), ..Record::of(Kind::Created) });
        self.show_part(me, chat, me.no);
        Ok(Reply::Chat(Box::new(self.facts(chat, Some(me.no)))))
    }

    fn space_to_make_chats_in(&self, me: u32, address: &str) -> Result<usize, Refusal> {
        let space = self.my_group(me, address).map_err(|_| Refusal::NoSuchSpace)?;
        if !self.is_space(space) {
            return Err(Refusal::NoSuchSpace);
        }
        self.needs(me, space, 'W')?;
        if self.chats_in(space).len() < 128 { Ok(space) } else { Err(Refusal::TooManyChats) }
    }

    /// Whether somebody may be in one more group. Being invited is not being in it.
    pub(super) fn has_room_for_a_chat(&self, who: u32) -> Result<(), Refusal> {
        let parts = self.groups().into_iter().filter_map(|chat| self.chats[chat].parts.get(&who));
        let count = parts.filter(|part| part.is_in()).count();
        if count < self.limits.chats_per_account { Ok(()) } else { Err(Refusal::TooManyChats) }
    }

    pub(super) fn change_chat(
        &mut self,
        me: Me,
        address: &str,
        facts: &Facts,
    ) -> Result<Reply, Refusal> {
        check_texts(facts.name.as_deref(), facts.about.as_deref())?;
        check_card(facts.card.as_deref().unwrap_or(""))?;
        facts.default.map(newcomers).transpose()?;
        let chat = self.my_group(me.no, address)?;
        self.needs(me.no, chat, 'O')?;
        let before = self.facts(chat, None);
        let group = self.group_mut(chat);
        group.name = facts.name.clone().unwrap_or(group.name.clone());
        group.about = facts.about.clone().unwrap_or(group.about.clone());
        group.open = facts.open.unwrap_or(group.open);
        group.default = facts.default.unwrap_or(group.default);
        let name = group.name.clone();
        let is_carded = facts.card.as_ref().is_some_and(|card| *card != group.card);
        group.card = facts.card.clone().unwrap_or(std::mem::take(&mut group.card));
        let after = self.facts(chat, None);
        if before == after && !is_carded {
            return Ok(Reply::Done);
        }
        let now = self.now;
        self.group_mut(chat).changed = now;
        if before.name != after.name {
            self.post(me, chat, Record { text: name, ..Record::of(Kind::Renamed) });
        }
        for reader in self.readers(chat) {
            let changed_by = Some(named(self.address(me.no)));
            let facts = ChatInfo { changed_by, ..self.facts(chat, None) };
            let event = Event::ChatChanged(Box::new(facts));
            self.tell(reader, Some(me.key), event);
        }
        Ok(Reply::Done)
    }

    pub(super) fn remove_chat(
        &mut self,
        me: Me,
        address: &str,
        is_space: bool,
    ) -> Result<Reply, Refusal> {
        let chat = self.my_group(me.no, address);
        let chat = match is_space {
            true => chat.ok().filter(|chat| self.is_space(*chat)).ok_or(Refusal::NoSuchSpace)?,
            false => chat?,
        };
        self.needs(me.no, chat, 'O')?;
        // With the general chat goes the whole space.
        let all = if self.is_space(chat) { self.chats_in(chat) } else { vec![chat] };
        for chat in all {
            self.take_down(me, chat);
        }
        Ok(Reply::Done)
    }

    pub(super) fn take_down(&mut self, me: Me, chat: usize) {
        let address = named(&self.group(chat).address);
        let parts = std::mem::take(&mut self.chats[chat].parts);
        for (who, _) in parts.iter().filter(|(_, part)| part.is_in()) {
            self.tell(*who, Some(me.key), Event::ChatGone { chat: address.clone() });
        }
        let group = self.group_mut(chat);
        group.removed = true;
        group.name.clear();
        group.card.clear();
        self.kept.retain(|(_, about), _| *about != Some(chat));
    }

    /// A chat's facts as somebody sees them, or as they are told to everybody.
    pub(super) fn facts(&self, chat: usize, viewer: Option<u32>) -> ChatInfo {
        let group = self.group(chat);
        let parts = &self.chats[chat].parts;
        let owner = parts.iter().find(|(_, part)| part.mode().has(letter('O')));
        let part = viewer.and_then(|viewer| parts.get(&viewer));
        ChatInfo {
            chat: named(&group.address),
            kind: group.kind(),
            name: group.name.as_str().into(),
            about: group.about.as_str().into(),
            space: group
                .space
                .filter(|space| !self.group(*space).removed)
                .map(|space| named(&self.group(space).address)),
            open: group.open,
            default_access: group.default,
            part: part.map(|part| (part.want, part.given)),
            members: parts.values().filter(|part| part.is_in()).count() as u32,
            owner: owner.map(|(owner, _)| named(self.address(*owner))),
            created: Timestamp(group.created),
            public_id: group.public_id,
            online: None,
            last_seen: None,
            retention: 0,
            changed_by: None,
        }
    }

    /// Who is in it or invited knows it, an open one everybody but the banned.
    pub(super) fn knows(&self, me: u32, chat: usize) -> bool {
        let given = self.part(me, chat).given;
        !given.is_banned() && (self.group(chat).open || given != Access::NONE)
    }

    pub(super) fn look_up_chat(&self, me: u32, address: &str) -> Result<Reply, Refusal> {
        let Some(other) = self.account(address) else {
            let chat = self.group_at(address).filter(|chat| self.knows(me, *chat));
            let chat = chat.ok_or(Refusal::NoSuchChat)?;
            return Ok(Reply::Chat(Box::new(self.facts(chat, Some(me)))));
        };
        let chat = self.direct(me, other).filter(|chat| self.has_part(me, *chat));
        let chat = chat.ok_or(Refusal::NoSuchChat)?;
        let part = self.part(me, chat);
        Ok(Reply::Chat(Box::new(ChatInfo {
            chat: named(address),
            kind: ChatKind::Direct,
            name: self.person(other).name.as_str().into(),
            about: "".into(),
            space: None,
            open: false,
            default_access: Access::DIRECT,
            part: Some((part.want, part.given)),
            members: if me == other { 1 } else { 2 },
            owner: None,
            created: Timestamp(0),
            public_id: 0,
            online: self.shows_presence(other, me).then_some(false),
            last_seen: self.seen_by(other, me),
            retention: 0,
            changed_by: None,
        })))
    }

    pub(super) fn list_spaces(&self, me: u32, wanted: Option<&str>) -> Result<Reply, Refusal> {
        let mut spaces = self.groups();
        spaces.retain(|chat| self.is_space(*chat));
        match wanted {
            Some(address) => {
                let is_it = |chat: usize| self.group(chat).address == address;
                spaces.retain(|chat| is_it(*chat) && self.knows(me, *chat));
                if spaces.is_empty() {
                    return Err(Refusal::NoSuchSpace);
                }
            }
            None => spaces.retain(|chat| self.part(me, *chat).is_in()),
        }
        let view = |space| {
            let known = self.chats_in(space).into_iter().filter(|chat| self.knows(me, *chat));
            SpaceView { chats: known.map(|chat| self.facts(chat, Some(me))).collect() }
        };
        Ok(Reply::Spaces { spaces: spaces.into_iter().map(view).collect(), more: false })
    }
}

fn check_texts(name: Option<&str>, about: Option<&str>) -> Result<(), Refusal> {
    if name.is_some_and(|name| name.trim().is_empty()) {
        return Err(Refusal::BadField);
    }
    let is_long =
        name.is_some_and(|name| name.len() > 256) || about.is_some_and(|about| about.len() > 1024);
    if is_long { Err(Refusal::FieldTooLong) } else { Ok(()) }
}

/// What newcomers may be given: no O, no X, and something.
fn newcomers(access: Access) -> Result<Access, Refusal> {
    let is_bad = access.has(letter('O')) || access.is_banned() || access == Access::NONE;
    if is_bad { Err(Refusal::BadAccess) } else { Ok(access) }
}
