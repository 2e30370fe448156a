//! The monitoring port: `/metrics` and `/healthz` over TCP on the loopback, nothing else.
//!
//! One thread, one request at a time, two seconds for each: any user of the machine may connect
//! here, and tiny_http would give each connection a thread without bound.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::error;

use super::{Plain, Shared};
use crate::limits::{HTTP_HEAD_BYTES_MAX, WATCH_SECS};

#[derive(Debug)]
pub(super) struct Watch {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(address: SocketAddr, shared: Arc<Shared>) -> Result<Watch, String> {
        if !address.ip().is_loopback() {
            return Err(format!(
                "admin.metrics = \"{address}\" can be reached from outside; use 127.0.0.1"
            ));
        }
        let cannot = |e| {
            format!("the monitoring port {address} cannot be opened: {e}; change admin.metrics")
        };
        let listener = TcpListener::bind(address).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let thread = thread::Builder::new()
            .name("watch".into())
            .spawn(move || run(&listener, &shared))
            .map_err(|e| format!("the monitoring thread could not be started: {e}"))?;
        Ok(Watch { address, thread })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// To be called when the shared state says that it is stopping.
    pub(super) fn stop(self) {
        // Wakes the accept. Where it fails, the process's end has to do.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if woken.is_ok() && self.thread.join().is_err() {
            error!("the monitoring thread had panicked");
        }
    }
}

fn run(listener: &TcpListener, shared: &Shared) {
    loop {
        let accepted = listener.accept();
        if shared.is_stopping() {
            return;
        }
        match accepted {
            // What goes wrong with one client is that client's business.
            Ok((stream, _)) => drop(answer(stream, shared)),
            Err(error) => {
                error!("the monitoring port could not accept: {error}");
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(WATCH_SECS);
    stream.set_write_timeout(Some(Duration::from_secs(WATCH_SECS)))?;
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > HTTP_HEAD_BYTES_MAX {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        let mut piece = [0; 1024];
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            n => head.extend_from_slice(&piece[..n]),
        }
    }
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let plain = shared.plain(method, path).unwrap_or_else(|| Plain {
        status: 404,
        kind: "text/plain; charset=utf-8",
        text: "here are /metrics and /healthz\n".into(),
    });
    let reason = match plain.status {
        200 => "OK",
        404 => "Not Found",
        _ => "Service Unavailable",
    };
    let body = if method == "HEAD" { "" } else { plain.text.as_str() };
    write!(
        stream,
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        plain.status,
        plain.kind,
        plain.text.len(),
    )
}
