//! What the engine remembers of the chats in use: the head, the cookies of the last
//! `COOKIE_WINDOW` messages, and each author's last message.
//!
//! All of it follows from the chat's last records, so it may be forgotten at any time and is read
//! again when the chat is next written to. Nothing of it is ever written for its own sake.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::domain::id::{AccountNo, ChatId, MessageId};
use crate::domain::nouns::{Head, Mark, Message};
use crate::limits::COOKIE_WINDOW;
use crate::store::history::History;
use crate::store::look::head_of;
use crate::store::{StoreError, open_or_skip};

/// An author's own last message implies a read mark. Written only once it is so many records
/// behind the head: half the window, so that it never leaves the window unwritten.
pub(super) const IMPLIED_MAX: u32 = COOKIE_WINDOW / 2;
/// What a generation of remembered chats may weigh, in units of four bytes: 1 MiB, the full windows
/// of 250 chats. Reading a window again costs a thousand records, so fewer would make a busy server
/// read all the time.
const WEIGHT_MAX: usize = 256 * 1024;
/// What a chat weighs without its cookies.
const CHAT_WEIGHT: usize = 48;

/// One chat's.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) head: Head,
    /// One a message up to the head: part of the hash of author and cookie, 0 for a message
    /// without one. The record itself is compared before anything is concluded.
    cookies: VecDeque<u32>,
    /// Each author's last message in the window with the count of records up to it, ascending.
    own: VecDeque<(AccountNo, Mark, u64)>,
    /// Records so far, from any beginning.
    count: u64,
}

impl Window {
    /// Reads the window of a chat.
    fn load(history: &History<'_>, hasher: &RandomState) -> Result<Window, StoreError> {
        let count = u64::from(COOKIE_WINDOW);
        let mut window = Window { head: head_of(history)?, count, ..Window::default() };
        for (newer, entry) in (0..count).zip(history.newest_first()?) {
            let entry = entry?;
            let read = entry.read(|line| {
                let cookie = line.cookie;
                window.cookies.push_front(cookie.map_or(0, |c| trace(hasher, line.from, c)));
                if window.own(line.from).is_none() {
                    window.own.push_front((line.from, line.mark(entry.id), count - newer));
                }
                Ok(Some(()))
            });
            if open_or_skip(read)?.is_none() {
                // A record that cannot be read keeps its place.
                window.cookies.push_front(0);
            }
        }
        Ok(window)
    }

    /// The last message of an author in the window.
    pub(super) fn own(&self, author: AccountNo) -> Option<Mark> {
        self.own.iter().find(|(who, ..)| *who == author).map(|(_, mark, _)| *mark)
    }

    /// The last messages of those authors who have written nothing since `floor`.
    pub(super) fn below(&self, floor: MessageId) -> Vec<(AccountNo, Mark)> {
        let below = self.own.iter().filter(|(_, mark, _)| mark.id < floor);
        below.map(|(who, mark, _)| (*who, *mark)).collect()
    }

    /// Which messages may have this cookie, oldest first: how many others are newer.
    pub(super) fn candidates(&self, trace: u32) -> impl Iterator<Item = usize> {
        // Mostly there is none, which is seen faster in strides.
        let (older, newer) = self.cookies.as_slices();
        let any = has(older, trace) || has(newer, trace);
        let oldest_first = self.cookies.iter().take(if any { usize::MAX } else { 0 }).enumerate();
        let newer = self.cookies.len();
        oldest_first.filter(move |(_, c)| **c == trace).map(move |(place, _)| newer - place - 1)
    }

    /// Takes in the chat's new last message. By how much the chat weighs more.
    fn note(&mut self, message: &Message, hasher: &RandomState) -> usize {
        let before = self.weight();
        self.head = Head { id: message.id, seq: message.seq, time: message.time };
        let cookie = message.cookie.as_deref();
        self.cookies.push_back(cookie.map_or(0, |cookie| trace(hasher, message.from, cookie)));
        while self.cookies.len() > COOKIE_WINDOW as usize {
            self.cookies.pop_front();
        }
        self.count += 1;
        self.own.retain(|(who, ..)| *who != message.from);
        let mark = Mark { id: message.id, seq: message.seq };
        self.own.push_back((message.from, mark, self.count));
        self.weight().saturating_sub(before)
    }

    /// An author whose implied mark has to be written now, if there is one. Each comes once.
    pub(super) fn overdue(&mut self) -> Option<(AccountNo, Mark)> {
        let (author, mark, count) = *self.own.front()?;
        if count + u64::from(IMPLIED_MAX) > self.count {
            return None;
        }
        self.own.pop_front();
        Some((author, mark))
    }

    fn weight(&self) -> usize {
        const MARK_WEIGHT: usize = size_of::<(AccountNo, Mark, u64)>() / 4;
        CHAT_WEIGHT + self.cookies.len() + MARK_WEIGHT * self.own.len()
    }
}

/// Whether it is among these. Spelled out, because nothing is unrolled in a program that is to be
/// small, and a busy chat's messages are each compared with a thousand.
fn has(cookies: &[u32], trace: u32) -> bool {
    let (strides, rest) = cookies.as_chunks();
    let is_in = |&[a, b, c, d, e, f, g, h]: &[u32; 8]| {
        let is = |cookie| cookie == trace;
        is(a) || is(b) || is(c) || is(d) || is(e) || is(f) || is(g) || is(h)
    };
    strides.iter().any(is_in) || rest.contains(&trace)
}

/// What is remembered of a cookie; never 0.
fn trace(hasher: &RandomState, author: AccountNo, cookie: &str) -> u32 {
    (hasher.hash_one((author, cookie)) as u32).max(1)
}

/// The chats in use. Two generations: what is used moves to the young one, and when that is full
/// the old one is forgotten.
#[derive(Debug, Default)]
pub(super) struct Chats {
    young: HashMap<ChatId, Window>,
    old: HashMap<ChatId, Window>,
    /// About what the young generation weighs.
    weight: usize,
    hasher: RandomState,
}

impl Chats {
    /// What is remembered of a chat, if it is.
    pub(super) fn peek(&self, chat: ChatId) -> Option<&Window> {
        self.young.get(&chat).or_else(|| self.old.get(&chat))
    }

    /// What is remembered of a chat, read where it is not.
    pub(super) fn load<'t>(
        &mut self,
        chat: ChatId,
        history: impl FnOnce() -> Result<History<'t>, StoreError>,
    ) -> Result<&mut Window, StoreError> {
        if !self.young.contains_key(&chat) {
            let window = match self.old.remove(&chat) {
                Some(window) => window,
                None => Window::load(&history()?, &self.hasher)?,
            };
            self.make_room(window.weight());
            self.young.insert(chat, window);
        }
        Ok(self.young.get_mut(&chat).expect("it was there or has just been put there"))
    }

    /// Takes in a new last message of a chat that is loaded.
    pub(super) fn note(&mut self, message: &Message) -> Option<&mut Window> {
        let window = self.young.get_mut(&message.chat)?;
        self.weight += window.note(message, &self.hasher);
        Some(window)
    }

    pub(super) fn trace(&self, author: AccountNo, cookie: &str) -> u32 {
        trace(&self.hasher, author, cookie)
    }

    fn make_room(&mut self, weight: usize) {
        if self.weight + weight > WEIGHT_MAX {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
    }
}
