//! What is looked at, one function each.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::certificate::{Validity, validity};
use super::disk::{AMPLIFICATION, Disk, Fitness, OVERWRITES};
use super::{Finding, State};
use crate::admin::logbook::Logbook;
use crate::admin::{trouble, when};
use crate::archive::DATABASE;
use crate::config::{Config, TlsMode};
use crate::engine::vault;
use crate::limits::OPEN_FILES_BESIDE_CONNECTIONS;
use crate::server;

const DAY: u64 = 86_400;
/// 2025-01-01: this program was not there before.
const OLDEST: u64 = 1_735_689_600;
/// Who has no newer backup than this would miss something.
const BACKUP_DAYS: u64 = 7;
/// A certificate of one's own should have been renewed by then.
const CERTIFICATE_DAYS: i64 = 14;

pub(super) fn server(status: Option<&Value>) -> Finding {
    let Some(status) = status else { return Finding::good("server", "none runs") };
    let text = |key: &str| status[key].as_str().unwrap_or("?").to_owned();
    let busy = status["engine_busy_ms"].as_u64().unwrap_or_default();
    if busy > 1000 * crate::limits::ENGINE_STUCK_SECS {
        return Finding::wrong("server", format!("it has been at one turn for {} s", busy / 1000));
    }
    let hours = status["uptime_secs"].as_u64().unwrap_or_default() / 3600;
    let version = text("version");
    if version != env!("CARGO_PKG_VERSION") {
        let own = env!("CARGO_PKG_VERSION");
        let told = format!("version {version} runs and {own} is installed; restart it");
        return Finding::warning("server", told);
    }
    Finding::good("server", format!("{version} runs as {} for {hours} h", text("server_name")))
}

pub(super) fn doors(config: &Config, status: Option<&Value>, findings: &mut Vec<Finding>) {
    let listen = &config.listen;
    let doors = [
        ("tcp", &listen.tcp),
        ("http", &listen.http),
        ("line", &listen.line),
        ("tags", &listen.tags),
    ];
    if let Some(status) = status {
        let open = doors.iter().filter_map(|(door, _)| {
            status["doors"][door].as_str().map(|address| format!("{door} {address}"))
        });
        findings.push(Finding::good("doors", open.collect::<Vec<_>>().join(", ")));
    } else {
        let mut free = Vec::new();
        for (door, address) in doors.iter().filter(|(_, address)| !address.is_empty()) {
            match TcpListener::bind(address.as_str()) {
                Ok(_) => free.push(format!("{door} {address}")),
                Err(error) => {
                    let why = match error.kind() {
                        io::ErrorKind::AddrInUse => "another program has it".to_owned(),
                        _ => error.to_string(),
                    };
                    let told = format!("listen.{door} = \"{address}\" cannot be opened: {why}");
                    findings.push(Finding::wrong("doors", told));
                }
            }
        }
        findings.push(Finding::good("doors", format!("can be opened: {}", free.join(", "))));
    }
    let outside = doors.iter().any(|(_, address)| {
        let address = address.parse::<SocketAddr>();
        address.is_ok_and(|a| !a.ip().to_canonical().is_loopback())
    });
    if outside && !server::is_encrypted(config) {
        let told = "tls.mode is \"off\" and doors are open beyond this machine: passwords travel \
                    bare, unless a proxy stands before them";
        findings.push(Finding::warning("doors", told));
    }
    if outside && config.server_name == "localhost" {
        let told = "server_name is \"localhost\" and doors are open beyond this machine: choose a \
                    name before the first account";
        findings.push(Finding::warning("doors", told));
    }
}

