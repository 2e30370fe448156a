//! The process's memory: what the allocator is told at the start, giving pages back, and reading
//! how much is in use. `unsafe`, because glibc's knobs are C functions.
//!
//! Why at all: one Argon2 hash takes 19 MiB. glibc raises its mmap threshold to the size of the
//! last large block that was freed, so that from the second hash on the block would come from the
//! heap and stay there for good; a fixed threshold keeps each large block a mapping of its own that
//! goes back to the system when it is freed. Other C libraries do not do this and need nothing.
//!
//! And the start: the kernel maps the program's code in runs of sixteen pages around each one that is
//! used, and most of what a start uses (arguments, configuration, opening) is never used again. More
//! than half of an idle server's resident set would be that.

#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "mallopt, malloc_trim and madvise have no safe wrapper")
)]

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Blocks from this size on are mappings of their own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD_BYTES: i32 = 128 * 1024;
/// Free memory at the end of the heap beyond this goes back by itself.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD_BYTES: i32 = 128 * 1024;
/// Each arena reserves 64 MB of addresses on 64-bit and keeps its own free lists. With two, the
/// carriers and the engine waited for each other in malloc: 85 or 170 us a history page, by chance.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS_MAX: i32 = 4;
/// Trimming walks the whole heap.
const TRIM_EVERY_SECS: u64 = 60;

/// Sets the allocator up. Call it first thing, before any thread is started.
pub fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers and touches only the allocator's own settings. A failure
    // (it returns 0) leaves the defaults, which cost memory and nothing else.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
    }
}

/// Gives free memory back to the system; after a crowd has left, or a burst has been stored. Does
/// nothing when it did so less than a minute ago.
pub fn trim() {
    if due(&LAST_TRIM_SECS, uptime_secs()) {
        give_back();
    }
}

/// Lets go of the program's code as far as the start has used it; what goes on being used comes back
/// from the page cache by itself, a few dozen times for a few microseconds each. Call it once, when
/// everything runs.
pub fn forget_start() {
    #[cfg(target_os = "linux")]
    for (start, length) in code(&fs::read_to_string("/proc/self/maps").unwrap_or_default()) {
        // SAFETY: the range is a whole mapping that this process has just been told of. It is
        // private, mapped from a file and not writable, so its pages are the file's own and are read
        // from there again when they are next needed; nothing can be lost, whoever runs in it.
        unsafe {
            libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

/// Mappings of code from files, of a text like `/proc/self/maps`: first byte and length. Only what is
/// executable: a mapping that is merely readable may have been written to before (relocations).
#[cfg(target_os = "linux")]
fn code(maps: &str) -> Vec<(usize, usize)> {
    let mapping = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let is_code = words.next()? == "r-xp";
        let is_file = words.nth(3)?.starts_with('/');
        let address = |text| usize::from_str_radix(text, 16).ok();
        let (start, end) = (address(start)?, address(end)?);
        (is_code && is_file).then_some((start, end.checked_sub(start)?))
    };
    maps.lines().filter_map(mapping).collect()
}

/// The process's resident set in bytes; `None` where /proc does not say.
pub fn resident() -> Option<u64> {
    // In kibibytes, where statm counts pages of a size that would have to be asked for.
    kib_of("VmRSS:", &fs::read_to_string("/proc/self/status").ok()?)
}

/// The memory that this process may hope for: the machine's, or the control group's limit where
/// that is lower (a container, `MemoryMax=` of a service). `None` where /proc does not say.
pub fn total() -> Option<u64> {
    total_of("self")
}

/// The same for the process with this number.
pub fn total_of(process: &str) -> Option<u64> {
    let machine = kib_of("MemTotal:", &fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(group_limit(process).map_or(machine, |limit| limit.min(machine)))
}

static LAST_TRIM_SECS: AtomicU64 = AtomicU64::new(0);

fn due(last: &AtomicU64, now: u64) -> bool {
    let before = last.load(Ordering::Relaxed);
    now >= before + TRIM_EVERY_SECS
        && last.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// Seconds since the first call, plus a minute so that the first trim is never too early.
fn uptime_secs() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs() + TRIM_EVERY_SECS
}

fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time from any thread; it only returns free pages.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The bytes of a line such as `VmRSS:     1234 kB`.
fn kib_of(name: &str, text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Control groups version 2 only; the limits of the groups above count as well.
fn group_limit(process: &str) -> Option<u64> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let own = groups.lines().find_map(|l| l.strip_prefix("0::/"))?;
    let mut lowest: Option<u64> = None;
    let mut path = std::path::PathBuf::from("/sys/fs/cgroup").join(own);
    while path.starts_with("/sys/fs/cgroup") {
        let limit = fs::read_to_string(path.join("memory.max")).ok();
        // "max" stands for no limit and does not parse.
        if let Some(limit) = limit.and_then(|t| t.trim().parse().ok()) {
            lowest = Some(lowest.map_or(limit, |l| l.min(limit)));
        }
        if !path.pop() {
            break;
        }
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_from_meminfo() {
        let text = "MemTotal:         439332 kB\nMemFree:           12345 kB\n";
        assert_eq!(kib_of("MemTotal:", text), Some(439_332 * 1024));
        assert_eq!(kib_of("MemTotal:", "MemFree: 1 kB"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_code_from_files_is_forgotten() {
        let maps = "\
            55d0-55e0 r--p 00000000 fe:00 1   /usr/bin/msimd\n\
            55e0-56f0 r-xp 00010000 fe:00 1   /usr/bin/msimd\n\
            56f0-5700 rw-p 00120000 fe:00 1   /usr/bin/msimd\n\
            7f00-7f10 r-xp 00000000 00:00 0 \n\
            7f20-7f40 r-xp 00000000 fe:00 2   /usr/lib/libc.so.6\n\
            7ff0-7ff8 r-xp 00000000 00:00 0   [vdso]\n";
        assert_eq!(code(maps), [(0x55e0, 0x110), (0x7f20, 0x20)]);
        // Whoever runs in it goes on.
        forget_start();
        assert_eq!(code("").len(), 0);
    }

    #[test]
    fn a_trim_is_due_once_a_minute() {
        let last = AtomicU64::new(0);
        assert!(due(&last, 60));
        assert!(!due(&last, 60));
        assert!(!due(&last, 119));
        assert!(due(&last, 120));
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn a_large_block_goes_back_to_the_system_each_time() {
        set_up();
        // Three times: it is the second and later blocks that glibc would keep by itself.
        for _ in 0..3 {
            let block = std::hint::black_box(vec![1_u8; 64 << 20]);
            let held = resident().expect("/proc is there");
            drop(block);
            let left = resident().expect("/proc is there");
            // Other tests allocate at the same time, though not so much within a moment.
            assert!(left + (32 << 20) < held, "{held} held, {left} left");
        }
    }
}
