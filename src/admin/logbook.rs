//! What the operator wants to know of the past: when the server was last stopped, when a backup was
//! last made, and how much was written to the card.
//!
//! A small file beside the database, `logbook.json`, written at the start, at the stop, after a
//! backup, and once an hour in which anything was written. It is worth little: one that is missing
//! or cannot be read is begun anew, and nothing ever fails because of it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::warn;
use serde_json::{Value, json};

use super::when::now;
use crate::metrics::Metrics;
use crate::store::Work;

const FILE: &str = "logbook.json";
const HOUR_SECS: u64 = 3600;
/// A day and the hour that is under way.
const HOURS_MAX: u64 = 25;
/// It sleeps and writes a file of some hundred bytes.
const STACK_BYTES: usize = 128 * 1024;

/// What stands in it. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logbook {
    /// When a server last began.
    pub started: Option<u64>,
    /// When that server was stopped in order; `None` while it runs, and after a power cut.
    pub stopped: Option<u64>,
    pub backup: Option<Backup>,
    /// Ascending.
    hours: Vec<Hour>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    pub at: u64,
    pub file: PathBuf,
}

/// What was written in one hour since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hour {
    number: u64,
    bytes: u64,
    syncs: u64,
}

impl Logbook {
    pub fn read(directory: &Path) -> Logbook {
        let text = fs::read(directory.join(FILE)).unwrap_or_default();
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        let backup = &value["backup"];
        let backup = backup["at"]
            .as_u64()
            .map(|at| Backup { at, file: backup["file"].as_str().unwrap_or_default().into() });
        let hour = |hour: &Value| {
            let number = |at: usize| hour.get(at).and_then(Value::as_u64);
            Some(Hour { number: number(0)?, bytes: number(1)?, syncs: number(2)? })
        };
        let hours = value["hours"].as_array().into_iter().flatten().filter_map(hour);
        Logbook {
            started: value["started"].as_u64(),
            stopped: value["stopped"].as_u64(),
            backup,
            hours: hours.collect(),
        }
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        let hours: Vec<Value> =
            self.hours.iter().map(|h| json!([h.number, h.bytes, h.syncs])).collect();
        let backup = self.backup.as_ref();
        let text = json!({
            "started": self.started,
            "stopped": self.stopped,
            "backup": backup.map(|b| json!({ "at": b.at, "file": b.file.to_string_lossy() })),
            "hours": hours,
        })
        .to_string();
        let (path, draft) = (directory.join(FILE), directory.join("logbook.tmp"));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(draft, path)
    }

    /// Bytes and syncs of the 24 hours before `now`, as far as it was told of them.
    pub fn last_day(&self, now: u64) -> (u64, u64) {
        let hour = now / HOUR_SECS;
        let day = self.hours.iter().filter(|h| (hour - hour.min(24)..=hour).contains(&h.number));
        day.fold((0, 0), |(bytes, syncs), h| (bytes + h.bytes, syncs + h.syncs))
    }

    fn add(&mut self, now: u64, bytes: u64, syncs: u64) {
        let number = now / HOUR_SECS;
        // Whatever a clock that was set has left in the future goes, too.
        self.hours.retain(|h| h.number <= number && number < h.number + HOURS_MAX);
        match self.hours.last_mut() {
            Some(hour) if hour.number == number => {
                hour.bytes += bytes;
                hour.syncs += syncs;
            }
            _ => self.hours.push(Hour { number, bytes, syncs }),
        }
    }

    /// Changes the file of a directory, if that can be done.
    fn change(directory: &Path, change: impl FnOnce(&mut Logbook)) {
        // A backup and the hour may end at once.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut book = Logbook::read(directory);
        change(&mut book);
        if let Err(error) = book.write(directory) {
            warn!("{} cannot be written: {error}", directory.join(FILE).display());
        }
    }