pub(super) fn certificate(config: &Config) -> Finding {
    const NAME: &str = "certificate";
    if !server::is_encrypted(config) {
        return Finding::good(NAME, "none is used: connections are plain");
    }
    let own = config.tls.mode == TlsMode::Files;
    let (cert, key) = match own {
        true => (config.tls.cert.clone(), config.tls.key.clone()),
        false => (config.data_dir.join("cert.pem"), config.data_dir.join("key.pem")),
    };
    if !own && !cert.exists() {
        return Finding::good(NAME, "a key pair is made at the first start");
    }
    if let Err(error) = fs::File::open(&key) {
        return Finding::wrong(NAME, format!("{} cannot be read: {error}", key.display()));
    }
    let shown = cert.display();
    let Validity { from, till } = match validity(&cert) {
        Ok(validity) => validity,
        Err(why) => return Finding::wrong(NAME, format!("{shown} cannot be read: {why}")),
    };
    let today = i64::try_from(when::now() / DAY).unwrap_or_default();
    let figures = json!({ "days_left": till - today });
    // Its own is pinned by its bytes; dates are for those who trust an authority.
    let state = match (own, today < from || till < today, till < today + CERTIFICATE_DAYS) {
        (true, true, _) => State::Wrong,
        (true, false, true) => State::Warning,
        (true, false, false) | (false, ..) => State::Good,
    };
    if fs::metadata(&key).is_ok_and(|m| m.permissions().mode() & 0o007 != 0) {
        let told = format!("every user here may read {}; chmod 600 it", key.display());
        return Finding::warning(NAME, told).with(figures);
    }
    let told = match (today < from, till - today) {
        (true, _) => format!("{shown} is valid in {} days only", from - today),
        (false, left) if left < 0 => format!("{shown} ran out {} days ago; renew it", -left),
        (false, left) if state == State::Warning => {
            format!("{shown} runs out in {left} days; renew it, SIGHUP reads it again")
        }
        (false, left) if left < 20_000 => format!("{shown} is valid for {left} days"),
        (false, _) => format!("{shown} is valid for as long as anybody pins it"),
    };
    Finding::new(NAME, state, told).with(figures)
}

pub(super) fn clock(config: &Config) -> Finding {
    let now = when::now();
    let shown = when::minute(now);
    let written = fs::metadata(config.data_dir.join(DATABASE)).map(|m| m.mtime());
    let written = written.ok().and_then(|at| u64::try_from(at).ok()).unwrap_or_default();
    if now < OLDEST {
        let told = format!(
            "it stands at {shown} UTC: wait for the network's time, or install fake-hwclock; chats \
             never run backwards, but what is written now has that date"
        );
        return Finding::warning("clock", told);
    }
    if now + DAY < written {
        let then = when::minute(written);
        let told = format!("it stands at {shown} UTC, and the database was written at {then}");
        return Finding::warning("clock", told);
    }
    Finding::good("clock", format!("{shown} UTC"))
}

pub(super) fn disk(config: &Config, findings: &mut Vec<Finding>) {
    let directory = config.data_dir.display();
    let disk = match Disk::under(&config.data_dir) {
        Ok(disk) => disk,
        Err(error) => {
            findings.push(Finding::wrong("free space", format!("{directory}: {error}")));
            return;
        }
    };
    let database = fs::metadata(config.data_dir.join(DATABASE)).map_or(0, |m| m.len());
    let floor = config.limits.free_space;
    let (free, size) = (mib(disk.free), mib(disk.size));
    let figures = json!({ "free_bytes": disk.free, "size_bytes": disk.size });
    let space = if disk.free < floor {
        let told = format!("{free} of {size}, less than limits.free_space: nothing is stored");
        Finding::wrong("free space", told)
    } else if disk.files_left == Some(0) {
        Finding::wrong("free space", format!("{free} of {size}, but no more files can be made"))
    } else if disk.free < floor.saturating_add(database.saturating_mul(2)) {
        let told = format!("{free} of {size}: a backup beside the database needs twice its room");
        Finding::warning("free space", told)
    } else {
        Finding::good("free space", format!("{free} of {size}"))
    };
    findings.push(space.with(figures));
    let kind = disk.kind;
    findings.push(match disk.fitness {
        _ if disk.read_only => {
            let told = format!("{directory} is mounted read-only; look at dmesg");
            Finding::wrong("file system", told)
        }
        Fitness::Wrong(why) => Finding::wrong("file system", format!("{kind}: {why}")),
        Fitness::Warning(why) => Finding::warning("file system", format!("{kind}: {why}")),
        Fitness::Good => Finding::good("file system", kind),
    });
}

