//! The server's own counters, asked for over its management socket. A server without them, or with
//! other names for them, only leaves cells of the table empty.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the management socket may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Metrics are some kilobytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What the store was asked for since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) commits: u64,
    pub(super) syncs: u64,
}

impl Counters {
    pub(super) fn of(socket: &Path) -> Option<Counters> {
        let text = fetch(socket, "/metrics").ok()?;
        Some(Counters { commits: metric(&text, "commits")?, syncs: metric(&text, "syncs")? })
    }

    pub(super) fn since(&self, before: &Counters) -> Counters {
        Counters {
            commits: self.commits.saturating_sub(before.commits),
            syncs: self.syncs.saturating_sub(before.syncs),
        }
    }
}

/// One HTTP/1.0 request: the server closes after the answer, so its end needs no parsing.
fn fetch(socket: &Path, path: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The sample whose name is `word`, perhaps with a prefix (`msimd_`, `msimd_store_`) and `_total`.
fn metric(text: &str, word: &str) -> Option<u64> {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let name = name.strip_suffix("_total").unwrap_or(name);
        let is_it = name.strip_suffix(word).is_some_and(|p| p.is_empty() || p.ends_with('_'));
        if is_it && let Ok(value) = value.trim().parse::<f64>() {
            return Some(value as u64);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n\
        # HELP msimd_commits_total Durable commits.\n\
        msimd_failed_logins_total 9\n\
        msimd_commits_total 12\n\
        msimd_store_syncs_total 34\n";

    #[test]
    fn metrics_are_found_under_any_prefix() {
        assert_eq!(metric(ANSWER, "commits"), Some(12));
        assert_eq!(metric(ANSWER, "syncs"), Some(34));
        assert_eq!(metric(ANSWER, "ogins"), None);
    }

    #[test]
    fn counters_come_over_a_unix_socket_and_may_be_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        assert_eq!(Counters::of(&path), None);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            assert!(request.starts_with(b"GET /metrics HTTP/1.0\r\n"));
            stream.write_all(ANSWER.as_bytes()).unwrap();
        });
        assert_eq!(Counters::of(&path), Some(Counters { commits: 12, syncs: 34 }));
        server.join().unwrap();
    }
}
