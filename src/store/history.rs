//! One chat's messages as one row, though they lie in three places: the beginning in `messages`, what
//! came since the last merge in `recent`, and what came last in the daybook (see `arrivals`).

use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use redb::{AccessGuard, Value as _};

use crate::domain::id::{ChatId, MessageId};
use crate::domain::nouns::Message;
use crate::store::arrivals::Place;
use crate::store::line::{self, Line};
use crate::store::look::Books;
use crate::store::noted::Young;
use crate::store::tables::{Opened, Record, Shelf};
use crate::store::tlv::{self, Fields, Flaw};
use crate::store::{StoreError, failure};

/// See the module.
pub(super) struct History<'t> {
    chat: ChatId,
    messages: &'t Opened<'t, Place>,
    /// The ids in `recent` and noted, ascending, all newer than those in `messages`.
    tail: Vec<u64>,
    /// `None` where there is no tail.
    recent: Option<&'t Opened<'t, Place>>,
    young: Young<'t>,
}

/// A message where it lies.
pub(super) struct Entry<'t> {
    pub(super) chat: ChatId,
    pub(super) id: MessageId,
    /// Whether it lies in `messages`.
    pub(super) merged: bool,
    table: &'t Opened<'t, Place>,
    /// As its table has it.
    key: Place,
    value: Value<'t>,
}

enum Value<'t> {
    Stored(AccessGuard<'t, Record>),
    Noted(Arc<[u8]>),
}

impl<'t> History<'t> {
    /// All of a chat.
    pub(super) fn of(books: &'t impl Books, chat: ChatId) -> Result<History<'t>, StoreError> {
        History::among(books, chat, &(0..=u64::MAX))
    }

    /// A chat, of which nothing is asked but these ids.
    pub(super) fn among(
        books: &'t impl Books,
        chat: ChatId,
        ids: &RangeInclusive<u64>,
    ) -> Result<History<'t>, StoreError> {
        let tail = books.tail(chat, ids)?;
        let young = if tail.is_empty() { Young::default() } else { books.young()? };
        History::with(books.tables(), chat, tail, young)
    }

    pub(super) fn with(
        tables: &'t impl Shelf,
        chat: ChatId,
        tail: Vec<u64>,
        young: Young<'t>,
    ) -> Result<History<'t>, StoreError> {
        let recent = if tail.is_empty() { None } else { Some(tables.recent()?) };
        Ok(History { chat, messages: tables.messages()?, tail, recent, young })
    }

    /// The messages of these ids, from either end.
    pub(super) fn range(
        &self,
        ids: RangeInclusive<u64>,
    ) -> Result<impl DoubleEndedIterator<Item = Result<Entry<'t>, StoreError>>, StoreError> {
        let (chat, messages) = (self.chat, self.messages);
        let start = self.tail.partition_point(|id| id < ids.start());
        let end = self.tail.partition_point(|id| id <= ids.end()).max(start);
        let merged = messages.range((chat.0, *ids.start())..=(chat.0, *ids.end()))?;
        let merged = merged.map(move |entry| {
            let (key, value) = entry.map_err(failure)?;
            Ok(Entry::merged(messages, key.value(), value))
        });
        Ok(merged.chain(self.tail[start..end].iter().map(|id| self.arrived(*id))))
    }

    /// From the newest to the oldest.
    pub(super) fn newest_first(
        &self,
    ) -> Result<impl Iterator<Item = Result<Entry<'t>, StoreError>>, StoreError> {
        Ok(self.range(0..=u64::MAX)?.rev())
    }

    pub(super) fn get(&self, id: MessageId) -> Result<Option<Entry<'t>>, StoreError> {
        if self.tail.binary_search(&id.0).is_ok() {
            return self.arrived(id.0).map(Some);
        }
        let key = (self.chat.0, id.0);
        let value = self.messages.get(&key)?;
        Ok(value.map(|value| Entry::merged(self.messages, key, value)))
    }

    /// The id than which so many are newer.
    pub(super) fn id_before(&self, newer: usize) -> Result<Option<MessageId>, StoreError> {
        if let Some(place) = self.tail.len().checked_sub(newer + 1) {
            return Ok(Some(MessageId(self.tail[place])));
        }
        let mut merged = self.messages.range((self.chat.0, 0)..=(self.chat.0, u64::MAX))?.rev();
        match merged.nth(newer - self.tail.len()) {
            Some(entry) => Ok(Some(MessageId(entry.map_err(failure)?.0.value().1))),
            None => Ok(None),
        }
    }

    fn arrived(&self, id: u64) -> Result<Entry<'t>, StoreError> {
        let key = (id, self.chat.0);
        let gone = || StoreError::Damaged(format!("recent {key:?}: it is gone"));
        arrived(self.recent.ok_or_else(gone)?, &self.young, key)
    }
}

