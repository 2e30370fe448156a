//! What is gone: for everybody below a chat's floor, for one account where it is hidden.
//!
//! A floor makes everything before it unreadable at once. The records themselves are removed from
//! `messages` in slices when there is time for it; a merge leaves those out that wait in `recent`, and
//! no backup takes any along.

use crate::domain::id::{AccountNo, ChatId, MessageId};
use crate::domain::nouns::Mark;
use crate::limits::COOKIE_WINDOW;
use crate::store::look::Books;
use crate::store::tables::{self, Shelf};
use crate::store::{Look, Store, StoreError, Tx, failure, open_or_skip, rows};

/// Where a chat begins that was deleted once. A row that cannot be read hides nothing from a merge or
/// a backup: neither may stop there, and what they left out would be gone for good.
pub(super) fn of(tables: &impl Shelf, chat: ChatId) -> Result<Option<Mark>, StoreError> {
    open_or_skip(tables.floors()?.row(chat.0, rows::floor))
}

impl Tx<'_> {
    /// Everything before `floor` is gone for everybody from now on. Its seq is the first place that
    /// is left, which may be still to come.
    pub fn put_floor(&mut self, chat: ChatId, floor: Mark) -> Result<(), StoreError> {
        self.begin()?;
        self.state.swept = false;
        let table = self.tables.floors_mut()?;
        table.put(chat.0, rows::FLOOR_TAGS, |out| rows::put_floor(floor, out))
    }

    /// Writes the marks that follow from messages before `floor`, which are about to go.
    pub fn keep_marks(&mut self, chat: ChatId, floor: Mark) -> Result<(), StoreError> {
        let head = self.head(chat)?;
        if head.seq.0.saturating_sub(floor.seq.0) >= COOKIE_WINDOW {
            // They lie in the window, and nothing of that goes.
            return Ok(());
        }
        for (author, mark) in self.window(chat)?.below(floor.id) {
            let part = self.part(author, chat)?;
            if part.is_some_and(|part| part.read < mark)
                && let Some(member) = self.member(author, chat)?
            {
                self.put_member(author, chat, &member)?;
            }
        }
        Ok(())
    }

    /// One message is gone for one account. False: it was already.
    pub fn hide(
        &mut self,
        account: AccountNo,
        chat: ChatId,
        id: MessageId,
    ) -> Result<bool, StoreError> {
        let place = tables::place(chat.0, id.0);
        let key = (account.0, &place);
        if self.tables().hidden()?.has(key)? {
            return Ok(false);
        }
        self.begin()?;
        self.tables.hidden_mut()?.put(key, 0, |_| {})?;
        Ok(true)
    }

    /// Removes up to `count` records that lie below a floor. How many there were; fewer than
    /// `count` are all.
    fn sweep(&mut self, count: usize) -> Result<usize, StoreError> {
        let mut gone: Vec<(u64, u64)> = Vec::new();
        for entry in self.tables.floors()?.range(..)? {
            let row = self
                .tables
                .floors()?
                .entry(entry, |chat, fields| Ok(Some((*chat, rows::floor(fields)?))));
            let Some((chat, floor)) = open_or_skip(row)? else { continue };
            let below = self.tables.messages()?.range((chat, 0)..(chat, floor.id.0))?;
            for entry in below.take(count - gone.len()) {
                gone.push(entry.map_err(failure)?.0.value());
            }
            if gone.len() == count {
                break;
            }
        }
        if !gone.is_empty() {
            self.begin()?;
            let table = self.tables.messages_mut()?;
            for key in &gone {
                table.remove(*key)?;
            }
        }
        Ok(gone.len())
    }
}

impl Store {
    /// Whether [`Store::sweep`] may have something to do.
    pub fn is_unswept(&self) -> bool {
        !self.state.swept
    }

    /// Leaves a floor that nobody can read.
    #[cfg(test)]
    pub(crate) fn spoil_floor(&mut self, chat: ChatId) {
        let spoilt = self.write(|tx| {
            tx.begin()?;
            tx.tables.floors_mut()?.insert(chat.0, b"....")
        });
        spoilt.expect("a disk in memory takes anything");
    }

    /// Removes some of what is gone for everybody; to be called again while there is more.
    pub fn sweep(&mut self) -> Result<(), StoreError> {
        let gone = self.write(|tx| tx.sweep(crate::limits::SWEEP_RECORDS))?;
        self.state.swept = gone < crate::limits::SWEEP_RECORDS;
        Ok(())
    }
}
