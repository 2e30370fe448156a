//! What the kernel says of a process: processor time, bytes written, memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The kernel reports processor time in hundredths of a second to programs on every machine that
/// this server is built for (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads, ended ones included.
    pub cpu: Duration,
    /// Bytes handed to write calls on files. Sockets are written with other calls.
    pub asked: u64,
    /// Bytes that these calls made the block layer write.
    pub stored: u64,
}

/// What a process holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident set, `VmRSS`.
    pub resident: u64,
    /// The same with shared pages divided among who shares them, `Pss`.
    pub proportional: u64,
}

impl Usage {
    /// `pid` 0 is this process.
    pub fn of(pid: u32) -> Result<Usage, String> {
        let stat = read(&place(pid).join("stat"))?;
        let cpu = cpu_in(&stat).ok_or_else(|| format!("cannot read processor time: {stat}"))?;
        // Another user's process shows its time but not its bytes.
        let io = std::fs::read_to_string(place(pid).join("io")).unwrap_or_default();
        let asked = field(&io, "wchar:").unwrap_or(0);
        let stored = field(&io, "write_bytes:").unwrap_or(0);
        Ok(Usage { cpu, asked, stored })
    }

    pub fn since(&self, before: &Usage) -> Usage {
        Usage {
            cpu: self.cpu.saturating_sub(before.cpu),
            asked: self.asked.saturating_sub(before.asked),
            stored: self.stored.saturating_sub(before.stored),
        }
    }
}

impl Memory {
    pub fn of(pid: u32) -> Result<Memory, String> {
        let status = read(&place(pid).join("status"))?;
        let rollup = read(&place(pid).join("smaps_rollup"))?;
        let resident = field(&status, "VmRSS:").ok_or("no VmRSS in /proc")?;
        let proportional = field(&rollup, "Pss:").ok_or("no Pss in /proc")?;
        Ok(Memory { resident: resident * 1024, proportional: proportional * 1024 })
    }
}

fn place(pid: u32) -> PathBuf {
    match pid {
        0 => "/proc/self".into(),
        pid => format!("/proc/{pid}").into(),
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// Fields 14 and 15 of `/proc/PID/stat`. The second field is the program's name, which may itself
/// hold spaces and brackets.
fn cpu_in(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user + TICK * system)
}

/// The first number of the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_name_with_brackets() {
        let stat = "77 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 3 0";
        assert_eq!(cpu_in(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_in("77 (x) S 1"), None);
    }

    #[test]
    fn fields_are_found_by_name() {
        let io = "rchar: 1\nwchar: 42\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!(field(io, "write_bytes:"), Some(4096));
        assert_eq!(field("VmRSS:\t  123 kB\n", "VmRSS:"), Some(123));
        assert_eq!(field(io, "none:"), None);
    }

    #[test]
    fn this_process_has_memory_and_writes_bytes() {
        assert!(Memory::of(0).unwrap().resident > 100_000);
        let before = Usage::of(0).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[1; 100_000]).unwrap();
        assert!(Usage::of(0).unwrap().since(&before).asked >= 100_000);
    }
}
