//! The disk; the only module that names redb.
//!
//! One file. The one write of a message is the message: heads, unread counts, previous ids and
//! cookies are derived, marks are coalesced, ids are reserved ahead (see `tables` and `rows`).
//!
//! **Nothing is announced before it is durable:** the value of [`Store::write`] exists only after
//! its commit has reached the card.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId, SessionKey, Timestamp};
use crate::domain::nouns::{Account, Chat, Contact, Head, Invite, Mark, Member, Message, Session};
use crate::domain::words::{Kind, Range};

/// Where the database lies.
#[derive(Clone, Debug)]
pub enum Place {
    /// `msimd.redb` in this directory.
    Directory(PathBuf),
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
    /// Not a database of this program, or cut short, or damaged beyond opening.
    Foreign {
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
pub struct Store {}

/// Reads from anywhere, at a point in time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {}

/// One write transaction, or the reading of one turn.
#[derive(Debug)]
pub struct Tx<'a> {
    _life: std::marker::PhantomData<&'a ()>,
}

/// One point in time, for reading. Short: never across an await or a socket write, because pages
/// freed while one lives are not reused.
#[derive(Debug)]
pub struct Snapshot {}

/// Counters of what the disk was asked for since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
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

impl Store {
    /// Opens the database or makes a new one.
    pub fn open(_place: Place, _options: Options) -> Result<Store, OpenError> {
        todo!()
    }

    /// Runs `work` in one transaction and commits once, durably, if anything was written (marks
    /// alone do not count). The value exists only after that. On an error nothing of it may be
    /// told to anybody, and [`Store::reopen`] comes first.
    pub fn write<T>(
        &mut self,
        _work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        todo!()
    }

    /// After an I/O error: drops everything held and opens again.
    pub fn reopen(&mut self) -> Result<(), OpenError> {
        todo!()
    }

    /// Whether [`Store::flush`] has anything to write.
    pub fn has_marks(&self) -> bool {
        todo!()
    }

    /// Writes the coalesced marks.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        todo!()
    }

    /// Whether anything was committed since the last seal.
    pub fn is_unsealed(&self) -> bool {
        todo!()
    }

    /// The idle seal: one empty commit with quick repair on, so that a start after a power cut need
    /// not read the whole file.
    pub fn seal(&mut self) -> Result<(), StoreError> {
        todo!()
    }

    /// Whether there is room: checked before each batch (cheaply: at most once a second, or after
    /// so many bytes written).
    pub fn has_room(&mut self) -> bool {
        todo!()
    }

    pub fn reader(&self) -> Reader {
        todo!()
    }

    pub fn work(&self) -> Work {
        todo!()
    }

    /// Writes marks, seals and closes in order.
    pub fn close(self) -> Result<(), StoreError> {
        todo!()
    }
}

impl Reader {
    pub fn read<T>(
        &self,
        _work: impl FnOnce(&Snapshot) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        todo!()
    }

    /// Copies every table in key order into a fresh file at `path` (which must not exist), checks
    /// every record, syncs, renames. `progress` hears records done so far. The server goes on.
    pub fn backup(
        &self,
        _path: &std::path::Path,
        _progress: &mut dyn FnMut(u64),
    ) -> Result<Verdict, StoreError> {
        todo!()
    }

    /// Walks every chain and every record, in slices.
    pub fn verify(&self, _progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
        todo!()
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
    fn head(&self, chat: ChatId) -> Result<Head, StoreError>;
    fn message(&self, chat: ChatId, id: MessageId) -> Result<Option<Message>, StoreError>;
    /// The messages of a range, ascending, and whether the range holds more than were taken.
    /// `each` says when the answer is full (false: enough, this one is not counted).
    fn messages(&self, chat: ChatId, range: &Range) -> Result<(Vec<Message>, bool), StoreError>;
    fn last_seen(&self, account: AccountNo) -> Result<Option<Timestamp>, StoreError>;
    fn invite(&self, code_hash: &[u8; 16]) -> Result<Option<Invite>, StoreError>;
}

impl Tx<'_> {
    /// The next account number; never one that was given before.
    pub fn next_account(&mut self) -> Result<AccountNo, StoreError> {
        todo!()
    }
    pub fn put_account(&mut self, _account: &Account) -> Result<(), StoreError> {
        todo!()
    }
    pub fn put_session(&mut self, _key: SessionKey, _session: &Session) -> Result<(), StoreError> {
        todo!()
    }
    pub fn remove_session(&mut self, _key: SessionKey) -> Result<(), StoreError> {
        todo!()
    }
    pub fn put_contact(&mut self, _owner: AccountNo, _contact: &Contact) -> Result<(), StoreError> {
        todo!()
    }
    pub fn remove_contact(&mut self, _owner: AccountNo, _who: &Address) -> Result<(), StoreError> {
        todo!()
    }
    pub fn put_invite(&mut self, _code: &[u8; 16], _invite: &Invite) -> Result<(), StoreError> {
        todo!()
    }
    pub fn remove_invite(&mut self, _code: &[u8; 16]) -> Result<(), StoreError> {
        todo!()
    }
    /// An account's part in a chat, marks not yet written and marks implied by its own messages
    /// included; `None` for who is no member.
    pub fn member(
        &mut self,
        _account: AccountNo,
        _chat: ChatId,
    ) -> Result<Option<Member>, StoreError> {
        todo!()
    }
    /// Writes now, with this commit: joining, access, clearing.
    pub fn put_member(
        &mut self,
        _account: AccountNo,
        _chat: ChatId,
        _member: &Member,
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// Moves marks, never back: answered at once, written with a later commit. After a power cut
    /// they may stand where they stood `MARK_FLUSH_SECS` earlier.
    pub fn move_marks(
        &mut self,
        _account: AccountNo,
        _chat: ChatId,
        _delivered: Mark,
        _read: Mark,
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// Coalesced like marks.
    pub fn touch_last_seen(
        &mut self,
        _account: AccountNo,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// The first message of this author in this chat with this cookie, within the last
    /// `COOKIE_WINDOW` messages of the chat.
    pub fn cookie(
        &mut self,
        _chat: ChatId,
        _from: AccountNo,
        _cookie: &str,
    ) -> Result<Option<Head>, StoreError> {
        todo!()
    }
    /// The one write of a send. Gives the message its id, its seq and a time that never runs
    /// backwards in its chat.
    pub fn append(
        &mut self,
        _chat: ChatId,
        _from: AccountNo,
        _now: Timestamp,
        _kind: Kind,
        _text: &Arc<str>,
        _cookie: Option<&str>,
    ) -> Result<Message, StoreError> {
        todo!()
    }
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

// Names the skeleton so far; the rest of this file's imports are used by the signatures above.
#[allow(dead_code)]
fn _names(_: &Login) {}
