//! How far the messages had come at what time: a row about once a day, while the clock is believed.
//!
//! From here follows what is older than so many days, and not from the times of the messages: those
//! say what a clock said, and it may have stood at 1970 or years ahead. Ids follow no clock.

use crate::domain::id::{ChatId, MessageId, Timestamp};
use crate::store::tables::Shelf;
use crate::store::{Store, StoreError, Tx, failure, lock, open_or_skip, rows};

/// See `Look::day`. A row that cannot be read is as good as none.
pub(super) fn noted(
    tables: &impl Shelf,
    by: Timestamp,
) -> Result<Option<(Timestamp, MessageId)>, StoreError> {
    let table = tables.days()?;
    for entry in table.range(..=by.0)?.rev() {
        let row = table
            .entry(entry, |at, fields| Ok(Some((Timestamp(*at), MessageId(rows::one(fields)?)))));
        if let Some(day) = open_or_skip(row)? {
            return Ok(Some(day));
        }
    }
    Ok(None)
}

impl Tx<'_> {
    /// Notes that everything that is there was there at `at`. What was noted for later than that
    /// was a clock's that stood ahead, and is forgotten.
    pub fn put_day(&mut self, at: Timestamp) -> Result<(), StoreError> {
        self.begin()?;
        // One id is spent on it: everything after it is larger, whatever becomes of its block.
        let id = self.next_id()?;
        let table = self.tables.days_mut()?;
        table.writable()?.retain_in(at.0.., |_, _| false).map_err(failure)?;
        table.put(at.0, rows::NUMBER_TAGS, |out| rows::put_one(id.0, out))
    }

    /// The chat with the smallest number above `after` that has any records.
    pub fn chat_after(&self, after: ChatId) -> Result<Option<ChatId>, StoreError> {
        let Some(low) = after.0.checked_add(1) else { return Ok(None) };
        let merged = match self.tables.messages()?.range((low, 0)..)?.next() {
            Some(first) => Some(first.map_err(failure)?.0.value().0),
            None => None,
        };
        let young = self.arrivals.chat_after(after.0);
        Ok(merged.into_iter().chain(young).min().map(ChatId))
    }
}

impl Store {
    /// Whether messages older than this wait for a merge.
    pub fn has_waiting(&self, before: MessageId) -> bool {
        lock(&self.shared).as_ref().is_some_and(|live| live.arrivals.has_before(before.0))
    }
}
