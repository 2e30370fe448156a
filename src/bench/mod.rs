//! `msimd bench`: measures a server of its own (or one that runs already) over real connections on
//! the loopback, and sets every figure beside its target.
//!
//! - Bounded: every row has a count or a time, and a deadline after which it is given up.
//! - Sends to the loopback only.
//! - Shares no code with the server: frames are written by hand, so that the generator stays cheap
//!   beside the server it shares the processor with, and disagrees where the server is wrong.
//! - A server of its own runs in a directory of its own, is ended by its process id, and leaves
//!   nothing behind.

mod counters;
mod crowd;
mod fanning;
pub mod frame;
pub mod histogram;
mod holding;
mod link;
mod paging;
mod report;
mod row;
mod saving;
pub mod scratch;
mod searching;
mod sending;
mod server;
pub mod tls;
#[cfg(test)]
mod toy;
pub mod usage;

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::crowd::Crowd;
use self::histogram::Histogram;
use self::holding::Carrier;
pub use self::report::Report;
use self::report::Target::{AtLeast, AtMost};
pub use self::row::Row;
use self::scratch::Scratch;
use self::searching::Hunt;
use self::sending::{Filled, Sent};
use self::server::Server;

/// What mosquitto 2.0 takes for one of 200 deliveries of a message, measured beside this server.
const DELIVERY_MICROS: f64 = 6.8;
const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
/// Starts on an empty database; the table shows their median.
const STARTS: usize = 5;
/// What is written before each sync to see what the disk can do: one page of the store, in a file
/// that does not grow, as the store's does not for most commits.
const SYNC_BYTES: usize = 4096;
const SYNC_PAGES: u64 = 256;
/// Messages before a kill.
const LAST_WORDS: u64 = 50;
/// How long a filling may take at most: 1 M messages at 3,000 a second.
const FILL_DEADLINE: Duration = Duration::from_secs(360);

/// What to measure, and how much of it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub rows: Vec<Row>,
    /// The TCP door of a server that runs already.
    pub address: Option<SocketAddr>,
    /// That server's process, for its processor time and bytes.
    pub pid: Option<u32>,
    /// That server's management socket, for its counters.
    pub admin: Option<PathBuf>,
    /// Where servers of the bench's own keep their data.
    pub dir: PathBuf,
    /// Measured time of a row that runs for a time.
    pub time: Duration,
    /// Idle connections held at once.
    pub connections: usize,
    /// Messages of the history that is read.
    pub messages: u64,
}

impl Plan {
    /// Everything as the targets are stated.
    pub fn full() -> Plan {
        Plan {
            rows: Row::ALL.to_vec(),
            address: None,
            pid: None,
            admin: None,
            dir: std::env::temp_dir(),
            time: Duration::from_secs(5),
            connections: 2000,
            messages: 1_000_000,
        }
    }

    /// Everything small, in less than a minute.
    pub fn quick() -> Plan {
        Plan {
            time: Duration::from_millis(1500),
            connections: 500,
            messages: 20_000,
            ..Plan::full()
        }
    }

    fn check(&self) -> Result<(), String> {
        let Some(address) = self.address else { return Ok(()) };
        if !address.ip().is_loopback() {
            return Err(format!("the bench sends to the loopback only, not to {address}"));
        }
        match self.rows.iter().find(|row| row.needs_own_server()) {
            Some(row) => Err(format!("row {} needs a server of the bench's own", row.name())),
            None => Ok(()),
        }
    }
}

/// Measures the rows of a plan, one after the other. A row that fails is reported as such and does
/// not keep the others from being measured; an error is a plan that cannot be carried out.
pub fn run(plan: &Plan) -> Result<Report, String> {
    plan.check()?;
    raise_file_limit();
    let mut report = Report::default();
    circumstances(plan, &mut report);
    let mut bench = Bench { plan, crowd: Crowd::new(), server: None, past: None };
    for row in &plan.rows {
        let began = Instant::now();
        eprintln!("bench: {} …", row.name());
        if let Err(why) = bench.measure(*row, &mut report) {
            eprintln!("bench: {} failed: {why}", row.name());
            report.fail(&row.name(), why);
            // Whatever went wrong, the next row starts with a server of its own.
            (bench.server, bench.past) = (None, None);
        } else {
            eprintln!("bench: {} took {:.1} s", row.name(), began.elapsed().as_secs_f64());
        }
    }
    Ok(report)
}

/// A run under way.
#[derive(Debug)]
struct Bench<'a> {
    plan: &'a Plan,
    crowd: Crowd,
    /// The server that the sending rows share.
    server: Option<Server>,
    /// The history that the last rows share.
    past: Option<Past>,
}

