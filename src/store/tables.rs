//! Every table with its key; the values are records (see `rows`). Reading the constants is reading
//! the disk.
//!
//! A [`Tables`] is one transaction's set of open tables, each opened when it is first needed: a
//! send touches none, see `daybook`.

use std::cell::OnceCell;
use std::fmt;
use std::ops::RangeBounds;

use redb::{
    AccessGuard, Database, Key, Range, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};

use crate::store::tlv::{self, Fields, Flaw};
use crate::store::{StoreError, failure};

pub(super) type Record = &'static [u8];
type Definition<K> = TableDefinition<'static, K, Record>;

/// `schema`, `ids` (the first message id that is not reserved), `salts` (the same for the numbers of
/// salts, from the first of them on), `server` (16 random bytes), `noted` (what has come out of the
/// daybook).
pub(super) const META: Definition<&str> = TableDefinition::new("meta");
/// Account number.
pub(super) const ACCOUNTS: Definition<u32> = TableDefinition::new("accounts");
/// Canonical address: accounts, correspondents elsewhere and groups in one name space.
pub(super) const ADDRESSES: Definition<&str> = TableDefinition::new("addresses");
/// Account, canonical address of the contact.
pub(super) const CONTACTS: Definition<(u32, &str)> = TableDefinition::new("contacts");
/// Chat number; direct chats have no row.
pub(super) const CHATS: Definition<u64> = TableDefinition::new("chats");
/// Account, chat.
pub(super) const MEMBERS: Definition<(u32, u64)> = TableDefinition::new("members");
/// Chat, message id: every message that has been merged, see `merge`.
pub(super) const MESSAGES: Definition<(u64, u64)> = TableDefinition::new("messages");
/// Chat, account: an index of groups and channels, its values are empty.
pub(super) const MEMBERS_BY_CHAT: Definition<(u64, u64)> = TableDefinition::new("members_by_chat");
/// Chat: up to which message everything is gone for everybody.
pub(super) const FLOORS: Definition<u64> = TableDefinition::new("floors");
/// Account, chat and message id as [`place`] puts them: gone for this account alone.
pub(super) const HIDDEN: Definition<(u32, &[u8; 16])> = TableDefinition::new("hidden");
/// General chat of a space, chat: an index, its values are empty.
pub(super) const SPACES: Definition<(u64, u64)> = TableDefinition::new("spaces");
/// Account number: what somebody tells of themselves.
pub(super) const PROFILES: Definition<u32> = TableDefinition::new("profiles");
/// Message id, chat: the others, in order of arrival, as they come out of the daybook.
pub(super) const RECENT: Definition<(u64, u64)> = TableDefinition::new("recent");
/// Session key.
pub(super) const SESSIONS: Definition<&[u8; 16]> = TableDefinition::new("sessions");
/// Account, session key: an index, its values are empty.
pub(super) const SESSIONS_BY_ACCOUNT: Definition<(u32, &[u8; 16])> =
    TableDefinition::new("sessions_by_account");
/// Account number: when it was last seen.
pub(super) const SEEN: Definition<u32> = TableDefinition::new("seen");
/// Hash of the invitation's code.
pub(super) const INVITES: Definition<&[u8; 16]> = TableDefinition::new("invites");
/// Account, name: what the server can read back.
pub(super) const SECRETS: Definition<(u32, &str)> = TableDefinition::new("secrets");
/// The random numbers that accounts and groups are named by elsewhere: an index.
pub(super) const PUBLIC: Definition<u64> = TableDefinition::new("public");
/// Time: the id from which on messages are younger, see `days`.
pub(super) const DAYS: Definition<u64> = TableDefinition::new("days");
/// Account, chat: what somebody keeps about a chat for themselves alone, about themselves with
/// their own chain; account 0: what everybody sees of it.
pub(super) const CARDS: Definition<(u32, u64)> = TableDefinition::new("cards");
/// How many there are.
pub(super) const TABLES: usize = 21;

/// A chat and a message of it, in their order. Every type of key costs some 80 KiB of code, so that
/// a key takes the shape of another table's where it can.
pub(super) fn place(chat: u64, id: u64) -> [u8; 16] {
    ((u128::from(chat) << 64) | u128::from(id)).to_be_bytes()
}

