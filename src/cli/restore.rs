//! `msimd restore`: a backup in the place of what is there.
//!
//! **Nothing is touched before the backup is known to be whole:** every sum and every record of a
//! copy is checked first. What it replaces is kept under other names, and the database, without
//! which nothing starts, changes last.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::Restore;
use super::backup::{is_file, show};
use super::desk::server_answers;
use super::scratch::{Checked, Scratch, failed};
use super::{Done, Failure, complain, configuration};
use crate::admin::{verdict_json, when};
use crate::archive::{CONFIG, DATABASE};
use crate::config::Config;

/// What a restore did.
#[derive(Debug)]
pub(super) struct Restored {
    checked: Checked,
    /// Where what was there before has gone.
    kept: Vec<PathBuf>,
    /// The configuration of the backup, for the operator to look at.
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Restore) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let restored = put_in_place(&args.file, &config)?;
    for kept in &restored.kept {
        complain(&format!("what was there before is kept as {}", kept.display()));
    }
    if let Some(config) = &restored.config {
        complain(&format!(
            "the configuration of the backup lies in {}; compare it with the one in use",
            config.display()
        ));
    }
    let manifest = &restored.checked.manifest;
    if manifest.as_ref().is_none_or(|manifest| !manifest.keys) {
        complain(
            "this backup has no keys: bring secrets.key, cert.pem and key.pem back from elsewhere, \
             or clients need a new address and challenges new app passwords",
        );
    }
    if let Some(manifest) = manifest
        && manifest.server_name != config.server_name
    {
        complain(&format!(
            "it is of {}, and server_name is {}: set the former, its people are called so",
            manifest.server_name, config.server_name
        ));
    }
    let mut body = verdict_json(&restored.checked.verdict);
    body["kept"] = json!(restored.kept);
    body["config"] = json!(restored.config);
    let good = format!("{} is restored", config.data_dir.join(DATABASE).display());
    show(&body, args.json, &good)
}

/// Checks a copy of a backup and puts it in place. With faults in the verdict nothing was changed.
fn put_in_place(file: &Path, config: &Config) -> Result<Restored, Failure> {
    let directory = &config.data_dir;
    let database = directory.join(DATABASE);
    if server_answers(&config.admin_socket())? {
        return Err(Failure::Failed("a server runs on this database; stop it first".into()));
    }
    is_file(file)?;
    // Held until the end, so that no server starts on the file meanwhile.
    let _lock = lock(&database)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|e| failed(directory, "cannot be made", &e))?;
    let scratch = Scratch::within(directory)?;
    let checked = scratch.check(file, config, |_| true)?;
    if !checked.verdict.faults.is_empty() {
        return Ok(Restored { checked, kept: Vec::new(), config: None });
    }
    let mut swap = Swap { begun: when::stamp(when::now()), moves: Vec::new() };
    let restored = swap.all(&scratch, config)?;
    sync_directory(directory)?;
    let moves = std::mem::take(&mut swap.moves);
    let kept = moves.into_iter().filter_map(|(kept, _)| kept).collect();
    Ok(Restored { checked, kept, config: restored })
}

/// The lock that a server holds on its database; refused while one does.
fn lock(database: &Path) -> Result<Option<File>, Failure> {
    let file = match File::open(database) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(database, "cannot be opened", &error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Failure::Failed(format!(
            "{} is in use by another process; stop that one first",
            database.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(database, "cannot be locked", &error)),
    }
}

/// One thing after the other is put in place of another. Dropped with moves in it, it takes them
/// back: a restore is done or it is not.
#[derive(Debug)]
struct Swap {
    begun: String,
    /// Where the old one has gone, where there was one, and the place of the new one.
    moves: Vec<(Option<PathBuf>, PathBuf)>,
}

impl Swap {
    /// Everything of a scratch directory, the database last; where the configuration lies now.
    fn all(&mut self, scratch: &Scratch, in_use: &Config) -> Result<Option<PathBuf>, Failure> {
        let directory = &in_use.data_dir;
        let list = |e| failed(scratch.path(), "cannot be listed", &e);
        let mut names = Vec::new();
        for entry in fs::read_dir(scratch.path()).map_err(list)? {
            names.push(entry.map_err(list)?.file_name());
        }
        names.sort_by_key(|name| (name == DATABASE, name.clone()));
        let mut config = None;
        for name in names {
            let new = scratch.path().join(&name);
            let place = if name == CONFIG {
                if in_use.source.as_ref().is_some_and(|source| is_same(&new, source)) {
                    continue;
                }
                // Where it is looked for is the operator's business.
                config.insert(directory.join(format!("{CONFIG}.restored"))).clone()
            } else {
                directory.join(&name)
            };
            self.one(&new, place)?;
        }
        Ok(config)
    }

    fn one(&mut self, new: &Path, place: PathBuf) -> Done {
        if is_same(new, &place) {
            return Ok(());
        }
        let mut kept = None;
        if place.symlink_metadata().is_ok() {
            let mut aside = place.clone().into_os_string();
            aside.push(format!(".before-{}", self.begun));
            let mut aside = PathBuf::from(aside);
            // Two restores within a second.
            while aside.exists() {
                aside.as_mut_os_string().push("x");
            }
            fs::rename(&place, &aside).map_err(|e| failed(&place, "cannot be moved aside", &e))?;
            kept = Some(aside);
        }
        self.moves.push((kept, place.clone()));
        fs::rename(new, &place).map_err(|e| failed(&place, "cannot be put in place", &e))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        for (kept, place) in self.moves.drain(..).rev() {
            // What is there now is a part of the backup, which is still there as a whole.
            let _ =
                if place.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) };
            let undone = match &kept {
                Some(kept) => fs::rename(kept, &place),
                None => Ok(()),
            };
            if let Err(error) = undone {
                complain(&format!("msimd: {} could not be put back: {error}", place.display()));
            }
        }
    }
}

/// Whether two small files hold the same, as a key that never changed.
fn is_same(new: &Path, place: &Path) -> bool {
    const SMALL: u64 = 1 << 20;
    let small = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() <= SMALL)
    };
    small(new)
        && small(place)
        && fs::read(new).is_ok_and(|one| fs::read(place).is_ok_and(|other| one == other))
}

fn sync_directory(directory: &Path) -> Done {
    let synced = File::open(directory).and_then(|d| d.sync_all());
    synced.map_err(|e| failed(directory, "cannot be synced", &e))
}

#[cfg(test)]
mod tests;