/// A server with a history: so many chats, all of them with one person.
#[derive(Debug)]
struct Past {
    server: Server,
    crowd: Crowd,
    chats: usize,
    filled: Filled,
}

impl Bench<'_> {
    fn measure(&mut self, row: Row, report: &mut Report) -> Result<(), String> {
        if !matches!(row, Row::Send(_)) {
            self.server = None;
        }
        if !matches!(row, Row::History | Row::Search | Row::Backup) {
            self.past = None;
        }
        match row {
            Row::Disk => disk(self.plan, report),
            Row::Start => start(self.plan, report),
            Row::Idle => idle(self.plan, report),
            Row::Send(senders) => self.send(senders, report),
            Row::FanOut(members) => fan_out(self.plan, row, usize::from(members), report),
            Row::Tcp => hold(self.plan, row, Carrier::Tcp, 2.0, report),
            Row::Line => hold(self.plan, row, Carrier::Line, 2.0, report),
            Row::Poll => hold(self.plan, row, Carrier::Poll, 2.5, report),
            // Whoever is here by Tinode has a codec of frames beside what the others have.
            Row::Tinode => hold(self.plan, row, Carrier::Tinode, 4.0, report),
            Row::Tls => hold(self.plan, row, Carrier::Tls, 13.0, report),
            Row::History => history(self.plan, self.past(report)?, report),
            Row::Search => search(self.plan, self.past(report)?, report),
            Row::Backup => back_up(self.plan, self.past(report)?, report),
        }
    }

    /// The history that is read and searched; filled in by the first row that needs it.
    fn past(&mut self, report: &mut Report) -> Result<&mut Past, String> {
        let past = match self.past.take() {
            Some(past) => past,
            None => fill(self.plan, report)?,
        };
        Ok(self.past.insert(past))
    }

    fn send(&mut self, senders: u16, report: &mut Report) -> Result<(), String> {
        if self.server.is_none() {
            self.crowd = Crowd::new();
            self.server = Some(match self.plan.address {
                Some(door) => Server::running(door, self.plan.pid, self.plan.admin.clone()),
                None => Server::start(&self.plan.dir, false)?.0,
            });
        }
        let server = self.server.as_ref().ok_or("no server")?;
        let count = usize::from(senders);
        let sent = sending::measure(server, &mut self.crowd, count, self.plan.time)?;
        if sent.messages == 0 {
            return Err("no message was answered".into());
        }

        let row = &Row::Send(senders).name();
        let messages = sent.messages as f64;
        let rate = messages / sent.time.as_secs_f64();
        match senders {
            1 => report.judge(row, "durable messages", rate, "/s", AtLeast(2000.0)),
            16 => report.judge(row, "durable messages", rate, "/s", AtLeast(10_000.0)),
            256 => report.judge(row, "durable messages", rate, "/s", AtLeast(25_000.0)),
            _ => report.add(row, "durable messages", rate, "/s"),
        }
        let millis = |share| sent.latencies.quantile(share).as_secs_f64() * 1e3;
        report.add(row, "latency p50", millis(0.5), "ms");
        report.add(row, "latency p99", millis(0.99), "ms");
        if let Some(used) = sent.server {
            let micros = used.cpu.as_secs_f64() * 1e6 / messages;
            let stored = used.stored as f64 / messages / KIB;
            match senders {
                256 => report.judge(row, "server CPU a message", micros, "µs", AtMost(60.0)),
                _ => report.add(row, "server CPU a message", micros, "µs"),
            }
            let written = "written to the disk a message";
            match senders {
                1 => report.judge(row, written, stored, "KiB", AtMost(32.0)),
                64 => report.judge(row, written, stored, "KiB", AtMost(8.0)),
                _ => report.add(row, written, stored, "KiB"),
            }
            let asked = used.asked as f64 / messages / KIB;
            report.add(row, "handed to write calls a message", asked, "KiB");
        }
        if let Some(counted) = sent.counters {
            let commits = counted.commits.max(1) as f64;
            report.add(row, "messages a commit", messages / commits, "");
            // The server's two counters are not read at the same moment.
            let syncs = (counted.syncs as f64 / commits * 100.0).round() / 100.0;
            report.judge(row, "syncs a commit", syncs, "", AtMost(1.0));
        }
        let own = sent.own.cpu.as_secs_f64() * 1e6 / messages;
        report.add(row, "the generator's own CPU a message", own, "µs");
        if sent.unpushed > 0 || sent.resyncs > 0 {
            report.add(row, "pushes that did not come", sent.unpushed as f64, "");
            report.add(row, "RESYNC instead", sent.resyncs as f64, "");
        }
        Ok(())
    }
}