/// The message of a [`place`].
pub(super) fn id_at(place: &[u8; 16]) -> u64 {
    u128::from_be_bytes(*place) as u64
}

/// One table of one transaction.
pub(super) struct Opened<'a, K: Key + 'static> {
    name: &'static str,
    table: Half<'a, K>,
}

enum Half<'a, K: Key + 'static> {
    Read(ReadOnlyTable<K, Record>),
    Write(Table<'a, K, Record>),
}

impl<K: Key + 'static> Opened<'_, K> {
    /// A row, read by `read`.
    pub(super) fn row<'k, T>(
        &self,
        key: K::SelfType<'k>,
        read: impl FnOnce(Fields<'_>) -> Result<T, Flaw>,
    ) -> Result<Option<T>, StoreError> {
        let Some(value) = self.get(&key)? else {
            return Ok(None);
        };
        let row = tlv::open(K::as_bytes(&key).as_ref(), value.value()).and_then(read);
        row.map(Some).map_err(|flaw| self.damaged(&key, flaw))
    }

    pub(super) fn has(&self, key: K::SelfType<'_>) -> Result<bool, StoreError> {
        Ok(self.get(&key)?.is_some())
    }

    pub(super) fn get<'k>(
        &self,
        key: &K::SelfType<'k>,
    ) -> Result<Option<AccessGuard<'_, Record>>, StoreError> {
        match &self.table {
            Half::Read(table) => ReadableTable::get(table, key),
            Half::Write(table) => table.get(key),
        }
        .map_err(failure)
    }

    pub(super) fn range<'k>(
        &self,
        range: impl RangeBounds<K::SelfType<'k>> + 'k,
    ) -> Result<Range<'_, K, Record>, StoreError> {
        match &self.table {
            Half::Read(table) => ReadableTable::range(table, range),
            Half::Write(table) => table.range(range),
        }
        .map_err(failure)
    }

    /// Reads one entry of a range.
    pub(super) fn entry<T>(
        &self,
        entry: redb::Result<(AccessGuard<'_, K>, AccessGuard<'_, Record>)>,
        read: impl FnOnce(&K::SelfType<'_>, Fields<'_>) -> Result<T, Flaw>,
    ) -> Result<T, StoreError> {
        let (key, value) = entry.map_err(failure)?;
        let key = key.value();
        tlv::open(K::as_bytes(&key).as_ref(), value.value())
            .and_then(|fields| read(&key, fields))
            .map_err(|flaw| self.damaged(&key, flaw))
    }

    pub(super) fn len(&self) -> Result<u64, StoreError> {
        match &self.table {
            Half::Read(table) => table.len(),
            Half::Write(table) => table.len(),
        }
        .map_err(failure)
    }

    pub(super) fn damaged(&self, key: &K::SelfType<'_>, flaw: Flaw) -> StoreError {
        StoreError::Damaged(self.fault(key, flaw))
    }

    /// Table, key, and what is wrong there.
    pub(super) fn fault(&self, key: &K::SelfType<'_>, flaw: Flaw) -> String {
        format!("{} {key:?}: {flaw}", self.name)
    }

    /// Writes a row. Fields above `known` of the row that is there are kept.
    pub(super) fn put(
        &mut self,
        key: K::SelfType<'_>,
        known: u8,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StoreError> {
        let mut record = Vec::with_capacity(128);
        write(&mut record);
        if let Some(old) = self.get(&key)? {
            tlv::open(K::as_bytes(&key).as_ref(), old.value())
                .and_then(|fields| fields.carry(known, &mut record))
                .map_err(|flaw| self.damaged(&key, flaw))?;
        }
        tlv::seal(&mut record, K::as_bytes(&key).as_ref());
        self.insert(key, &record)
    }

    /// Writes a row that is known to be new, as it is.
    pub(super) fn insert(&mut self, key: K::SelfType<'_>, record: &[u8]) -> Result<(), StoreError> {
        self.writable()?.insert(key, record).map_err(failure)?;
        Ok(())
    }

    pub(super) fn remove(&mut self, key: K::SelfType<'_>) -> Result<(), StoreError> {
        self.writable()?.remove(key).map_err(failure)?;
        Ok(())
    }
}

