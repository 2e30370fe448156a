//! `msimd backup`, `restore` and `verify`: the database as a file.
//!
//! **Nothing is touched before the backup is known to be whole:** a restore checks every record of
//! its own copy first, and the database it replaces is kept under another name.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::args::{Backup, Restore, Verify};
use super::desk::{self, DATABASE, Desk, server_answers};
use super::{Done, Failure, complain, configuration, say, when};
use crate::admin::verdict_json;
use crate::config::Config;
use crate::store::{Options, Verdict};

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
    let (verdict, kept) = put_in_place(&args.file, &config)?;
    if let Some(kept) = &kept {
        complain(&format!("the previous database is kept as {}", kept.display()));
    }
    let good = format!("{} is restored", config.data_dir.join(DATABASE).display());
    show(&verdict_json(&verdict), args.json, &good)
}

/// Checks a copy of a backup and makes it the database, which is renamed: that name comes back.
/// With faults in the verdict nothing was changed.
fn put_in_place(file: &Path, config: &Config) -> Result<(Verdict, Option<PathBuf>), Failure> {
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
    let verdict = scratch.check(file, config)?;
    if !verdict.faults.is_empty() {
        return Ok((verdict, None));
    }
    let kept = keep(&database)?;
    let copy = scratch.database();
    fs::rename(&copy, &database).map_err(|e| failed(&copy, "cannot be renamed", &e))?;
    sync_directory(directory)?;
    Ok((verdict, kept))
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
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| failed(&path, "cannot be made", &e))?;
        Ok(Scratch(path))
    }

    fn database(&self) -> PathBuf {
        self.0.join(DATABASE)
    }

    /// Copies, syncs, opens and reads every record.
    fn check(&self, file: &Path, config: &Config) -> Result<Verdict, Failure> {
        let copy = self.database();
        copy_privately(file, &copy)
            .map_err(|e| failed(file, "cannot be copied for a check", &e))?;
        // A disk that is nearly full is no reason not to check.
        let options = Options { free_space: 0, ..desk::options(config)? };
        let store = desk::open(&self.0, options)
            .map_err(|error| Failure::Failed(desk::open_error(file, &error)))?;
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

/// Copies and syncs. Of the original's mode nothing is kept: the copy is its owner's alone and can
/// be written.
fn copy_privately(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path) -> Config {
        Config { data_dir: directory.join("data"), ..Config::for_tests() }
    }

    fn add(config: &Config, login: &str) {
        let body = json!({ "login": login, "password": "secret" });
        Desk::find(config, true).unwrap().ask_once("POST", "/users", &body).unwrap();
    }

    fn logins(config: &Config) -> Vec<String> {
        let answer = Desk::find(config, false).unwrap().ask_once("GET", "/users", &Value::Null);
        let users = answer.unwrap()["users"].as_array().unwrap().clone();
        users.iter().map(|u| u["login"].as_str().unwrap().to_owned()).collect()
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A database with alice in it, and a backup of it.
    fn backed_up(directory: &Path) -> (Config, PathBuf) {
        let config = config(directory);
        add(&config, "alice");
        let file = directory.join("copy.redb");
        let desk = Desk::find(&config, false).unwrap();
        let verdict = desk.ask_once("POST", "/backup", &json!({ "path": file })).unwrap();
        assert_eq!((&verdict["sound"], &verdict["accounts"]), (&json!(true), &json!(1)));
        (config, file)
    }

    #[test]
    fn a_backup_comes_back_and_what_it_replaces_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (config, file) = backed_up(directory.path());
        add(&config, "bob");
        let backup = fs::read(&file).unwrap();
        let (verdict, kept) = put_in_place(&file, &config).unwrap();
        assert_eq!((verdict.accounts, verdict.faults.len()), (1, 0));
        assert_eq!(logins(&config), ["alice"]);
        assert_eq!(fs::read(&file).unwrap(), backup, "the backup was written to");
        // And back again, from what was kept.
        put_in_place(&kept.unwrap(), &config).unwrap();
        assert_eq!(logins(&config), ["alice", "bob"]);
    }

    #[test]
    fn a_bad_backup_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (config, file) = backed_up(directory.path());
        let before = names(&config.data_dir);
        let whole = fs::read(&file).unwrap();
        let database = fs::read(config.data_dir.join(DATABASE)).unwrap();
        let torn = directory.path().join("torn.redb");
        for bytes in [&b""[..], b"hello", &whole[..20_000], &whole[..whole.len() / 2]] {
            fs::write(&torn, bytes).unwrap();
            let failure = put_in_place(&torn, &config).map(|_| ()).unwrap_err();
            let Failure::Failed(why) = failure else { panic!("{failure:?}") };
            assert!(why.contains("torn.redb"), "{why}");
        }
        let missing = directory.path().join("missing.redb");
        assert!(put_in_place(&missing, &config).is_err());
        assert!(put_in_place(directory.path(), &config).is_err());
        assert_eq!(names(&config.data_dir), before);
        assert_eq!(fs::read(config.data_dir.join(DATABASE)).unwrap(), database);
    }

    #[test]
    fn a_database_in_use_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (config, file) = backed_up(directory.path());
        let held = Desk::find(&config, false).unwrap();
        let failure = put_in_place(&file, &config).map(|_| ()).unwrap_err();
        assert!(matches!(failure, Failure::Failed(why) if why.contains("in use")));
        drop(held);
        put_in_place(&file, &config).unwrap();
    }

    #[test]
    fn a_backup_goes_into_a_place_without_a_database() {
        let directory = tempfile::tempdir().unwrap();
        let (_, file) = backed_up(directory.path());
        let fresh = Config { data_dir: directory.path().join("fresh"), ..Config::for_tests() };
        let (_, kept) = put_in_place(&file, &fresh).unwrap();
        assert_eq!(kept, None);
        assert_eq!(logins(&fresh), ["alice"]);
    }
}
