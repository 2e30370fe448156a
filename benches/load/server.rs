//! A server under measurement, in a directory of its own that goes with it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use msimd::bench::scratch::Scratch;
use msimd::bench::tls;
use msimd::bench::usage::{Memory, Usage};
use rustix::process::{Pid, Signal, kill_process};

use crate::peer::{Peer, Tls};
use crate::stage::Ground;
use crate::talk::{Guest, Heard};
use crate::text::Clock;
use crate::tree;
use crate::yard::{Door, Yard};

/// A start may include reading a large history.
const START_DEADLINE: Duration = Duration::from_secs(180);
const STOP_DEADLINE: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Between two attempts to reach a door that is not open yet.
const KNOCK: Duration = Duration::from_micros(500);
const WATCH: Duration = Duration::from_millis(5);
/// A door that opened may not answer yet.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// Who knocks.
const KNOCKER: &str = "knocker";
/// System calls that wait for the disk.
const SYNCS: &str = "trace=fsync,fdatasync,sync_file_range,msync,sync,syncfs";

/// How a server is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    /// So that it has a door with TLS.
    Secure,
    /// Under a tracer that counts its syncs, which makes it slow.
    Traced,
}

#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) door: Door,
    /// The door with TLS, where it has one.
    pub(crate) tls_door: Option<Door>,
    clock: &'a Clock,
    program: PathBuf,
    words: Vec<(&'static str, String)>,
    is_traced: bool,
    child: Option<Child>,
    scratch: Scratch,
}

impl<'a> Server<'a> {
    /// Starts a peer with nothing in it.
    pub(crate) fn start(ground: Ground<'a>, way: Way) -> Result<Server<'a>, String> {
        let Ground { peer, own, parent, clock, .. } = ground;
        let program = peer.program(own)?;
        let scratch = Scratch::new(parent)?;
        let [plain, tls, other] =
            free_doors().map_err(|e| format!("no free port on the loopback: {e}"))?;
        let dir = scratch.path().join("server");
        fs::create_dir(&dir).map_err(|e| format!("cannot create a directory: {e}"))?;
        let (cert, key) = certificate(scratch.path())?;
        let words = vec![
            ("dir", dir.display().to_string()),
            ("port", plain.port().to_string()),
            ("tls", tls.port().to_string()),
            ("other", other.port().to_string()),
            ("cert", cert.display().to_string()),
            ("key", key.display().to_string()),
            ("mode", if way == Way::Secure { "self-signed" } else { "off" }.into()),
            ("user", whoami("-un")?),
            ("group", whoami("-gn")?),
        ];
        peer.prepare(&dir, &words)?;
        let tongue = peer.tongue()?;
        let config = Some(tls::config()?);
        let (door, tls_door) = match peer.tls {
            Tls::Beside => (
                Door { address: plain, tls: None, tongue },
                Some(Door { address: tls, tls: config, tongue }),
            ),
            Tls::Instead if way == Way::Secure => {
                let door = Door { address: plain, tls: config, tongue };
                (door.clone(), Some(door))
            }
            Tls::Instead | Tls::None => (Door { address: plain, tls: None, tongue }, None),
        };
        let (child, is_traced) = (None, way == Way::Traced);
        let mut server =
            Server { peer, door, tls_door, clock, program, words, is_traced, child, scratch };
        server.run(tongue.has_accounts())?;
        Ok(server)
    }

    /// Spawns the process and waits for a login; how long that took.
    fn run(&mut self, is_new: bool) -> Result<Duration, String> {
        let began = Instant::now();
        self.child = Some(self.spawn()?);
        loop {
            match std::net::TcpStream::connect(self.door.address) {
                Ok(_) => break,
                Err(_) if began.elapsed() < START_DEADLINE => thread::sleep(KNOCK),
                Err(e) => return Err(self.complaint(&format!("its door stays shut: {e}"))),
            }
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                return Err(self.complaint(&format!("it ended with {status}")));
            }
        }
        // A door may be open before those behind it are ready: knock again until one is let in.
        loop {
            match self.knock(is_new) {
                Ok(()) => return Ok(began.elapsed()),
                Err(_) if began.elapsed() < ANSWER_DEADLINE => thread::sleep(KNOCK),
                Err(e) => return Err(self.complaint(&e)),
            }
        }
    }

    fn knock(&self, is_new: bool) -> Result<(), String> {
        let mut yard = Yard::new(self.clock)?;
        yard.connect(&self.door, Guest { is_new, ..Guest::named(KNOCKER) })?;
        yard.count(1, ANSWER_DEADLINE, |heard| *heard == Heard::Ready)
    }

