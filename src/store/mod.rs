//! The disk; the only module that names redb.
//!
//! One file. The one write of a message is the message: heads, unread counts, previous ids and
//! cookies are derived, marks are coalesced, ids are reserved ahead (see `tables` and `rows`).
//!
//! **Nothing is announced before it is durable:** the value of [`Store::write`] exists only after
//! what it wrote has reached the card.
//!
//! From the disk upwards: `backend` (two headers) → `journal` (a commit in a page or two) → redb →
//! `tables` → `tlv`, `rows` and `line` (records) → `arrivals` and `history` (one chat out of three
//! places) → `look` and `snapshot` (questions), `tx` with `account`, `secret`, `contact`, `profile`,
//! `chat`, `days` and `floor` (changes). A message takes a way of its own: `daybook` on the disk and
//! `noted` in memory, later by `posting` into `recent` and by `merge` into `messages`. `window`,
//! `marks`, `known` and `roster` are what the engine's thread remembers; `create`, `open`, `space`,
//! `backup`, `verify` and `quarantine` are the life of the file; `crash` is a disk for tests that
//! loses power.

mod account;
mod arrivals;
mod backend;
mod backup;
mod chat;
mod contact;
#[cfg(test)]
mod crash;
mod create;
mod daybook;
mod days;
mod floor;
mod history;
mod journal;
mod known;
mod line;
mod look;
mod marks;
mod merge;
mod meter;
mod noted;
mod open;
mod posting;
mod profile;
mod quarantine;
mod roster;
mod rows;
mod secret;
mod snapshot;
mod space;
mod tables;
mod tlv;
mod tx;
mod verify;
mod window;

#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use redb::Database;

use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq, SessionKey, Timestamp};
use crate::domain::nouns::{
    Account, Chat, Contact, Head, Invite, Mark, Member, Message, Profile, Secret, Session,
};
use crate::domain::words::{KeyId, Range};
use crate::limits::{
    MERGE_CHATS_MAX, MERGE_RETRY_SECS, RECENT_FULL, RECENT_REST, RECENT_RIPE, RECENT_STUCK,
};
use crate::store::arrivals::Arrivals;
use crate::store::daybook::Daybook;
use crate::store::meter::Meter;
use crate::store::open::{Fresh, Origin};
use crate::store::quarantine::Quarantine;
use crate::store::space::Space;
use crate::store::tx::State;

pub use crate::store::look::Glance;
pub use crate::store::roster::Roster;
pub use crate::store::snapshot::{Reader, Snapshot};
pub use crate::store::tx::Tx;

/// Where the database lies.
#[derive(Clone, Debug)]
pub enum Place {
    /// `msimd.redb` in this directory.
    Directory(PathBuf),
    /// This very file, which must exist: a backup that is looked at or restored.
    File(PathBuf),
    /// Nowhere: gone with the process.
    Memory,
    /// Any backend: how crash tests see every write and sync.
    Backend(Arc<dyn BackendSource>),
}

/// Hands out a storage backend each time the store (re)opens. Test seam.
pub trait BackendSource: fmt::Debug + Send + Sync {
    fn open(&self) -> std::io::Result<Box<dyn redb::StorageBackend>>;
    /// Whether there is a database to open, or one is to be made.
    fn exists(&self) -> bool;
    /// By what the numbers of messages are divided at which the store merges: a test of merges
    /// need not send thousands.
    fn hurry(&self) -> usize {
        1
    }
}

/// What opening needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// redb's page cache.
    pub cache_bytes: usize,
    /// Below this many free bytes nothing is stored.
    pub free_space: u64,
}

/// Why a database cannot be opened. Each says what it is; nothing was touched.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Busy(PathBuf),
    /// Written by a later version.
    Newer {
        found: u32,
        known: u32,
    },
    /// Not a database of this program.
    Foreign {
        path: PathBuf,
        why: String,
    },
    /// One of this program, cut short or damaged beyond opening.
    Damaged {
        path: PathBuf,
        why: String,
    },
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    Store(StoreError),
}

/// The disk failed, or what it returned is not what was written.
#[derive(Debug)]
pub enum StoreError {
    /// The outcome of the failed write is unknown. Reopen before the next use.
    Io(String),
    /// A record whose check does not match or that cannot be read: which one.
    Damaged(String),
}

/// The database, held by the engine.
#[derive(Debug)]
pub struct Store {
    origin: Origin,
    options: Options,
    shared: Shared,
    meter: Arc<Meter>,
    /// See `BackendSource::hurry`.
    hurry: usize,
    /// When the last merge failed, unless one has succeeded since.
    merge_failed: Option<Instant>,
    state: State,
    space: Space,
    unsealed: bool,
}