/// The speed of the disk under everything else: write a page in place, sync, again.
fn disk(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let scratch = Scratch::new(&plan.dir)?;
    let failed = |e: std::io::Error| format!("cannot write a test file: {e}");
    let file = File::create(scratch.path().join("file")).map_err(failed)?;
    let page = [7; SYNC_BYTES];
    let write = |number| file.write_all_at(&page, number % SYNC_PAGES * SYNC_BYTES as u64);
    for number in 0..SYNC_PAGES {
        write(number).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    let began = Instant::now();
    let mut syncs = 0;
    while began.elapsed() < Duration::from_secs(1) {
        write(syncs).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        syncs += 1;
    }
    let rate = syncs as f64 / began.elapsed().as_secs_f64();
    report.add("disk", "4 KiB written in place and synced", rate, "/s");
    Ok(())
}

fn start(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        times.push(Server::start(&plan.dir, false)?.1);
    }
    times.sort_unstable();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let what = "to the first answered HELLO, empty database, median";
    report.judge("start", what, millis(times[STARTS / 2]), "ms", AtMost(50.0));
    report.add("start", "the slowest", millis(times[STARTS - 1]), "ms");
    Ok(())
}

fn idle(plan: &Plan, report: &mut Report) -> Result<(), String> {
    let (server, _) = Server::start(&plan.dir, false)?;
    // Threads that start late have started, pages of the start are counted.
    std::thread::sleep(Duration::from_secs(1));
    let before = server.usage()?.unwrap_or_default();
    std::thread::sleep(plan.time);
    let used = server.usage()?.unwrap_or_default().since(&before);
    let memory = server.memory()?;
    report.judge("idle", "RSS", memory.resident as f64 / MIB, "MiB", AtMost(6.0));
    report.add("idle", "PSS", memory.proportional as f64 / MIB, "MiB");
    let share = used.cpu.as_secs_f64() / plan.time.as_secs_f64();
    report.add("idle", "CPU", share * 1e3, "ms/s");
    Ok(())
}

fn hold(
    plan: &Plan,
    row: Row,
    carrier: Carrier,
    target_kib: f64,
    report: &mut Report,
) -> Result<(), String> {
    let count = plan.connections;
    let held = holding::measure(&plan.dir, carrier, count)?;
    let row = &row.name();
    let each = |now: u64| (now as f64 - held.before.resident as f64) / KIB / count as f64;
    let what = format!("RSS an idle connection ({count})");
    report.judge(row, &what, each(held.holding.resident), "KiB", AtMost(target_kib));
    report.add(row, "RSS with nobody connected", held.before.resident as f64 / MIB, "MiB");
    report.add(row, "RSS after all have gone", held.after.resident as f64 / MIB, "MiB");
    Ok(())
}

fn fan_out(plan: &Plan, row: Row, members: usize, report: &mut Report) -> Result<(), String> {
    let (mut server, _) = Server::start(&plan.dir, false)?;
    let sent = fanning::measure(&mut server, &mut Crowd::new(), members, plan.time)?;
    if sent.messages == 0 || sent.pushed == 0 {
        return Err("no message was heard".into());
    }
    let row = &row.name();
    let (messages, heard) = (sent.messages as f64, sent.pushed as f64);
    let seconds = sent.time.as_secs_f64();
    report.add(row, "durable messages", messages / seconds, "/s");
    report.add(row, "deliveries", heard / seconds, "/s");
    let millis = |share| sent.latencies.quantile(share).as_secs_f64() * 1e3;
    report.add(row, "latency p50", millis(0.5), "ms");
    report.add(row, "latency p99", millis(0.99), "ms");
    if let Some(used) = sent.server {
        let micros = used.cpu.as_secs_f64() * 1e6 / heard;
        report.judge(row, "server CPU a delivery", micros, "µs", AtMost(DELIVERY_MICROS));
        let stored = used.stored as f64 / messages / KIB;
        report.add(row, "written to the disk a message", stored, "KiB");
    }
    if let Some(counted) = sent.counters {
        // As in the sending rows, the counters are not read at the same moment as the messages.
        let each = |count: u64| (count as f64 / messages * 100.0).round() / 100.0;
        report.judge(row, "commits a message", each(counted.commits), "", AtMost(1.0));
        report.judge(row, "syncs a message", each(counted.syncs), "", AtMost(1.0));
    }
    report.add(row, "the generator's own CPU a delivery", own_micros(&sent) / heard, "µs");
    report.judge(row, "deliveries that did not come", sent.unpushed as f64, "", AtMost(0.0));
    if sent.resyncs > 0 {
        report.add(row, "RESYNC instead", sent.resyncs as f64, "");
    }
    report.add(row, "server RSS", server.memory()?.resident as f64 / MIB, "MiB");
    Ok(())
}

