//! The machine that the figures are of.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::plan::Plan;
use crate::sheet::Sheet;

/// What the figures mean nothing without.
pub(crate) fn describe(sheet: &mut Sheet, plan: &Plan) {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = read("/proc/cpuinfo");
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("", |(_, name)| name);
    sheet.note("machine", format!("{} {model}, {cores} cores", std::env::consts::ARCH));
    let kernel = read("/proc/sys/kernel/osrelease");
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.unwrap_or_default().trim_matches('"');
    sheet.note("system", format!("Linux {}, {name}", kernel.trim()));
    sheet.note("date", said(Command::new("date").arg("+%Y-%m-%d")));
    let filesystem = said(Command::new("stat").args(["-f", "-c", "%T"]).arg(&plan.dir));
    if filesystem == "tmpfs" {
        eprintln!("load: {} is a tmpfs: nothing is durable there", plan.dir.display());
    }
    sheet.note("file system", filesystem);
    let load = read("/proc/loadavg");
    sheet.note("load average before", load.split(' ').next().unwrap_or_default());
    let seconds = plan.time.as_secs_f64();
    sheet.note("measured", format!("{seconds} s a row; texts of 100 bytes; loopback"));
}

/// What a program says of its version.
pub(crate) fn version(program: &Path) -> Option<String> {
    let words = said(Command::new(program).arg("--version"));
    words.split_whitespace().last().map(str::to_owned)
}

/// Each idle connection is a descriptor here and one in the server, which inherits the limit.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        eprintln!("load: cannot raise the limit of open files: {e}");
    }
}

fn said(command: &mut Command) -> String {
    let out = command.output().map(|out| out.stdout).unwrap_or_default();
    String::from_utf8_lossy(&out).trim().to_owned()
}

fn read(place: &str) -> String {
    fs::read_to_string(place).unwrap_or_default()
}
