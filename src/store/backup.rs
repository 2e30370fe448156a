//! Backup, which is compaction too: every table copied in key order into a fresh file.
//!
//! One read transaction from the first record to the last, because a backup is one point in time;
//! the pages freed meanwhile are used again after it. The server goes on.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::Path;

use redb::{Key, TableDefinition, TableHandle, Value, WriteTransaction};

use crate::domain::id::ChatId;
use crate::domain::nouns::Mark;
use crate::store::tables::{self, Opened, Record, Shelf};
use crate::store::tlv::{self, Fields, Flaw};
use crate::store::verify::{Chain, Findings};
use crate::store::{Reader, StoreError, Verdict, create, failure, rows};

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
        let mut chain = Chain::default();
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
        // What is gone for everybody does not come along, whether it was removed yet or not.
        let floors = Floors::of(from)?;
        copy.some_of(
            from.messages()?,
            tables::MESSAGES,
            |key| !floors.cover(<(u64, u64)>::from_bytes(key)),
            |found, key, fields| {
                // A message with a wrong check is named by the chain.
                let floor = |chat| floors.of_chat(chat);
                chain.message(found, <(u64, u64)>::from_bytes(key), fields, floor);
                Ok(())
            },
        )?;
        copy.table(from.sessions()?, tables::SESSIONS, only_check)?;
        copy.table(from.sessions_by_account()?, tables::SESSIONS_BY_ACCOUNT, only_check)?;
        copy.table(from.seen()?, tables::SEEN, only_check)?;
        copy.table(from.invites()?, tables::INVITES, only_check)?;
        copy.table(from.secrets()?, tables::SECRETS, only_check)?;
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

/// Where each chat begins that was deleted once.
struct Floors(BTreeMap<ChatId, Mark>);

impl Floors {
    fn of(tables: &impl Shelf) -> Result<Floors, StoreError> {
        let table = tables.floors()?;
        let mut floors = BTreeMap::new();
        for entry in table.range(..)? {
            let (chat, floor) =
                table.entry(entry, |chat, fields| Ok((*chat, rows::floor(fields)?)))?;
            floors.insert(ChatId(chat), floor);
        }
        Ok(Floors(floors))
    }

    fn of_chat(&self, chat: ChatId) -> Option<Mark> {
        self.0.get(&chat).copied()
    }

    fn cover(&self, (chat, id): (u64, u64)) -> bool {
        self.of_chat(ChatId(chat)).is_some_and(|floor| id < floor.id.0)
    }
}

struct Copy<'c> {
    to: &'c WriteTransaction,
    findings: Findings,
    progress: &'c mut dyn FnMut(u64),
}

impl Copy<'_> {
    fn table<K: Key + 'static>(
        &mut self,
        from: &Opened<'_, K>,
        definition: TableDefinition<'static, K, Record>,
        check: impl FnMut(&mut Findings, &[u8], Result<Fields<'_>, Flaw>) -> Result<(), Flaw>,
    ) -> Result<(), StoreError> {
        self.some_of(from, definition, |_key| true, check)
    }

    /// The records whose keys are `wanted`.
    fn some_of<K: Key + 'static>(
        &mut self,
        from: &Opened<'_, K>,
        definition: TableDefinition<'static, K, Record>,
        wanted: impl Fn(&[u8]) -> bool,
        mut check: impl FnMut(&mut Findings, &[u8], Result<Fields<'_>, Flaw>) -> Result<(), Flaw>,
    ) -> Result<(), StoreError> {
        let mut left_out = 0;
        let mut table = self.to.open_table(definition).map_err(failure)?;
        let mut end =
            table.upper_bound_mut(Bound::<K::SelfType<'_>>::Unbounded).map_err(failure)?;
        let before = self.findings.records;
        for entry in from.range(..)? {
            let (key, value) = entry.map_err(failure)?;
            let key = key.value();
            let bytes = K::as_bytes(&key);
            if !wanted(bytes.as_ref()) {
                left_out += 1;
                continue;
            }
            let fields = tlv::open(bytes.as_ref(), value.value());
            if let Err(flaw) = check(&mut self.findings, bytes.as_ref(), fields) {
                self.findings.fault(from.fault(&key, flaw));
            }
            end.insert_before(&key, value.value()).map_err(failure)?;
            self.findings.records += 1;
            if self.findings.records.is_multiple_of(PROGRESS_RECORDS) {
                (self.progress)(self.findings.records);
            }
        }
        let (copied, all) = (self.findings.records - before, from.len()? - left_out);
        if copied != all {
            self.findings.fault(format!("{} of {all} {} can be found", copied, definition.name()));
        }
        end.close().map_err(failure)
    }
}
