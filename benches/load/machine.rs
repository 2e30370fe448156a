//! The machine that the figures are of.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::plan::Plan;
use crate::sheet::Sheet;

/// Open files of this program and of a server: more than any row needs.
const FILES: u64 = 16_384;

/// Words in the options of a mount that say what becomes of a sync.
const WRITING: [&str; 4] = ["barrier", "data=", "sync", "compress"];

/// What the figures mean nothing without.
pub(crate) fn describe(sheet: &mut Sheet, plan: &Plan) {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = read("/proc/cpuinfo");
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("", |(_, name)| name);
    let memory = memory(&read("/proc/meminfo")).unwrap_or_default();
    let arch = std::env::consts::ARCH;
    sheet.note("machine", format!("{arch} {model}, {cores} cores, {memory:.1} GiB of memory"));
    let kernel = read("/proc/sys/kernel/osrelease");
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.unwrap_or_default().trim_matches('"');
    sheet.note("system", format!("Linux {}, {name}", kernel.trim()));
    sheet.note("date", said(Command::new("date").arg("+%Y-%m-%d")));
    let dir = plan.dir.canonicalize().unwrap_or_else(|_| plan.dir.clone());
    let mount = mount(&read("/proc/self/mountinfo"), &dir).unwrap_or_default();
    if mount.kind == "tmpfs" {
        eprintln!("load: {} is a tmpfs: nothing is durable there", plan.dir.display());
    }
    sheet.note("file system", format!("{}{}", mount.kind, disk(&mount)));
    let load = read("/proc/loadavg");
    sheet.note("load average before", load.split(' ').next().unwrap_or_default());
    let seconds = plan.time.as_secs_f64();
    if let Some(left_out) = &plan.left_out {
        sheet.note("left out", left_out);
    }
    sheet.note("measured", format!("{seconds} s a row; texts of 100 bytes; loopback"));
}

/// Where files lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mount {
    kind: String,
    /// Those of its options that say how it writes.
    options: Vec<String>,
    source: String,
    /// Major and minor number, as under `/sys/dev/block`.
    device: String,
}

/// The mount that a directory lies in. `stat` knows file systems by a number that ext4 shares with
/// its forebears; here they have their names.
fn mount(info: &str, dir: &Path) -> Option<Mount> {
    let mut found: Option<(usize, Mount)> = None;
    for line in info.lines() {
        let Some((place, what)) = line.split_once(" - ") else { continue };
        let place: Vec<&str> = place.split(' ').collect();
        let (Some(device), Some(point)) = (place.get(2), place.get(4)) else { continue };
        let mut what = what.split(' ').map(str::to_owned);
        let (Some(kind), Some(source), Some(options)) = (what.next(), what.next(), what.next())
        else {
            continue;
        };
        // Of two at one place the later lies above.
        let length = point.len();
        if dir.starts_with(point) && found.as_ref().is_none_or(|(longest, _)| length >= *longest) {
            let (device, options) = ((*device).to_owned(), options.split(','));
            let options = options.filter(|option| WRITING.iter().any(|w| option.contains(w)));
            let options = options.map(str::to_owned).collect();
            found = Some((length, Mount { kind, options, source, device }));
        }
    }
    found.map(|(_, mount)| mount)
}

/// The disk under it, as far as the kernel tells: a partition's is one directory up.
fn disk(mount: &Mount) -> String {
    let place = Path::new("/sys/dev/block").join(&mount.device);
    let of = |what: &str| {
        let found = [place.join(what), place.join("..").join(what)];
        let text = found.iter().find_map(|place| fs::read_to_string(place).ok());
        text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let options: String = mount.options.iter().map(|option| format!(", {option}")).collect();
    if !mount.source.starts_with("/dev/") {
        return options;
    }
    let model = of("device/model").map(|model| format!(", {model}")).unwrap_or_default();
    let cache = of("queue/write_cache").map(|cache| format!(", {cache} cache")).unwrap_or_default();
    format!("{options} on {}{model}{cache}", mount.source)
}

/// All memory in GiB.
fn memory(info: &str) -> Option<f64> {
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0 / 1024.0)
}

/// What a program says of its version.
pub(crate) fn version(program: &Path) -> Option<String> {
    let words = said(Command::new(program).arg("--version"));
    words.split_whitespace().last().map(str::to_owned)
}

/// Each idle connection is a descriptor here and one in the server, which inherits the limit. Where
/// nothing limits them a server may close or make room for a billion of them at its start.
pub(crate) fn set_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.map_or(FILES, |maximum| maximum.min(FILES));
    let raised = Rlimit { current: Some(enough), maximum: Some(enough) };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        eprintln!("load: cannot set the limit of open files: {e}");
    }
}

fn said(command: &mut Command) -> String {
    let out = command.output().map(|out| out.stdout).unwrap_or_default();
    String::from_utf8_lossy(&out).trim().to_owned()
}

fn read(place: &str) -> String {
    fs::read_to_string(place).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lies_in_the_nearest_mount_above_it() {
        let info = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,nobarrier\n\
                    30 22 0:25 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1024k\n\
                    31 22 8:1 / /tmpish rw - xfs /dev/sda1 rw\n\
                    not a mount\n";
        let kind = |dir: &str| mount(info, Path::new(dir)).map(|mount| mount.kind);
        assert_eq!(kind("/tmp/x").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/home/x").as_deref(), Some("ext4"));
        let root = mount(info, Path::new("/")).unwrap();
        assert_eq!((root.source.as_str(), root.device.as_str()), ("/dev/vda", "254:0"));
        assert_eq!(root.options, ["nobarrier"]);
        assert_eq!(mount("", Path::new("/")), None);
    }

    #[test]
    fn memory_is_told_in_gib() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:       2097152 kB\n"), Some(2.0));
        assert_eq!(memory("nothing"), None);
    }
}