impl<'t> Entry<'t> {
    fn merged(table: &'t Opened<'t, Place>, key: Place, value: AccessGuard<'t, Record>) -> Self {
        let value = Value::Stored(value);
        Entry { chat: ChatId(key.0), id: MessageId(key.1), merged: true, table, key, value }
    }

    pub(super) fn arrived(
        table: &'t Opened<'t, Place>,
        key: Place,
        value: AccessGuard<'t, Record>,
    ) -> Self {
        Entry::young(table, key, Value::Stored(value))
    }

    fn young(table: &'t Opened<'t, Place>, key: Place, value: Value<'t>) -> Self {
        Entry { chat: ChatId(key.1), id: MessageId(key.0), merged: false, table, key, value }
    }

    fn bytes(&self) -> &[u8] {
        match &self.value {
            Value::Stored(value) => value.value(),
            Value::Noted(record) => record,
        }
    }

    /// What is wrong with it, in words that find it.
    pub(super) fn fault(&self, people: &str, what: &str) -> String {
        format!("message {} of chat {} ({people}): {what}", self.id.0, self.chat.0)
    }

    pub(super) fn fields(&self) -> Result<Fields<'_>, Flaw> {
        tlv::open(<Place>::as_bytes(&self.key).as_ref(), self.bytes())
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Line<'_>) -> Result<T, Flaw>,
    ) -> Result<T, StoreError> {
        let read = self.fields().and_then(line::line).and_then(|line| read(&line));
        read.map_err(|flaw| self.table.damaged(&self.key, flaw))
    }

    pub(super) fn message(&self) -> Result<Message, StoreError> {
        self.read(|line| line.message(self.chat, self.id))
    }

    /// Appends the record as it belongs into `messages`. Whether it was sound: one that is not is
    /// taken along as it is, so that it is still found to be damaged there.
    pub(super) fn settle(&self, out: &mut Vec<u8>) -> bool {
        let key = (self.chat.0, self.id.0);
        tlv::reseal(
            self.bytes(),
            <Place>::as_bytes(&self.key).as_ref(),
            <Place>::as_bytes(&key).as_ref(),
            out,
        )
    }
}

/// One of those that were not merged, by its key in `recent`.
fn arrived<'t>(
    recent: &'t Opened<'t, Place>,
    young: &Young<'_>,
    key: Place,
) -> Result<Entry<'t>, StoreError> {
    if let Some(record) = young.get(key.0) {
        return Ok(Entry::young(recent, key, Value::Noted(record)));
    }
    let gone = || StoreError::Damaged(format!("recent {key:?}: it is gone"));
    Ok(Entry::arrived(recent, key, recent.get(&key)?.ok_or_else(gone)?))
}

/// Every message after a place, in order of chat and id, wherever it lies. `waiting`: what was not
/// merged, in the same order.
pub(super) fn in_order<'t>(
    tables: &'t impl Shelf,
    young: &Young<'_>,
    waiting: &[Place],
    after: Option<Place>,
) -> Result<impl Iterator<Item = Result<Entry<'t>, StoreError>>, StoreError> {
    let (messages, recent) = (tables.messages()?, tables.recent()?);
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut merged = messages.range((start, Bound::Unbounded))?.peekable();
    let first = waiting.partition_point(|place| after.is_some_and(|after| *place <= after));
    let mut waiting = waiting[first..].iter().peekable();
    Ok(std::iter::from_fn(move || {
        let next = match (merged.peek(), waiting.peek()) {
            (Some(Ok((key, _))), Some(place)) if key.value() > **place => None,
            (None, _) => None,
            (Some(_), _) => merged.next(),
        };
        if let Some(entry) = next {
            return Some(entry.map_err(failure).map(|(key, value)| {
                let key = key.value();
                Entry::merged(messages, key, value)
            }));
        }
        let (chat, id) = *waiting.next()?;
        Some(arrived(recent, young, (id, chat)))
    }))
}
