//! What is in the daybook and in no table yet, in memory: where a question finds it.
//!
//! A [`Noted`] only ever grows. When a commit has entered all of it into `recent`, an empty one takes
//! its place (see `arrivals`), and a snapshot from before keeps the one that it began with.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::store::arrivals::Place;

/// A message as it is noted.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// Chat and id.
    pub(super) place: Place,
    /// As `recent` takes it, with its check.
    pub(super) record: Arc<[u8]>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Ascending by id.
    notes: RwLock<Vec<Note>>,
}

impl Noted {
    /// With these, ascending by id.
    pub(super) fn of(notes: Vec<Note>) -> Noted {
        Noted { notes: RwLock::new(notes) }
    }

    /// Newer ones, before anybody is told of them.
    pub(super) fn extend(&self, notes: &mut Vec<Note>) {
        self.notes.write().unwrap_or_else(PoisonError::into_inner).append(notes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.lock().first().map(|note| note.place.1)
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<[u8]>> {
        find(&self.lock(), id)
    }

    /// Where those up to an id belong, in order of arrival.
    pub(super) fn places(&self, last: u64) -> Vec<Place> {
        let notes = self.lock();
        notes.iter().map(|note| note.place).take_while(|(_, id)| *id <= last).collect()
    }

    /// All of them, in order of arrival.
    pub(super) fn all<T>(&self, work: impl FnOnce(&[Note]) -> T) -> T {
        work(&self.lock())
    }

    fn lock(&self) -> RwLockReadGuard<'_, Vec<Note>> {
        // Nothing in here can panic half-way through a change.
        self.notes.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of a message among notes in order of arrival.
fn find(notes: &[Note], id: u64) -> Option<Arc<[u8]>> {
    let place = notes.binary_search_by_key(&id, |note| note.place.1).ok()?;
    Some(notes[place].record.clone())
}

/// What one reader sees of them: what is durable, and then what its own turn has not committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Young<'t> {
    pub(super) noted: Option<Arc<Noted>>,
    pub(super) own: &'t [Note],
}

impl Young<'_> {
    pub(super) fn get(&self, id: u64) -> Option<Arc<[u8]>> {
        find(self.own, id).or_else(|| self.noted.as_ref()?.get(id))
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what it says.
        f.debug_struct("Note").field("place", &self.place).finish_non_exhaustive()
    }
}
