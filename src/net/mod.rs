//! Sockets, TLS and timers: the only place that waits for the network.
//!
//! One executor with a few threads ([`carriers`]) serves every connection; a connection is one task.
//! Connections wait for the engine, never the other way round.

mod accept;
mod alarm;
mod carriers;
mod certificate;
mod converse;
mod guest;
mod host;
mod http;
mod poll;
mod porter;
mod seats;
pub mod signal;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tinode;
mod tls;
#[cfg(test)]
mod toy;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use async_executor::{Executor, Task};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smol::channel::Receiver;
use smol::{Async, Timer};

use crate::config::Config;
use crate::engine::{Exchange, StandIn};
use crate::memory;
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::wire::House;
use accept::{Door, accept, open};
use carriers::Carriers;
use guest::Guests;
use host::{Host, Patience, Present};
use poll::Polls;
pub use tls::Tls;

/// Descriptors that are not connections: the database, doors, logs, epoll.
const OTHER_FILES: u64 = 64;
/// Longer than a crowd takes to leave, and than `memory::trim` waits between two times.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(60);
/// What ending the threads may take beyond the conversations.
const THREADS_END: Duration = Duration::from_millis(500);

/// The carriers, running. Dropping it ends them like a crash would.
pub struct Net {
    executor: Arc<Executor<'static>>,
    guests: Arc<Guests>,
    tls: Option<Arc<Tls>>,
    present: Arc<Present>,
    /// Open doors, and [`give_back`].
    tasks: Vec<Task<()>>,
    tcp: Option<SocketAddr>,
    http: Option<SocketAddr>,
    line: Option<SocketAddr>,
    tags: Option<SocketAddr>,
    tinode: Option<SocketAddr>,
    carriers: Carriers,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("tcp", &self.tcp)
            .field("http", &self.http)
            .field("line", &self.line)
            .field("tags", &self.tags)
            .field("tinode", &self.tinode)
            .finish()
    }
}

/// Whether the carriers' threads still do anything; for the management socket.
#[derive(Clone)]
pub struct Pulse(Arc<Executor<'static>>);

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pulse(..)")
    }
}

impl Net {
    /// Opens every door of the configuration and serves what comes in. An error is a sentence with
    /// what to do.
    pub fn start(
        house: Arc<House>,
        exchange: Exchange,
        tls: Option<Tls>,
        metrics: Arc<Metrics>,
    ) -> Result<Net, String> {
        let config = house.config.clone();
        let patience = Patience::of(&config.limits);
        let budget = config.budget().map_err(|error| error.to_string())?;
        let limits = &config.limits;
        let most = most_connections(budget.connections);
        let guests = Guests::new(metrics.clone(), most, limits.connections_per_address);
        let buffers = Pool::new(usize::try_from(budget.buffers).unwrap_or(usize::MAX));
        let executor = Arc::new(Executor::new());
        exchange.ring_by(porter::hire(&executor));
        let stand_in = exchange.stand_in();
        let host = Host {
            core: exchange,
            present: Present::new(house),
            metrics,
            patience,
            buffers: Arc::new(buffers),
            polls: Polls::new(&executor),
        };
        let (host, guests, tls) = (Arc::new(host), Arc::new(guests), tls.map(Arc::new));
        Net::open(&config, host, guests, tls, executor, Some(stand_in))
    }

