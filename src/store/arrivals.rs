//! Which messages lie in `recent` or in the daybook, by chat: where a question about one chat finds
//! them there.
//!
//! An [`Arrivals`] is read from both when the database is opened and shared by everybody from then
//! on. The engine's thread adds a turn's messages once they are durable and before anybody is told
//! of them, takes out what was merged after the merge's commit, and lets go of what was noted after
//! the commit that entered it into `recent`. For that moment it is behind the disk; a [`Sight`] is
//! what makes a snapshot one point in time all the same.
//!
//! Two things make this simple. Ids ascend in order of arrival, over all chats; and a merge always
//! takes the oldest, an entry into `recent` all. So at every commit there is one id below which
//! everything lies in `messages`, from which on everything lies in `recent`, and another one from
//! which on everything lies in the daybook; of each chat `messages` holds the beginning.

use std::cell::OnceCell;
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::domain::id::ChatId;
use crate::store::noted::{Note, Noted};
use crate::store::posting::posted;
use crate::store::tables::{Opened, Shelf};
use crate::store::{StoreError, failure};

/// A message's key in `messages`: chat and id. In `recent` they stand the other way round.
pub(super) type Place = (u64, u64);

/// So many are looked through one by one before they are sorted in: each sorting passes over the
/// whole index, each question over all of these.
const FRESH_MAX: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    index: RwLock<Index>,
}

/// 16 bytes a message.
#[derive(Debug, Default)]
struct Index {
    /// By chat and id.
    sorted: Vec<Place>,
    /// In order of arrival; each newer than all of `sorted`.
    fresh: Vec<Place>,
    edges: Edges,
    /// The newest of them, which are in no table.
    noted: Arc<Noted>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Edges {
    /// What is older has been merged and is not in the index any more.
    floor: u64,
    /// The newest that was published.
    last: u64,
}

impl Arrivals {
    /// What lies in `recent` and in the daybook.
    pub(super) fn read(
        recent: &Opened<'_, Place>,
        notes: Vec<Note>,
    ) -> Result<Arrivals, StoreError> {
        let mut sorted = places(recent)?;
        sorted.extend(notes.iter().map(|note| note.place));
        sorted.sort_unstable();
        let ids = || sorted.iter().map(|(_, id)| *id);
        let edges =
            Edges { floor: ids().min().unwrap_or_default(), last: ids().max().unwrap_or_default() };
        let noted = Arc::new(Noted::of(notes));
        Ok(Arrivals { index: RwLock::new(Index { sorted, fresh: Vec::new(), edges, noted }) })
    }

    /// What is noted now.
    pub(super) fn noted(&self) -> Arc<Noted> {
        self.lock().noted.clone()
    }

    /// How many messages wait for a merge.
    pub(super) fn len(&self) -> usize {
        let index = self.lock();
        index.sorted.len() + index.fresh.len()
    }

    /// What the daybook has made durable: new messages in order of arrival. Before anybody is told.
    pub(super) fn publish_noted(&self, arrived: &[Place], notes: &mut Vec<Note>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.noted.extend(notes);
        index.add(arrived);
    }

    /// What a commit has made durable: everything that was noted lies in `recent`, there are new
    /// messages in order of arrival, and from which id on nothing has been merged. Before anybody is
    /// told.
    pub(super) fn publish(&self, arrived: &[Place], floor: Option<u64>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if !index.noted.is_empty() {
            index.noted = Arc::default();
        }
        if let Some(floor) = floor {
            index.sorted.retain(|(_, id)| *id >= floor);
            index.fresh.retain(|(_, id)| *id >= floor);
            if index.sorted.is_empty() {
                // A server that rests gives the memory back.
                index.sorted = Vec::new();
            }
            index.edges.floor = floor;
        }
        index.add(arrived);
    }

    /// The ids of a chat's messages among `ids`, ascending, and then those of a turn that is not
    /// committed: how the engine's own thread sees it.
    pub(super) fn tail(
        &self,
        chat: ChatId,
        ids: &RangeInclusive<u64>,
        arrived: &[Place],
    ) -> Vec<u64> {
        let mut tail = self.lock().tail(chat, ids);
        tail.extend(of(chat, ids, arrived));
        tail
    }

    /// The chat with the smallest number above `after` that has any here.
    pub(super) fn chat_after(&self, after: u64) -> Option<u64> {
        let index = self.lock();
        let sorted = index.sorted.partition_point(|(chat, _)| *chat <= after);
        let sorted = index.sorted.get(sorted).map(|(chat, _)| *chat);
        let fresh = index.fresh.iter().map(|(chat, _)| *chat).filter(|chat| *chat > after);
        sorted.into_iter().chain(fresh).min()
    }

    /// The oldest that waits for a merge.
    fn oldest(&self) -> Option<u64> {
        let index = self.lock();
        index.sorted.iter().chain(&index.fresh).map(|(_, id)| *id).min()
    }

    /// Whether one waits that is older than `id`.
    pub(super) fn has_before(&self, id: u64) -> bool {
        self.oldest().is_some_and(|oldest| oldest < id)
    }

    fn lock(&self) -> RwLockReadGuard<'_, Index> {
        // Nothing in here can panic half-way through a change.
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn add(&mut self, arrived: &[Place]) {
        let Some((_, last)) = arrived.last() else {
            return;
        };
        self.edges.last = *last;
        self.fresh.extend_from_slice(arrived);
        if self.fresh.len() >= FRESH_MAX {
            self.sorted.append(&mut self.fresh);
            // Stable, because that one makes use of what is in order already.
            self.sorted.sort();
        }
    }

