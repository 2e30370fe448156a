//! Room on the disk: the floor below which nothing is stored, and the ballast.
//!
//! The ballast is a file of 8 MiB beside the database. Deleting needs pages before it frees any;
//! on a full disk they come from here.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::limits::BALLAST_BYTES;
use crate::store::open::Origin;

const FILE: &str = "msimd.ballast";
/// The answer is asked of the system again after this long, or after this many bytes written.
const CHECK_EVERY: Duration = Duration::from_secs(1);
const CHECK_AFTER_BYTES: u64 = 4 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Space {
    /// `None` where there is no disk to fill.
    directory: Option<PathBuf>,
    floor: u64,
    room: bool,
    asked: Option<Instant>,
    written: u64,
    ballast: bool,
}

impl Space {
    pub(super) fn of(origin: &Origin, floor: u64) -> Space {
        let directory = match origin {
            Origin::Directory(directory) => Some(directory.clone()),
            Origin::File(_) | Origin::Memory(_) | Origin::Backend(_) => None,
        };
        let ballast = directory.as_ref().is_some_and(|d| has_ballast(&d.join(FILE)));
        let mut space = Space { directory, floor, room: true, asked: None, written: 0, ballast };
        space.has_room(0);
        space
    }

    /// Whether more may be stored. `written`: bytes written since the start.
    pub(super) fn has_room(&mut self, written: u64) -> bool {
        let Some(directory) = &self.directory else {
            return true;
        };
        let fresh = self.asked.is_some_and(|asked| asked.elapsed() < CHECK_EVERY);
        if fresh && written.saturating_sub(self.written) < CHECK_AFTER_BYTES {
            return self.room;
        }
        self.asked = Some(Instant::now());
        self.written = written;
        let free = match free_bytes(directory) {
            Ok(free) => free,
            Err(error) => {
                // Not knowing is no reason to refuse: a full disk is an error of the commit then.
                log::warn!("free space of {}: {error}", directory.display());
                u64::MAX
            }
        };
        if self.room != (free >= self.floor) {
            self.room = !self.room;
            let state = if self.room { "there is room again" } else { "nothing more is stored" };
            log::warn!("{} MiB are free, {} must stay: {state}", free >> 20, self.floor >> 20);
        }
        if !self.ballast && free >= self.floor.saturating_add(2 * BALLAST_BYTES) {
            match make_ballast(&directory.join(FILE)) {
                Ok(()) => self.ballast = true,
                Err(error) => log::warn!("no ballast in {}: {error}", directory.display()),
            }
        }
        self.room
    }

    /// See `Store::drop_ballast`.
    pub(super) fn drop_ballast(&mut self) -> bool {
        let Some(directory) = &self.directory else {
            return false;
        };
        self.ballast = false;
        // Asked anew only after the usual time, so that the deletion gets the room first.
        self.asked = Some(Instant::now());
        fs::remove_file(directory.join(FILE)).is_ok()
    }
}

fn free_bytes(directory: &Path) -> io::Result<u64> {
    let system = statvfs(directory)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

fn has_ballast(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() == BALLAST_BYTES)
}

fn make_ballast(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Ok(()) => Ok(()),
        // Room that is only promised is no ballast: write it where it cannot be allocated.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let part = vec![0; 64 * 1024];
            for _ in 0..BALLAST_BYTES / part.len() as u64 {
                file.write_all(&part)?;
            }
            Ok(())
        }
        Err(error) => {
            let _ = fs::remove_file(path);
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballast_is_made_and_dropped_and_the_floor_holds() {
        let home = tempfile::tempdir().unwrap();
        let origin = Origin::Directory(home.path().into());
        let mut space = Space::of(&origin, 0);
        assert!(space.has_room(0));
        assert!(has_ballast(&home.path().join(FILE)));
        assert!(space.drop_ballast());
        assert!(!space.drop_ballast());
        assert!(!home.path().join(FILE).exists());
        assert!(space.has_room(CHECK_AFTER_BYTES));
        assert!(has_ballast(&home.path().join(FILE)), "it comes back");

        let mut full = Space::of(&origin, u64::MAX);
        assert!(!full.has_room(0));
    }
}
