//! Damaged records: each is named once in the log, and of a message there is something to show in
//! its place, so that a chat with one rotten record is a chat still.
//!
//! Nothing is changed on the disk: what lies there may be all that is left, and a backup or a merge
//! takes it along as it is.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::id::{AccountNo, MessageId, Seq, Timestamp};
use crate::domain::nouns::{Account, AccountState, Extra, Message};
use crate::domain::words::Kind;
use crate::store::history::{Entry, History};
use crate::store::line;
use crate::store::rows::{self, Named};
use crate::store::tables::Shelf;
use crate::store::{Reader, StoreError, failure, lock};

/// Whoever has more damaged records than these wants a backup and not a longer list.
const NAMES_MAX: usize = 1000;

/// What was found to be damaged since the database was opened.
#[derive(Debug, Default)]
pub(super) struct Quarantine(Mutex<BTreeSet<String>>);

impl Quarantine {
    /// Says it, the first time.
    pub(super) fn name(&self, what: String) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < NAMES_MAX && !names.contains(&what) {
            log::error!("damaged and passed over: {what}");
            names.insert(what);
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// A row, or nothing where it is damaged.
    pub(super) fn skip<T>(&self, row: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match row {
            Ok(row) => Ok(Some(row)),
            Err(StoreError::Damaged(what)) => {
                self.name(what);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Reader {
    /// Which damaged records were met since the database was opened, a sentence each.
    pub fn quarantined(&self) -> Vec<String> {
        lock(&self.shared).as_ref().map(|live| live.quarantine.names()).unwrap_or_default()
    }
}

/// What is shown for a message that cannot be read: one whose text is gone, in its place in the
/// chain, which follows from the nearest sound one. Its author is taken from there too, because
/// somebody has to be named, and an absent text accuses nobody. `None` where nothing in the chat is
/// sound.
pub(super) fn stand_in(
    history: &History<'_>,
    entry: &Entry<'_>,
) -> Result<Option<Message>, StoreError> {
    let id = entry.id.0;
    let mut previous = None;
    let mut place = None;
    for (back, older) in (1..).zip(history.range(0..=id.saturating_sub(1))?.rev()) {
        let older = older?;
        previous.get_or_insert(older.id);
        if let Some((seq, time, from)) = sound(&older) {
            place = Some((seq.saturating_add(back), time, from));
            break;
        }
    }
    if place.is_none() {
        for (ahead, newer) in (1..).zip(history.range(id.saturating_add(1)..=u64::MAX)?) {
            if let Some((seq, time, from)) = sound(&newer?) {
                place = Some((seq.saturating_sub(ahead), time, from));
                break;
            }
        }
    }
    Ok(place.map(|(seq, time, from)| Message {
        chat: entry.chat,
        id: entry.id,
        previous: previous.unwrap_or(MessageId(0)),
        seq: Seq(seq),
        time,
        from,
        kind: Kind::Text,
        text: Arc::from(""),
        cookie: None,
        extra: Some(Box::new(Extra { deleted: true, ..Extra::default() })),
    }))
}

fn sound(entry: &Entry<'_>) -> Option<(u32, Timestamp, AccountNo)> {
    let line = entry.fields().and_then(line::line).ok()?;
    Some((line.seq.0, line.time, line.from))
}

/// What is known of an account whose row cannot be read: its name, by which its chats are called.
/// Nobody logs in to it. `None` where not even that is left.
pub(super) fn nameless(tables: &impl Shelf, no: AccountNo) -> Result<Option<Account>, StoreError> {
    for entry in tables.addresses()?.range(..)? {
        let (key, value) = entry.map_err(failure)?;
        let key = key.value();
        let named = crate::store::tlv::open(key.as_bytes(), value.value()).and_then(rows::name);
        if named == Ok(Named::Account(no)) {
            let Ok(address) = rows::address_of(key.as_bytes()) else { return Ok(None) };
            return Ok(Some(Account {
                no,
                address,
                verifier: None,
                state: AccountState::Disabled,
                created: Timestamp(0),
                public_id: 0,
            }));
        }
    }
    Ok(None)
}
