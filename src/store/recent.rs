//! What the engine remembers of the chats in use: the head, the cookies of the last
//! `COOKIE_WINDOW` messages, and each author's last message.
//!
//! All of it follows from the chat's last records, so it may be forgotten at any time and is read
//! again when the chat is next written to. Nothing of it is ever written for its own sake.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::domain::id::{AccountNo, ChatId, MessageId, Seq};
use crate::domain::nouns::{Head, Mark, Message};
use crate::limits::COOKIE_WINDOW;
use crate::store::look::head_of;
use crate::store::rows;
use crate::store::tables::Opened;
use crate::store::{StoreError, open_or_skip};

/// An author's own last message implies a read mark. Written only once it is so many messages
/// behind the head: half the window, so that it never leaves the window unwritten.
pub(super) const IMPLIED_MAX: u32 = COOKIE_WINDOW / 2;
/// Cookies and authors of all remembered chats together, 24 bytes each, before the half not used
/// lately is forgotten: at most some 800 KiB.
const WEIGHT_MAX: usize = 16 * 1024;
/// What a chat weighs beside those.
const CHAT_WEIGHT: usize = 8;

/// One chat.
#[derive(Debug, Default)]
pub(super) struct Recent {
    pub(super) head: Head,
    /// Ascending by seq.
    cookies: VecDeque<Cookie>,
    /// Each author's last message in the window, ascending by seq.
    own: VecDeque<(AccountNo, Mark)>,
}

#[derive(Clone, Copy, Debug)]
struct Cookie {
    /// Of author and cookie. The record itself is compared before anything is concluded.
    hash: u64,
    id: MessageId,
    seq: Seq,
}

impl Recent {
    /// Reads the window of a chat.
    fn load(
        messages: &Opened<'_, (u64, u64)>,
        chat: ChatId,
        hasher: &RandomState,
    ) -> Result<Recent, StoreError> {
        let mut recent = Recent { head: head_of(messages, chat)?, ..Recent::default() };
        let newest_first = messages.range((chat.0, 0)..=(chat.0, u64::MAX))?.rev();
        for entry in newest_first.take(COOKIE_WINDOW as usize) {
            let read = messages.entry(entry, |key, fields| {
                let line = rows::line(fields)?;
                let id = MessageId(key.1);
                if let Some(cookie) = line.cookie {
                    let hash = hasher.hash_one((line.from, cookie));
                    recent.cookies.push_front(Cookie { hash, id, seq: line.seq });
                }
                if recent.own(line.from).is_none() {
                    recent.own.push_front((line.from, line.mark(id)));
                }
                Ok(Some(()))
            });
            open_or_skip(read)?;
        }
        Ok(recent)
    }

    /// The last message of an author in the window.
    pub(super) fn own(&self, author: AccountNo) -> Option<Mark> {
        self.own.iter().find(|(who, _)| *who == author).map(|(_, mark)| *mark)
    }

    /// Messages that may have this cookie, oldest first.
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = MessageId> {
        let first = self.head.seq.0.saturating_sub(COOKIE_WINDOW);
        let within = self.cookies.iter().filter(move |c| c.seq.0 > first);
        within.filter(move |c| c.hash == hash).map(|c| c.id)
    }

    /// Takes in the chat's new last message.
    fn note(&mut self, message: &Message, hasher: &RandomState) {
        self.head = Head { id: message.id, seq: message.seq, time: message.time };
        if let Some(cookie) = &message.cookie {
            let hash = hasher.hash_one((message.from, &**cookie));
            self.cookies.push_back(Cookie { hash, id: message.id, seq: message.seq });
        }
        let first = message.seq.0.saturating_sub(COOKIE_WINDOW);
        while self.cookies.front().is_some_and(|c| c.seq.0 <= first) {
            self.cookies.pop_front();
        }
        self.own.retain(|(who, _)| *who != message.from);
        self.own.push_back((message.from, Mark { id: message.id, seq: message.seq }));
    }

    /// An author whose implied mark has to be written now, if there is one. Each comes once.
    pub(super) fn overdue(&mut self) -> Option<(AccountNo, Mark)> {
        let (_, mark) = self.own.front()?;
        if mark.seq.0 + IMPLIED_MAX <= self.head.seq.0 { self.own.pop_front() } else { None }
    }

    fn weight(&self) -> usize {
        CHAT_WEIGHT + self.cookies.len() + self.own.len()
    }
}

/// The chats in use. Two generations: what is used moves to the young one, and when that is full
/// the old one is forgotten.
#[derive(Debug, Default)]
pub(super) struct Chats {
    young: HashMap<ChatId, Recent>,
    old: HashMap<ChatId, Recent>,
    /// About what the young generation weighs.
    weight: usize,
    hasher: RandomState,
}

impl Chats {
    /// What is remembered of a chat, if it is.
    pub(super) fn peek(&self, chat: ChatId) -> Option<&Recent> {
        self.young.get(&chat).or_else(|| self.old.get(&chat))
    }

    /// What is remembered of a chat, read where it is not.
    pub(super) fn load(
        &mut self,
        messages: &Opened<'_, (u64, u64)>,
        chat: ChatId,
    ) -> Result<&mut Recent, StoreError> {
        if !self.young.contains_key(&chat) {
            let recent = match self.old.remove(&chat) {
                Some(recent) => recent,
                None => Recent::load(messages, chat, &self.hasher)?,
            };
            self.make_room(recent.weight());
            self.young.insert(chat, recent);
        }
        Ok(self.young.get_mut(&chat).expect("it was there or has just been put there"))
    }

    /// Takes in a new last message of a chat that is loaded.
    pub(super) fn note(&mut self, message: &Message) -> Option<&mut Recent> {
        self.weight += 1;
        let recent = self.young.get_mut(&message.chat)?;
        recent.note(message, &self.hasher);
        Some(recent)
    }

    pub(super) fn hash(&self, author: AccountNo, cookie: &str) -> u64 {
        self.hasher.hash_one((author, cookie))
    }

    fn make_room(&mut self, weight: usize) {
        if self.weight + weight > WEIGHT_MAX {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
    }
}
