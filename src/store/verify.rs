//! A walk over every record: its check, its fields, and what must hold between records.
//!
//! The server goes on meanwhile. A walk reads in slices, each with a read transaction of its own,
//! because a long one would keep freed pages from being used again.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::Key;

use crate::domain::id::{AccountNo, ChatId, MessageId, Seq, Timestamp};
use crate::domain::nouns::Mark;
use crate::domain::words::Kind;
use crate::store::history::Entry;
use crate::store::line;
use crate::store::look::Books;
use crate::store::rows::{self, Named};
use crate::store::tables::{Opened, Shelf, Tables};
use crate::store::tlv::{Fields, Flaw};
use crate::store::{Look, Reader, Snapshot, StoreError, Verdict, failure, history};

/// Records a read transaction is kept open for.
const SLICE: usize = 1024;
/// Who has more wants a backup and not a longer list.
const FAULTS_MAX: usize = 1000;

/// How a table is picked from a set.
type Pick<K> = for<'s> fn(&'s Tables<'static>) -> Result<&'s Opened<'s, K>, StoreError>;

impl Reader {
    /// Walks every chain and every record, in slices. `progress` hears records done so far. What
    /// it finds is in the verdict; an error means that nothing could be read.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
        let mut walk = Walk { reader: self, findings: Findings::default(), progress };
        walk.over::<&str>(Shelf::meta, |_, _, fields, _| skim(fields?))?;
        walk.over::<u32>(Shelf::accounts, |found, no, fields, here| {
            found.verdict.accounts += 1;
            let account = rows::account(AccountNo(*no), fields?)?;
            match here.account_by_address(&account.address) {
                Ok(Some(named)) if named == account.no => Ok(()),
                Ok(_) | Err(_) => Err("its address leads elsewhere"),
            }
        })?;
        walk.over::<&str>(Shelf::addresses, |_, _, fields, here| {
            let there = match rows::name(fields?)? {
                Named::Account(no) => here.tables.accounts().and_then(|table| table.has(no.0)),
                Named::Chat(chat) => here.tables.chats().and_then(|table| table.has(chat.0)),
            };
            exists(there, "it names something that is gone")
        })?;
        walk.over::<(u32, &str)>(Shelf::contacts, |_, key, fields, _| {
            rows::contact(rows::address_of(key.1.as_bytes())?, fields?).map(drop)
        })?;
        walk.over::<u64>(Shelf::chats, |_, id, f, _| rows::chat(ChatId(*id), f?).map(drop))?;
        walk.over::<(u32, u64)>(Shelf::members, |_, key, fields, here| {
            rows::member(fields?)?;
            let index = || here.tables.members_by_chat().and_then(|t| t.has((key.1, key.0.into())));
            let there = if ChatId(key.1).is_group() { index() } else { Ok(true) };
            exists(there, "its chat does not list it")
        })?;
        walk.over::<(u64, u64)>(Shelf::members_by_chat, |_, key, fields, here| {
            skim(fields?)?;
            let there = here.tables.members().and_then(|table| table.has((key.1 as u32, key.0)));
            exists(there, "its member is gone")
        })?;
        walk.over::<u64>(Shelf::floors, |_, _, f, _| rows::floor(f?).map(drop))?;
        walk.over::<(u32, &[u8; 16])>(Shelf::hidden, |_, _, fields, _| skim(fields?))?;
        walk.over::<(u64, u64)>(Shelf::spaces, |_, key, fields, here| {
            skim(fields?)?;
            exists(here.tables.chats().and_then(|table| table.has(key.1)), "its chat is gone")
        })?;
        walk.over::<u32>(Shelf::profiles, |_, no, fields, here| {
            rows::profile(fields?)?;
            exists(here.tables.accounts().and_then(|table| table.has(*no)), "its account is gone")
        })?;
        let least = self.countable()?;
        walk.messages()?;
        let found = walk.findings.verdict.messages;
        // Asked once more: a chat may have been deleted in the meantime.
        if found < least && least <= self.countable()? {
            walk.findings.fault(format!("of {least} messages {found} can be found"));
        }
        walk.over::<&[u8; 16]>(Shelf::sessions, |_, key, fields, here| {
            let index = (rows::session(fields?)?.account.0, *key);
            let there = here.tables.sessions_by_account().and_then(|table| table.has(index));
            exists(there, "its account does not list it")
        })?;
        walk.over::<(u32, &[u8; 16])>(Shelf::sessions_by_account, |_, key, fields, here| {
            skim(fields?)?;
            let there = here.tables.sessions().and_then(|table| table.has(key.1));
            exists(there, "its session is gone")
        })?;
        walk.over::<u32>(Shelf::seen, |_, _, fields, _| rows::one(fields?).map(drop))?;
        walk.over::<&[u8; 16]>(Shelf::invites, |_, _, f, _| rows::invite(f?).map(drop))?;
        walk.over::<(u32, &str)>(Shelf::secrets, |_, key, fields, here| {
            rows::secret(key.1, fields?)?;
            let there = here.tables.accounts().and_then(|table| table.has(key.0));
            exists(there, "its account is gone")
        })?;
        walk.over::<u64>(Shelf::public, |_, _, fields, here| {
            let there = match rows::name(fields?)? {
                Named::Account(no) => here.tables.accounts().and_then(|table| table.has(no.0)),
                Named::Chat(chat) => here.tables.chats().and_then(|table| table.has(chat.0)),
            };
            exists(there, "what it names is gone")
        })?;
        walk.over::<(u32, u64)>(Shelf::cards, |_, _, f, _| rows::card(f?).map(drop))?;
        let mut reached = 0;
        walk.over::<u64>(Shelf::days, |_, _, fields, _| {
            let before = std::mem::replace(&mut reached, rows::one(fields?)?);
            if before <= reached { Ok(()) } else { Err("an earlier day had come further") }
        })?;
        Ok(walk.findings.verdict)
    }

    /// How many messages must be found: while nothing is removed they only ever become more.
    fn countable(&self) -> Result<u64, StoreError> {
        let here = self.snapshot()?;
        match here.tables.floors()?.len()? {
            0 => here.count(),
            _some_may_be_removed_meanwhile => Ok(0),
        }
    }
}

