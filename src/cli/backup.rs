//! `msimd backup`, `restore` and `verify`: the database as a file.
//!
//! **Nothing is touched before the backup is known to be whole:** a restore checks every record of
//! its own copy first, and the database it replaces is kept under another name.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::args::{Backup, Restore, Verify};
use super::desk::{self, DATABASE, Desk, server_answers};
use super::{Done, Failure, complain, configuration, say, when};
use crate::admin::verdict_json;
use crate::config::Config;
use crate::store::Verdict;

/// A line to standard error now and then.
#[derive(Debug, Default)]
pub(super) struct Progress {
    told: u64,
}

impl Progress {
    const EVERY: u64 = 100_000;

    pub(super) fn hear(&mut self, done: u64) {
        if done >= self.told + Self::EVERY {
            self.told = done;
            complain(&format!("{done} records …"));
        }
    }
}

pub(super) fn back_up(args: &Backup) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    // The server has a working directory of its own.
    let path = std::path::absolute(&args.file)
        .map_err(|e| Failure::Usage(format!("{}: {e}", args.file.display())))?;
    let Some(text) = path.to_str() else {
        return Err(Failure::Usage(format!("{} is not UTF-8", path.display())));
    };
    let desk = Desk::find(&config, false)?;
    let verdict = desk.ask_once("POST", "/backup", &json!({ "path": text }))?;
    show(&verdict, args.json, &format!("{} is written and verified", path.display()))
}

pub(super) fn verify(args: &Verify) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let Some(file) = &args.file else {
        let verdict = Desk::find(&config, false)?.ask_once("POST", "/verify", &Value::Null)?;
        return show(&verdict, args.json, "the database is sound");
    };
    is_file(file)?;
    let scratch = Scratch::beside(file).or_else(|_| Scratch::within(&config.data_dir))?;
    let verdict = scratch.check(file, &config)?;
    show(&verdict_json(&verdict), args.json, &format!("{} is sound", file.display()))
}

pub(super) fn restore(args: &Restore) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let directory = &config.data_dir;
    let database = directory.join(DATABASE);
    if server_answers(&config.admin_socket())? {
        return Err(Failure::Failed("a server runs on this database; stop it first".into()));
    }
    is_file(&args.file)?;
    // Held until the end, so that no server starts on the file meanwhile.
    let _lock = lock(&database)?;
    fs::create_dir_all(directory).map_err(|e| failed(directory, "cannot be made", &e))?;
    let scratch = Scratch::within(directory)?;
    let verdict = scratch.check(&args.file, &config)?;
    if !verdict.faults.is_empty() {
        show(&verdict_json(&verdict), args.json, "")?;
    }
    let kept = keep(&database)?;
    let copy = scratch.database();
    fs::rename(&copy, &database).map_err(|e| failed(&copy, "cannot be renamed", &e))?;
    sync_directory(directory)?;
    if let Some(kept) = &kept {
        complain(&format!("the previous database is kept as {}", kept.display()));
    }
    show(&verdict_json(&verdict), args.json, &format!("{} is restored", database.display()))
}

/// A directory for a copy that is checked: opening a database may write to it, and a backup stays
/// as it is. Gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(file: &Path) -> Result<Scratch, Failure> {
        let parent = file.parent().filter(|p| !p.as_os_str().is_empty());
        Scratch::within(parent.unwrap_or(Path::new(".")))
    }

    fn within(directory: &Path) -> Result<Scratch, Failure> {
        let path = directory.join(format!("msimd-check-{}.tmp", std::process::id()));
        fs::create_dir(&path).map_err(|e| failed(&path, "cannot be made", &e))?;
        Ok(Scratch(path))
    }

    fn database(&self) -> PathBuf {
        self.0.join(DATABASE)
    }

    /// Copies, syncs, opens and reads every record.
    fn check(&self, file: &Path, config: &Config) -> Result<Verdict, Failure> {
        let copy = self.database();
        let copied = fs::copy(file, &copy).and_then(|_| File::open(&copy)?.sync_all());
        copied.map_err(|e| failed(file, "cannot be copied for a check", &e))?;
        // A copy that can be written, whatever the original's mode was.
        let mut config = config.clone();
        config.limits.free_space = 0;
        let store = desk::open(&self.0, &config).map_err(|failure| match failure {
            // It is about the copy, whose name tells nobody anything.
            Failure::Failed(why) => {
                let name = file.display().to_string();
                Failure::Failed(why.replace(&copy.display().to_string(), &name))
            }
            other @ (Failure::Usage(_) | Failure::Told) => other,
        })?;
        let mut progress = Progress::default();
        let verdict = store.reader().verify(&mut |done| progress.hear(done));
        let closed = store.close();
        let verdict = verdict.map_err(|e| Failure::Failed(format!("{}: {e}", file.display())))?;
        closed.map_err(|e| Failure::Failed(e.to_string()))?;
        let synced = File::open(&copy).and_then(|f| f.sync_all());
        synced.map_err(|e| failed(&copy, "cannot be synced", &e))?;
        Ok(verdict)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            complain(&format!("msimd: {} could not be removed: {error}", self.0.display()));
        }
    }
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

/// Moves the present database, where there is one, to a name with the time in it.
fn keep(database: &Path) -> Result<Option<PathBuf>, Failure> {
    if !database.exists() {
        return Ok(None);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut kept = database.with_file_name(format!("{DATABASE}.before-{}", when::stamp(now)));
    // Two restores within a second.
    while kept.exists() {
        kept.as_mut_os_string().push("x");
    }
    fs::rename(database, &kept).map_err(|e| failed(database, "cannot be moved aside", &e))?;
    Ok(Some(kept))
}

fn sync_directory(directory: &Path) -> Done {
    let synced = File::open(directory).and_then(|d| d.sync_all());
    synced.map_err(|e| failed(directory, "cannot be synced", &e))
}

fn is_file(path: &Path) -> Done {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(Failure::Failed(format!("{} is no file", path.display()))),
        Err(error) => Err(failed(path, "cannot be read", &error)),
    }
}

fn show(verdict: &Value, json: bool, good: &str) -> Done {
    let faults = verdict["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        say(&verdict.to_string());
    } else if faults.is_empty() {
        say(&format!(
            "{good}: {} accounts, {} chats, {} messages",
            verdict["accounts"], verdict["chats"], verdict["messages"]
        ));
    } else {
        for fault in faults {
            complain(&format!("msimd: {}", fault.as_str().unwrap_or_default()));
        }
        complain(&format!("msimd: {} faults were found", faults.len()));
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Told) }
}

fn failed(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::Failed(format!("{} {what}: {error}", path.display()))
}