    fn spawn(&self) -> Result<Child, String> {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.map_err(|e| format!("cannot open the server's log: {e}"))?;
        let errors = log.try_clone().map_err(|e| format!("cannot open the server's log: {e}"))?;
        let mut command = if self.is_traced {
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "--seccomp-bpf", "-e", SYNCS, "-e", "signal=none", "-o"]);
            command.arg(self.trace()).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command
            .args(self.peer.arguments(&self.words))
            .envs(self.peer.environment(&self.words))
            .current_dir(self.scratch.path().join("server"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", self.program.display()))
    }

    /// Stops it in order (`kill`: at once, all of its processes) and starts it again on what it
    /// left; how long that took, to the first login.
    pub(crate) fn restart(&mut self, kill: bool) -> Result<Duration, String> {
        if kill {
            self.kill()?
        } else {
            self.stop()?
        }
        self.run(false)
    }

    /// SIGKILL to every process of the server.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        for pid in self.pids() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                // One that ended meanwhile is as dead as it should be.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if let Some(mut child) = self.child.take() {
            child.wait().map_err(|e| format!("cannot await the server: {e}"))?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), String> {
        let pids = self.pids();
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let first = pids.first().and_then(|pid| i32::try_from(*pid).ok());
        let began = Instant::now();
        let mut asked = 0;
        while began.elapsed() < STOP_DEADLINE {
            // Prosody has been seen to miss a signal.
            if let Some(pid) = first.and_then(Pid::from_raw)
                && began.elapsed() >= ASK_AGAIN * asked
            {
                let _ = kill_process(pid, Signal::TERM);
                asked += 1;
            }
            if child.try_wait().map_err(|e| format!("lost sight: {e}"))?.is_some() {
                return Ok(());
            }
            thread::sleep(WATCH);
        }
        self.child = Some(child);
        self.kill()?;
        Err(format!("it did not stop within {} s and was killed", STOP_DEADLINE.as_secs()))
    }

    /// The processes of the server itself, without a tracer.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mut pids = self.child.as_ref().map(|child| tree::pids(child.id())).unwrap_or_default();
        if self.is_traced && !pids.is_empty() {
            pids.remove(0);
        }
        pids
    }

    pub(crate) fn usage(&self) -> Result<Usage, String> {
        tree::usage(&self.pids())
    }

    pub(crate) fn memory(&self) -> Result<Memory, String> {
        tree::memory(&self.pids())
    }

    /// Calls so far that waited for the disk, when they are counted.
    pub(crate) fn syncs(&self) -> Option<u64> {
        if !self.is_traced {
            return None;
        }
        let log = fs::read_to_string(self.trace()).ok()?;
        // A call that another thread interrupts has two lines.
        let lines = log.lines().filter(|line| line.contains('(') && !line.contains(" resumed>"));
        Some(lines.count() as u64)
    }

    fn trace(&self) -> PathBuf {
        self.scratch.path().join("syncs")
    }

    fn log(&self) -> PathBuf {
        self.scratch.path().join("server.log")
    }

    /// What is wrong, and the last lines that the server wrote.
    pub(crate) fn complaint(&self, what: &str) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        let tail: Vec<&str> = lines.into_iter().rev().collect();
        format!("{what}; it said: {}", tail.join(" | "))
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.stop() {
            eprintln!("load: {}: {e}", self.peer.name);
        }
    }
}

/// Three ports that were free a moment ago; held together so that they differ.
fn free_doors() -> std::io::Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [bind()?, bind()?, bind()?];
    let [plain, tls, other] = &held;
    Ok([plain.local_addr()?, tls.local_addr()?, other.local_addr()?])
}

/// A self-signed certificate of this run: an elliptic key, as msimd makes for itself.
fn certificate(dir: &Path) -> Result<(PathBuf, PathBuf), String> {
    let failed = |e: rcgen::Error| format!("cannot make a certificate: {e}");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).map_err(failed)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
    // ejabberd does not read what ends beyond 2049.
    params.not_after = rcgen::date_time_ymd(2049, 1, 1);
    let pair = rcgen::KeyPair::generate().map_err(failed)?;
    let made = params.self_signed(&pair).map_err(failed)?;
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let failed = |e: std::io::Error| format!("cannot write a certificate: {e}");
    fs::write(&cert, made.pem()).map_err(failed)?;
    fs::write(&key, pair.serialize_pem()).map_err(failed)?;
    Ok((cert, key))
}

fn whoami(what: &str) -> Result<String, String> {
    let out = Command::new("id").arg(what).output().map_err(|e| format!("cannot run id: {e}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