/// The open database; `None` between closing it and opening it again.
type Shared = Arc<RwLock<Option<Live>>>;

/// An open database, and which messages were not merged yet.
#[derive(Debug)]
struct Live {
    database: Database,
    daybook: Daybook,
    arrivals: Arc<Arrivals>,
    quarantine: Arc<Quarantine>,
}

/// Counters of what the disk was asked for since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Turns made durable, noted ones among them.
    pub commits: u64,
    pub syncs: u64,
    pub bytes_written: u64,
}

/// What a walk over every record found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub accounts: u64,
    pub chats: u64,
    pub messages: u64,
    /// One sentence each: which chat, which message, what is wrong.
    pub faults: Vec<String>,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Marks come along when they have waited; without a write there is no commit.
    Plain,
    /// Everything that waits is written.
    Flush,
    /// The same, and the commit is one after which opening needs no repair.
    Seal,
}

impl Store {
    /// Opens the database or makes a new one.
    pub fn open(place: Place, options: Options) -> Result<Store, OpenError> {
        let origin = Origin::of(place);
        let meter = Arc::new(Meter::default());
        let Fresh { live, sealed } = origin.open(&options, &meter, true)?;
        let hurry = origin.hurry();
        let space = Space::of(&origin, options.free_space);
        Ok(Store {
            origin,
            options,
            shared: Arc::new(RwLock::new(Some(live))),
            meter,
            hurry,
            merge_failed: None,
            state: State::default(),
            space,
            unsealed: !sealed,
        })
    }

    /// Runs `work` and makes what it wrote durable, once and as a whole (marks alone are not worth
    /// it): messages and nothing else in the daybook, everything else with a commit. The value exists only after that. On an error nothing of it may be
    /// told to anybody, and [`Store::reopen`] comes first where the error is the disk's. After any
    /// error marks that were not written are lost, as in a power cut.
    pub fn write<T>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        while self.must_merge() {
            self.merge()?;
        }
        self.run(Ending::Plain, work)
    }

    fn must_merge(&mut self) -> bool {
        let waiting = self.waiting();
        waiting >= self.hurried(RECENT_FULL)
            && (!self.spares_merges() || waiting >= self.hurried(RECENT_STUCK))
            && self.has_room()
    }

    /// Whether a merge has failed a short while ago. The disk may be full: what was told is safe
    /// where it lies, and what needs no merge should go on.
    fn spares_merges(&self) -> bool {
        self.merge_failed.is_some_and(|at| at.elapsed() < Duration::from_secs(MERGE_RETRY_SECS))
    }

    /// How many messages lie in order of arrival.
    fn waiting(&self) -> usize {
        lock(&self.shared).as_ref().map_or(0, |live| live.arrivals.len())
    }

    /// Whether a merge is worth its pages: one is due at the next moment in which nobody waits.
    pub fn is_ripe(&self) -> bool {
        self.waiting() >= self.hurried(RECENT_RIPE) && !self.spares_merges()
    }

    /// Merges the oldest messages into their chats, as many as one commit should carry. Whatever is
    /// asked before, meanwhile and afterwards has the same answers.
    pub fn merge(&mut self) -> Result<(), StoreError> {
        if self.waiting() == 0 {
            return Ok(());
        }
        let chats = self.hurried(MERGE_CHATS_MAX);
        let merged = self.run(Ending::Plain, |tx| tx.merge(chats));
        self.merge_failed = merged.is_err().then(Instant::now);
        merged
    }

    fn hurried(&self, count: usize) -> usize {
        (count / self.hurry).max(1)
    }

    fn run<T>(
        &mut self,
        ending: Ending,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = self.attempt(ending, work);
        if done.is_err() {
            // Whatever was remembered may have come from the transaction that is no more.
            self.state = State::default();
        }
        done
    }

    fn attempt<T>(
        &mut self,
        ending: Ending,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        let opened = lock(&shared);
        let live = opened.as_ref().ok_or_else(closed)?;
        let transaction = OnceCell::new();
        let mut tx = Tx::new(live, &transaction, &mut self.state);
        let value = work(&mut tx)?;
        let marks = match ending {
            Ending::Plain => tx.changes() && tx.state.marks.ride(),
            Ending::Flush | Ending::Seal => !tx.state.marks.is_empty(),
        };
        if marks {
            tx.write_marks()?;
        }
        if ending == Ending::Seal || !live.daybook.has_room(&tx.state.noted) {
            tx.begin()?;
        }
        drop(tx);
        if let Some(mut transaction) = transaction.into_inner() {
            transaction.set_quick_repair(ending == Ending::Seal);
            transaction.commit().map_err(failure)?;
            self.meter.commits.fetch_add(1, Ordering::Relaxed);
            self.unsealed = ending != Ending::Seal;
            if let Some(round) = self.state.round.take() {
                live.daybook.begin(round);
            }
            live.arrivals.publish(&self.state.arrived, self.state.floor.take());
            self.state.arrived.clear();
        } else if !self.state.noted.is_empty() {
            let failed = |error: std::io::Error| StoreError::Io(error.to_string());
            live.daybook.note(&self.state.noted).map_err(failed)?;
            self.meter.commits.fetch_add(1, Ordering::Relaxed);
            self.unsealed = true;
            live.arrivals.publish_noted(&self.state.arrived, &mut self.state.noted);
            self.state.arrived.clear();
        }
        if marks {
            self.state.marks.clear();
        }
        Ok(value)
    }

    /// After an I/O error: drops everything held and opens again. Marks that were not written are
    /// lost with the rest.
    pub fn reopen(&mut self) -> Result<(), OpenError> {
        let mut opened = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        // Dropped first: the file's lock is this one's until then.
        *opened = None;
        self.state = State::default();
        let Fresh { live, sealed } = self.origin.open(&self.options, &self.meter, false)?;
        *opened = Some(live);
        self.unsealed = !sealed;
        Ok(())
    }

    /// Whether [`Store::flush`] has anything to write.
    pub fn has_marks(&self) -> bool {
        self.state.marks.wait()
    }

    /// Writes the coalesced marks.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.run(Ending::Flush, |_| Ok(()))
    }

    /// Whether anything was committed since the last seal.
    pub fn is_unsealed(&self) -> bool {
        self.unsealed
    }

    /// The idle seal: one empty commit with quick repair on, so that a start after a power cut need
    /// not read the whole file. What rests is merged first, unless it is too little to be worth it or
    /// there is no room: the pages of a merge are needed before it frees any.
    pub fn seal(&mut self) -> Result<(), StoreError> {
        while self.waiting() >= self.hurried(RECENT_REST)
            && !self.spares_merges()
            && self.has_room()
        {
            self.merge()?;
        }
        self.run(Ending::Seal, |_| Ok(()))
    }

    /// Whether there is room: checked before each batch (cheaply: at most once a second, or after
    /// so many bytes written).
    pub fn has_room(&mut self) -> bool {
        self.space.has_room(self.meter.work().bytes_written)
    }

    /// Gives the ballast's room to a deletion that is about to run: freeing pages needs pages. It
    /// is put back by itself once there is room again. Whether there was one.
    pub fn drop_ballast(&mut self) -> bool {
        self.space.drop_ballast()
    }

    /// Where the database lies, unless that is nowhere or a single file.
    pub fn directory(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Directory(directory) => Some(directory),
            Origin::File(_) | Origin::Memory(_) | Origin::Backend(_) => None,
        }
    }

    pub fn reader(&self) -> Reader {
        Reader { shared: self.shared.clone() }
    }

    pub fn work(&self) -> Work {
        self.meter.work()
    }

    /// Writes marks, seals and closes in order. Readers that are left find it closed.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.seal()?;
        *self.shared.write().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