impl<'a, K: Key + 'static> Opened<'a, K> {
    pub(super) fn writable(&mut self) -> Result<&mut Table<'a, K, Record>, StoreError> {
        match &mut self.table {
            Half::Write(table) => Ok(table),
            Half::Read(_) => Err(StoreError::Io("a write outside a write transaction".into())),
        }
    }
}

/// Where a set of tables comes from.
enum Source<'a> {
    /// The reads of a turn before its first write; the transaction begins with the first of them.
    Turn(&'a Database, OnceCell<ReadTransaction>),
    Read(ReadTransaction),
    Write(&'a WriteTransaction),
}

pub(super) struct Tables<'a> {
    source: Source<'a>,
    meta: OnceCell<Opened<'a, &'static str>>,
    accounts: OnceCell<Opened<'a, u32>>,
    addresses: OnceCell<Opened<'a, &'static str>>,
    contacts: OnceCell<Opened<'a, (u32, &'static str)>>,
    chats: OnceCell<Opened<'a, u64>>,
    members: OnceCell<Opened<'a, (u32, u64)>>,
    messages: OnceCell<Opened<'a, (u64, u64)>>,
    members_by_chat: OnceCell<Opened<'a, (u64, u64)>>,
    floors: OnceCell<Opened<'a, u64>>,
    hidden: OnceCell<Opened<'a, (u32, &'static [u8; 16])>>,
    spaces: OnceCell<Opened<'a, (u64, u64)>>,
    profiles: OnceCell<Opened<'a, u32>>,
    recent: OnceCell<Opened<'a, (u64, u64)>>,
    sessions: OnceCell<Opened<'a, &'static [u8; 16]>>,
    sessions_by_account: OnceCell<Opened<'a, (u32, &'static [u8; 16])>>,
    seen: OnceCell<Opened<'a, u32>>,
    invites: OnceCell<Opened<'a, &'static [u8; 16]>>,
    secrets: OnceCell<Opened<'a, (u32, &'static str)>>,
    public: OnceCell<Opened<'a, u64>>,
    cards: OnceCell<Opened<'a, (u32, u64)>>,
    days: OnceCell<Opened<'a, u64>>,
}

impl<'a> Tables<'a> {
    pub(super) fn turn(database: &'a Database) -> Tables<'a> {
        Tables::of(Source::Turn(database, OnceCell::new()))
    }

    pub(super) fn read(transaction: ReadTransaction) -> Tables<'a> {
        Tables::of(Source::Read(transaction))
    }

