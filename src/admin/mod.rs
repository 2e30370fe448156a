//! The management socket: HTTP over a Unix socket, whose file permissions are the authorization,
//! and a loopback port for monitoring. What `msimd user`, `status`, `backup` … talk to.
//!
//! It runs on threads of its own, so that it answers when the carriers or the engine are stuck:
//! `/healthz` and `/metrics` are answered by the thread that takes requests, from atomics; whatever
//! may have to wait gets one of [`ADMIN_REQUESTS_MAX`] threads.

pub mod addresses;
mod desk;
pub mod logbook;
pub mod moving;
mod routes;
mod socket;
pub mod trouble;
mod watch;
pub mod when;

use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::{error, info, warn};
use serde_json::Value;
use tiny_http::{Header, Request, Response, Server};

use crate::limits::{
    ADMIN_BODY_BYTES_MAX, ADMIN_REQUESTS_MAX, IMPORT_BODY_BYTES_MAX, PROBE_MILLIS,
};

pub use desk::{Desk, Office, Probe};
pub use routes::{Answer, answer, refusal_text, verdict_json};
use watch::Watch;

/// The running management socket. Dropping it stops it as well.
#[derive(Debug)]
pub struct Admin {
    shared: Arc<Shared>,
    /// Taken when it is stopped.
    thread: Option<JoinHandle<()>>,
    watch: Option<Watch>,
}

struct Shared {
    path: PathBuf,
    desk: Box<dyn Desk>,
    stopping: AtomicBool,
    /// Requests that have a thread.
    at_work: AtomicUsize,
    /// The present listener: replaced when accepting has failed.
    server: Mutex<Arc<Server>>,
}

/// What is answered without waiting for anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plain {
    status: u16,
    kind: &'static str,
    text: String,
}

impl Admin {
    /// Opens the socket, and the monitoring port where there is one. The error is a sentence with
    /// what to do.
    pub fn start(
        socket: PathBuf,
        metrics_address: Option<SocketAddr>,
        desk: impl Desk + 'static,
    ) -> Result<Admin, String> {
        let server = open(&socket)?;
        let shared = Arc::new(Shared {
            path: socket,
            desk: Box::new(desk),
            stopping: AtomicBool::new(false),
            at_work: AtomicUsize::new(0),
            server: Mutex::new(Arc::new(server)),
        });
        let watch = match metrics_address {
            Some(address) => Some(Watch::start(address, shared.clone())?),
            None => None,
        };
        let own = shared.clone();
        let thread = thread::Builder::new()
            .name("admin".into())
            .spawn(move || own.run())
            .map_err(|e| format!("the management thread could not be started: {e}"))?;
        Ok(Admin { shared, thread: Some(thread), watch })
    }

    /// The socket's file.
    pub fn socket(&self) -> &Path {
        &self.shared.path
    }

    /// The monitoring port's address, where there is one.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.watch.as_ref().map(Watch::address)
    }

    /// Takes no more requests and removes the socket. A backup under way is not waited for: it is
    /// written under another name until it is whole.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.server().unblock();
        if let Some(watch) = self.watch.take() {
            watch.stop();
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the management thread had panicked");
        }
        // The listener of tiny_http removes the file as well, when its last owner goes.
        socket::remove(&self.shared.path);
    }
}

impl Shared {
    fn run(self: Arc<Shared>) {
        loop {
            let server = self.server();
            // Ends with an error when somebody unblocks it, and after an accept that failed.
            while let Ok(request) = server.recv() {
                if self.is_stopping() {
                    return;
                }
                self.clone().take(request);
            }
            drop(server);
            if self.is_stopping() {
                return;
            }
            warn!("the management socket could not accept; it is opened again");
            // Accepting fails when file descriptors have run out: some time is all that helps.
            thread::sleep(Duration::from_secs(1));
            socket::remove(&self.path);
            match open(&self.path) {
                Ok(new) => {
                    *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new)
                }
                Err(error) => error!("{error}"),
            }
        }
    }

    fn take(self: Arc<Shared>, request: Request) {
        if let Some(plain) = self.plain(request.method().as_str(), request.url()) {
            respond(request, &plain);
            return;
        }
        if self.at_work.fetch_add(1, Ordering::AcqRel) >= ADMIN_REQUESTS_MAX {
            self.at_work.fetch_sub(1, Ordering::AcqRel);
            respond(request, &routes::busy().plain());
            return;
        }
        let own = self.clone();
        let spawned = thread::Builder::new().name("admin-work".into()).spawn(move || {
            let _desk = AtDesk(&own.at_work);
            own.work(request);
        });
        if let Err(error) = spawned {
            // The request went with the closure: its connection is closed.
            self.at_work.fetch_sub(1, Ordering::AcqRel);
            error!("a management request got no thread: {error}");
        }
    }

    /// The requests that are answered at once, on both the socket and the monitoring port.
    fn plain(&self, method: &str, path: &str) -> Option<Plain> {
        match (method, path) {
            ("GET" | "HEAD", "/healthz") => Some(self.health()),
            ("GET" | "HEAD", "/metrics") => Some(Plain {
                status: 200,
                kind: "text/plain; version=0.0.4; charset=utf-8",
                text: self.desk.metrics(),
            }),
            _ => None,
        }
    }

    fn health(&self) -> Plain {
        let (status, text) = match self.desk.health(Duration::from_millis(PROBE_MILLIS)) {
            Ok(()) => (200, "ok\n".to_owned()),
            Err(why) => (503, format!("{why}\n")),
        };
        Plain { status, kind: "text/plain; charset=utf-8", text }
    }

    fn work(&self, mut request: Request) {
        let mut body = Vec::new();
        let most =
            if request.url() == "/import" { IMPORT_BODY_BYTES_MAX } else { ADMIN_BODY_BYTES_MAX };
        let read = request.as_reader().take(most as u64 + 1).read_to_end(&mut body);
        let answer = match read {
            Ok(n) if n > most => routes::too_large(),
            Ok(_) => {
                let (method, path) =
                    (request.method().as_str().to_owned(), request.url().to_owned());
                let progress = &mut |done: u64| info!("{path} records={done}");
                let answer = routes::answer(&*self.desk, &method, &path, &body, progress);
                info!("management request={method} path={path} status={}", answer.status);
                answer
            }
            Err(_) => return,
        };
        respond(request, &answer.plain());
    }

    fn server(&self) -> Arc<Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("path", &self.path).finish_non_exhaustive()
    }
}

/// One request at work; gives its place back even after a panic.
struct AtDesk<'a>(&'a AtomicUsize);

impl Drop for AtDesk<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Answer {
    fn plain(&self) -> Plain {
        let text = if self.body == Value::Null { String::new() } else { self.body.to_string() };
        Plain { status: self.status, kind: "application/json", text }
    }
}

fn open(path: &Path) -> Result<Server, String> {
    let listener = socket::bind(path)?;
    Server::from_listener(listener, None)
        .map_err(|e| format!("the management socket {} does not work: {e}", path.display()))
}

fn respond(request: Request, plain: &Plain) {
    let mut response = Response::from_string(plain.text.as_str())
        .with_status_code(plain.status)
        // With a length: the client at the other end reads no chunks.
        .with_chunked_threshold(usize::MAX);
    if let Ok(kind) = Header::from_bytes("Content-Type", plain.kind) {
        response.add_header(kind);
    }
    // Whoever asked may have gone.
    let _ = request.respond(response);
}

#[cfg(test)]
pub(crate) mod tests;
