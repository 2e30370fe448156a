//! The real binary as a child process: what can be killed, watched and refused.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::talk::stage::Stage;

/// How long the binary may take to open its doors: a debug build that repairs a database.
const START: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Daemon {
    child: Child,
    pub tcp: SocketAddr,
    pub http: SocketAddr,
    /// What it said of its doors.
    pub told: String,
}

/// A directory with a configuration that tests use, and the keys to change.
pub fn home(keys: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new(true);
    stage.set("log", r#""warn""#);
    for (key, value) in keys {
        stage.set(key, value);
    }
    stage
}

/// `msimd serve` with the configuration of `stage`, not started yet.
pub fn serve(stage: &Stage) -> Command {
    let path = stage.directory.path().join("msimd.toml");
    std::fs::write(&path, stage.toml()).expect("a file in a directory of the test");
    let mut command = msimd();
    command.arg("serve").arg("--config").arg(path);
    command
}

pub fn msimd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msimd"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Where a daemon's standard error goes.
pub fn errors(stage: &Stage) -> PathBuf {
    stage.directory.path().join("stderr")
}

/// Status, standard output and standard error of a command that ends by itself.
pub fn run(mut command: Command) -> (ExitStatus, String, String) {
    let output = command.output().expect("the binary can be run");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status, text(output.stdout), text(output.stderr))
}

/// Host and port of `msim-tcp://127.0.0.1:3217?end-cert=…` and its like.
fn door_of(address: &str) -> Option<SocketAddr> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', '?']).next()?.parse().ok()
}

impl Daemon {
    /// Starts it and waits until it names its doors.
    pub fn start(stage: &Stage) -> Daemon {
        let file = File::create(errors(stage)).expect("a file in a directory of the test");
        let mut command = serve(stage);
        command.stderr(file);
        Daemon::wait(stage, command)
    }

    /// Starts what ends up as `msimd serve` with the configuration of `stage`.
    pub fn wait(stage: &Stage, mut command: Command) -> Daemon {
        let mut child = command.spawn().expect("the binary can be run");
        let stdout = child.stdout.take().expect("it was asked for");
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // Goes on to the end, so that the child never waits for a reader.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let (mut tcp, mut http) = (None, None);
        let mut greeting = String::new();
        let deadline = Instant::now() + START;
        while tcp.is_none() || http.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = told.recv_timeout(left) else {
                let _ = child.kill();
                let said = std::fs::read_to_string(errors(stage)).unwrap_or_default();
                panic!("the server named no doors within {START:?}: {said}");
            };
            greeting.push_str(&line);
            greeting.push('\n');
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("TCP"), Some(address)) => tcp = door_of(address),
                (Some("HTTP"), Some(address)) => http = door_of(address),
                _ => {}
            }
        }
        let (Some(tcp), Some(http)) = (tcp, http) else { unreachable!("the loop ends with both") };
        Daemon { child, tcp, http, told: greeting }
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of this test can be killed");
        self.child.wait().expect("a child of this test can be waited for");
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a child can be signalled");
    }

    /// Its end, if it comes in time.
    pub fn end_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child can be asked after") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// What it has open, as `/proc` names it.
    pub fn open_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.proc("fd"));
        entries
            .expect("/proc tells of a child of this test")
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .collect()
    }

    /// What its threads are called.
    pub fn threads(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.proc("task"));
        entries
            .expect("/proc tells of a child of this test")
            // One may end while it is asked after.
            .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok())
            .collect()
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(self.proc("status"))
            .expect("/proc tells of a child of this test");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok());
        kib.expect("a number of KiB") * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Whatever the test thinks of it: no child outlives its test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