fn lock(shared: &Shared) -> RwLockReadGuard<'_, Option<Live>> {
    // A panic while it was held left the database as it was: it is replaced whole or not at all.
    shared.read().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> StoreError {
    StoreError::Io("it is closed".into())
}

/// redb's many errors are two to us.
fn failure(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(what) => StoreError::Damaged(what),
        other => StoreError::Io(other.to_string()),
    }
}

/// For work that must not stop at a damaged row: says so in the log and goes on without it.
fn open_or_skip<T>(row: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match row {
        Err(StoreError::Damaged(what)) => {
            log::error!("damaged record passed over: {what}");
            Ok(None)
        }
        row => row,
    }
}

/// The questions that a transaction and a snapshot both answer.
pub trait Look {
    fn account(&self, no: AccountNo) -> Result<Option<Account>, StoreError>;
    /// By canonical address text: logins of this server and correspondents elsewhere share a table
    /// with groups (`login@host[:port][/chat]`), one name space.
    fn account_by_address(&self, address: &Address) -> Result<Option<AccountNo>, StoreError>;
    fn chat_by_address(&self, address: &Address) -> Result<Option<ChatId>, StoreError>;
    fn chat(&self, chat: ChatId) -> Result<Option<Chat>, StoreError>;
    fn accounts(&self) -> Result<Vec<Account>, StoreError>;
    /// By number, those after `after`, at most `count`.
    fn accounts_after(&self, after: AccountNo, count: usize) -> Result<Vec<Account>, StoreError>;
    fn session(&self, key: SessionKey) -> Result<Option<Session>, StoreError>;
    fn sessions_of(&self, account: AccountNo) -> Result<Vec<SessionKey>, StoreError>;
    fn contact(&self, owner: AccountNo, who: &Address) -> Result<Option<Contact>, StoreError>;
    /// In order of canonical address, those after `after`, at most `count`.
    fn contacts(
        &self,
        owner: AccountNo,
        after: Option<&Address>,
        count: usize,
    ) -> Result<Vec<Contact>, StoreError>;
    fn contact_count(&self, owner: AccountNo) -> Result<usize, StoreError>;
    /// The chats an account is a member of, with its part as it lies on the disk.
    fn chats_of(&self, account: AccountNo) -> Result<Vec<(ChatId, Member)>, StoreError>;
    /// An account's part in a chat as it lies on the disk.
    fn part(&self, account: AccountNo, chat: ChatId) -> Result<Option<Member>, StoreError>;
    /// What is kept of an account's part in a direct chat that it has left.
    fn left(&self, account: AccountNo, chat: ChatId) -> Result<Option<Member>, StoreError>;
    /// The direct chats that an account took up before anything was said, left ones among them.
    fn begun(&self, account: AccountNo) -> Result<Vec<ChatId>, StoreError>;
    /// Everybody with a part in a group or a channel, ascending.
    fn members_of(&self, chat: ChatId) -> Result<Vec<AccountNo>, StoreError>;
    /// The chats of a space, its general chat first.
    fn chats_in(&self, space: ChatId) -> Result<Vec<ChatId>, StoreError>;
    /// What lies before it is gone for everybody. Its seq is the first place that is left.
    fn floor(&self, chat: ChatId) -> Result<Option<Mark>, StoreError>;
    /// Which messages between two ids, both exclusive, are gone for this account alone; ascending.
    fn hidden(
        &self,
        account: AccountNo,
        chat: ChatId,
        after: MessageId,
        before: MessageId,
    ) -> Result<Vec<MessageId>, StoreError>;
    /// Shows `each` the messages between two ids, both exclusive, newest first, until it says
    /// false; how many it was shown.
    fn glance(
        &self,
        chat: ChatId,
        after: MessageId,
        before: MessageId,
        each: &mut dyn FnMut(Glance<'_>) -> bool,
    ) -> Result<usize, StoreError>;
    fn profile(&self, who: AccountNo) -> Result<Option<Profile>, StoreError>;
    /// What `of` keeps about a chat; `AccountNo(0)`: what everybody sees of it.
    fn card(&self, of: AccountNo, chat: ChatId) -> Result<Option<Box<str>>, StoreError>;
    /// By the random numbers that they are named by elsewhere.
    fn account_by_public(&self, id: u64) -> Result<Option<AccountNo>, StoreError>;
    fn chat_by_public(&self, id: u64) -> Result<Option<ChatId>, StoreError>;
    /// With what somebody was last here; empty where it is not known.
    fn agent(&self, who: AccountNo) -> Result<Box<str>, StoreError>;
    fn head(&self, chat: ChatId) -> Result<Head, StoreError>;
    fn message(&self, chat: ChatId, id: MessageId) -> Result<Option<Message>, StoreError>;
    /// The message at a place in its chat; nothing that only shares the place.
    fn message_at(&self, chat: ChatId, seq: Seq) -> Result<Option<MessageId>, StoreError>;
    /// The messages of a range, ascending, and whether the range holds more than were taken. An
    /// answer ends early with the message whose text passes `ANSWER_BYTES_MAX`.
    fn messages(&self, chat: ChatId, range: &Range) -> Result<(Vec<Message>, bool), StoreError>;
    /// Since when nothing was sent that is older than which id, as it was noted last at or before `by`.
    fn day(&self, by: Timestamp) -> Result<Option<(Timestamp, MessageId)>, StoreError>;
    fn last_seen(&self, account: AccountNo) -> Result<Option<Timestamp>, StoreError>;
    fn invite(&self, code_hash: &[u8; 16]) -> Result<Option<Invite>, StoreError>;
    fn has_secret(&self, owner: AccountNo, name: &str) -> Result<bool, StoreError>;
    /// Those of damaged records, too.
    fn secret_names(&self, owner: AccountNo) -> Result<Vec<Box<str>>, StoreError>;
    /// By name. One damaged record costs nobody the others.
    fn secrets(&self, owner: AccountNo) -> Result<Vec<Secret>, StoreError>;
    /// How many secrets there are, and how many of them are sealed under this key.
    fn sealed_counts(&self, key: Option<KeyId>) -> Result<(u64, u64), StoreError>;
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io(why) => write!(f, "the database could not be read or written: {why}"),
            StoreError::Damaged(what) => write!(f, "damaged record: {what}"),
        }
    }
}

impl std::error::Error for StoreError {}