    pub(super) fn write(transaction: &'a WriteTransaction) -> Tables<'a> {
        Tables::of(Source::Write(transaction))
    }

    fn of(source: Source<'a>) -> Tables<'a> {
        Tables {
            source,
            meta: OnceCell::new(),
            accounts: OnceCell::new(),
            addresses: OnceCell::new(),
            contacts: OnceCell::new(),
            chats: OnceCell::new(),
            members: OnceCell::new(),
            messages: OnceCell::new(),
            members_by_chat: OnceCell::new(),
            floors: OnceCell::new(),
            hidden: OnceCell::new(),
            spaces: OnceCell::new(),
            profiles: OnceCell::new(),
            recent: OnceCell::new(),
            sessions: OnceCell::new(),
            sessions_by_account: OnceCell::new(),
            seen: OnceCell::new(),
            invites: OnceCell::new(),
            secrets: OnceCell::new(),
            public: OnceCell::new(),
            cards: OnceCell::new(),
            days: OnceCell::new(),
        }
    }

    /// Opens every table: makes those that are not there yet.
    pub(super) fn open_all(&self) -> Result<(), StoreError> {
        self.meta()?;
        self.accounts()?;
        self.addresses()?;
        self.contacts()?;
        self.chats()?;
        self.members()?;
        self.messages()?;
        self.members_by_chat()?;
        self.floors()?;
        self.hidden()?;
        self.spaces()?;
        self.profiles()?;
        self.recent()?;
        self.sessions()?;
        self.sessions_by_account()?;
        self.seen()?;
        self.invites()?;
        self.secrets()?;
        self.public()?;
        self.cards()?;
        self.days()?;
        Ok(())
    }

    pub(super) fn meta_mut(&mut self) -> Result<&mut Opened<'a, &'static str>, StoreError> {
        self.source.open_mut(&mut self.meta, "meta", META)
    }
    pub(super) fn accounts_mut(&mut self) -> Result<&mut Opened<'a, u32>, StoreError> {
        self.source.open_mut(&mut self.accounts, "accounts", ACCOUNTS)
    }
    pub(super) fn addresses_mut(&mut self) -> Result<&mut Opened<'a, &'static str>, StoreError> {
        self.source.open_mut(&mut self.addresses, "addresses", ADDRESSES)
    }
    pub(super) fn contacts_mut(
        &mut self,
    ) -> Result<&mut Opened<'a, (u32, &'static str)>, StoreError> {
        self.source.open_mut(&mut self.contacts, "contacts", CONTACTS)
    }
    pub(super) fn chats_mut(&mut self) -> Result<&mut Opened<'a, u64>, StoreError> {
        self.source.open_mut(&mut self.chats, "chats", CHATS)
    }
    pub(super) fn members_mut(&mut self) -> Result<&mut Opened<'a, (u32, u64)>, StoreError> {
        self.source.open_mut(&mut self.members, "members", MEMBERS)
    }
    pub(super) fn messages_mut(&mut self) -> Result<&mut Opened<'a, (u64, u64)>, StoreError> {
        self.source.open_mut(&mut self.messages, "messages", MESSAGES)
    }
    pub(super) fn members_by_chat_mut(
        &mut self,
    ) -> Result<&mut Opened<'a, (u64, u64)>, StoreError> {
        self.source.open_mut(&mut self.members_by_chat, "members_by_chat", MEMBERS_BY_CHAT)
    }
    pub(super) fn floors_mut(&mut self) -> Result<&mut Opened<'a, u64>, StoreError> {
        self.source.open_mut(&mut self.floors, "floors", FLOORS)
    }
    pub(super) fn hidden_mut(
        &mut self,
    ) -> Result<&mut Opened<'a, (u32, &'static [u8; 16])>, StoreError> {
        self.source.open_mut(&mut self.hidden, "hidden", HIDDEN)
    }
    pub(super) fn spaces_mut(&mut self) -> Result<&mut Opened<'a, (u64, u64)>, StoreError> {
        self.source.open_mut(&mut self.spaces, "spaces", SPACES)
    }
    pub(super) fn profiles_mut(&mut self) -> Result<&mut Opened<'a, u32>, StoreError> {
        self.source.open_mut(&mut self.profiles, "profiles", PROFILES)
    }
    pub(super) fn recent_mut(&mut self) -> Result<&mut Opened<'a, (u64, u64)>, StoreError> {
        self.source.open_mut(&mut self.recent, "recent", RECENT)
    }
    /// `messages` and `recent`.
    pub(super) fn message_tables(&mut self) -> Result<Both<'_, 'a>, StoreError> {
        let messages = self.source.open_mut(&mut self.messages, "messages", MESSAGES)?;
        Ok((messages, self.source.open_mut(&mut self.recent, "recent", RECENT)?))
    }
    pub(super) fn sessions_mut(
        &mut self,
    ) -> Result<&mut Opened<'a, &'static [u8; 16]>, StoreError> {
        self.source.open_mut(&mut self.sessions, "sessions", SESSIONS)
    }
    pub(super) fn sessions_by_account_mut(
        &mut self,
    ) -> Result<&mut Opened<'a, (u32, &'static [u8; 16])>, StoreError> {
        let cell = &mut self.sessions_by_account;
        self.source.open_mut(cell, "sessions_by_account", SESSIONS_BY_ACCOUNT)
    }
    pub(super) fn seen_mut(&mut self) -> Result<&mut Opened<'a, u32>, StoreError> {
        self.source.open_mut(&mut self.seen, "seen", SEEN)
    }
    pub(super) fn invites_mut(&mut self) -> Result<&mut Opened<'a, &'static [u8; 16]>, StoreError> {
        self.source.open_mut(&mut self.invites, "invites", INVITES)
    }
    pub(super) fn secrets_mut(
        &mut self,
    ) -> Result<&mut Opened<'a, (u32, &'static str)>, StoreError> {
        self.source.open_mut(&mut self.secrets, "secrets", SECRETS)
    }
    pub(super) fn public_mut(&mut self) -> Result<&mut Opened<'a, u64>, StoreError> {
        self.source.open_mut(&mut self.public, "public", PUBLIC)
    }
    pub(super) fn cards_mut(&mut self) -> Result<&mut Opened<'a, (u32, u64)>, StoreError> {
        self.source.open_mut(&mut self.cards, "cards", CARDS)
    }
    pub(super) fn days_mut(&mut self) -> Result<&mut Opened<'a, u64>, StoreError> {
        self.source.open_mut(&mut self.days, "days", DAYS)
    }
}

