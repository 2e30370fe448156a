//! Commands that name somebody or something by number: whom or what it is, and then what is done.

use std::sync::Arc;

use super::errand::{Errand, Step};
use super::files::FIRST_FILE;
use super::history::Walk;
use super::numbers::{Place, Target, person};
use super::text::escaped;
use super::told::short;
use super::words::refused;
use super::{Line, Me, files};
use crate::domain::id::Address;
use crate::domain::name::{Name, Tag};
use crate::domain::words::{ChatChange, ChatDraft, ChatInfo, Command, Draft, Query, Refusal};
use crate::wire::{House, What};

/// Numbers that are still to be looked up, what the others are for, and what for.
#[derive(Debug)]
pub(super) struct Naming {
    wanted: Vec<Target>,
    found: Vec<Found>,
    act: Act,
}

#[derive(Clone, Debug)]
struct Found {
    target: Target,
    address: Address,
    is_space: bool,
}

#[derive(Debug)]
pub(super) enum Act {
    Send(Arc<str>),
    NewChannel(Box<str>),
    Get(Option<u64>),
    NewFile(Box<str>, u64),
    Befriend,
    Invite,
    Accept,
    Join,
    Leave,
    Delete,
    Rename(Box<str>),
}

pub(super) fn name(wanted: Vec<Target>, act: Act) -> Step {
    let next = *wanted.last()?;
    let naming = Naming { wanted, found: Vec::new(), act };
    Some((Errand::Naming(Box::new(naming)), What::Query(Query::Name { of: next.handle() })))
}

pub(super) fn chat(name: Box<str>) -> ChatDraft {
    ChatDraft {
        is_channel: false,
        is_space: false,
        name,
        about: "".into(),
        login: None,
        space: None,
        open: None,
        default_access: None,
        card: "".into(),
        retention: 0,
    }
}

impl Naming {
    pub(super) fn hear(
        mut self: Box<Self>,
        name: &Name,
        me: &Me,
        house: &House,
        out: &mut Vec<Line>,
    ) -> Step {
        let target = self.wanted.pop()?;
        let address = Address::parse(name, &house.name);
        let (true, Ok(address)) = (Target::of(name) == Some(target), address) else {
            // A channel of another server.
            out.push(refused(Refusal::NoSuchChat));
            return None;
        };
        let is_space = match name.tag() {
            Tag::Chat { id, space, .. } => space == Some(id),
            Tag::Person { .. } | Tag::Unknown => false,
        };
        self.found.push(Found { target, address, is_space });
        if let Some(next) = self.wanted.last() {
            let what = What::Query(Query::Name { of: next.handle() });
            return Some((Errand::Naming(self), what));
        }
        let Naming { found, act, .. } = *self;
        act.go(found, me, out)
    }
}

impl Act {
    fn go(self, found: Vec<Found>, me: &Me, out: &mut Vec<Line>) -> Step {
        let mut found = found.into_iter();
        let first = found.next()?;
        let Found { target, address: chat, is_space } = first;
        let (errand, command) = match (self, target) {
            (Act::Send(text), _) => (Errand::Silent, Command::Send(Draft::text(chat, text, None))),
            (Act::Get(Some(number @ FIRST_FILE..)), _) => {
                return files::find(target, chat, number);
            }
            (Act::NewFile(name, size), _) => {
                return files::begin(target, chat, (name, size), me, out);
            }
            (Act::Get(count), _) => {
                let walk = Box::new(Walk::new(chat, target, count));
                let what = walk.what();
                return Some((Errand::Walking(walk), what));
            }
            (Act::NewChannel(name), Target::Place(_)) => {
                let draft = ChatDraft { space: Some(chat), ..self::chat(name) };
                (Errand::Creating, Command::CreateChat(draft))
            }
            (Act::Befriend, Target::Person(no)) => {
                let command = Command::AnswerContact { who: chat.clone(), accept: true };
                (Errand::Answering(no, chat), command)
            }
            (Act::Invite, Target::Person(_)) => {
                let Found { address, .. } = found.next()?;
                let (who, note) = (chat, "".into());
                (Errand::Silent, Command::Invite { chat: address, who, access: None, note })
            }
            (Act::Accept, Target::Person(no)) => {
                (Errand::Accepting(no), Command::AnswerContact { who: chat, accept: true })
            }
            (Act::Join, Target::Place(_)) => {
                (Errand::Joining(chat.clone()), Command::Join { chat })
            }
            (Act::Leave, Target::Place(place)) if is_space => {
                let query = Query::Spaces { space: Some(chat) };
                return Some((Errand::Surveying(place), What::Query(query)));
            }
            (Act::Leave, Target::Place(place)) => return Some(leave(place, chat, Vec::new())),
            (Act::Delete, Target::Place(place)) => {
                (Errand::Deleting(place), Command::RemoveChat { chat, is_space })
            }
            (Act::Rename(name), Target::Place(place)) => {
                let line = format!("RENAME {} {}", escaped(&name), short(place));
                let change = ChatChange { name: Some(name), ..ChatChange::default() };
                (Errand::Renaming(line), Command::ChangeChat { chat, change })
            }
            // No request puts these together.
            (
                Act::NewChannel(_)
                | Act::Befriend
                | Act::Invite
                | Act::Accept
                | Act::Join
                | Act::Leave
                | Act::Delete
                | Act::Rename(_),
                _,
            ) => return None,
        };
        Some((errand, What::Command(command)))
    }
}

pub(super) fn leave(place: Place, chat: Address, rest: Vec<Address>) -> (Errand, What) {
    (Errand::Leaving(place, rest), What::Command(Command::Leave { chat }))
}

/// Leaves every channel of a server that somebody is in, the general one last; none where one of
/// them is theirs.
pub(super) fn survey<'c>(
    place: Place,
    chats: impl Iterator<Item = &'c ChatInfo>,
    me: &Me,
    house: &House,
    out: &mut Vec<Line>,
) -> Step {
    let mut mine = Vec::new();
    for info in chats {
        let is_in = info.part.is_some_and(|(want, given)| want.and(given).is_member());
        if info.owner.as_ref().and_then(person) == Some(me.no) {
            out.push(refused(Refusal::LastOwner));
            return None;
        }
        if is_in && let Ok(address) = Address::parse(&info.chat, &house.name) {
            mine.push(address);
        }
    }
    // The general one comes first, and they go from the end.
    let Some(chat) = mine.pop() else {
        out.push(refused(Refusal::NoSuchSpace));
        return None;
    };
    Some(leave(place, chat, mine))
}
