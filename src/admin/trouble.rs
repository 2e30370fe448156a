//! Why a database does not open, in one sentence with what to do; and what is done about one that is
//! damaged.
//!
//! **A damaged database is moved aside and nothing is begun in its place.** It may be all that is
//! left of something, and a server that came up empty would let anybody register as somebody who
//! was here before. So the next start says the same again, until a backup is restored or the
//! damaged file is taken away.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::logbook::Logbook;
use crate::archive::DATABASE;
use crate::store::{OpenError, StoreError};

/// Comes behind the database's name when it is moved aside.
const ASIDE: &str = ".damaged-";

/// What to do about a database that does not open. Nothing was changed.
pub fn sentence(error: &OpenError) -> String {
    match error {
        OpenError::Busy(path) => format!(
            "{} is in use by another process: stop that one first, or give this one another \
             directory with --data",
            path.display()
        ),
        OpenError::Newer { found, known } => format!(
            "the database was written by a later msimd: its schema is {found} and this one knows up \
             to {known}; start the later one, or restore a backup that this one made"
        ),
        OpenError::Foreign { path, why } => format!(
            "{} is no database of msimd: {why}; it was not touched, move it away or name another \
             directory with --data",
            path.display()
        ),
        OpenError::Damaged { path, why } => format!("{} is damaged: {why}", path.display()),
        OpenError::Io { path, source } => {
            format!("{} cannot be opened: {source}{}", path.display(), advice(path, source))
        }
        OpenError::Store(StoreError::Damaged(what)) => {
            format!("the database is damaged: {what}; restore a backup with `msimd restore FILE`")
        }
        OpenError::Store(StoreError::Io(why)) if why.contains("No space left") => format!(
            "the disk is full: {why}; make some room, deleting msimd.ballast beside the database \
             gives 8 MiB at once"
        ),
        OpenError::Store(StoreError::Io(why)) => {
            format!(
                "the database cannot be read or written: {why}; look at the kernel's log, \
                     `dmesg`, for errors of the disk"
            )
        }
    }
}

fn advice(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let me = rustix::process::geteuid().as_raw();
            // The nearest that can be looked at says whose it is.
            let owner = path.ancestors().find_map(|part| fs::metadata(part).ok());
            let owner =
                owner.map_or_else(|| "another user".into(), |m| format!("user {}", m.uid()));
            format!(
                "; this runs as user {me} and the place belongs to {owner}: run it as that user, or \
                 chown the directory"
            )
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the file system is mounted read-only, which is what a card with errors becomes: \
             look at `dmesg`, or remount it"
                .into()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make some room, deleting msimd.ballast beside the database gives 8 MiB at once"
                .into()
        }
        io::ErrorKind::NotFound => "; mount the disk, or name another directory with --data".into(),
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            "; something else is in the way: move it, or name another directory with --data".into()
        }
        _ => "; if it is the disk, the kernel's log, `dmesg`, says more".into(),
    }
}

/// Whether a start has to wait for the operator: a damaged database was moved aside and nothing has
/// come in its place.
pub fn waiting(directory: &Path) -> Option<String> {
    if directory.join(DATABASE).exists() {
        return None;
    }
    let aside = kept_aside(directory).pop()?;
    Some(format!(
        "the database of {} was damaged and is kept as {}; {}, or move that file away to begin with \
         an empty one",
        directory.display(),
        aside.display(),
        offer(directory)
    ))
}

/// The sentence for a server that does not start on the database of this directory. A damaged one is
/// moved aside. `stamp`: the time, as file names have it.
pub fn refuse(directory: &Path, error: &OpenError, stamp: &str) -> String {
    let OpenError::Damaged { path, .. } = error else { return sentence(error) };
    let mut aside = path.clone().into_os_string();
    aside.push(format!("{ASIDE}{stamp}"));
    let aside = PathBuf::from(aside);
    let moved = match aside.exists() {
        true => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        false => fs::rename(path, &aside),
    };
    let kept = match moved {
        Ok(()) => format!("it is kept as {}", aside.display()),
        Err(why) => format!("it could not be moved aside ({why})"),
    };
    format!("{}; {kept}; {}", sentence(error), offer(directory))
}

/// Databases that were moved aside, oldest first.
pub fn kept_aside(directory: &Path) -> Vec<PathBuf> {
    let begin = format!("{DATABASE}{ASIDE}");
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&begin)))
        .collect();
    found.sort();
    found
}

/// How to come back to the last good backup.
fn offer(directory: &Path) -> String {
    let data = directory.display();
    match Logbook::read(directory).backup {
        Some(backup) if backup.file.exists() => format!(
            "restore the last backup with `msimd restore --data {data} {}`",
            backup.file.display()
        ),
        Some(backup) => format!(
            "the last backup was {}, which is not there now: find it, and `msimd restore --data \
             {data} FILE`",
            backup.file.display()
        ),
        None => format!(
            "no backup was made here; if you have one elsewhere, `msimd restore --data {data} FILE`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_with_what_to_do() {
        let path = PathBuf::from("/var/lib/msimd/msimd.redb");
        let io = |kind: io::ErrorKind| OpenError::Io { path: path.clone(), source: kind.into() };
        for (error, what) in [
            (OpenError::Busy(path.clone()), "stop that one first"),
            (OpenError::Newer { found: 9, known: 2 }, "start the later one"),
            (OpenError::Foreign { path: path.clone(), why: "x".into() }, "move it away"),
            (io(io::ErrorKind::PermissionDenied), "run it as that user"),
            (io(io::ErrorKind::ReadOnlyFilesystem), "mounted read-only"),
            (io(io::ErrorKind::StorageFull), "make some room"),
            (io(io::ErrorKind::NotFound), "mount the disk"),
            (io(io::ErrorKind::NotADirectory), "in the way"),
            (io(io::ErrorKind::Other), "dmesg"),
            (OpenError::Store(StoreError::Damaged("x".into())), "restore a backup"),
            (
                OpenError::Store(StoreError::Io("No space left on device (os error 28)".into())),
                "the disk is full",
            ),
        ] {
            let said = sentence(&error);
            assert!(said.contains(what) && !said.contains('\n'), "{what}: {said}");
        }
    }

    #[test]
    fn a_damaged_database_is_kept_and_asks_for_its_backup_until_it_comes() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path();
        let database = directory.join(DATABASE);
        fs::write(&database, "damaged").unwrap();
        let error = OpenError::Damaged { path: database.clone(), why: "cut short".into() };
        let said = refuse(directory, &error, "2026-11-21T032107Z");
        let aside = directory.join("msimd.redb.damaged-2026-11-21T032107Z");
        assert!(said.contains(&format!("cut short; it is kept as {}", aside.display())), "{said}");
        assert!(said.contains("no backup was made here"), "{said}");
        assert_eq!(fs::read(&aside).unwrap(), b"damaged");
        let backup = directory.join("backup.tar");
        Logbook::note_backup(directory, &backup);
        let said = waiting(directory).unwrap();
        assert!(said.contains("which is not there now"), "{said}");
        fs::write(&backup, "x").unwrap();
        let command =
            format!("`msimd restore --data {} {}`", directory.display(), backup.display());
        let said = waiting(directory).unwrap();
        assert!(said.contains(&command), "{said}");
        fs::write(&database, "restored").unwrap();
        assert_eq!(waiting(directory), None);
        assert_eq!(kept_aside(directory), [aside]);
    }
}
