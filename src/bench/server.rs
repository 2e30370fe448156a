//! The server under measurement: a process of this bench's own, or one that runs already.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::counters::Counters;
use super::frame;
use super::scratch::Scratch;
use super::usage::{Memory, Usage};

/// A start may include reading a large file that was not closed in order.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// The server promises to drain within 5 s.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// Between two attempts to reach a door that is not open yet: well below what is measured.
const KNOCK: Duration = Duration::from_micros(200);
/// Between two looks at a process that is ending.
const WATCH: Duration = Duration::from_millis(5);
/// One HELLO on the loopback.
const HELLO_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Server {
    pub(super) tcp: SocketAddr,
    pub(super) http: Option<SocketAddr>,
    pub(super) line: Option<SocketAddr>,
    /// Absent for a running server of which only the door is known.
    pub(super) pid: Option<u32>,
    admin: Option<PathBuf>,
    own: Option<Own>,
}

/// What a server of our own leaves to clean up. The process ends before its directory goes.
#[derive(Debug)]
struct Own {
    child: Child,
    scratch: Scratch,
}

impl Server {
    /// Somebody else's server.
    pub(super) fn running(tcp: SocketAddr, pid: Option<u32>, admin: Option<PathBuf>) -> Server {
        Server { tcp, http: None, line: None, pid, admin, own: None }
    }

    /// A server of our own on an empty database in a new directory under `parent`. Returns once
    /// its TCP door answers HELLO (with TLS: accepts a connection), and how long that took.
    pub(super) fn start(parent: &Path, tls: bool) -> Result<(Server, Duration), String> {
        let scratch = Scratch::new(parent)?;
        let doors @ [tcp, http, line] =
            free_doors().map_err(|e| format!("no free port on the loopback: {e}"))?;
        let data = scratch.path().join("data");
        let text = configuration(&data, doors, tls);
        fs::write(config_file(&scratch), text)
            .map_err(|e| format!("cannot write the server's configuration: {e}"))?;
        let began = Instant::now();
        let child = spawn(&scratch)?;
        let mut server = Server {
            tcp,
            http: Some(http),
            line: Some(line),
            pid: Some(child.id()),
            admin: Some(data.join("admin.sock")),
            own: Some(Own { child, scratch }),
        };
        server.await_door(began, tls)?;
        Ok((server, began.elapsed()))
    }

    /// Stops the process in order (`kill`: at once, as a crash would) and starts it again on the
    /// same data. How long the start took, to its first answer.
    pub(super) fn restart(&mut self, kill: bool, tls: bool) -> Result<Duration, String> {
        let own = self.own.as_mut().ok_or("only a server of the bench's own can be restarted")?;
        if kill {
            own.child.kill().map_err(|e| format!("cannot kill the server: {e}"))?;
            own.child.wait().map_err(|e| format!("cannot await the server: {e}"))?;
        } else {
            own.stop()?;
        }
        let began = Instant::now();
        own.child = spawn(&own.scratch)?;
        self.pid = Some(own.child.id());
        self.await_door(began, tls)?;
        Ok(began.elapsed())
    }

    /// The configuration of a server of the bench's own, and its directory.
    pub(super) fn files(&self) -> Result<(PathBuf, PathBuf), String> {
        let own = self.own.as_ref().ok_or("only a server of the bench's own has files here")?;
        Ok((config_file(&own.scratch), own.scratch.path().to_owned()))
    }

    pub(super) fn usage(&self) -> Result<Option<Usage>, String> {
        self.pid.map(Usage::of).transpose()
    }

    pub(super) fn memory(&self) -> Result<Memory, String> {
        Memory::of(self.pid.ok_or("the server's process is not known")?)
    }

    pub(super) fn counters(&self) -> Option<Counters> {
        Counters::of(self.admin.as_deref()?)
    }

    fn await_door(&mut self, began: Instant, tls: bool) -> Result<(), String> {
        loop {
            match TcpStream::connect(self.tcp) {
                Ok(_) if tls => return Ok(()),
                Ok(stream) => return hello(stream).map_err(|e| self.complaint(&e)),
                Err(_) if began.elapsed() < START_DEADLINE => thread::sleep(KNOCK),
                Err(e) => return Err(self.complaint(&format!("its door stays shut: {e}"))),
            }
            if let Some(own) = &mut self.own
                && let Ok(Some(status)) = own.child.try_wait()
            {
                return Err(self.complaint(&format!("it ended with {status}")));
            }
        }
    }

    /// What is wrong, and the last lines that the server wrote.
    fn complaint(&self, what: &str) -> String {
        let log = self.own.as_ref().map(|own| fs::read_to_string(log_file(&own.scratch)));
        let log = log.and_then(Result::ok).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        let tail: Vec<&str> = lines.into_iter().rev().collect();
        format!("the server did not start: {what}; it said: {}", tail.join(" | "))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own
            && let Err(e) = own.stop()
        {
            eprintln!("bench: {e}");
        }
    }
}