    pub fn note_backup(directory: &Path, file: &Path) {
        if !directory.is_dir() {
            // A server that keeps everything in memory.
            return;
        }
        let backup = Backup { at: now(), file: file.to_owned() };
        Logbook::change(directory, |book| book.backup = Some(backup));
    }
}

/// Keeps the logbook of a running server.
#[derive(Debug)]
pub struct Diary {
    directory: PathBuf,
    metrics: Arc<Metrics>,
    /// Dropped to end the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<Work>>,
}

impl Diary {
    pub fn begin(directory: &Path, metrics: Arc<Metrics>) -> Diary {
        let begun = now();
        Logbook::change(directory, |book| {
            book.started = Some(begun);
            book.stopped = None;
        });
        let (end, ended) = channel::<()>();
        let (own, watched) = (directory.to_owned(), metrics.clone());
        let keep = move || {
            let mut noted = Work::default();
            loop {
                let rest = Duration::from_secs(HOUR_SECS - now() % HOUR_SECS);
                // Nobody sends anything; the sender is dropped.
                let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(rest) else { return noted };
                note(&own, &watched, &mut noted, false, |_| {});
            }
        };
        let thread =
            thread::Builder::new().name("logbook".into()).stack_size(STACK_BYTES).spawn(keep);
        let thread = thread.map_err(|error| warn!("nobody keeps the logbook: {error}")).ok();
        Diary { directory: directory.to_owned(), metrics, end: Some(end), thread }
    }

    /// The server has stopped in order.
    pub fn end(mut self) {
        drop(self.end.take());
        let noted = self.thread.take().and_then(|thread| thread.join().ok());
        let stopped = now();
        note(&self.directory, &self.metrics, &mut noted.unwrap_or_default(), true, |book| {
            book.stopped = Some(stopped);
        });
    }
}

/// Adds what was written since `noted` to the hour that ends. One in which nothing was costs nothing.
fn note(
    directory: &Path,
    metrics: &Metrics,
    noted: &mut Work,
    always: bool,
    and: impl FnOnce(&mut Logbook),
) {
    let work = metrics.work();
    let bytes = work.bytes_written.saturating_sub(noted.bytes_written);
    let syncs = work.syncs.saturating_sub(noted.syncs);
    *noted = work;
    if bytes == 0 && !always {
        return;
    }
    Logbook::change(directory, |book| {
        // A moment ago it was still that hour.
        book.add(now().saturating_sub(1), bytes, syncs);
        and(book);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was_and_never_fails() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Logbook::read(home.path()), Logbook::default());
        let diary = Diary::begin(home.path(), Arc::default());
        let begun = Logbook::read(home.path());
        assert!(begun.started.is_some() && begun.stopped.is_none());
        Logbook::note_backup(home.path(), Path::new("/backups/1.tar"));
        diary.end();
        let ended = Logbook::read(home.path());
        assert!(ended.stopped >= ended.started && ended.started == begun.started);
        assert_eq!(ended.backup.unwrap().file, Path::new("/backups/1.tar"));
        fs::write(home.path().join(FILE), "[1, 2").unwrap();
        assert_eq!(Logbook::read(home.path()), Logbook::default());
        // A directory that is gone is a line in the log.
        Diary::begin(&home.path().join("none"), Arc::default()).end();
    }

    #[test]
    fn a_day_is_the_last_24_hours() {
        let mut book = Logbook::default();
        for hour in 1000..1100 {
            book.add(hour * HOUR_SECS, 10, 1);
            book.add(hour * HOUR_SECS + 5, 10, 1);
        }
        assert_eq!(book.hours.len(), 25);
        assert_eq!(book.last_day(1099 * HOUR_SECS), (500, 50));
        assert_eq!(book.last_day(1110 * HOUR_SECS), (280, 28));
        assert_eq!(book.last_day(2000 * HOUR_SECS), (0, 0));
        // The clock was set back.
        book.add(5 * HOUR_SECS, 7, 1);
        assert_eq!((book.hours.len(), book.last_day(5 * HOUR_SECS)), (1, (7, 1)));
    }
}
