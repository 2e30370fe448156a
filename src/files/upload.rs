//! A file on its way in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ring::digest::{Context, SHA256};

use super::{Files, PART, failed, place};
use crate::domain::words::{FileKey, Refusal, Spool, StoredFile};

/// Bytes are put here until there are as many as were announced.
pub(super) struct Way(Mutex<State>);

struct State {
    files: Files,
    key: FileKey,
    size: u64,
    /// When it was begun; what it grows old by.
    at: SystemTime,
    written: u64,
    file: Option<File>,
    /// Where its bytes are now, and where they belong.
    part: PathBuf,
    place: PathBuf,
    hash: Context,
    is_finished: bool,
    is_kept: bool,
}

impl Way {
    pub(super) fn begin(
        files: Files,
        directory: &Path,
        key: FileKey,
        (size, at): (u64, SystemTime),
    ) -> io::Result<Way> {
        let place = place(directory, key);
        let part = directory.join(PART).join(format!("{:016x}", key.id));
        for path in [&part, &place] {
            let Some(parent) = path.parent() else { continue };
            fs::create_dir_all(parent)?;
        }
        // Files are for those whom they were sent to, whoever has an account on the machine.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        Ok(Way(Mutex::new(State {
            files,
            key,
            size,
            at,
            written: 0,
            file: Some(file),
            part,
            place,
            hash: Context::new(&SHA256),
            is_finished: false,
            is_kept: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held would have ended this upload's connection.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spool for Way {
    fn write(&self, bytes: &[u8]) -> Result<bool, Refusal> {
        let mut way = self.state();
        let written = way.written.saturating_add(bytes.len() as u64);
        if way.size < written {
            return Err(Refusal::FileTooLarge);
        }
        let Some(file) = &mut way.file else { return Err(Refusal::Unavailable) };
        if let Err(error) = file.write_all(bytes) {
            // What is on the disk now nobody knows.
            way.file = None;
            return Err(failed("written", &error));
        }
        way.hash.update(bytes);
        way.written = written;
        Ok(written == way.size)
    }

    fn finish(&self, name: &str) -> Result<StoredFile, Refusal> {
        let mut way = self.state();
        if way.written < way.size {
            return Err(Refusal::Unavailable);
        }
        way.settle().map_err(|error| failed("put in its place", &error))?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(way.hash.clone().finish().as_ref());
        Ok(StoredFile { key: way.key, name: name.into(), size: way.size, sha256 })
    }

    fn keep(&self) {
        self.state().is_kept = true;
    }
}

impl State {
    fn settle(&mut self) -> io::Result<()> {
        let file = self.file.take().ok_or(io::ErrorKind::BrokenPipe)?;
        file.set_modified(self.at)?;
        file.sync_all()?;
        fs::rename(&self.part, &self.place)?;
        self.is_finished = true;
        let Some(account) = self.place.parent() else { return Ok(()) };
        File::open(account)?.sync_all()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let path = if self.is_finished { &self.place } else { &self.part };
        if let Err(error) = fs::remove_file(path) {
            log::warn!("{} is left behind: {error}", path.display());
        }
        self.files.release(self.key.owner, self.size);
    }
}