impl Snapshot {
    /// How many messages there are, wherever they lie.
    pub(super) fn count(&self) -> Result<u64, StoreError> {
        let noted = self.sight.noted_count(&self.tables)?;
        Ok(self.tables.messages()?.len()? + self.tables.recent()?.len()? + noted)
    }
}

fn exists(there: Result<bool, StoreError>, flaw: Flaw) -> Result<(), Flaw> {
    // What cannot be read is reported where it lies.
    if there.unwrap_or(true) { Ok(()) } else { Err(flaw) }
}

fn skim(mut fields: Fields<'_>) -> Result<(), Flaw> {
    while fields.next()?.is_some() {}
    Ok(())
}

struct Walk<'w> {
    reader: &'w Reader,
    findings: Findings,
    progress: &'w mut dyn FnMut(u64),
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) verdict: Verdict,
    /// Records seen.
    pub(super) records: u64,
}

impl Findings {
    pub(super) fn fault(&mut self, fault: String) {
        if self.verdict.faults.len() < FAULTS_MAX {
            self.verdict.faults.push(fault);
        }
    }
}

impl Walk<'_> {
    /// Every record of a table in slices.
    fn over<K: Key + 'static>(
        &mut self,
        pick: Pick<K>,
        mut check: impl FnMut(
            &mut Findings,
            &K::SelfType<'_>,
            Result<Fields<'_>, Flaw>,
            &Snapshot,
        ) -> Result<(), Flaw>,
    ) -> Result<(), StoreError> {
        self.slices(None, |findings, last: Option<Vec<u8>>, here| {
            slice(pick(&here.tables)?, last.as_deref(), |table, key, fields| {
                findings.records += 1;
                if let Err(flaw) = check(findings, key, fields, here) {
                    findings.fault(table.fault(key, flaw));
                }
            })
        })
    }

    /// Every message by chat and id, wherever it lies: a merge in the middle of the walk changes
    /// where that is, and nothing else.
    fn messages(&mut self) -> Result<(), StoreError> {
        let mut chain = Chain::default();
        self.slices(None, |findings, last, here| {
            let first = here.sight.oldest(&here.tables)?;
            let waiting = here.sight.places(&here.tables)?;
            let young = here.young()?;
            let all = history::in_order(&here.tables, &young, &waiting, last)?;
            for (count, entry) in all.enumerate() {
                let entry = entry?;
                findings.records += 1;
                // The chain says itself what is wrong, in words that find the message.
                chain.message(findings, &here.tables, &entry, |chat| {
                    here.floor(chat).unwrap_or_default()
                });
                if entry.merged && first.is_some_and(|first| first <= entry.id.0) {
                    let fault = fault_of(&here.tables, &entry, "it was merged before an older one");
                    findings.fault(fault);
                }
                if count + 1 == SLICE {
                    return Ok(Some((entry.chat.0, entry.id.0)));
                }
            }
            Ok(None)
        })
    }

    /// Slices, each with a snapshot of its own and from where the one before it ended.
    fn slices<L>(
        &mut self,
        mut last: Option<L>,
        mut slice: impl FnMut(&mut Findings, Option<L>, &Snapshot) -> Result<Option<L>, StoreError>,
    ) -> Result<(), StoreError> {
        loop {
            let here = self.reader.snapshot()?;
            let findings = &mut self.findings;
            // redb trusts its pages; a damaged one can make it panic. Here that is a finding.
            let sliced = catch_unwind(AssertUnwindSafe(|| slice(findings, last.take(), &here)));
            (self.progress)(self.findings.records);
            match sliced {
                Ok(Ok(Some(end))) => last = Some(end),
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(StoreError::Damaged(what))) => {
                    self.findings.fault(format!("pages that cannot be read: {what}"));
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(_panic) => {
                    self.findings.fault("pages that cannot be read".into());
                    return Ok(());
                }
            }
        }
    }
}

