//! Listening sockets that the service manager opened for us: sd_listen_fds(3), `msimd.socket`.
//!
//! They come as descriptors from 3 on, counted by `LISTEN_FDS` and named by `LISTEN_FDNAMES`. A
//! socket named like a door (`tcp`, `http`, …) is that door's; one with another name belongs to the
//! door whose configured port it has. **A door stands where its socket stands,** whatever the file
//! says: what depends on the address, TLS before all, must depend on the real one.
//!
//! They are the process's, and can be taken once; so the list of them is the process's, too.

#![expect(unsafe_code, reason = "a descriptor that is known by its number alone has no owner yet")]

use std::net::SocketAddr;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{SocketType, getsockname};

use crate::config::Listen;

/// Where they begin: behind standard input, output and error.
const FIRST: RawFd = 3;
/// There are six doors; a few addresses for each.
const SOCKETS_MAX: RawFd = 32;

/// A socket as it came.
#[derive(Debug)]
pub struct Socket {
    name: String,
    address: SocketAddr,
    descriptor: OwnedFd,
}

/// A door that has its socket.
#[derive(Debug)]
struct Door {
    /// `listen.tcp`
    key: &'static str,
    address: SocketAddr,
    /// Until it is opened.
    descriptor: Option<OwnedFd>,
}

static DOORS: Mutex<Vec<Door>> = Mutex::new(Vec::new());

/// Takes what was handed over; nothing where nothing was. **To be called before this process opens
/// any descriptor of its own.** An error is a sentence with what to do.
pub fn take() -> Result<Vec<Socket>, String> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let variable = |name: &str| std::env::var(name).ok();
    let names = names(std::process::id(), variable)?;
    let numbered = (FIRST..).zip(names);
    numbered.map(|(number, name)| own(number, name)).collect()
}

/// The name of each, in their order. The variables are inherited by children for whom they are not
/// meant; `LISTEN_PID` says whose they are.
fn names(process: u32, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let (Some(whose), Some(count)) = (variable("LISTEN_PID"), variable("LISTEN_FDS")) else {
        return Ok(Vec::new());
    };
    if whose.parse() != Ok(process) {
        return Ok(Vec::new());
    }
    let count = count
        .parse()
        .ok()
        .filter(|count| (0..=SOCKETS_MAX).contains(count))
        .ok_or_else(|| format!("LISTEN_FDS={count} is no number from 0 to {SOCKETS_MAX}"))?;
    let all = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = all.split(':').map(str::to_owned);
    Ok((0..count).map(|_| names.next().unwrap_or_default()).collect())
}

fn own(number: RawFd, name: String) -> Result<Socket, String> {
    let wrong = |why: &str| {
        format!(
            "descriptor {number} ({name:?}), which LISTEN_FDS tells of, {why}; see msimd.socket"
        )
    };
    if std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_err() {
        return Err(wrong("is not open"));
    }
    // SAFETY: it is open, as was just looked up, and LISTEN_PID says that whoever started this
    // process put it there for it. Nobody else here owns it: `take` hands each number out once,
    // before anything else opens a descriptor that could have that number.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    let kind = socket_type(&descriptor).map_err(|_| wrong("is no socket"))?;
    if kind != SocketType::STREAM || !socket_acceptconn(&descriptor).unwrap_or(false) {
        return Err(wrong("is no stream socket that listens; it needs ListenStream=, Accept=no"));
    }
    let address = getsockname(&descriptor).ok().and_then(|any| SocketAddr::try_from(any).ok());
    let address = address.ok_or_else(|| wrong("has no Internet address"))?;
    // Nothing is started from here; this keeps it so that nothing could answer at our doors.
    let _ = fcntl_setfd(&descriptor, FdFlags::CLOEXEC);
    Ok(Socket { name, address, descriptor })
}

