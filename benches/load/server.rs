//! A server under measurement, in a directory of its own that goes with it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use msimd::bench::scratch::Scratch;
use msimd::bench::tls;
use msimd::bench::usage::{Memory, Usage};
use rustix::process::{Pid, Signal, kill_process};

use crate::peer::{Peer, Tls};
use crate::stage::Ground;
use crate::talk::{Guest, Heard};
use crate::tree;
use crate::yard::{Door, Yard};

/// A start may include reading a large history.
const START_DEADLINE: Duration = Duration::from_secs(180);
/// What a large history takes to be put in order; who needs longer is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// No processor time for so long: a server is at rest.
const REST: Duration = Duration::from_millis(150);
const REST_DEADLINE: Duration = Duration::from_secs(20);
/// After SIGKILL only the kernel is left to do something.
const KILL_DEADLINE: Duration = Duration::from_secs(20);
/// Beginnings with ports that somebody else took meanwhile.
const BEGINNINGS: usize = 3;
/// Where servers have their doors.
const PORTS: Range<u16> = 10_000..32_000;
/// Between two attempts to reach a door that is not open yet.
const KNOCK: Duration = Duration::from_micros(500);
const WATCH: Duration = Duration::from_millis(5);
/// A door that opened may not answer yet, and who knocked too early may never be answered.
const ANSWER_DEADLINE: Duration = Duration::from_secs(90);
const KNOCK_PATIENCE: Duration = Duration::from_secs(15);
/// What is said of a server that does not wait to be stopped.
const ENDED: &str = "it ended with ";
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

/// How a server came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restart {
    /// From spawning the process to the first login.
    pub(crate) took: Duration,
    /// Whether it had stopped when it was asked to, and was not killed.
    pub(crate) in_order: bool,
}

#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) door: Door,
    /// The door with TLS, where it has one.
    pub(crate) tls_door: Option<Door>,
    ground: Ground<'a>,
    program: PathBuf,
    words: Vec<(&'static str, String)>,
    is_traced: bool,
    child: Option<Child>,
    scratch: Scratch,
}

impl<'a> Server<'a> {
    /// Starts a peer with nothing in it. One that ends at once may have lost a port to somebody
    /// else, and is given others.
    pub(crate) fn start(ground: Ground<'a>, way: Way) -> Result<Server<'a>, String> {
        for _ in 1..BEGINNINGS {
            match Server::begin(ground, way) {
                Err(why) if why.contains(ENDED) => eprintln!("load: {}: {why}", ground.peer.name),
                other => return other,
            }
        }
        Server::begin(ground, way)
    }

    fn begin(ground: Ground<'a>, way: Way) -> Result<Server<'a>, String> {
        let Ground { peer, own, parent, .. } = ground;
        let program = peer.program(own)?;
        let scratch = Scratch::new(parent)?;
        let [plain, tls, other] = free_doors()?;
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
            Server { peer, door, tls_door, ground, program, words, is_traced, child, scratch };
        server.run(tongue.has_accounts())?;
        ground.report.has_started();
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
                return Err(self.complaint(&format!("{ENDED}{status}")));
            }
        }
        // A door may be open before those behind it are ready: knock again until one is let in.
        let opened = Instant::now();
        for attempt in 0.. {
            // The account may have been made before something else went wrong.
            match self.knock(is_new && attempt % 2 == 0) {
                Ok(()) => break,
                Err(_) if opened.elapsed() < ANSWER_DEADLINE => thread::sleep(KNOCK),
                Err(e) => return Err(self.complaint(&e)),
            }
        }
        Ok(began.elapsed())
    }

    fn knock(&self, is_new: bool) -> Result<(), String> {
        let mut yard = Yard::new(self.ground.clock)?;
        yard.connect(&self.door, Guest { is_new, ..Guest::named(KNOCKER) })?;
        yard.count(1, KNOCK_PATIENCE, |heard| *heard == Heard::Ready)
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
    /// left.
    pub(crate) fn restart(&mut self, kill: bool) -> Result<Restart, String> {
        let in_order = if kill {
            self.kill()?;
            false
        } else {
            self.stop()?
        };
        Ok(Restart { in_order, took: self.run(false)? })
    }

    /// SIGKILL to every process of the server, until there is none.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while self.child.is_some() {
            for pid in self.pids() {
                if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    // One that ended meanwhile is as dead as it should be.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            let Some(child) = &mut self.child else { break };
            let status = child.try_wait().map_err(|e| format!("cannot await the server: {e}"))?;
            if status.is_some() {
                self.child = None;
            } else if began.elapsed() > KILL_DEADLINE {
                // Not even the kernel can; a tracer goes all the same.
                let _ = child.kill();
                return Err("it outlives kill -9".into());
            } else {
                thread::sleep(KNOCK);
            }
        }
        Ok(())
    }

    /// Waits until it has dealt with those who have just gone, which is when it takes no more
    /// processor time. Prosody 0.12 handles a signal wherever it is: one that comes while it takes a
    /// client's leave finds half a session, fails, and neither that signal nor any later one stops
    /// the server.
    pub(crate) fn come_to_rest(&self) {
        let began = Instant::now();
        let mut used = None;
        while began.elapsed() < REST_DEADLINE {
            let now = self.usage().map(|usage| usage.cpu).ok();
            if now == used {
                break;
            }
            used = now;
            thread::sleep(REST);
        }
    }

    /// Asks it to stop; false when it did not within the bound, and was killed.
    fn stop(&mut self) -> Result<bool, String> {
        let pids = self.pids();
        let Some(mut child) = self.child.take() else { return Ok(true) };
        let first = pids.first().and_then(|pid| i32::try_from(*pid).ok());
        let began = Instant::now();
        let mut asked = 0;
        while began.elapsed() < STOP_DEADLINE {
            if let Some(pid) = first.and_then(Pid::from_raw)
                && began.elapsed() >= ASK_AGAIN * asked
            {
                let _ = kill_process(pid, Signal::TERM);
                asked += 1;
            }
            if child.try_wait().map_err(|e| format!("lost sight: {e}"))?.is_some() {
                return Ok(true);
            }
            thread::sleep(WATCH);
        }
        self.child = Some(child);
        self.kill()?;
        let seconds = STOP_DEADLINE.as_secs();
        self.ground.report.note(format!("did not stop within {seconds} s and was killed"));
        Ok(false)
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
    /// Nobody will look at what it leaves.
    fn drop(&mut self) {
        if let Err(e) = self.kill() {
            eprintln!("load: {}: {e}", self.peer.name);
        }
    }
}

/// Three ports that are free. They lie below those that the kernel gives to whoever connects: such
/// a one could be taken by anybody at any time, even by the very knock at it.
fn free_doors() -> Result<[SocketAddr; 3], String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (first, span) = (PORTS.start, PORTS.end - PORTS.start);
    let from = (now.subsec_nanos() % u32::from(span)) as u16;
    let mut free = (0..span)
        .map(|step| first + (from + step) % span)
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .filter_map(|listener| listener.local_addr().ok());
    let mut next = || free.next().ok_or("no free port on the loopback");
    Ok([next()?, next()?, next()?])
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
