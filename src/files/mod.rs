//! The files that people send each other, in a directory beside the database: `files/<account>/`
//! has what somebody has sent, `files/part/` what is still on its way.
//!
//! - **Nothing is left behind.** A file comes to its place whole and durable, or not at all; what
//!   was on its way when a connection, or the process, ended is removed.
//! - **Nothing is held.** Bytes go to the disk as they come, and come from there as they are wanted.
//! - An account has a quota, a file a size and an age. Which messages name a file is no matter
//!   here: after its time it is gone, and they say so.
//!
//! Everything here blocks, and is done on the blocking pool.

mod upload;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::statvfs;

use crate::domain::id::{AccountNo, Timestamp};
use crate::domain::words::{FileKey, Refusal, Upload};
use crate::limits::{FILE_SLICE_BYTES_MAX, Limits};
use upload::Way;

/// What is too old is looked for this often, when somebody sends a file.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
const PART: &str = "part";

/// The directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    /// `None`: there is no disk to keep files on.
    directory: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What somebody's files take, what is on its way included. Of those who have sent one since
    /// the start.
    used: HashMap<AccountNo, u64>,
    swept: Option<Timestamp>,
}

impl Files {
    /// Beside a database in `directory`. What was on its way when the process ended is removed. Not
    /// being able to is said and no reason not to start: files are refused then.
    pub fn beside(directory: Option<&Path>) -> Files {
        let directory = directory.and_then(|data| {
            let directory = data.join("files");
            match prepare(&directory) {
                Ok(()) => Some(directory),
                Err(error) => {
                    log::error!("no files are kept in {}: {error}", directory.display());
                    None
                }
            }
        });
        Files(Arc::new(Shelf { directory, state: Mutex::default() }))
    }

    /// `at`, here and below: a time that never leaps, by which files grow old. What the machine's own
    /// clock says may be years off, and would take every file at once.
    ///
    /// Room for a file of `size` bytes of somebody's, and where its bytes go.
    pub fn begin(
        &self,
        owner: AccountNo,
        size: u64,
        limits: &Limits,
        at: Timestamp,
    ) -> Result<Upload, Refusal> {
        let directory = self.directory()?;
        if size == 0 {
            return Err(Refusal::BadField);
        }
        if limits.max_file_bytes < size {
            return Err(Refusal::FileTooLarge);
        }
        self.sweep_sometimes(limits, at);
        // Not knowing is no reason to refuse: a full disk is an error of the writing then.
        let free = statvfs(directory).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize));
        if free < limits.free_space.saturating_add(size) {
            return Err(Refusal::DiskFull);
        }
        self.reserve(owner, size, limits.file_quota)?;
        let mut chance = [0; 8];
        // The system's randomness does not fail once the process runs (getrandom(2)).
        let id = SystemRandom::new().fill(&mut chance).map(|()| u64::from_be_bytes(chance));
        let begun = match id {
            Ok(id) => {
                Way::begin(self.clone(), directory, FileKey { owner, id }, (size, moment(at)))
            }
            Err(_) => Err(io::Error::other("no randomness")),
        };
        begun.map(Upload::new).map_err(|error| {
            self.release(owner, size);
            failed("begun", &error)
        })
    }

    /// So many bytes of a file from `offset` on, at most `FILE_SLICE_BYTES_MAX`; fewer at its end.
    pub fn read(
        &self,
        key: FileKey,
        offset: u64,
        limits: &Limits,
        at: Timestamp,
    ) -> Result<Vec<u8>, Refusal> {
        let directory = self.directory()?;
        let path = place(directory, key);
        let read = || {
            let mut file = File::open(&path)?;
            if is_over(&file.metadata()?, moment(at), limits) {
                return Err(io::ErrorKind::NotFound.into());
            }
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::with_capacity(FILE_SLICE_BYTES_MAX);
            file.take(FILE_SLICE_BYTES_MAX as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Refusal::NoSuchFile,
            _ => failed("read", &error),
        })
    }

    /// Removes what is older than it may be.
    pub fn sweep(&self, limits: &Limits, at: Timestamp) {
        let Ok(directory) = self.directory() else { return };
        let now = moment(at);
        for (owner, account) in owners(directory) {
            for entry in entries(&account.path()) {
                let Ok(metadata) = entry.metadata() else { continue };
                if is_over(&metadata, now, limits) && fs::remove_file(entry.path()).is_ok() {
                    self.release(owner, metadata.len());
                }
            }
        }
    }

    fn sweep_sometimes(&self, limits: &Limits, at: Timestamp) {
        let mut state = self.state();
        let is_due = state
            .swept
            .is_none_or(|swept| swept.0.saturating_add(SWEEP_EVERY.as_millis() as u64) <= at.0);
        if is_due {
            state.swept = Some(at);
            drop(state);
            self.sweep(limits, at);
        }
    }

    fn directory(&self) -> Result<&Path, Refusal> {
        self.0.directory.as_deref().ok_or(Refusal::NoFiles)
    }

    fn reserve(&self, owner: AccountNo, size: u64, quota: u64) -> Result<(), Refusal> {
        let account = self.directory()?.join(owner.0.to_string());
        let mut state = self.state();
        let used = match state.used.entry(owner) {
            Entry::Occupied(used) => used.into_mut(),
            Entry::Vacant(unknown) => {
                let sizes =
                    entries(&account).filter_map(|entry| Some(entry.metadata().ok()?.len()));
                unknown.insert(sizes.sum())
            }
        };
        let total = used.saturating_add(size);
        if quota < total {
            return Err(Refusal::TooManyFiles);
        }
        *used = total;
        Ok(())
    }

    fn release(&self, owner: AccountNo, size: u64) {
        if let Some(used) = self.state().used.get_mut(&owner) {
            *used = used.saturating_sub(size);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way through a change.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(directory: &Path) -> io::Result<()> {
    let part = directory.join(PART);
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    Ok(())
}

/// Where a file of somebody's lies.
fn place(directory: &Path, key: FileKey) -> PathBuf {
    directory.join(key.owner.0.to_string()).join(format!("{:016x}", key.id))
}

fn owners(directory: &Path) -> impl Iterator<Item = (AccountNo, DirEntry)> {
    entries(directory).filter_map(|entry| {
        let owner = entry.file_name().to_str()?.parse().ok()?;
        Some((AccountNo(owner), entry))
    })
}

/// What is in a directory; nothing where there is none.
fn entries(directory: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(directory).into_iter().flatten().flatten()
}

fn moment(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.0)
}

fn is_over(metadata: &fs::Metadata, now: SystemTime, limits: &Limits) -> bool {
    let age = metadata.modified().ok().and_then(|at| now.duration_since(at).ok());
    age.is_some_and(|age| age >= Duration::from_secs(limits.file_ttl.saturating_mul(86_400)))
}

fn failed(what: &str, error: &io::Error) -> Refusal {
    log::error!("a file could not be {what}: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull => Refusal::DiskFull,
        _ => Refusal::Unavailable,
    }
}

#[cfg(test)]
mod tests;
