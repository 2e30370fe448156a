//! Backup, which is compaction too: every table copied in key order into a fresh file.
//!
//! One read transaction from the first record to the last, because a backup is one point in time;
//! the pages freed meanwhile are used again after it. The server goes on.

use std::fs;
use std::ops::Bound;
use std::path::Path;

use redb::{Key, TableDefinition, TableHandle, WriteTransaction};

use crate::store::look::Books;
use crate::store::tables::{self, Opened, Record, Shelf};
use crate::store::tlv::{self, Fields, Flaw};
use crate::store::verify::{Chain, Findings};
use crate::store::{Reader, Snapshot, StoreError, Verdict, create, failure, floor, history};

/// `progress` is told after so many records.
const PROGRESS_RECORDS: u64 = 1024;

impl Reader {
    /// Copies every table in key order into a fresh file at `path` (which must not exist), checks
    /// every record, syncs, renames. `progress` hears records done so far. The server goes on. A
    /// record that is damaged is copied as it is and named in the verdict.
    pub fn backup(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verdict, StoreError> {
        if path.exists() {
            return Err(StoreError::Io(format!("{} exists already", path.display())));
        }
        let temporary = create::temporary(path);
        // Left by a backup that was cut short.
        let _ = fs::remove_file(&temporary);
        let copied = self.copy(&temporary, progress).and_then(|verdict| {
            create::put_in_place(&temporary, path)
                .map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))?;
            Ok(verdict)
        });
        if copied.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        copied
    }

    fn copy(&self, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
        let here = self.snapshot()?;
        let from = &here.tables;
        let mut database =
            create::fresh(path).map_err(|error| StoreError::Io(error.to_string()))?;
        let mut transaction = database.begin_write().map_err(failure)?;
        let mut copy = Copy { to: &transaction, findings: Findings::default(), progress };
        copy.table(from.meta()?, tables::META, only_check)?;
        copy.table(from.accounts()?, tables::ACCOUNTS, |found, _, fields| {
            found.verdict.accounts += 1;
            fields.map(drop)
        })?;
        copy.table(from.addresses()?, tables::ADDRESSES, only_check)?;
        copy.table(from.contacts()?, tables::CONTACTS, only_check)?;
        copy.table(from.chats()?, tables::CHATS, only_check)?;
        copy.table(from.members()?, tables::MEMBERS, only_check)?;
        copy.table(from.members_by_chat()?, tables::MEMBERS_BY_CHAT, only_check)?;
        copy.table(from.floors()?, tables::FLOORS, only_check)?;
        copy.table(from.hidden()?, tables::HIDDEN, only_check)?;
        copy.table(from.spaces()?, tables::SPACES, only_check)?;
        copy.table(from.profiles()?, tables::PROFILES, only_check)?;
        copy.messages(&here)?;
        copy.table(from.sessions()?, tables::SESSIONS, only_check)?;
        copy.table(from.sessions_by_account()?, tables::SESSIONS_BY_ACCOUNT, only_check)?;
        copy.table(from.seen()?, tables::SEEN, only_check)?;
        copy.table(from.invites()?, tables::INVITES, only_check)?;
        copy.table(from.secrets()?, tables::SECRETS, only_check)?;
        copy.table(from.public()?, tables::PUBLIC, only_check)?;
        copy.table(from.cards()?, tables::CARDS, only_check)?;
        copy.table(from.days()?, tables::DAYS, only_check)?;
        let Findings { verdict, records } = copy.findings;
        progress(records);
        transaction.set_quick_repair(true);
        transaction.commit().map_err(failure)?;
        // A file grows by doubling, and the last pages lie near its end.
        database.compact().map_err(failure)?;
        Ok(verdict)
    }
}

fn only_check(_: &mut Findings, _key: &[u8], fields: Result<Fields<'_>, Flaw>) -> Result<(), Flaw> {
    fields.map(drop)
}

struct Copy<'c> {
    to: &'c WriteTransaction,
    findings: Findings,
    progress: &'c mut dyn FnMut(u64),
}

impl Copy<'_> {
    /// All of them into one table, each behind the one before it in its chat. What is gone for
    /// everybody does not come along, whether it was removed yet or not.
    fn messages(&mut self, here: &Snapshot) -> Result<(), StoreError> {
        let from = &here.tables;
        let waiting = here.sight.places(from)?;
        let young = here.young()?;
        let mut table = self.to.open_table(tables::MESSAGES).map_err(failure)?;
        self.to.open_table(tables::RECENT).map_err(failure)?;
        let mut end = table.upper_bound_mut(Bound::<(u64, u64)>::Unbounded).map_err(failure)?;
        let mut chain = Chain::default();
        let mut record = Vec::new();
        let (mut chat, mut floor) = (None, None);
        let mut copied = 0;
        for entry in history::in_order(from, &young, &waiting, None)? {
            let entry = entry?;
            copied += 1;
            if chat != Some(entry.chat) {
                chat = Some(entry.chat);
                floor = floor::of(from, entry.chat)?;
            }
            if floor.is_some_and(|floor| entry.id < floor.id) {
                continue;
            }
            // One with a wrong check is named by the chain.
            chain.message(&mut self.findings, from, &entry, |_| floor);
            record.clear();
            entry.settle(&mut record);
            end.insert_before((entry.chat.0, entry.id.0), record.as_slice()).map_err(failure)?;
            self.count();
        }
        let all = here.count()?;
        if copied != all {
            self.findings.fault(format!("{copied} of {all} messages can be found"));
        }
        end.close().map_err(failure)
    }

    fn count(&mut self) {
        self.findings.records += 1;
        if self.findings.records.is_multiple_of(PROGRESS_RECORDS) {
            (self.progress)(self.findings.records);
        }
    }

    fn table<K: Key + 'static>(
        &mut self,
        from: &Opened<'_, K>,
        definition: TableDefinition<'static, K, Record>,
        mut check: impl FnMut(&mut Findings, &[u8], Result<Fields<'_>, Flaw>) -> Result<(), Flaw>,
    ) -> Result<(), StoreError> {
        let mut table = self.to.open_table(definition).map_err(failure)?;
        let mut end =
            table.upper_bound_mut(Bound::<K::SelfType<'_>>::Unbounded).map_err(failure)?;
        let before = self.findings.records;
        for entry in from.range(..)? {
            let (key, value) = entry.map_err(failure)?;
            let key = key.value();
            let bytes = K::as_bytes(&key);
            let fields = tlv::open(bytes.as_ref(), value.value());
            if let Err(flaw) = check(&mut self.findings, bytes.as_ref(), fields) {
                self.findings.fault(from.fault(&key, flaw));
            }
            end.insert_before(&key, value.value()).map_err(failure)?;
            self.count();
        }
        let (copied, all) = (self.findings.records - before, from.len()?);
        if copied != all {
            self.findings.fault(format!("{} of {all} {} can be found", copied, definition.name()));
        }
        end.close().map_err(failure)
    }
}
