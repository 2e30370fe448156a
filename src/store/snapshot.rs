//! Reading from anywhere: a [`Reader`] takes a [`Snapshot`], and that is one point in time.

use std::ops::RangeInclusive;
use std::sync::Arc;

use redb::ReadableDatabase;

use crate::domain::id::{AccountNo, ChatId, Timestamp};
use crate::domain::nouns::Head;
use crate::store::arrivals::Sight;
use crate::store::known::Known;
use crate::store::look::Books;
use crate::store::noted::Young;
use crate::store::quarantine::Quarantine;
use crate::store::tables::Tables;
use crate::store::{Shared, StoreError, closed, failure, lock};

/// Reads from anywhere, at a point in time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) shared: Shared,
}

/// One point in time, for reading. Short: never across an await or a socket write, because pages
/// freed while one lives are not reused.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) tables: Tables<'static>,
    pub(super) sight: Sight,
    pub(super) quarantine: Arc<Quarantine>,
}

impl Reader {
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(&self.snapshot()?)
    }

    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let opened = lock(&self.shared);
        let live = opened.as_ref().ok_or_else(closed)?;
        // In this order, see there.
        let sight = Sight::new(live.arrivals.clone());
        let tables = Tables::read(live.database.begin_read().map_err(failure)?);
        Ok(Snapshot { tables, sight, quarantine: live.quarantine.clone() })
    }
}

impl Books for Snapshot {
    type Tables = Tables<'static>;

    fn tables(&self) -> &Self::Tables {
        &self.tables
    }

    fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    fn tail(&self, chat: ChatId, ids: &RangeInclusive<u64>) -> Result<Vec<u64>, StoreError> {
        self.sight.tail(chat, ids, &self.tables)
    }

    fn young(&self) -> Result<Young<'_>, StoreError> {
        Ok(Young { noted: self.sight.noted(&self.tables)?.cloned(), own: &[] })
    }

    fn known_head(&self, _chat: ChatId) -> Option<Head> {
        None
    }

    fn known_seen(&self, _account: AccountNo) -> Option<Timestamp> {
        None
    }

    fn known(&self) -> Option<&Known> {
        None
    }
}
