//! What those who send feel of a backup: `msimd backup` beside them, one after the other.

use std::cell::Cell;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::LocalExecutor;

use super::crowd::{self, Crowd};
use super::sending::{self, Sent};
use super::server::Server;

/// Who writes: not to whom all wrote before.
const WRITERS: Range<usize> = 1..17;
/// A backup that is under way at the end is waited for.
const PREPARATION: Duration = Duration::from_secs(600);

#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) alone: Sent,
    pub(super) beside: Sent,
    /// Backups that were begun while somebody sent, how long they took together, the slowest.
    pub(super) backups: u64,
    pub(super) time: Duration,
    pub(super) slowest: Duration,
    /// Of the last one.
    pub(super) bytes: u64,
}

impl Saved {
    pub(super) fn each(&self) -> Duration {
        self.time / u32::try_from(self.backups.max(1)).unwrap_or(u32::MAX)
    }
}

/// So many as [`WRITERS`] send for `time`, and for `time` while `back_up` writes backups to `path`.
pub(super) fn measure(
    server: &Server,
    crowd: &mut Crowd,
    path: &Path,
    back_up: impl Fn(&Path) -> Result<(), String> + Clone + Send + 'static,
    time: Duration,
) -> Result<Saved, String> {
    let executor = LocalExecutor::new();
    crowd::run(&executor, PREPARATION + 2 * time, async {
        let alone = sending::send_for(&executor, server, crowd, WRITERS, time).await?;
        let over = Rc::new(Cell::new(false));
        let saving = executor.spawn({
            let (over, path) = (over.clone(), path.to_owned());
            async move {
                let mut took = Vec::new();
                let mut bytes = 0;
                while !over.get() || took.is_empty() {
                    let (path, back_up) = (path.clone(), back_up.clone());
                    let (time, size) = smol::unblock(move || one(&path, back_up)).await?;
                    took.push(time);
                    bytes = size;
                }
                Ok::<_, String>((took, bytes))
            }
        });
        let beside = sending::send_for(&executor, server, crowd, WRITERS, time).await?;
        over.set(true);
        let (took, bytes) = saving.await?;
        let slowest = took.iter().copied().max().unwrap_or_default();
        let backups = took.len() as u64;
        Ok(Saved { alone, beside, backups, time: took.iter().sum(), slowest, bytes })
    })
}

/// One backup, which is removed again: how long it took and how large it is.
fn one(
    path: &Path,
    back_up: impl Fn(&Path) -> Result<(), String>,
) -> Result<(Duration, u64), String> {
    let began = Instant::now();
    back_up(path)?;
    let took = began.elapsed();
    let lost = |e: std::io::Error| format!("the backup is lost: {e}");
    let bytes = fs::metadata(path).map_err(lost)?.len();
    fs::remove_file(path).map_err(lost)?;
    Ok((took, bytes))
}

/// `msimd backup`, as its operator runs it.
pub(super) fn command(config: &Path, path: &Path) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find myself: {e}"))?;
    let done = Command::new(program).arg("backup").arg("--config").arg(config).arg(path).output();
    let done = done.map_err(|e| format!("no backup was begun: {e}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("a backup failed: {}", said.trim())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::toy::Toy;

    #[test]
    fn backups_are_written_while_others_send() {
        let (toy, directory) = (Toy::start(), tempfile::tempdir().unwrap());
        let server = Server::running(toy.door, None, None);
        let path = directory.path().join("backup");
        let copy = |path: &Path| fs::write(path, [7; 5000]).map_err(|e| e.to_string());
        let time = Duration::from_millis(100);
        let saved = measure(&server, &mut Crowd::new(), &path, copy, time).unwrap();
        assert!(saved.alone.messages > 0 && saved.beside.messages > 0);
        assert!(saved.backups > 0 && saved.bytes == 5000 && saved.each() <= saved.slowest);
        assert!(!path.exists());
        let fail = |_: &Path| Err("no".to_owned());
        assert_eq!(measure(&server, &mut Crowd::new(), &path, fail, time).unwrap_err(), "no");
    }
}