type Both<'t, 'a> = (&'t mut Opened<'a, (u64, u64)>, &'t mut Opened<'a, (u64, u64)>);

/// What can be read of a set of tables. A trait of its own, because [`Tables`] itself is invariant in
/// its lifetime and what it lends is not.
pub(super) trait Shelf {
    fn meta(&self) -> Result<&Opened<'_, &'static str>, StoreError>;
    fn accounts(&self) -> Result<&Opened<'_, u32>, StoreError>;
    fn addresses(&self) -> Result<&Opened<'_, &'static str>, StoreError>;
    fn contacts(&self) -> Result<&Opened<'_, (u32, &'static str)>, StoreError>;
    fn chats(&self) -> Result<&Opened<'_, u64>, StoreError>;
    fn members(&self) -> Result<&Opened<'_, (u32, u64)>, StoreError>;
    fn messages(&self) -> Result<&Opened<'_, (u64, u64)>, StoreError>;
    fn members_by_chat(&self) -> Result<&Opened<'_, (u64, u64)>, StoreError>;
    fn floors(&self) -> Result<&Opened<'_, u64>, StoreError>;
    fn hidden(&self) -> Result<&Opened<'_, (u32, &'static [u8; 16])>, StoreError>;
    fn spaces(&self) -> Result<&Opened<'_, (u64, u64)>, StoreError>;
    fn profiles(&self) -> Result<&Opened<'_, u32>, StoreError>;
    fn recent(&self) -> Result<&Opened<'_, (u64, u64)>, StoreError>;
    fn sessions(&self) -> Result<&Opened<'_, &'static [u8; 16]>, StoreError>;
    fn sessions_by_account(&self) -> Result<&Opened<'_, (u32, &'static [u8; 16])>, StoreError>;
    fn seen(&self) -> Result<&Opened<'_, u32>, StoreError>;
    fn invites(&self) -> Result<&Opened<'_, &'static [u8; 16]>, StoreError>;
    fn secrets(&self) -> Result<&Opened<'_, (u32, &'static str)>, StoreError>;
    fn public(&self) -> Result<&Opened<'_, u64>, StoreError>;
    fn cards(&self) -> Result<&Opened<'_, (u32, u64)>, StoreError>;
    fn days(&self) -> Result<&Opened<'_, u64>, StoreError>;
}