fn own_micros(sent: &Sent) -> f64 {
    sent.own.cpu.as_secs_f64() * 1e6
}

fn fill(plan: &Plan, report: &mut Report) -> Result<Past, String> {
    // Enough chats for many places, few enough that each holds some windows.
    let chats = usize::try_from(plan.messages / 256).unwrap_or(usize::MAX).clamp(1, 256);
    let (server, _) = Server::start(&plan.dir, false)?;
    let mut crowd = Crowd::new();
    eprintln!("bench: filling in {} messages …", plan.messages);
    searching::plant(&server, &mut crowd)?;
    let filled = sending::fill(&server, &mut crowd, chats, plan.messages, FILL_DEADLINE)?;
    let rate = plan.messages as f64 / filled.time.as_secs_f64();
    report.add("history", "filling: durable messages", rate, "/s");
    Ok(Past { server, crowd, chats, filled })
}

fn search(plan: &Plan, past: &mut Past, report: &mut Report) -> Result<(), String> {
    let row = "search";
    let searched = searching::measure(&past.server, &mut past.crowd, plan.time)?;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let median = |latencies: &Histogram| millis(latencies.quantile(0.5));
    let what = format!("50 of a frequent word, {} chats", past.chats);
    report.judge(row, &what, median(&searched.often), "ms", AtMost(50.0));
    report.add(row, "50 of a frequent word, one chat", median(&searched.often_in_chat), "ms");
    let each = |hunt: &Hunt| hunt.time.as_secs_f64() * 1e3 / hunt.rounds as f64;
    let once = &searched.once;
    let what = format!("a word written once, {} messages", plan.messages);
    report.add(row, &what, each(once), "ms");
    report.add(row, "requests for it", once.requests as f64 / once.rounds as f64, "");
    report.add(row, "the slowest of them", millis(once.slowest), "ms");
    let rate = (plan.messages * once.rounds) as f64 / once.time.as_secs_f64();
    report.judge(row, "messages looked through", rate, "/s", AtLeast(1_000_000.0));
    let what = format!("a word written once, a chat of {}", plan.messages / past.chats as u64);
    report.add(row, &what, each(&searched.once_in_chat), "ms");
    for (sent, beside) in [
        (&searched.alone, String::new()),
        (&searched.beside, format!(", {} searching", searching::SEARCHERS)),
    ] {
        let rate = sent.messages as f64 / sent.time.as_secs_f64();
        report.add(row, &format!("one who writes{beside}: messages"), rate, "/s");
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("slowest", 1.0)] {
            let took = millis(sent.latencies.quantile(share));
            report.add(row, &format!("one who writes{beside}: {name}"), took, "ms");
        }
    }
    let rate = searched.meanwhile as f64 / searched.beside.time.as_secs_f64();
    report.add(row, "requests for the word written once meanwhile", rate, "/s");
    report.add(row, "server RSS", past.server.memory()?.resident as f64 / MIB, "MiB");
    Ok(())
}

fn back_up(plan: &Plan, past: &mut Past, report: &mut Report) -> Result<(), String> {
    let row = "backup";
    let (config, directory) = past.server.files()?;
    let path = directory.join("backup.redb");
    let command = move |path: &Path| saving::command(&config, path);
    let saved = saving::measure(&past.server, &mut past.crowd, &path, command, plan.time)?;
    let seconds = |time: Duration| time.as_secs_f64();
    let what = format!("a backup of {} messages and what comes in", plan.messages);
    report.add(row, &what, seconds(saved.each()), "s");
    report.add(row, "the slowest of them", seconds(saved.slowest), "s");
    report.add(row, "backups meanwhile", saved.backups as f64, "");
    report.add(row, "its size", saved.bytes as f64 / MIB, "MiB");
    for (sent, beside) in [(&saved.alone, ""), (&saved.beside, ", a backup beside")] {
        let rate = sent.messages as f64 / seconds(sent.time);
        report.add(row, &format!("16 who send{beside}: messages"), rate, "/s");
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("slowest", 1.0)] {
            let took = seconds(sent.latencies.quantile(share)) * 1e3;
            report.add(row, &format!("16 who send{beside}: {name}"), took, "ms");
        }
    }
    report.add(row, "server RSS", past.server.memory()?.resident as f64 / MIB, "MiB");
    Ok(())
}