impl Own {
    /// Asks the process to end and awaits it; kills it when it does not.
    fn stop(&mut self) -> Result<(), String> {
        let ended = |child: &mut Child| child.try_wait().map_err(|e| format!("lost sight: {e}"));
        if ended(&mut self.child)?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|e| format!("cannot stop the server: {e}"))?;
        let began = Instant::now();
        while began.elapsed() < STOP_DEADLINE {
            if ended(&mut self.child)?.is_some() {
                return Ok(());
            }
            thread::sleep(WATCH);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        Err(format!("the server did not stop within {} s and was killed", STOP_DEADLINE.as_secs()))
    }
}

fn spawn(scratch: &Scratch) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find myself: {e}"))?;
    let log = File::options().create(true).append(true).open(log_file(scratch));
    let log = log.map_err(|e| format!("cannot open the server's log: {e}"))?;
    let errors = log.try_clone().map_err(|e| format!("cannot open the server's log: {e}"))?;
    Command::new(program)
        .arg("serve")
        .arg("--config")
        .arg(config_file(scratch))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("cannot start the server: {e}"))
}

fn config_file(scratch: &Scratch) -> PathBuf {
    scratch.path().join("msimd.toml")
}

fn log_file(scratch: &Scratch) -> PathBuf {
    scratch.path().join("server.log")
}

/// Three ports that were free a moment ago; held together so that they differ.
fn free_doors() -> std::io::Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [bind()?, bind()?, bind()?];
    let [tcp, http, line] = &held;
    Ok([tcp.local_addr()?, http.local_addr()?, line.local_addr()?])
}

/// As a server of a household is set up, but for what would stop one address from being 500 people:
/// no rates, no login delays, cheap password hashes, room for many sessions of few accounts. The
/// ceiling of 128 MiB gives the database a cache of 8 MiB, what a machine with 512 MB would have.
fn configuration(data: &Path, [tcp, http, line]: [SocketAddr; 3], tls: bool) -> String {
    let data = data.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    let tls = if tls { "self-signed" } else { "off" };
    format!(
        "server_name = \"localhost\"\n\
         data_dir = \"{data}\"\n\
         registration = \"open\"\n\
         memory = \"128M\"\n\
         log = \"warn\"\n\
         [listen]\n\
         tcp = \"{tcp}\"\n\
         http = \"{http}\"\n\
         line = \"{line}\"\n\
         tags = \"\"\n\
         files = \"\"\n\
         tinode = \"\"\n\
         [tls]\n\
         mode = \"{tls}\"\n\
         [limits]\n\
         rate = \"off\"\n\
         login_delay = \"off\"\n\
         fetch_hold = 300\n\
         connections = 4096\n\
         connections_per_address = 4096\n\
         sessions_per_account = 65536\n\
         members = 1001\n\
         auth_waiting = 4096\n\
         [password]\n\
         memory_kib = 64\n\
         passes = 1\n"
    )
}

/// Asks HELLO on a fresh connection; the answer is a frame of status 200.
fn hello(mut stream: TcpStream) -> Result<(), String> {
    let broken = |e: std::io::Error| format!("HELLO was not answered: {e}");
    let mut request = Vec::new();
    frame::request(&frame::NOBODY, 1, "HELLO", b"{}", &mut request);
    stream.set_read_timeout(Some(HELLO_DEADLINE)).map_err(broken)?;
    stream.write_all(&request).map_err(broken)?;
    let mut input = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let n = stream.read(&mut chunk).map_err(broken)?;
        if n == 0 {
            return Err("it closed the connection on HELLO".into());
        }
        input.extend_from_slice(&chunk[..n]);
        match frame::cut(&input)? {
            Some(frame) if frame.status == 200 => return Ok(()),
            Some(frame) => return Err(format!("HELLO was answered {}", frame.status)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::toy::Toy;
    use crate::config::{Config, TlsMode};
    use crate::limits::Switch;

    #[test]
    fn the_written_configuration_is_one_the_server_reads() {
        let door = SocketAddr::from(([127, 0, 0, 1], 9));
        let text = configuration(Path::new("/tmp/a \"quoted\" place"), [door; 3], true);
        let config: Config = basic_toml::from_str(&text).unwrap();
        assert_eq!(config.data_dir, Path::new("/tmp/a \"quoted\" place"));
        assert_eq!(config.listen.tcp, "127.0.0.1:9");
        assert_eq!(config.tls.mode, TlsMode::SelfSigned);
        assert_eq!(config.limits.rate, Switch::Off);
    }

    #[test]
    fn a_door_is_open_when_hello_is_answered() {
        let toy = Toy::start();
        hello(TcpStream::connect(toy.door).unwrap()).unwrap();
    }

    #[test]
    fn only_an_own_server_is_restarted() {
        let door = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut server = Server::running(door, None, None);
        assert!(server.restart(false, false).is_err());
        assert!(server.memory().is_err());
        assert_eq!(server.usage(), Ok(None));
        assert_eq!(server.counters(), None);
    }
}
