//! Counters of what the server does, as Prometheus text and for `msimd status`.
//!
//! Numbers only: no name, address or text of anybody is in here. Every counter is a relaxed atomic,
//! so counting costs about as much as an addition and nobody waits for a reader.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::limits::ENGINE_STUCK_SECS;
use crate::memory;
use crate::store::Work;

/// One for the process, shared by everybody who counts.
#[derive(Debug)]
pub struct Metrics {
    started: Instant,
    /// Messages stored (a repeated cookie is none).
    pub messages: Counter,
    pub commands: Counter,
    /// Turns of the engine.
    pub turns: Counter,
    pub refusals: Counter,
    /// Updates put into mailboxes.
    pub events: Counter,
    /// Mailboxes that lost their updates because they were full.
    pub overflows: Counter,
    pub logins: Counter,
    pub failed_logins: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    /// Sessions in use.
    pub sessions: Gauge,
    connections: [Gauge; Carrier::ALL.len()],
    work: [Counter; 3],
    pub engine: Pulse,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A count of what is there now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn subtract(&self, n: u64) {
        // One too many would read as 2^64 - 1 for ever.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |v| Some(v.saturating_sub(n)));
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Tcp,
    Http,
    WebSocket,
    Line,
    Tags,
    /// Tinode over WebSocket.
    Tinode,
    /// A long-poll session of Tinode; the connections that poll for it are HTTP's.
    TinodePoll,
}

impl Carrier {
    pub const ALL: [Carrier; 7] = [
        Carrier::Tcp,
        Carrier::Http,
        Carrier::WebSocket,
        Carrier::Line,
        Carrier::Tags,
        Carrier::Tinode,
        Carrier::TinodePoll,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Carrier::Tcp => "tcp",
            Carrier::Http => "http",
            Carrier::WebSocket => "websocket",
            Carrier::Line => "line",
            Carrier::Tags => "tags",
            Carrier::Tinode => "tinode",
            Carrier::TinodePoll => "tinode-poll",
        }
    }
}

/// Whether the engine's thread gets its work done: since when it has been at the same turn. An
/// engine that waits for work is well, so an idle server needs no heartbeat and no wake-up.
#[derive(Debug)]
pub struct Pulse {
    epoch: Instant,
    /// Milliseconds since `epoch`, plus one; 0 while it rests.
    busy_since: AtomicU64,
}

impl Pulse {
    fn new(epoch: Instant) -> Pulse {
        Pulse { epoch, busy_since: AtomicU64::new(0) }
    }

    /// A turn, or other work that has an end, begins.
    pub fn begin(&self) {
        self.busy_since.store(self.now() + 1, Ordering::Relaxed);
    }

    /// It is done.
    pub fn rest(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }

    /// How long it has been at the present turn; zero while it rests.
    pub fn busy(&self) -> Duration {
        match self.busy_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis((self.now() + 1).saturating_sub(since)),
        }
    }

    pub fn is_stuck(&self) -> bool {
        self.busy() >= Duration::from_secs(ENGINE_STUCK_SECS)
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        let started = Instant::now();
        Metrics {
            started,
            messages: Counter::default(),
            commands: Counter::default(),
            turns: Counter::default(),
            refusals: Counter::default(),
            events: Counter::default(),
            overflows: Counter::default(),
            logins: Counter::default(),
            failed_logins: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            sessions: Gauge::default(),
            connections: Default::default(),
            work: Default::default(),
            engine: Pulse::new(started),
        }
    }
}

impl Metrics {
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Open connections of one carrier. An upgraded HTTP connection is a WebSocket from then on.
    pub fn connections(&self, carrier: Carrier) -> &Gauge {
        &self.connections[carrier as usize]
    }

    /// The engine says after each turn what its store has done so far.
    pub fn set_work(&self, work: Work) {
        let now = [work.commits, work.syncs, work.bytes_written];
        for (counter, value) in self.work.iter().zip(now) {
            counter.0.store(value, Ordering::Relaxed);
        }
    }

    pub fn work(&self) -> Work {
        let [commits, syncs, bytes_written] = &self.work;
        Work { commits: commits.get(), syncs: syncs.get(), bytes_written: bytes_written.get() }
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut page = Page(String::with_capacity(4096));
        let work = self.work();
        let counters = [
            ("messages", "messages stored", self.messages.get()),
            ("commands", "commands applied", self.commands.get()),
            ("turns", "turns of the engine", self.turns.get()),
            ("refusals", "commands refused", self.refusals.get()),
            ("events", "updates put into mailboxes", self.events.get()),
            ("mailbox_overflows", "mailboxes that lost their updates", self.overflows.get()),
            ("logins", "passwords that were right", self.logins.get()),
            ("failed_logins", "passwords that were wrong", self.failed_logins.get()),
            ("received_bytes", "bytes from clients", self.bytes_in.get()),
            ("sent_bytes", "bytes to clients", self.bytes_out.get()),
            ("commits", "turns made durable", work.commits),
            ("syncs", "syncs asked of the disk", work.syncs),
            ("written_bytes", "bytes written to the database", work.bytes_written),
        ];
        for (name, help, value) in counters {
            page.head(&format!("{name}_total"), help, "counter");
            page.line(&format!("{name}_total"), value);
        }
        page.head("connections", "open connections", "gauge");
        for carrier in Carrier::ALL {
            let name = format!("connections{{carrier=\"{}\"}}", carrier.name());
            page.line(&name, self.connections(carrier).get());
        }
        let mut gauges = vec![
            ("sessions", "sessions in use", self.sessions.get()),
            ("uptime_seconds", "seconds since the start", self.uptime().as_secs()),
            (
                "engine_busy_milliseconds",
                "how long the engine has been at its present turn",
                self.engine.busy().as_millis() as u64,
            ),
        ];
        if let Some(resident) = memory::resident() {
            gauges.push(("resident_bytes", "memory in use", resident));
        }
        for (name, help, value) in gauges {
            page.head(name, help, "gauge");
            page.line(name, value);
        }
        page.0
    }
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String does not fail.
        let _ = write!(self.0, "# HELP msimd_{name} {help}\n# TYPE msimd_{name} {kind}\n");
    }

    fn line(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.0, "msimd_{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.messages.add(3);
        metrics.connections(Carrier::WebSocket).add(2);
        metrics.set_work(Work { commits: 5, syncs: 6, bytes_written: 7 });
        let text = metrics.render();
        for line in [
            "# TYPE msimd_messages_total counter",
            "msimd_messages_total 3",
            "msimd_connections{carrier=\"websocket\"} 2",
            "msimd_connections{carrier=\"tcp\"} 0",
            "msimd_written_bytes_total 7",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            assert!(value.parse::<u64>().is_ok(), "{line}");
            assert!(text.contains(&format!("# TYPE {bare} ")), "{line} has no type");
        }
    }

    #[test]
    fn a_gauge_never_falls_below_zero() {
        let gauge = Gauge::default();
        gauge.add(1);
        gauge.subtract(5);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn a_resting_engine_is_well_and_one_at_the_same_turn_for_long_is_not() {
        let old = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let pulse = Pulse::new(old);
        assert!(!pulse.is_stuck());
        pulse.busy_since.store(1, Ordering::Relaxed);
        assert!(pulse.is_stuck());
        pulse.begin();
        assert!(!pulse.is_stuck());
        pulse.busy_since.store(1, Ordering::Relaxed);
        pulse.rest();
        assert_eq!(pulse.busy(), Duration::ZERO);
    }
}
