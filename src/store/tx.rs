//! One turn: reads on a view until something is written, then one write transaction. A turn that
//! only writes messages needs none, see `daybook`.

use std::cell::OnceCell;
use std::fmt;
use std::ops::RangeInclusive;

use redb::{Database, WriteTransaction};

use crate::domain::id::{AccountNo, ChatId, Timestamp};
use crate::domain::nouns::Head;
use crate::store::arrivals::{Arrivals, Place};
use crate::store::daybook::Daybook;
use crate::store::known::Known;
use crate::store::look::Books;
use crate::store::marks::Marks;
use crate::store::noted::{Note, Young};
use crate::store::quarantine::Quarantine;
use crate::store::roster::Rosters;
use crate::store::tables::Tables;
use crate::store::window::Chats;
use crate::store::{Live, StoreError, failure};

/// What the engine's thread knows beside the disk. All of it can be forgotten: `ids` and `salts` are read again,
/// the rest is derived or lost by agreement (marks).
#[derive(Debug, Default)]
pub(super) struct State {
    /// `None` until the first is needed.
    pub(super) ids: Option<Ids>,
    /// The numbers of salts, likewise.
    pub(super) salts: Option<Ids>,
    /// The largest account number handed out since the start.
    pub(super) account: AccountNo,
    pub(super) chats: Chats,
    pub(super) known: Known,
    pub(super) marks: Marks,
    pub(super) rosters: Rosters,
    /// No record is left that lies below its chat's floor.
    pub(super) swept: bool,
    /// The messages of this turn, in order of arrival. They are published after its commit.
    pub(super) arrived: Vec<Place>,
    /// Those of them that are to be noted: all, unless there is a transaction.
    pub(super) noted: Vec<Note>,
    /// The round of the daybook that begins with this turn's commit.
    pub(super) round: Option<u64>,
    /// From where on nothing is merged, when this turn merges.
    pub(super) floor: Option<u64>,
}

/// Numbers that are reserved and not used yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub(super) next: u64,
    pub(super) end: u64,
}

/// One write transaction, or the reading of one turn.
pub struct Tx<'a> {
    pub(super) tables: Tables<'a>,
    pub(super) state: &'a mut State,
    pub(super) arrivals: &'a Arrivals,
    quarantine: &'a Quarantine,
    pub(super) daybook: &'a Daybook,
    database: &'a Database,
    transaction: &'a OnceCell<WriteTransaction>,
}

impl<'a> Tx<'a> {
    /// `transaction` is filled at the first write.
    pub(super) fn new(
        Live { database, arrivals, quarantine, daybook }: &'a Live,
        transaction: &'a OnceCell<WriteTransaction>,
        state: &'a mut State,
    ) -> Tx<'a> {
        let tables = Tables::turn(database);
        Tx { tables, state, arrivals, quarantine, daybook, database, transaction }
    }

    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        if self.transaction.get().is_none() {
            let new = self.database.begin_write().map_err(failure)?;
            // The reads' own transaction ends here: while it lives, no page is used again.
            self.tables = Tables::write(self.transaction.get_or_init(|| new));
            self.post()?;
        }
        Ok(())
    }

    /// Whether there is a transaction.
    pub(super) fn writes(&self) -> bool {
        self.transaction.get().is_some()
    }

    /// Whether anything is to be made durable.
    pub(super) fn changes(&self) -> bool {
        self.writes() || !self.state.noted.is_empty()
    }

    /// What is in no table: once there is a transaction, nothing.
    pub(super) fn young(&self) -> Young<'_> {
        let noted = (!self.writes()).then(|| self.arrivals.noted());
        Young { noted, own: &self.state.noted }
    }

    /// Makes the database one from before there was this table.
    #[cfg(test)]
    pub(super) fn drop_table(&mut self, table: impl redb::TableHandle) -> Result<(), StoreError> {
        self.begin()?;
        let transaction = self.transaction.get().expect("it has just begun");
        assert!(transaction.delete_table(table).map_err(failure)?);
        Ok(())
    }

    /// Writes the waiting marks with this transaction.
    pub(super) fn write_marks(&mut self) -> Result<(), StoreError> {
        self.begin()?;
        self.state.known.parts.clear();
        self.state.marks.write(&mut self.tables)
    }
}

impl<'a> Books for Tx<'a> {
    type Tables = Tables<'a>;

    fn tables(&self) -> &Self::Tables {
        &self.tables
    }

    fn quarantine(&self) -> &Quarantine {
        self.quarantine
    }

    fn tail(&self, chat: ChatId, ids: &RangeInclusive<u64>) -> Result<Vec<u64>, StoreError> {
        Ok(self.arrivals.tail(chat, ids, &self.state.arrived))
    }

    fn young(&self) -> Result<Young<'_>, StoreError> {
        Ok(Tx::young(self))
    }

    fn known_head(&self, chat: ChatId) -> Option<Head> {
        self.state.chats.peek(chat).map(|window| window.head)
    }

    fn known_seen(&self, account: AccountNo) -> Option<Timestamp> {
        self.state.marks.seen(account)
    }

    fn known(&self) -> Option<&Known> {
        Some(&self.state.known)
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("writes", &self.writes()).finish_non_exhaustive()
    }
}