pub(super) fn database(config: &Config, status: Option<&Value>) -> Finding {
    const NAME: &str = "database";
    let path = config.data_dir.join(DATABASE);
    if let Some(why) = trouble::waiting(&config.data_dir) {
        return Finding::wrong(NAME, why);
    }
    let damaged = status.and_then(|status| status["quarantined"].as_array());
    if let Some(damaged) = damaged.filter(|damaged| !damaged.is_empty()) {
        let first = damaged[0].as_str().unwrap_or_default();
        let told = format!(
            "{} damaged records were met, such as {first}; `msimd verify` names them all",
            damaged.len()
        );
        return Finding::wrong(NAME, told);
    }
    let found = match fs::metadata(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::good(NAME, format!("{} is made at the first start", path.display()));
        }
        Err(error) => return Finding::wrong(NAME, format!("{}: {error}", path.display())),
    };
    let told = format!("{}, {}", path.display(), mib(found.len()));
    if found.permissions().mode() & 0o077 != 0 {
        let told = format!("{told}: other users may read it; chmod 600 it");
        return Finding::warning(NAME, told);
    }
    if let Some(aside) = trouble::kept_aside(&config.data_dir).pop() {
        let told = format!("{told}; a damaged one is still kept as {}", aside.display());
        return Finding::warning(NAME, told);
    }
    Finding::good(NAME, told).with(json!({ "bytes": found.len() }))
}

pub(super) fn keys(config: &Config, status: Option<&Value>) -> Finding {
    const NAME: &str = "secrets.key";
    if let Some(status) = status {
        let sealed = &status["sealed_passwords"];
        let told = sealed["key"].as_str().unwrap_or_default();
        let lost = sealed["readable"].as_u64() < sealed["kept"].as_u64();
        return match told {
            _ if lost => Finding::wrong(NAME, told),
            "good" | "" => Finding::good(NAME, "good"),
            told if told.starts_with("not made yet") => Finding::good(NAME, told),
            told => Finding::warning(NAME, told),
        };
    }
    match fs::metadata(config.data_dir.join(vault::FILE)) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            Finding::warning(NAME, "other users may read it; chmod 600 it")
        }
        Ok(_) => Finding::good(NAME, "it is there"),
        Err(_) => Finding::good(NAME, "not made yet, or kept elsewhere"),
    }
}

pub(super) fn last_stop(config: &Config, status: Option<&Value>) -> Finding {
    const NAME: &str = "last stop";
    let book = Logbook::read(&config.data_dir);
    match (status, book.started, book.stopped) {
        (Some(_), Some(started), _) => {
            Finding::good(NAME, format!("the server began at {} UTC", when::minute(started)))
        }
        (None, _, Some(stopped)) => {
            Finding::good(NAME, format!("in order at {} UTC", when::minute(stopped)))
        }
        (None, Some(started), None) => {
            let told = format!(
                "the server that began at {} UTC was not stopped in order: a power cut, a crash, or \
                 it was killed; what it had answered is there",
                when::minute(started)
            );
            Finding::warning(NAME, told)
        }
        (_, None, _) => Finding::good(NAME, "it was never started here"),
    }
}

pub(super) fn backup(config: &Config) -> Finding {
    let Some(backup) = Logbook::read(&config.data_dir).backup else {
        if !config.data_dir.join(DATABASE).exists() {
            return Finding::good("backup", "there is nothing to lose yet");
        }
        return Finding::warning("backup", "none was ever made: `msimd backup FILE` makes one");
    };
    let days = when::now().saturating_sub(backup.at) / DAY;
    let there = if backup.file.exists() { "" } else { ", which is not there now" };
    let told = format!("{days} days old, {}{there}", backup.file.display());
    let figures = json!({ "age_days": days });
    let state = if BACKUP_DAYS < days { State::Warning } else { State::Good };
    Finding::new("backup", state, told).with(figures)
}