impl Shelf for Tables<'_> {
    fn meta(&self) -> Result<&Opened<'_, &'static str>, StoreError> {
        self.source.open(&self.meta, "meta", META)
    }
    fn accounts(&self) -> Result<&Opened<'_, u32>, StoreError> {
        self.source.open(&self.accounts, "accounts", ACCOUNTS)
    }
    fn addresses(&self) -> Result<&Opened<'_, &'static str>, StoreError> {
        self.source.open(&self.addresses, "addresses", ADDRESSES)
    }
    fn contacts(&self) -> Result<&Opened<'_, (u32, &'static str)>, StoreError> {
        self.source.open(&self.contacts, "contacts", CONTACTS)
    }
    fn chats(&self) -> Result<&Opened<'_, u64>, StoreError> {
        self.source.open(&self.chats, "chats", CHATS)
    }
    fn members(&self) -> Result<&Opened<'_, (u32, u64)>, StoreError> {
        self.source.open(&self.members, "members", MEMBERS)
    }
    fn messages(&self) -> Result<&Opened<'_, (u64, u64)>, StoreError> {
        self.source.open(&self.messages, "messages", MESSAGES)
    }
    fn members_by_chat(&self) -> Result<&Opened<'_, (u64, u64)>, StoreError> {
        self.source.open(&self.members_by_chat, "members_by_chat", MEMBERS_BY_CHAT)
    }
    fn floors(&self) -> Result<&Opened<'_, u64>, StoreError> {
        self.source.open(&self.floors, "floors", FLOORS)
    }
    fn hidden(&self) -> Result<&Opened<'_, (u32, &'static [u8; 16])>, StoreError> {
        self.source.open(&self.hidden, "hidden", HIDDEN)
    }
    fn spaces(&self) -> Result<&Opened<'_, (u64, u64)>, StoreError> {
        self.source.open(&self.spaces, "spaces", SPACES)
    }
    fn profiles(&self) -> Result<&Opened<'_, u32>, StoreError> {
        self.source.open(&self.profiles, "profiles", PROFILES)
    }
    fn recent(&self) -> Result<&Opened<'_, (u64, u64)>, StoreError> {
        self.source.open(&self.recent, "recent", RECENT)
    }
    fn sessions(&self) -> Result<&Opened<'_, &'static [u8; 16]>, StoreError> {
        self.source.open(&self.sessions, "sessions", SESSIONS)
    }
    fn sessions_by_account(&self) -> Result<&Opened<'_, (u32, &'static [u8; 16])>, StoreError> {
        self.source.open(&self.sessions_by_account, "sessions_by_account", SESSIONS_BY_ACCOUNT)
    }
    fn seen(&self) -> Result<&Opened<'_, u32>, StoreError> {
        self.source.open(&self.seen, "seen", SEEN)
    }
    fn invites(&self) -> Result<&Opened<'_, &'static [u8; 16]>, StoreError> {
        self.source.open(&self.invites, "invites", INVITES)
    }
    fn secrets(&self) -> Result<&Opened<'_, (u32, &'static str)>, StoreError> {
        self.source.open(&self.secrets, "secrets", SECRETS)
    }
    fn public(&self) -> Result<&Opened<'_, u64>, StoreError> {
        self.source.open(&self.public, "public", PUBLIC)
    }
    fn cards(&self) -> Result<&Opened<'_, (u32, u64)>, StoreError> {
        self.source.open(&self.cards, "cards", CARDS)
    }
    fn days(&self) -> Result<&Opened<'_, u64>, StoreError> {
        self.source.open(&self.days, "days", DAYS)
    }
}

impl<'a> Source<'a> {
    fn open<'c, K: Key + 'static>(
        &self,
        cell: &'c OnceCell<Opened<'a, K>>,
        name: &'static str,
        definition: Definition<K>,
    ) -> Result<&'c Opened<'a, K>, StoreError> {
        if let Some(opened) = cell.get() {
            return Ok(opened);
        }
        let table = match self {
            Source::Turn(database, begun) => {
                let transaction = match begun.get() {
                    Some(transaction) => transaction,
                    None => {
                        let new = database.begin_read().map_err(failure)?;
                        begun.get_or_init(|| new)
                    }
                };
                Half::Read(transaction.open_table(definition).map_err(failure)?)
            }
            Source::Read(transaction) => {
                Half::Read(transaction.open_table(definition).map_err(failure)?)
            }
            Source::Write(transaction) => {
                Half::Write(transaction.open_table(definition).map_err(failure)?)
            }
        };
        Ok(cell.get_or_init(|| Opened { name, table }))
    }

    fn open_mut<'c, K: Key + 'static>(
        &self,
        cell: &'c mut OnceCell<Opened<'a, K>>,
        name: &'static str,
        definition: Definition<K>,
    ) -> Result<&'c mut Opened<'a, K>, StoreError> {
        self.open(cell, name, definition)?;
        Ok(cell.get_mut().expect("opened in the line before"))
    }
}

impl fmt::Debug for Tables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Turn(..) => "turn",
            Source::Read(_) => "read",
            Source::Write(_) => "write",
        };
        f.debug_struct("Tables").field("source", &source).finish_non_exhaustive()
    }
}