    fn tail(&self, chat: ChatId, ids: &RangeInclusive<u64>) -> Vec<u64> {
        let mut tail: Vec<u64> = within(&self.sorted, chat, ids).collect();
        tail.extend(of(chat, ids, &self.fresh));
        tail
    }
}

/// A chat's ids out of places sorted by chat and id.
fn within<'s>(
    sorted: &'s [Place],
    chat: ChatId,
    ids: &RangeInclusive<u64>,
) -> impl Iterator<Item = u64> + use<'s> {
    let start = sorted.partition_point(|place| *place < (chat.0, *ids.start()));
    let end = (chat.0, *ids.end());
    sorted[start..].iter().take_while(move |place| **place <= end).map(|(_, id)| *id)
}

/// A chat's ids out of places in order of arrival.
fn of<'p>(
    chat: ChatId,
    ids: &RangeInclusive<u64>,
    places: &'p [Place],
) -> impl Iterator<Item = u64> + use<'p> {
    let ids = ids.clone();
    let own = places.iter().filter(move |(of, id)| *of == chat.0 && ids.contains(id));
    own.map(|(_, id)| *id)
}

/// What lies in `recent`, by chat and id.
fn places(recent: &Opened<'_, Place>) -> Result<Vec<Place>, StoreError> {
    let mut places = Vec::new();
    for entry in recent.range(..)? {
        let (id, chat) = entry.map_err(failure)?.0.value();
        places.push((chat, id));
    }
    places.sort_unstable();
    Ok(places)
}

/// What one snapshot sees of the arrivals.
///
/// It is taken **before** the snapshot's transaction begins. So whatever had been published by then
/// is in the transaction, in `recent` or, where a merge came between, in `messages`; or, where
/// nothing came between, among what was noted. What was published later is not looked at, and
/// nothing had been told of it.
#[derive(Debug)]
pub(super) struct Sight {
    arrivals: Arc<Arrivals>,
    edges: Edges,
    noted: Arc<Noted>,
    /// Whether what was noted is in no table of the snapshot's.
    is_noted: OnceCell<bool>,
    /// The oldest id in the snapshot's `recent` or noted: what is older has been merged there.
    first: OnceCell<u64>,
    /// Read from the snapshot's `recent` once the index has let go of what lies there.
    own: OnceCell<Vec<Place>>,
}

impl Sight {
    pub(super) fn new(arrivals: Arc<Arrivals>) -> Sight {
        let (edges, noted) = {
            let index = arrivals.lock();
            (index.edges, index.noted.clone())
        };
        Sight {
            arrivals,
            edges,
            noted,
            is_noted: OnceCell::new(),
            first: OnceCell::new(),
            own: OnceCell::new(),
        }
    }

    /// The ids of a chat's messages that lie in the snapshot's `recent` or are noted, among `ids`,
    /// ascending.
    pub(super) fn tail(
        &self,
        chat: ChatId,
        ids: &RangeInclusive<u64>,
        tables: &impl Shelf,
    ) -> Result<Vec<u64>, StoreError> {
        let ids = *ids.start()..=self.edges.last.min(*ids.end());
        let (mut tail, known) = {
            let index = self.arrivals.lock();
            let known = index.edges.floor == self.edges.floor;
            (if known { index.tail(chat, &ids) } else { Vec::new() }, known)
        };
        if known && tail.is_empty() {
            return Ok(tail);
        }
        if !known {
            // A merge has passed since the snapshot was taken.
            let own = match self.own.get() {
                Some(own) => own,
                None => {
                    let own = self.places(tables)?;
                    self.own.get_or_init(|| own)
                }
            };
            return Ok(within(own, chat, &ids).collect());
        }
        let first = match self.first.get() {
            Some(first) => *first,
            None => {
                let first = self.oldest(tables)?.unwrap_or(u64::MAX);
                *self.first.get_or_init(|| first)
            }
        };
        let merged = tail.partition_point(|id| *id < first);
        tail.drain(..merged);
        Ok(tail)
    }

    /// Everything that lies in the snapshot's `recent` or is noted, by chat and id.
    pub(super) fn places(&self, tables: &impl Shelf) -> Result<Vec<Place>, StoreError> {
        let mut places = places(tables.recent()?)?;
        if let Some(noted) = self.noted(tables)? {
            places.extend(noted.places(self.edges.last));
            places.sort_unstable();
        }
        Ok(places)
    }

    /// The oldest id that was not merged.
    pub(super) fn oldest(&self, tables: &impl Shelf) -> Result<Option<u64>, StoreError> {
        // Whatever is noted is newer than what lies in a table.
        match first_of(tables.recent()?)? {
            Some(first) => Ok(Some(first)),
            None => Ok(self.noted(tables)?.and_then(|noted| noted.first())),
        }
    }

    /// What the snapshot's tables do not have; ids after `last` are none of its business.
    pub(super) fn noted(&self, tables: &impl Shelf) -> Result<Option<&Arc<Noted>>, StoreError> {
        let is_noted = match self.is_noted.get() {
            Some(is_noted) => *is_noted,
            None => {
                let is_noted = match self.noted.first() {
                    Some(first) => first > posted(tables)?.last,
                    None => false,
                };
                *self.is_noted.get_or_init(|| is_noted)
            }
        };
        Ok(is_noted.then_some(&self.noted))
    }

    /// How many are noted.
    pub(super) fn noted_count(&self, tables: &impl Shelf) -> Result<u64, StoreError> {
        let noted = self.noted(tables)?;
        Ok(noted.map_or(0, |noted| noted.places(self.edges.last).len() as u64))
    }
}

/// The oldest id in `recent`.
fn first_of(recent: &Opened<'_, Place>) -> Result<Option<u64>, StoreError> {
    match recent.range(..)?.next() {
        Some(first) => Ok(Some(first.map_err(failure)?.0.value().0)),
        None => Ok(None),
    }
}
