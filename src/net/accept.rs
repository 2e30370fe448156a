//! Doors: listening sockets, whom they let in, and what waits behind them.
//!
//! **Accepting never ends by an error.** Where the process has no descriptors or memory left it
//! waits, longer each time, instead of spinning.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_executor::Executor;
use rustix::net::sockopt;
use smol::future::yield_now;
use smol::{Async, Timer};

use crate::inherited;
use crate::metrics::Carrier;
use crate::net::converse::{Opening, converse};
use crate::net::guest::{Full, Guest, Guests};
use crate::net::host::{Core, Host};
use crate::net::http;
use crate::net::stream::{Plain, Stream};
use crate::net::tls::Tls;
use crate::wire::{line, msim2, tags};

/// Connections that the kernel keeps until they are accepted. std asks for 128, with which a crowd
/// that comes back after a restart waits for its retransmissions.
const BACKLOG: i32 = 1024;
/// What the kernel keeps for a peer that does not read (it doubles this for its own books). Left to
/// itself it takes up to 4 MB a connection, which no ceiling of ours would know of.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// The first wait after a failed accept, and the longest.
const BACK_OFF: Duration = Duration::from_millis(20);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// Connections let in before others get a turn.
const BATCH: u32 = 16;
/// A dead peer of an idle connection is noticed after seven minutes: rarely enough that a phone's
/// radio and an idle server sleep.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(300);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 4;
/// Complaints about those who were turned away are this far apart.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// What is spoken behind a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Tcp,
    Http,
    Line,
    Tags,
}

/// Opens a door. An error is a sentence with what to do.
pub(super) fn open(key: &str, address: &str) -> Result<Async<TcpListener>, String> {
    let cannot = |why: String| format!("{key} = {address:?} cannot be opened: {why}");
    if let Some(given) = inherited::claim(key) {
        // Its backlog is its unit's business.
        return Async::new(given.into()).map_err(|error| cannot(error.to_string()));
    }
    let address: SocketAddr = address.parse().map_err(|_| cannot("expected IP:PORT".into()))?;
    let listener = TcpListener::bind(address).map_err(|error| {
        cannot(match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program has it, perhaps another msimd; stop that one or choose another port"
                    .into()
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a privilege; choose another one".into()
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address; choose one of its own".into()
            }
            _ => error.to_string(),
        })
    })?;
    // Listening a second time only changes the backlog.
    rustix::net::listen(&listener, BACKLOG).map_err(|error| cannot(error.to_string()))?;
    Async::new(listener).map_err(|error| cannot(error.to_string()))
}

/// Lets connections in for as long as it is polled.
pub(super) async fn accept<X: Core>(
    door: Door,
    listener: Async<TcpListener>,
    host: Arc<Host<X>>,
    guests: Arc<Guests>,
    tls: Option<Arc<Tls>>,
    executor: Arc<Executor<'static>>,
) {
    let mut back_off = BACK_OFF;
    let mut complaint = Complaint::default();
    let mut count = 0_u32;
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_the_peers(&error) => continue,
            Err(error) => {
                log::warn!("no connection can be accepted for now: {error}");
                Timer::after(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF_MAX);
                continue;
            }
        };
        back_off = BACK_OFF;
        let carrier = match door {
            Door::Tcp => Carrier::Tcp,
            Door::Http => Carrier::Http,
            Door::Line => Carrier::Line,
            Door::Tags => Carrier::Tags,
        };
        match guests.admit(peer.ip(), carrier) {
            Ok(guest) => {
                let (host, tls) = (host.clone(), tls.clone());
                let arrival = Box::new(Arrival { host, guest, socket, tls });
                match door {
                    Door::Tcp => executor.spawn(serve_tcp(arrival)).detach(),
                    Door::Http => executor.spawn(serve_http(arrival)).detach(),
                    Door::Line => executor.spawn(serve_line(arrival)).detach(),
                    Door::Tags => executor.spawn(serve_tags(arrival)).detach(),
                }
            }
            // Closing it is the answer: no protocol has a word before the first packet.
            Err(why) => complaint.turned_away(peer.ip(), why),
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(BATCH) {
            yield_now().await;
        }
    }
}

