//! From a place to an open database.
//!
//! Nothing is written before it is certain that the file is a database of this program, of a
//! version it knows, and that nobody else has it open.

use std::cell::Cell;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{BackendError, Database, DatabaseError, ReadableDatabase, StorageBackend, StorageError};

use crate::store::arrivals::Arrivals;
use crate::store::backend::{SCHEMA, TwoSlots, Unfit};
use crate::store::daybook::{Daybook, Nowhere, Region};
use crate::store::journal::Journal;
use crate::store::meter::{Memory, Meter, Metered};
use crate::store::tables::{Shelf, Tables};
use crate::store::{
    BackendSource, Live, OpenError, Options, Place, StoreError, create, failure, posting, rows,
};

/// The database in its directory.
pub(super) const FILE: &str = "msimd.redb";
/// How often a long start says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Where a store opens its database, also for the second time.
#[derive(Debug)]
pub(super) enum Origin {
    Directory(PathBuf),
    File(PathBuf),
    Memory(Memory),
    Backend(Arc<dyn BackendSource>),
}

/// A database that has just been opened.
pub(super) struct Fresh {
    pub(super) live: Live,
    /// Opening it after a power cut needs no repair as it is now, and all messages lie in tables.
    pub(super) sealed: bool,
}

impl Origin {
    pub(super) fn of(place: Place) -> Origin {
        match place {
            Place::Directory(directory) => Origin::Directory(directory),
            Place::File(path) => Origin::File(path),
            Place::Memory => Origin::Memory(Memory::default()),
            Place::Backend(source) => Origin::Backend(source),
        }
    }

    /// What messages call it.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Origin::Directory(directory) => directory.join(FILE),
            Origin::File(path) => path.clone(),
            Origin::Memory(_) => PathBuf::from("(memory)"),
            Origin::Backend(_) => PathBuf::from("(backend)"),
        }
    }

    /// See `BackendSource::hurry`.
    pub(super) fn hurry(&self) -> usize {
        match self {
            Origin::Backend(source) => source.hurry().max(1),
            Origin::Directory(_) | Origin::File(_) | Origin::Memory(_) => 1,
        }
    }

    /// Opens the database; makes it first where there is none and `make` allows it.
    pub(super) fn open(
        &self,
        options: &Options,
        meter: &Arc<Meter>,
        make: bool,
    ) -> Result<Fresh, OpenError> {
        let path = self.path();
        let metered = |disk| -> Box<dyn StorageBackend> { Box::new(Metered::new(disk, meter)) };
        let broken = |source| OpenError::Io { path: path.clone(), source };
        match self {
            Origin::Directory(directory) => {
                if make && !path.exists() {
                    create::in_directory(directory)?;
                }
                open_slots(&path, metered(file(&path)?), options)
            }
            Origin::File(path) => open_slots(path, metered(file(path)?), options),
            Origin::Memory(memory) => {
                let empty = memory.len().map_err(broken)? == 0;
                let disk = Metered::new(Box::new(memory.clone()), meter);
                let started = start(&path, disk, options)?;
                if empty {
                    create::schema(&started.database).map_err(OpenError::Store)?;
                }
                started.live(&path, Box::new(memory.region(meter)))
            }
            Origin::Backend(source) => {
                if make && !source.exists() {
                    let disk = metered(source.open().map_err(broken)?);
                    create::schema(&start(&path, Journal::new(disk), options)?.database)
                        .map_err(OpenError::Store)?;
                }
                open_slots(&path, metered(source.open().map_err(broken)?), options)
            }
        }
    }
}

fn file(path: &Path) -> Result<Box<dyn StorageBackend>, OpenError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|source| OpenError::Io { path: path.into(), source })?;
    Ok(Box::new(FileBackend::new(file).map_err(|error| unfit(path, error))?))
}

/// Opens what was made before, with its two headers.
pub(super) fn open_slots(
    path: &Path,
    disk: Box<dyn StorageBackend>,
    options: &Options,
) -> Result<Fresh, OpenError> {
    // Before anything is read: while another process writes, a header may be half there.
    match disk.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
        Ok(true) | Err(BackendError::Unsupported) => {}
        Ok(false) => return Err(OpenError::Busy(path.into())),
        Err(error) => return Err(OpenError::Io { path: path.into(), source: error.into() }),
    }
    let unfit = |unfit| match unfit {
        Unfit::Foreign(why) => OpenError::Foreign { path: path.into(), why },
        Unfit::Damaged(why) => OpenError::Damaged { path: path.into(), why },
        Unfit::Newer(found) => OpenError::Newer { found, known: SCHEMA },
        Unfit::Io(source) => OpenError::Io { path: path.into(), source },
    };
    let slots = TwoSlots::load(disk).map_err(unfit)?;
    let level = slots.schema();
    let (started, region): (_, Box<dyn Region>) = if slots.is_journaled() {
        let slots = Arc::new(slots);
        let journal = Journal::load(slots.clone()).map_err(unfit)?;
        read_ahead(path, journal.needs_repair(), |progress| journal.read_ahead(progress))?;
        (start(path, journal, options)?, Box::new(slots))
    } else {
        read_ahead(path, slots.needs_repair(), |progress| slots.read_ahead(progress))?;
        (start(path, slots, options)?, Box::new(Nowhere))
    };
    let schema = schema_of(&started.database).map_err(OpenError::Store)?;
    if schema > SCHEMA {
        return Err(OpenError::Newer { found: schema, known: SCHEMA });
    }
    create::missing(&started.database, schema, level).map_err(OpenError::Store)?;
    started.live(path, region)
}

