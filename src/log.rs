//! The log: one line an event to standard error, `level target: message key=value`.
//!
//! **No secrets and no message texts:** sessions, passwords and texts have no `Display`, and
//! whoever logs names things by number or address. Control characters are escaped, so that nothing
//! a client chose can begin a line of its own.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use ::log::{Level, LevelFilter, Log, Metadata, Record};

/// What `log = "…"` may say.
pub const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

/// A line stays below what journald takes in one piece.
const LINE_BYTES_MAX: usize = 4096;

/// Starts logging; later calls only change the level.
pub fn set_up(level: &str) {
    PREFIXED.store(goes_to_journal(), Ordering::Relaxed);
    // An error means that a log is set up already, which is this one.
    let _ = ::log::set_logger(&LINES);
    set_level(level);
}

/// Changes the level at run time; what is no level counts as "info".
pub fn set_level(level: &str) {
    ::log::set_max_level(match level {
        "error" => LevelFilter::Error,
        "warn" => LevelFilter::Warn,
        "debug" => LevelFilter::Debug,
        _ => LevelFilter::Info,
    });
}

#[derive(Debug)]
struct Lines;

static LINES: Lines = Lines;
/// Whether lines begin with the priority that journald takes off again.
static PREFIXED: AtomicBool = AtomicBool::new(false);

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Of libraries only what needs somebody's attention.
        metadata.level() <= ::log::max_level()
            && (metadata.level() <= Level::Warn || metadata.target().starts_with("msimd"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(record, PREFIXED.load(Ordering::Relaxed));
            // One write a line; a log that cannot be written is nobody's reason to stop.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn line(record: &Record<'_>, prefixed: bool) -> String {
    let mut raw = String::with_capacity(128);
    let target = record.target();
    let target = target.strip_prefix("msimd::").unwrap_or(target);
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    // Writing to a String does not fail.
    let _ = write!(raw, "{level} {target}: {}", record.args());

    let mut line = String::with_capacity(raw.len() + 8);
    if prefixed {
        line.push_str(priority(record.level()));
    }
    for c in raw.chars() {
        if line.len() > LINE_BYTES_MAX {
            line.push('…');
            break;
        }
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

/// The priorities of sd-daemon(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Whether standard error is the journal's own socket: `JOURNAL_STREAM` names it by device and
/// inode, because the variable is inherited by children whose standard error is something else.
fn goes_to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(level: Level, target: &str, message: &str, prefixed: bool) -> String {
        let args = format_args!("{message}");
        line(&Record::builder().level(level).target(target).args(args).build(), prefixed)
    }

    #[test]
    fn a_line_names_level_target_and_message() {
        assert_eq!(
            check(Level::Info, "msimd::net::accept", "opened door=tcp", false),
            "info net::accept: opened door=tcp\n"
        );
        assert_eq!(check(Level::Error, "msimd", "x", true), "<3>error msimd: x\n");
    }

    #[test]
    fn a_client_cannot_begin_a_line_of_its_own() {
        let forged = check(Level::Warn, "msimd", "login=a\n<3>error msimd: \u{1b}[31mfire", false);
        assert_eq!(forged.matches('\n').count(), 1);
        assert!(!forged.contains('\u{1b}'));
    }

    #[test]
    fn a_long_line_is_cut() {
        assert!(check(Level::Info, "msimd", &"x".repeat(100_000), false).len() < 5000);
    }

    #[test]
    fn libraries_are_heard_from_warnings_on() {
        ::log::set_max_level(LevelFilter::Debug);
        let enabled =
            |level, target| LINES.enabled(&Metadata::builder().level(level).target(target).build());
        assert!(enabled(Level::Debug, "msimd::engine"));
        assert!(!enabled(Level::Debug, "tiny_http"));
        assert!(enabled(Level::Warn, "tiny_http"));
    }
}
