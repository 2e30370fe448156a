//! The two numbers that name everything, and the core's numbers behind them.
//!
//! A person's is the number of the account. A chat's is its place in the order in which groups were
//! made here, from 1. Neither is ever given twice.

use std::fmt;

use crate::domain::id::{AccountNo, ChatId};
use crate::domain::name::{Name, Tag};
use crate::domain::words::Handle;

/// A server, or one of its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) server: u64,
    /// 0: the general one.
    pub(super) channel: u64,
}

/// What a message is for, or a history is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Person(AccountNo),
    Place(Place),
}

impl Place {
    /// As it is named to clients; `None` for what is no group.
    pub(super) fn of(name: &Name) -> Option<Place> {
        let Tag::Chat { id, space, .. } = name.tag() else { return None };
        let (own, server) = (number(id)?, number(space.unwrap_or(id))?);
        Some(Place { server, channel: if own == server { 0 } else { own } })
    }

    /// The chat that it must be.
    pub(super) fn handle(self) -> Handle {
        let number = if self.channel == 0 { self.server } else { self.channel };
        Handle::Chat(ChatId(ChatId::FIRST_GROUP.saturating_add(number)))
    }

    pub(super) fn general(server: u64) -> Place {
        Place { server, channel: 0 }
    }
}

impl Target {
    pub(super) fn of(name: &Name) -> Option<Target> {
        person(name).map(Target::Person).or_else(|| Place::of(name).map(Target::Place))
    }

    pub(super) fn handle(self) -> Handle {
        match self {
            Target::Person(no) => Handle::Person(no),
            Target::Place(place) => place.handle(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.server, self.channel)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Person(no) => write!(f, "0 {}", no.0),
            Target::Place(place) => place.fmt(f),
        }
    }
}

/// The number of somebody who has an account here.
pub(super) fn person(name: &Name) -> Option<AccountNo> {
    match name.tag() {
        Tag::Person { no, .. } => Some(no),
        Tag::Chat { .. } | Tag::Unknown => None,
    }
}

fn number(chat: ChatId) -> Option<u64> {
    chat.0.checked_sub(ChatId::FIRST_GROUP).filter(|number| *number > 0)
}
