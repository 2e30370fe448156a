//! A new database: whole under its name, or not there at all.
//!
//! It is made as `msimd.redb.tmp`, closed, synced, renamed, and the directory is synced: redb never
//! opens a file whose making was cut short. A lock on the directory keeps two processes from
//! making one at the same time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase};

use crate::domain::id::{AccountNo, ChatId};
use crate::store::backend::{SCHEMA, UNJOURNALED};
use crate::store::journal::Journal;
use crate::store::meter::Metered;
use crate::store::open::{FILE, start, unfit};
use crate::store::rows::Named;
use crate::store::tables::{Shelf, TABLES, Tables};
use crate::store::{OpenError, Options, StoreError, failure, open_or_skip, rows, tlv};

/// redb's cache while a database is made: there is next to nothing in it.
const CACHE_BYTES: usize = 1 << 20;

/// Makes `msimd.redb` in a directory, which is made too where it is missing. Does nothing where
/// another process has made it in the meantime.
pub(super) fn in_directory(directory: &Path) -> Result<(), OpenError> {
    let path = directory.join(FILE);
    let broken = |source| OpenError::Io { path: path.clone(), source };
    if !directory.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(broken)?;
        sync_parent(directory).map_err(broken)?;
    }
    let handle = File::open(directory).map_err(broken)?;
    match handle.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Busy(path)),
        Err(TryLockError::Error(source)) => return Err(broken(source)),
    }
    if path.exists() {
        return Ok(());
    }
    let temporary = temporary(&path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(broken(error)),
        Ok(()) | Err(_) => {}
    }
    let database = fresh(&temporary)?;
    schema(&database).map_err(OpenError::Store)?;
    drop(database);
    put_in_place(&temporary, &path).map_err(broken)
}

/// `x.redb` is made as `x.redb.tmp`.
pub(super) fn temporary(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".tmp");
    name.into()
}

/// An empty database without a schema in a file that must not exist. Nothing of it is durable
/// before `put_in_place`.
pub(super) fn fresh(path: &Path) -> Result<Database, OpenError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::Io { path: path.into(), source })?;
    let disk = FileBackend::new(file).map_err(|error| unfit(path, error))?;
    let disk = Metered::unsynced(Box::new(disk));
    let options = Options { cache_bytes: CACHE_BYTES, free_space: 0 };
    Ok(start(path, Journal::new(Box::new(disk)), &options)?.database)
}

/// Makes a closed file durable under its name.
pub(super) fn put_in_place(temporary: &Path, path: &Path) -> io::Result<()> {
    File::open(temporary)?.sync_all()?;
    fs::rename(temporary, path)?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

/// Writes the empty tables and what `meta` begins with.
pub(super) fn schema(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failure)?;
    let mut tables = Tables::write(&transaction);
    tables.open_all()?;
    let meta = tables.meta_mut()?;
    meta.put("schema", rows::NUMBER_TAGS, |out| rows::put_one(u64::from(SCHEMA), out))?;
    meta.put("ids", rows::NUMBER_TAGS, |out| rows::put_one(1, out))?;
    let server = server_uuid()?;
    meta.put("server", rows::NUMBER_TAGS, |out| tlv::put_bytes(out, 1, &server))?;
    drop(tables);
    transaction.commit().map_err(failure)
}

/// Makes the tables that were added since the database was made, which lies there as schema
/// `schema` in a file laid out as schema `level`. A new table is no new schema, unless an earlier
/// version would give wrong answers without it.
pub(super) fn missing(database: &Database, schema: u32, level: u32) -> Result<(), StoreError> {
    let there = database.begin_read().map_err(failure)?.list_tables().map_err(failure)?.count();
    let wanted = level.max(UNJOURNALED);
    if TABLES <= there && schema == wanted {
        return Ok(());
    }
    let mut transaction = database.begin_write().map_err(failure)?;
    let mut tables = Tables::write(&transaction);
    tables.open_all()?;
    if schema < 3 {
        number_publicly(&mut tables)?;
    }
    // No record changed between the schemas there have been.
    let meta = tables.meta_mut()?;
    meta.put("schema", rows::NUMBER_TAGS, |out| rows::put_one(u64::from(wanted), out))?;
    drop(tables);
    // It stays as quick to open as it was.
    transaction.set_quick_repair(true);
    transaction.commit().map_err(failure)
}

/// Schema 3 finds accounts and groups by their random numbers. A group that has none, from before
/// there were any, is not found by it.
fn number_publicly(tables: &mut Tables<'_>) -> Result<(), StoreError> {
    let mut found = Vec::new();
    for entry in tables.accounts()?.range(..)? {
        let row = tables.accounts()?.entry(entry, |no, fields| {
            let account = rows::account(AccountNo(*no), fields)?;
            Ok(Some((account.public_id, Named::Account(account.no))))
        });
        found.extend(open_or_skip(row)?);
    }
    for entry in tables.chats()?.range(..)? {
        let row = tables.chats()?.entry(entry, |no, fields| {
            let chat = rows::chat(ChatId(*no), fields)?;
            Ok(Some((chat.public_id, Named::Chat(chat.id))))
        });
        found.extend(open_or_skip(row)?);
    }
    found.retain(|(id, _)| *id != 0);
    let table = tables.public_mut()?;
    for (id, named) in found {
        table.put(id, rows::NAME_TAGS, |out| rows::put_name(named, out))?;
    }
    Ok(())
}

/// Which database this is, for whoever meets a copy of it.
fn server_uuid() -> Result<[u8; 16], StoreError> {
    let random = ring::rand::SystemRandom::new();
    ring::rand::generate::<[u8; 16]>(&random)
        .map(|bytes| bytes.expose())
        .map_err(|_| StoreError::Io("the system has no random bytes".into()))
}