/// Somebody who has been let in. In a box while they are made welcome: an `async fn` keeps room for
/// its arguments for as long as it runs.
pub(super) struct Arrival<X> {
    pub(super) host: Arc<Host<X>>,
    pub(super) guest: Guest,
    pub(super) socket: Async<TcpStream>,
    pub(super) tls: Option<Arc<Tls>>,
}

// How they end is noted where it happens.

pub(super) async fn serve_tcp<X: Core>(arrival: Box<Arrival<X>>) {
    let Some((host, guest, stream)) = welcome(arrival).await else { return };
    let codec = msim2::tcp::Codec::new(host.house().config.limits.max_packet_bytes);
    let dialogue = msim2::Dialogue::new(host.house(), msim2::Carrier::Tcp);
    let _ = converse(&host, guest, stream, codec, dialogue, Opening::default()).await;
}

pub(super) async fn serve_http<X: Core>(arrival: Box<Arrival<X>>) {
    let Some((host, guest, stream)) = welcome(arrival).await else { return };
    let _ = http::serve(&host, guest, stream).await;
}

pub(super) async fn serve_line<X: Core>(arrival: Box<Arrival<X>>) {
    let Some((host, guest, stream)) = welcome(arrival).await else { return };
    let codec = line::Codec::new(host.house().config.limits.max_packet_bytes);
    let dialogue = line::Dialogue::new(host.house());
    let _ = converse(&host, guest, stream, codec, dialogue, Opening::default()).await;
}

pub(super) async fn serve_tags<X: Core>(arrival: Box<Arrival<X>>) {
    let Some((host, guest, stream)) = welcome(arrival).await else { return };
    let dialogue = tags::Dialogue::new(host.house());
    let codec = tags::Codec::new();
    let _ = converse(&host, guest, stream, codec, dialogue, Opening::default()).await;
}

/// Sets a socket up, and encrypts it where that is to be.
async fn welcome<X: Core>(arrival: Box<Arrival<X>>) -> Option<(Arc<Host<X>>, Guest, Stream)> {
    arrival.guest.settle().await;
    let Arrival { host, guest, socket, tls } = *arrival;
    // A socket that refuses an option still works, and is mostly gone already.
    let _ = set_up(socket.get_ref());
    let plain = Plain::new(socket);
    let Some(tls) = tls else { return Some((host, guest, Stream::Plain(plain))) };
    match Box::pin(tls.shake(plain, host.patience.unfinished)).await {
        Ok(stream) => Some((host, guest, Stream::Tls(stream))),
        Err(error) => {
            log::debug!("a TLS handshake failed: {error}");
            None
        }
    }
}

fn set_up(socket: &TcpStream) -> io::Result<()> {
    // Everything is written in one piece; waiting for more would only delay it.
    socket.set_nodelay(true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER_BYTES)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
    Ok(())
}

/// Whether a failed accept says nothing about this process: the next one may go well.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Says now and then that connections are turned away.
#[derive(Debug, Default)]
struct Complaint {
    count: u64,
    last: Option<Instant>,
}

impl Complaint {
    fn turned_away(&mut self, peer: IpAddr, why: Full) {
        self.count += 1;
        if self.last.is_some_and(|last| last.elapsed() < COMPLAINT_EVERY) {
            return;
        }
        let why = match why {
            Full::Everywhere => "limits.connections are open",
            Full::ForAddress => "limits.connections_per_address are open from there",
            Full::Leaving => return,
        };
        log::warn!("turned away {} connections, the last of {peer}: {why}", self.count);
        (self.count, self.last) = (0, Some(Instant::now()));
    }
}