/// The records after `last`, at most a slice; the last one's key where there may be more.
fn slice<K: Key + 'static>(
    table: &Opened<'_, K>,
    last: Option<&[u8]>,
    mut each: impl FnMut(&Opened<'_, K>, &K::SelfType<'_>, Result<Fields<'_>, Flaw>),
) -> Result<Option<Vec<u8>>, StoreError> {
    let start = match last {
        Some(key) => Bound::Excluded(K::from_bytes(key)),
        None => Bound::Unbounded,
    };
    let mut count = 0;
    for entry in table.range((start, Bound::Unbounded))? {
        let (key, value) = entry.map_err(failure)?;
        let key = key.value();
        let bytes = K::as_bytes(&key);
        each(table, &key, crate::store::tlv::open(bytes.as_ref(), value.value()));
        count += 1;
        if count == SLICE {
            return Ok(Some(bytes.as_ref().to_vec()));
        }
    }
    Ok(None)
}

/// What must hold from one message of a chat to the next.
#[derive(Debug, Default)]
pub(super) struct Chain {
    chat: Option<ChatId>,
    /// What lies before it is gone, removed or not: nothing is promised of it.
    floor: Option<Mark>,
    /// `None` after a record that could not be read.
    last: Option<(MessageId, Seq, Timestamp)>,
}

impl Chain {
    /// Takes the next message by chat and id. `floor`: where a chat begins that was deleted once.
    pub(super) fn message(
        &mut self,
        found: &mut Findings,
        tables: &impl Shelf,
        entry: &Entry<'_>,
        floor: impl Fn(ChatId) -> Option<Mark>,
    ) {
        let (chat, id) = (entry.chat, entry.id);
        found.verdict.messages += 1;
        if self.chat != Some(chat) {
            found.verdict.chats += 1;
            self.chat = Some(chat);
            self.floor = floor(chat);
            self.last = self.floor.is_none().then(Default::default);
        }
        if self.floor.is_some_and(|floor| id < floor.id) {
            return;
        }
        let last = self.last.take();
        let line = entry.fields().and_then(line::line);
        let read = line.and_then(|line| {
            line::kind(line.kind)?;
            if chat.pair().is_some_and(|(low, high)| line.from != low && line.from != high) {
                return Err("its author is not of this chat");
            }
            if chat.0 >= ChatId::FIRST_OWN && chat != ChatId::own(line.from) {
                return Err("its author is not of this chat");
            }
            line.extra()?;
            Ok((line, line.previous(id)?))
        });
        let fault = match read {
            Ok((line, previous)) => {
                let has_place = line::kind(line.kind).is_ok_and(Kind::has_place);
                self.last = Some((id, line.seq, line.time));
                // What followed the last one may be gone: its chat was deleted in the middle of the
                // walk, and begins elsewhere now.
                let goes_on = |last| floor(chat).is_none_or(|floor| floor.id <= last);
                last.and_then(|last| {
                    break_of(last, previous, (line.seq, has_place), line.time)
                        .filter(|_| goes_on(last.0))
                })
            }
            Err(flaw) => Some(flaw.to_string()),
        };
        if let Some(fault) = fault {
            found.fault(fault_of(tables, entry, &fault));
        }
    }
}

/// Which message of whose chat, and what is wrong with it.
pub(super) fn fault_of(tables: &impl Shelf, entry: &Entry<'_>, what: &str) -> String {
    entry.fault(&people(tables, entry.chat), what)
}

/// A chat as people know it. Where a row of theirs cannot be read, by its numbers.
fn people(tables: &impl Shelf, chat: ChatId) -> String {
    let person = |no: AccountNo| {
        let account = tables.accounts().and_then(|t| t.row(no.0, |f| rows::account(no, f)));
        let address = account.ok().flatten().map(|account| account.address.to_string());
        address.unwrap_or_else(|| format!("account {}", no.0))
    };
    match chat.pair() {
        Some((low, high)) => format!("{} and {}", person(low), person(high)),
        None if chat.is_group() => {
            let row = tables.chats().and_then(|t| t.row(chat.0, |f| rows::chat(chat, f)));
            let address = row.ok().flatten().map(|chat| chat.address.to_string());
            address.unwrap_or_else(|| "a group".into())
        }
        None => format!("the own chain of {}", person(AccountNo(chat.0 as u32))),
    }
}

fn break_of(
    (last, last_seq, last_time): (MessageId, Seq, Timestamp),
    previous: MessageId,
    (seq, has_place): (Seq, bool),
    time: Timestamp,
) -> Option<String> {
    // Up to schema 2 every record had a place.
    if seq.0 != last_seq.0 + u32::from(has_place) && seq.0 != last_seq.0 + 1 {
        Some(format!("its seq is {} after {}", seq.0, last_seq.0))
    } else if previous != last {
        Some(format!("it names {} as the one before it, that is {}", previous.0, last.0))
    } else if time < last_time {
        Some(format!("its time {} is before {}, the previous one's", time.0, last_time.0))
    } else {
        None
    }
}
