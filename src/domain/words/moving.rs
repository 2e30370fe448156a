//! An account on its way from another server, piece by piece: see `domain::moving`.

use std::sync::Arc;

use crate::domain::access::Access;
use crate::domain::id::{Address, Login, Seq, Timestamp};
use crate::domain::nouns::{ChatKind, Contact, Profile};
use crate::domain::words::{Kind, Span};

/// What one turn takes of it. Every address is one of the world after the move. Each piece may be
/// said again: what is there already stays.
#[derive(Debug)]
pub enum Piece {
    /// Comes first.
    Account {
        login: Login,
        created: Timestamp,
        profile: Option<Profile>,
        /// What everybody sees of them; empty for nothing.
        card: Box<str>,
        /// What they keep about themselves.
        own_card: Box<str>,
    },
    Contacts {
        owner: Login,
        contacts: Vec<Contact>,
    },
    Chat {
        owner: Login,
        chat: Box<MovedChat>,
    },
    /// Messages of a chat, one after the other.
    Messages {
        owner: Login,
        chat: Address,
        messages: Vec<MovedMessage>,
    },
    /// How far everybody is, once the messages are there.
    Marks {
        owner: Login,
        chat: Address,
        marks: Vec<MovedMark>,
    },
}

/// A chat without its messages.
#[derive(Debug)]
pub struct MovedChat {
    pub address: Address,
    pub kind: ChatKind,
    pub name: Box<str>,
    pub about: Box<str>,
    pub open: bool,
    pub default_access: Access,
    /// The general chat of its space.
    pub space: Option<Address>,
    pub created: Timestamp,
    /// What everybody sees of a group; empty for nothing.
    pub card: Box<str>,
    /// What the owner of the account keeps about it.
    pub own_card: Box<str>,
    pub members: Vec<MovedMember>,
}

#[derive(Debug)]
pub struct MovedMember {
    pub who: Address,
    pub want: Access,
    pub given: Access,
    /// Of a direct chat: they have left it, and are back with the next message.
    pub left: bool,
}

/// How far somebody is, as places in the chat.
#[derive(Debug)]
pub struct MovedMark {
    pub who: Address,
    pub delivered: Seq,
    pub read: Seq,
}

/// A message as it was on the other server. It and those that it names are known by their places in
/// the chat, counted from the first one that moves.
#[derive(Clone, Debug)]
pub struct MovedMessage {
    pub seq: Seq,
    /// Of a record without a place of its own: which it is of those that follow `seq`, from 1 on.
    pub after: u32,
    pub from: Address,
    pub time: Timestamp,
    pub kind: Kind,
    pub text: Arc<str>,
    pub reply_to: Seq,
    pub target: Seq,
    pub person: Option<Address>,
    pub place: Option<Address>,
    pub access: Option<Access>,
    pub spans: Box<[Span]>,
    pub mime: Option<Box<str>>,
    pub edited: Timestamp,
    pub deleted: bool,
    pub reach: Seq,
}
