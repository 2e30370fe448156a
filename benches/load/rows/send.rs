//! Pairs: each writer has one who hears it, and writes again once it was heard.

use std::process::Command;
use std::time::Duration;

use super::KIB;
use crate::lanes::{self, Lane, Until};
use crate::server::Way;
use crate::sheet::Sheet;
use crate::stage::{Ground, Stage, logins};

/// How many pairs talk at once.
pub(crate) const PAIRS: [usize; 4] = [1, 16, 50, 256];
/// The pass in which syncs are counted is slow and needs no more.
const TRACED_MAX: Duration = Duration::from_secs(2);

/// So many pairs of people, all of them here.
pub(crate) fn pairs(stage: &mut Stage<'_>, count: usize) -> Result<Vec<Lane>, String> {
    let names = logins('b', count);
    stage.enter(&names)?;
    let writers = stage.enter(&logins('a', count))?;
    stage.yard.settle()?;
    let lane = |(writer, to)| Lane { writer, to, is_room: false, hearers: 1 };
    Ok(writers.into_iter().zip(names).map(lane).collect())
}

pub(crate) fn measure(
    ground: Ground<'_>,
    counts: &[usize],
    time: Duration,
    sheet: &mut Sheet,
) -> Result<(), String> {
    let mut stage = Stage::new(ground, Way::Plain)?;
    for count in counts {
        let lanes = pairs(&mut stage, *count)?;
        let ran = lanes::run(&mut stage, &lanes, Until::Time(time))?;
        stage.clear()?;
        if ran.messages == 0 {
            return Err(format!("with {count} pairs no message came through"));
        }
        let (peer, row) = (&ground.peer.name, &format!("send-{count}"));
        let mut add = |what: &str, figure, unit| sheet.add(peer, row, what, figure, unit);
        add("messages", ran.per_second(ran.messages), "/s");
        add("end to end, p50", ran.millis(0.5), "ms");
        add("end to end, p99", ran.millis(0.99), "ms");
        add("end to end, p99.9", ran.millis(0.999), "ms");
        add("server CPU a message", ran.micros(ran.messages), "µs");
        let written = ran.used.stored as f64 / KIB / ran.messages as f64;
        add("written to the disk a message", written, "KiB");
        let own = ran.own.cpu.as_secs_f64() * 1e6 / ran.messages as f64;
        add("load program's CPU a message", own, "µs");
    }
    Ok(())
}

/// The same under a tracer: only syncs are taken from it.
pub(crate) fn count_syncs(
    ground: Ground<'_>,
    counts: &[usize],
    time: Duration,
    sheet: &mut Sheet,
) -> Result<(), String> {
    let what = "syncs a message (strace)";
    if let Err(why) = can_trace() {
        counts.iter().for_each(|count| {
            sheet.say(&ground.peer.name, &format!("send-{count}"), what, why);
        });
        return Ok(());
    }
    let mut stage = Stage::new(ground, Way::Traced)?;
    for count in counts {
        let lanes = pairs(&mut stage, *count)?;
        let ran = lanes::run(&mut stage, &lanes, Until::Time(time.min(TRACED_MAX)))?;
        stage.clear()?;
        if let Some(syncs) = ran.syncs {
            let each = syncs as f64 / ran.messages.max(1) as f64;
            let row = &format!("send-{count}");
            sheet.add(&ground.peer.name, row, what, each, "");
        }
    }
    Ok(())
}

/// Whether there is a tracer, and whether it may trace: in some containers it may not.
fn can_trace() -> Result<(), &'static str> {
    let try_it = ["-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync", "true"];
    match Command::new("strace").args(try_it).output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(_) => Err("strace may not trace here"),
        Err(_) => Err("no strace"),
    }
}
