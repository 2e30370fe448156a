//! What the service manager is told: sd_notify(3), and what its watchdog is fed with. Where nobody
//! listens at `NOTIFY_SOCKET` all of this does nothing.
//!
//! **The watchdog is fed by progress, not by time:** a feeder that only proves that its own thread
//! runs would keep a stuck server alive.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A manager that does not read must not stop a server that works.
const PATIENCE: Duration = Duration::from_secs(5);
/// Signs of life in the time that the watchdog waits for one: a lost or late one costs nothing.
const SIGNS: u32 = 4;

/// Whoever started this process and looks after it.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    line: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

/// The manager's watchdog is fed for as long as this exists. Its thread is not waited for: it may
/// be looking at what is stuck.
#[derive(Debug)]
pub struct Feeder {
    _stop: Sender<()>,
}

impl Supervisor {
    pub fn of_this_process() -> Supervisor {
        Supervisor::of(std::process::id(), |name| std::env::var_os(name))
    }

    fn of(process: u32, variable: impl Fn(&str) -> Option<OsString>) -> Supervisor {
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let path = variable("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let line = path.and_then(|path| match open(&path) {
            Ok(line) => Some(Arc::new(line)),
            Err(error) => {
                log::warn!("NOTIFY_SOCKET={} cannot be used: {error}", path.display());
                None
            }
        });
        let ours = number("WATCHDOG_PID").is_none_or(|whose| whose == u64::from(process));
        let micros = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0);
        Supervisor { line, watchdog: micros.map(Duration::from_micros) }
    }

    /// The doors are open, or the configuration was read again.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is being read again; [`Supervisor::ready`] ends it.
    pub fn reloading(&self) {
        // From systemd 253 on a unit may be of Type=notify-reload, and this tells its requests from
        // one another.
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=closing conversations and the database");
    }

    /// Begins to feed the watchdog, if there is one: a sign of life whenever `check` finds everything
    /// well. It is given the longest time that something may take: half of what the watchdog waits.
    pub fn watch(
        &self,
        status: String,
        check: impl FnMut(Duration) -> Result<(), String> + Send + 'static,
    ) -> Option<Feeder> {
        let watchdog = self.watchdog.filter(|_| self.line.is_some())?;
        let (stop, stopped) = channel();
        let supervisor = self.clone();
        let feed = move || {
            let mut round = Round { supervisor, status, check, longest: watchdog / 2, ill: false };
            while stopped.recv_timeout(watchdog / SIGNS) == Err(RecvTimeoutError::Timeout) {
                round.go();
            }
        };
        match thread::Builder::new().name("feeder".into()).spawn(feed) {
            Ok(_) => Some(Feeder { _stop: stop }),
            Err(error) => {
                log::error!("the watchdog will not be fed, no thread could be started: {error}");
                None
            }
        }
    }

    fn tell(&self, text: &str) {
        let Some((socket, manager)) = self.line.as_deref() else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), manager) {
            log::warn!("the service manager did not hear {text:?}: {error}");
        }
    }
}

/// One look after another.
struct Round<C> {
    supervisor: Supervisor,
    /// While all is well.
    status: String,
    check: C,
    longest: Duration,
    ill: bool,
}

impl<C: FnMut(Duration) -> Result<(), String>> Round<C> {
    fn go(&mut self) {
        match (self.check)(self.longest) {
            Ok(()) if self.ill => {
                log::warn!("everything goes on again");
                self.ill = false;
                self.supervisor.tell(&format!("WATCHDOG=1\nSTATUS={}", self.status));
            }
            Ok(()) => self.supervisor.tell("WATCHDOG=1"),
            Err(why) if !self.ill => {
                log::error!("{why}; the service manager's watchdog is not fed");
                self.ill = true;
                self.supervisor.tell(&format!("STATUS={why}"));
            }
            Err(_) => {}
        }
    }
}

/// The path of a socket, or behind an `@` a name without a file.
fn open(path: &OsString) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager, and what it gives to the process that it starts.
    fn manager(watchdog: &'static str) -> (tempfile::TempDir, UnixDatagram, Supervisor) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let supervisor = Supervisor::of(7, |name| match name {
            "NOTIFY_SOCKET" => Some(path.clone().into()),
            "WATCHDOG_USEC" => Some(watchdog.into()),
            "WATCHDOG_PID" => Some("7".into()),
            _ => panic!("nobody asks for {name}"),
        });
        (directory, socket, supervisor)
    }

    fn hear(manager: &UnixDatagram) -> String {
        let mut text = [0; 1024];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    #[test]
    fn the_manager_hears_what_happens_in_its_order() {
        let (_directory, manager, supervisor) = manager("0");
        supervisor.ready("serves im.test");
        supervisor.reloading();
        supervisor.ready("serves im.test");
        supervisor.stopping();
        assert_eq!(hear(&manager), "READY=1\nSTATUS=serves im.test");
        assert!(hear(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(hear(&manager), "READY=1\nSTATUS=serves im.test");
        assert!(hear(&manager).starts_with("STOPPING=1\n"));
        let unwatched = supervisor.watch(String::new(), |_| panic!("there is no watchdog"));
        assert!(unwatched.is_none());
    }

    #[test]
    fn a_name_without_a_file_is_heard_as_well() {
        let name = format!("msimd-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let variable = |of: &str| (of == "NOTIFY_SOCKET").then(|| format!("@{name}").into());
        Supervisor::of(7, variable).ready("");
        assert_eq!(hear(&manager), "READY=1\nSTATUS=");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        for path in [None, Some(""), Some("/nobody/listens/here")] {
            let supervisor =
                Supervisor::of(7, |name| path.filter(|_| name == "NOTIFY_SOCKET").map(Into::into));
            supervisor.ready("");
            supervisor.stopping();
        }
    }

    #[test]
    fn another_process_s_watchdog_is_not_fed() {
        let variable = |name: &str| (name != "NOTIFY_SOCKET").then(|| "1000".into());
        assert_eq!(Supervisor::of(1000, variable).watchdog, Some(Duration::from_millis(1)));
        assert_eq!(Supervisor::of(7, variable).watchdog, None);
    }

    #[test]
    fn a_stuck_engine_starves_the_watchdog_until_it_goes_on() {
        let (_directory, manager, supervisor) = manager("40000");
        // Each look takes the next lag, so that nothing here depends on when it is taken.
        let (lags, next) = channel();
        let feeder = supervisor.watch("all is well".into(), move |longest| match next.recv() {
            Ok(lag) if lag < longest => Ok(()),
            Ok(_) => Err("the engine is stuck".into()),
            Err(_) => Err("the test is over".into()),
        });
        let feeder = feeder.expect("there is a watchdog");
        let (well, stuck) = (Duration::ZERO, Duration::from_millis(20));
        for lag in [well, stuck, stuck, stuck, well, well] {
            lags.send(lag).unwrap();
        }
        assert_eq!(hear(&manager), "WATCHDOG=1");
        assert_eq!(hear(&manager), "STATUS=the engine is stuck", "once, and no sign of life");
        assert_eq!(hear(&manager), "WATCHDOG=1\nSTATUS=all is well");
        assert_eq!(hear(&manager), "WATCHDOG=1");
        drop(feeder);
    }
}
