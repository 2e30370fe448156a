//! The merge: the oldest messages of `recent` go where they belong, into `messages` by chat and id.
//!
//! A message is first written where the one before it was, whoever's it is: a turn's messages share
//! their pages. Here those of a chat come together and share pages for good. In one commit: what is
//! put into `messages` leaves `recent`. What lies below its chat's floor leaves it for nowhere.

use std::collections::HashSet;
use std::ops::Bound;

use redb::CursorError;

use crate::domain::id::ChatId;
use crate::limits::MERGE_BYTES_MAX;
use crate::store::arrivals::Place;
use crate::store::history::Entry;
use crate::store::tables::{Opened, Shelf};
use crate::store::{StoreError, Tx, failure, floor};

impl Tx<'_> {
    /// Merges the oldest messages of `recent`, as many as one commit should carry: those of so many
    /// chats, and no more than `MERGE_BYTES_MAX`.
    pub(super) fn merge(&mut self, chats_max: usize) -> Result<(), StoreError> {
        self.begin()?;
        let (mut places, last) = oldest(self.tables.recent()?, chats_max)?;
        let Some(last) = last else {
            // Nothing waits, whatever was remembered.
            self.state.floor = Some(u64::MAX);
            return Ok(());
        };
        places.sort_unstable();
        for chat in places.chunk_by(|one, next| one.0 == next.0) {
            let floor = floor::of(&self.tables, ChatId(chat[0].0))?.unwrap_or_default();
            let kept = &chat[chat.partition_point(|(_, id)| *id < floor.id.0)..];
            if !kept.is_empty() {
                let (messages, recent) = self.tables.message_tables()?;
                insert(messages, recent, kept)?;
            }
        }
        let recent = self.tables.recent_mut()?;
        recent.writable()?.retain_in(..=(last, u64::MAX), |_, _| false).map_err(failure)?;
        self.state.floor = Some(last + 1);
        Ok(())
    }
}

/// Which messages a merge takes, and the newest id of them.
fn oldest(
    recent: &Opened<'_, Place>,
    chats_max: usize,
) -> Result<(Vec<Place>, Option<u64>), StoreError> {
    let mut places = Vec::new();
    let mut last = None;
    let mut chats = HashSet::new();
    let mut bytes = 0;
    for entry in recent.range(..)? {
        let (key, value) = entry.map_err(failure)?;
        let (id, chat) = key.value();
        chats.insert(chat);
        if bytes > MERGE_BYTES_MAX || chats.len() > chats_max {
            break;
        }
        bytes += value.value().len();
        places.push((chat, id));
        last = Some(id);
    }
    Ok((places, last))
}

/// Puts messages of one chat behind those that are there. One cursor for all of them leaves full
/// pages, where one insert after the other would leave half-full ones.
fn insert(
    messages: &mut Opened<'_, Place>,
    recent: &Opened<'_, Place>,
    places: &[Place],
) -> Result<(), StoreError> {
    let mut record = Vec::new();
    let mut astray = Vec::new();
    let table = messages.writable()?;
    let mut end = table.lower_bound_mut(Bound::Included(places[0])).map_err(failure)?;
    for place in places {
        let key = (place.1, place.0);
        let gone = || StoreError::Damaged(format!("recent {key:?}: it is gone"));
        let entry = Entry::arrived(recent, key, recent.get(&key)?.ok_or_else(gone)?);
        record.clear();
        if !entry.settle(&mut record) {
            log::error!("damaged record merged as it is: recent {key:?}");
        }
        match end.insert_before(place, record.as_slice()) {
            Ok(()) => {}
            Err(CursorError::UnorderedKey) => astray.push((*place, record.clone())),
            Err(error) => return Err(failure(error)),
        }
    }
    end.close().map_err(failure)?;
    // Only where ids have rotted. It must not keep everybody else's messages from being merged.
    for (place, record) in astray {
        if messages.has(place)? {
            log::error!("dropped, because messages {place:?} is there: {record:02x?}");
        } else {
            messages.insert(place, &record)?;
        }
    }
    Ok(())
}