/// Gives each socket its door, puts their addresses into the configuration, and keeps them for
/// [`claim`]. Those that belong to no door are closed, and named in a sentence each.
pub fn assign(sockets: Vec<Socket>, listen: &mut Listen) -> Vec<String> {
    let mut strange = Vec::new();
    let mut doors = lock();
    for Socket { name, address, descriptor } in sockets {
        match door(&name, address, listen) {
            Some(key) if doors.iter().all(|door| door.key != key) => {
                doors.push(Door { key, address, descriptor: Some(descriptor) });
            }
            Some(key) => strange.push(format!(
                "a second socket, at {address}, was handed over for {key} and is not used"
            )),
            None => strange.push(format!(
                "a socket at {address} was handed over that is no door's; name it with \
                 FileDescriptorName=, or let a door of the configuration have its port"
            )),
        }
    }
    drop(doors);
    stand(listen);
    strange
}

/// Puts the addresses of [`assign`] into a configuration, such as one that was read again.
pub fn stand(listen: &mut Listen) {
    let doors = lock();
    for (key, address) in listen.doors_mut() {
        if let Some(door) = doors.iter().find(|door| door.key == key) {
            *address = door.address.to_string();
        }
    }
}

/// The socket of a door, for whoever opens it.
pub fn claim(key: &str) -> Option<OwnedFd> {
    lock().iter_mut().find(|door| door.key == key)?.descriptor.take()
}

/// Doors whose socket nobody has claimed: this version does not serve them.
pub fn unclaimed() -> Vec<&'static str> {
    lock().iter().filter(|door| door.descriptor.is_some()).map(|door| door.key).collect()
}

fn lock() -> MutexGuard<'static, Vec<Door>> {
    DOORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key of the door that a socket belongs to.
fn door(name: &str, address: SocketAddr, listen: &mut Listen) -> Option<&'static str> {
    let doors = listen.doors_mut();
    let named = doors.iter().find(|(key, _)| key.strip_prefix("listen.") == Some(name));
    let port = |text: &str| text.parse().ok().map(|at: SocketAddr| at.port());
    named
        .or_else(|| doors.iter().find(|(_, text)| port(text) == Some(address.port())))
        .map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pid: &str, count: &str, all: &str) -> Result<Vec<String>, String> {
        names(7, |name| {
            let value = match name {
                "LISTEN_PID" => pid,
                "LISTEN_FDS" => count,
                "LISTEN_FDNAMES" => all,
                _ => panic!("nobody asks for {name}"),
            };
            Some(value.to_owned()).filter(|value| !value.is_empty())
        })
    }

    #[test]
    fn sockets_come_with_their_names() {
        assert_eq!(told("7", "2", "tcp:http").unwrap(), ["tcp", "http"]);
        assert_eq!(told("7", "2", "tcp").unwrap(), ["tcp", ""], "old managers give no names");
        assert_eq!(told("7", "1", "tcp:http").unwrap(), ["tcp"]);
        assert!(told("7", "0", "").unwrap().is_empty());
    }

    #[test]
    fn what_is_another_process_s_is_left_alone() {
        assert!(told("8", "2", "tcp:http").unwrap().is_empty());
        assert!(told("", "2", "tcp:http").unwrap().is_empty());
        assert!(told("7", "", "").unwrap().is_empty());
        for nonsense in ["-1", "33", "two", "99999999999999999999"] {
            assert!(told("7", nonsense, "").unwrap_err().contains(nonsense));
        }
    }

    #[test]
    fn the_name_says_whose_a_socket_is_and_then_its_port() {
        let mut listen = Listen::default();
        let mut whose = |name, at: &str| door(name, at.parse().unwrap(), &mut listen);
        assert_eq!(whose("http", "[::]:80"), Some("listen.http"));
        assert_eq!(whose("tinode", "[::]:6060"), Some("listen.tinode"), "turned off in the file");
        assert_eq!(whose("msimd.socket", "[::]:3217"), Some("listen.tcp"));
        assert_eq!(whose("", "0.0.0.0:3216"), Some("listen.line"));
        assert_eq!(whose("msimd.socket", "[::]:80"), None);
    }
}