    fn open<X: host::Core>(
        config: &Config,
        host: Arc<Host<X>>,
        guests: Arc<Guests>,
        tls: Option<Arc<Tls>>,
        executor: Arc<Executor<'static>>,
        stand_in: Option<StandIn>,
    ) -> Result<Net, String> {
        let door = |key, address: &String| match address.as_str() {
            "" => Ok(None),
            address => open(key, address).map(Some),
        };
        let tcp = door("listen.tcp", &config.listen.tcp)?;
        let http = door("listen.http", &config.listen.http)?;
        let line = door("listen.line", &config.listen.line)?;
        let tags = door("listen.tags", &config.listen.tags)?;
        let tinode = door("listen.tinode", &config.listen.tinode)?;
        let (tcp_address, http_address) = (address(&tcp), address(&http));
        let (line_address, tags_address) = (address(&line), address(&tags));
        let tinode_address = address(&tinode);

        let present = host.present.clone();
        let threads = match config.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let carriers = Carriers::start(&executor, threads, stand_in)?;
        let doors = [
            (Door::Tcp, tcp),
            (Door::Http, http),
            (Door::Line, line),
            (Door::Tags, tags),
            (Door::Http, tinode),
        ];
        let mut tasks: Vec<_> = doors
            .into_iter()
            .filter_map(|(door, listener)| listener.map(|listener| (door, listener)))
            .map(|(door, listener)| {
                let (host, guests) = (host.clone(), guests.clone());
                executor.spawn(accept(door, listener, host, guests, tls.clone(), executor.clone()))
            })
            .collect();
        tasks.push(executor.spawn(give_back(guests.thinning())));
        Ok(Net {
            executor,
            guests,
            tls,
            present,
            tasks,
            tcp: tcp_address,
            http: http_address,
            line: line_address,
            tags: tags_address,
            tinode: tinode_address,
            carriers,
        })
    }

    /// Where binary TCP is spoken; `None` while that door is turned off.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp
    }

    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    pub fn line_address(&self) -> Option<SocketAddr> {
        self.line
    }

    pub fn tags_address(&self) -> Option<SocketAddr> {
        self.tags
    }

    /// The second HTTP door, at which Tinode's clients look for it.
    pub fn tinode_address(&self) -> Option<SocketAddr> {
        self.tinode
    }

    /// The pin of the certificate; `None` without TLS.
    pub fn pin(&self) -> Option<String> {
        self.tls.as_ref().map(|tls| tls.pin())
    }

    pub fn pulse(&self) -> Pulse {
        Pulse(self.executor.clone())
    }

    /// What new conversations and requests go by from now on.
    pub fn reload(&self, house: Arc<House>) {
        self.present.replace(house);
    }

    /// Reads the certificate again; those who are connected keep theirs. An error says what stays
    /// as it was.
    pub fn reload_tls(&self, config: &Config) -> Result<(), String> {
        match &self.tls {
            Some(tls) => tls.reload(config),
            None if tls::is_off(config) => Ok(()),
            None => Err("tls.mode changes with a restart only; connections stay plain".into()),
        }
    }

    /// Stops in order: doors close, conversations finish the answer under way and say goodbye, the
    /// threads end. False when some conversation did not end within `patience`; it is cut.
    pub fn stop(self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        for task in self.tasks {
            // A listener goes with the task that holds it.
            smol::block_on(task.cancel());
        }
        self.guests.send_away();
        let all_gone = self.guests.wait_empty(end.saturating_duration_since(Instant::now()));
        let end = end.max(Instant::now()) + THREADS_END;
        if !self.carriers.end(end) {
            log::error!("a thread for connections does not end");
            return false;
        }
        // The last of the executor drops what is left of the conversations.
        all_gone
    }
}

impl Pulse {
    /// Whether a task is done within `patience`.
    pub fn beats(&self, patience: Duration) -> bool {
        let (tell, heard) = channel();
        self.0
            .spawn(async move {
                let _ = tell.send(());
            })
            .detach();
        heard.recv_timeout(patience).is_ok()
    }
}

/// After a crowd has left, the allocator's free pages go back to the system.
async fn give_back(thinning: Receiver<()>) {
    while thinning.recv().await.is_ok() {
        // The rest of the crowd is leaving, too.
        Timer::after(GIVE_BACK_AFTER).await;
        smol::unblock(memory::trim).await;
    }
}

fn address(listener: &Option<Async<TcpListener>>) -> Option<SocketAddr> {
    listener.as_ref().and_then(|listener| listener.get_ref().local_addr().ok())
}

/// As many as the descriptors allow, at most `wanted`.
fn most_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = wanted as u64 + OTHER_FILES;
    if limit.current.is_some_and(|now| now < needed) {
        let current = limit.maximum.map_or(needed, |most| most.min(needed));
        let more = Rlimit { current: Some(current), maximum: limit.maximum };
        // Where this fails there are fewer connections, no other harm.
        let _ = setrlimit(Resource::Nofile, more);
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).min(wanted);
    if most < wanted {
        log::warn!("only {most} connections fit the limit of open files, {wanted} the memory");
    }
    most
}