fn history(plan: &Plan, past: &mut Past, report: &mut Report) -> Result<(), String> {
    let row = "history";
    let Past { server, crowd, chats, filled } = past;
    let paged = paging::measure(server, crowd, *chats, filled, plan.time)?;
    if paged.pages == 0 || paged.short * 100 > paged.pages {
        return Err(format!("{} of {} pages were short", paged.short, paged.pages));
    }
    let pages = paged.pages as f64;
    let rate = pages / paged.time.as_secs_f64();
    let what = format!("pages of 50 of {} messages in {chats} chats", plan.messages);
    report.judge(row, &what, rate, "/s", AtLeast(15_000.0));
    let millis = |share| paged.latencies.quantile(share).as_secs_f64() * 1e3;
    report.add(row, "latency p50", millis(0.5), "ms");
    report.add(row, "latency p99", millis(0.99), "ms");
    report.add(row, "body of a page", paged.bytes as f64 / pages / KIB, "KiB");
    let used = paged.server.unwrap_or_default();
    report.add(row, "server CPU a page", used.cpu.as_secs_f64() * 1e6 / pages, "µs");
    let own = paged.own.cpu.as_secs_f64() * 1e6 / pages;
    report.add(row, "the generator's own CPU a page", own, "µs");
    report.add(row, "server RSS", server.memory()?.resident as f64 / MIB, "MiB");

    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let again = server.restart(false, false)?;
    report.add(row, "start with that history", millis(again), "ms");
    // Only a database that was written to since it was opened has anything to recover.
    sending::fill(server, crowd, 1, LAST_WORDS, FILL_DEADLINE)?;
    let again = server.restart(true, false)?;
    report.add(row, "start after a kill in the middle of work", millis(again), "ms");
    Ok(())
}

/// What the figures depend on beside the program.
fn circumstances(plan: &Plan, report: &mut Report) {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    report.note("program", format!("msimd {}", env!("CARGO_PKG_VERSION")));
    if cfg!(debug_assertions) {
        report.note("build", "debug: the figures of speed mean nothing");
    }
    let arch = std::env::consts::ARCH;
    report.note("machine", format!("{arch}, {cores} cores, Linux {}", kernel.trim()));
    match plan.address {
        Some(address) => report.note("server", format!("running at {address}")),
        None => report.note("data", format!("{}, {}", plan.dir.display(), disk_kind(&plan.dir))),
    }
    let text = sending::TEXT_BYTES;
    report.note("texts", format!("{text} bytes, each with a cookie"));
}

/// The file system's name for the few on which a figure of durability means something special.
fn disk_kind(dir: &Path) -> String {
    match rustix::fs::statfs(dir).map(|fs| fs.f_type as u64) {
        Ok(0x0102_1994) => "tmpfs (nothing is durable there)".into(),
        Ok(0xEF53) => "ext4".into(),
        Ok(0x5846_5342) => "xfs".into(),
        Ok(0x9123_683E) => "btrfs".into(),
        Ok(0x794C_7630) => "overlayfs".into(),
        Ok(0xF2F5_2010) => "f2fs".into(),
        Ok(other) => format!("file system {other:#x}"),
        Err(e) => format!("file system unknown: {e}"),
    }
}

/// Thousands of connections need as many descriptors here and in the server, which inherits this.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        eprintln!("bench: cannot raise the number of open files: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::toy::Toy;

    #[test]
    fn only_the_loopback_is_measured() {
        let mut plan = Plan { rows: vec![Row::Send(1)], ..Plan::quick() };
        plan.address = Some(SocketAddr::from(([192, 0, 2, 1], 3217)));
        assert!(run(&plan).unwrap_err().contains("loopback"));
        plan.address = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
        plan.rows = vec![Row::History];
        assert!(run(&plan).unwrap_err().contains("needs a server of the bench's own"));
    }

    #[test]
    fn a_running_server_is_measured_and_a_row_that_fails_is_named() {
        let toy = Toy::start();
        let mut plan = Plan { rows: vec![Row::Send(16)], ..Plan::quick() };
        plan.time = Duration::from_millis(100);
        plan.pid = Some(std::process::id());
        plan.address = Some(toy.door);
        let report = run(&plan).unwrap();
        assert_eq!(report.failed(), [""; 0]);
        let text = report.markdown();
        assert!(text.contains("| send-16 | durable messages | ≥ 10,000 /s |"), "{text}");
        assert!(text.contains("server CPU a message"), "{text}");

        // A port where nobody listens: bound, never listened on by a second server.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        plan.address = Some(closed);
        let report = run(&plan).unwrap();
        assert_eq!(report.failed(), ["send-16"]);
    }
}