/// Before a repair the file is read once, with a word now and then about how far that is.
fn read_ahead(
    path: &Path,
    is_needed: bool,
    read: impl FnOnce(&mut dyn FnMut(u64, u64)) -> io::Result<()>,
) -> Result<(), OpenError> {
    if !is_needed {
        return Ok(());
    }
    log::warn!("{} was not closed: reading it once before the repair", path.display());
    let mut told = Instant::now();
    read(&mut |done, all| {
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            log::info!("read {} of {} MiB", done >> 20, all >> 20);
        }
    })
    .map_err(|source| OpenError::Io { path: path.into(), source })
}

/// A database as redb opened it.
pub(super) struct Started {
    pub(super) database: Database,
    /// See [`Fresh`].
    sealed: bool,
}

impl Started {
    /// Learns what was not merged yet: what lies in `recent` and what is in the daybook.
    fn live(self, path: &Path, region: Box<dyn Region>) -> Result<Fresh, OpenError> {
        let Started { database, sealed } = self;
        let tables = || Ok(Tables::read(database.begin_read().map_err(failure)?));
        let posted = trusting(path, || posting::posted(&tables()?))?.map_err(OpenError::Store)?;
        let (daybook, notes) = Daybook::load(region, posted)
            .map_err(|source| OpenError::Io { path: path.into(), source })?;
        let read = || Arrivals::read(tables()?.recent()?, notes);
        let arrivals = Arc::new(trusting(path, read)?.map_err(OpenError::Store)?);
        let sealed = sealed && arrivals.noted().is_empty();
        let live = Live { database, daybook, arrivals, quarantine: Arc::default() };
        Ok(Fresh { live, sealed })
    }
}

/// redb trusts what a page says; a page that rotted can make it panic.
fn trusting<T>(path: &Path, work: impl FnOnce() -> T) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_panic| {
        let why = "its pages make no sense".into();
        OpenError::Damaged { path: path.into(), why }
    })
}

/// Hands a backend to redb, which repairs it where that is needed.
pub(super) fn start(
    path: &Path,
    disk: impl StorageBackend,
    options: &Options,
) -> Result<Started, OpenError> {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    let repaired = Rc::new(Cell::new(false));
    let notice = repaired.clone();
    let told = Cell::new(None::<Instant>);
    builder.set_repair_callback(move |session| {
        notice.set(true);
        if told.get().is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            told.set(Some(Instant::now()));
            log::info!("repairing the database: {:.0} %", session.progress() * 100.0);
        }
    });
    match trusting(path, || builder.create_with_backend(disk))? {
        Ok(database) => Ok(Started { database, sealed: !repaired.get() }),
        Err(error) => Err(unfit(path, error)),
    }
}

pub(super) fn unfit(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_path_buf();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Busy(path),
        DatabaseError::Storage(StorageError::Io(source)) => OpenError::Io { path, source },
        // Ours is the enum, redb's is not: whatever else there is, the file cannot be opened.
        // Its header has been recognized by then.
        other => OpenError::Damaged { path, why: other.to_string() },
    }
}

fn schema_of(database: &Database) -> Result<u32, StoreError> {
    let tables = Tables::read(database.begin_read().map_err(failure)?);
    let schema = tables.meta()?.row("schema", rows::one)?;
    let schema = schema.ok_or_else(|| StoreError::Damaged("meta \"schema\": it is gone".into()))?;
    Ok(u32::try_from(schema).unwrap_or(u32::MAX))
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Busy(path) => {
                write!(
                    f,
                    "{} is open in another process: end that one first, or give this one another \
                     data directory",
                    path.display()
                )
            }
            OpenError::Newer { found, known } => write!(
                f,
                "the database was written by a later version: its schema is {found}, this version \
                 knows up to {known}"
            ),
            OpenError::Foreign { path, why } => {
                write!(f, "{} is not a database that can be opened: {why}", path.display())
            }
            OpenError::Damaged { path, why } => write!(f, "{} is damaged: {why}", path.display()),
            OpenError::Io { path, source } => write!(f, "{}: {source}", path.display()),
            OpenError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Io { source, .. } => Some(source),
            OpenError::Store(error) => Some(error),
            OpenError::Busy(_)
            | OpenError::Newer { .. }
            | OpenError::Foreign { .. }
            | OpenError::Damaged { .. } => None,
        }
    }
}