pub(super) fn writes(config: &Config, status: Option<&Value>) -> Finding {
    let (bytes, syncs) = Logbook::read(&config.data_dir).last_day(when::now());
    let figures = json!({ "bytes": bytes, "syncs": syncs });
    let mut told = format!("{} and {syncs} syncs in the last 24 full hours", mib(bytes));
    if let Some(status) = status {
        let count = |key: &str| status[key].as_u64().unwrap_or_default();
        let (bytes, syncs) = (mib(count("bytes_written")), count("syncs"));
        told.push_str(&format!(", {bytes} and {syncs} since the server began"));
    }
    let mut state = State::Good;
    if let Ok(disk) = Disk::under(&config.data_dir)
        && bytes > 0
    {
        let size = mib(disk.size);
        told.push_str(&match disk.years(bytes) {
            Some(years) => format!("; at this rate {size} of flash last some {years} years"),
            None => format!("; at this rate {size} of flash last for ever"),
        });
        told.push_str(&format!(
            " ({OVERWRITES} times written over, {AMPLIFICATION} times as much written as asked)"
        ));
        if disk.years(bytes).is_some_and(|years| years < 2) {
            state = State::Warning;
        }
    }
    Finding::new("writes", state, told).with(figures)
}

pub(super) fn memory(config: &Config, status: Option<&Value>) -> Finding {
    const NAME: &str = "memory";
    let Ok(budget) = config.budget() else { return Finding::wrong(NAME, "it has no ceiling") };
    let process = process(status);
    let total = crate::memory::total_of(&process);
    let resident = status.and_then(|status| status["resident_bytes"].as_u64());
    let ceiling = mib(budget.ceiling);
    let figures = json!({ "ceiling": budget.ceiling, "total": total, "resident": resident });
    let finding = match (total, resident) {
        (Some(total), _) if total < budget.ceiling => Finding::wrong(
            NAME,
            format!("the ceiling is {ceiling} and the process gets {}: lower `memory`", mib(total)),
        ),
        (_, Some(resident)) if budget.ceiling < resident => Finding::warning(
            NAME,
            format!("{} are in use, above the ceiling of {ceiling}", mib(resident)),
        ),
        (Some(total), _) if total / 4 * 3 < budget.ceiling => Finding::warning(
            NAME,
            format!("a ceiling of {ceiling} leaves little of {} to the system", mib(total)),
        ),
        (total, resident) => {
            let of = total.map_or_else(String::new, |total| format!(" of {}", mib(total)));
            let used = resident.map_or_else(String::new, |r| format!(", {} in use", mib(r)));
            Finding::good(NAME, format!("the ceiling is {ceiling}{of}{used}"))
        }
    };
    finding.with(figures)
}

pub(super) fn open_files(config: &Config, status: Option<&Value>) -> Finding {
    const NAME: &str = "open files";
    let connections = config.budget().map_or(0, |budget| budget.connections as u64);
    let wanted = connections + OPEN_FILES_BESIDE_CONNECTIONS;
    let limit = match status {
        Some(_) => {
            let limits = fs::read_to_string(format!("/proc/{}/limits", process(status)));
            let limits = limits.unwrap_or_default();
            let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        }
        // The server raises the soft limit itself.
        None => getrlimit(Resource::Nofile).maximum,
    };
    match limit {
        Some(limit) if limit < wanted => Finding::warning(
            NAME,
            format!(
                "{limit} are allowed and {wanted} wanted for {connections} connections: raise \
                 LimitNOFILE= or lower limits.connections"
            ),
        ),
        _ => Finding::good(NAME, format!("enough for {connections} connections")),
    }
}

/// Whose limits count: the server's, or those of whoever would start it.
fn process(status: Option<&Value>) -> String {
    let pid = status.and_then(|status| status["pid"].as_u64());
    pid.map_or_else(|| "self".into(), |pid| pid.to_string())
}

fn mib(bytes: u64) -> String {
    match bytes {
        0..=0xF_FFFF => format!("{} KiB", bytes >> 10),
        0x10_0000..=0x2_7FFF_FFFF => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}
