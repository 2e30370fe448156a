//! A server at rest: memory with nobody there, memory of idle connections, what a login takes, how
//! often it wakes, and how long it takes to start.

use std::time::{Duration, Instant};

use msimd::bench::usage::Memory;

use super::{KIB, MIB, NEVER_STOPPED};
use crate::peer::Tls;
use crate::server::Way;
use crate::sheet::Sheet;
use crate::stage::{Ground, Stage, logins};

/// Connections that come and go before memory is read.
const VISITORS: usize = 64;
/// Logins whose processor time is taken.
const LOGINS: usize = 128;
/// Starts on an empty server; the table shows their median.
const STARTS: usize = 5;
/// Sessions that are idle while wake-ups are counted.
const SLEEPERS: usize = 100;
/// Between two looks at memory.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS_MAX: usize = 40;

pub(crate) fn measure(ground: Ground<'_>, sheet: &mut Sheet) -> Result<(), String> {
    if ground.peer.is_bare() {
        // It would be this program's own size.
        return Ok(());
    }
    let mut stage = Stage::new(ground, Way::Plain)?;
    // The account of whoever knocks is made; what making it took is not a server at rest.
    stage.restart(false)?;
    let memory = rest(&mut stage, ground.looks)?;
    let peer = &ground.peer.name;
    sheet.add(peer, "idle", "RSS", memory.resident as f64 / MIB, "MiB");
    if memory.proportional > 0 {
        sheet.add(peer, "idle", "PSS", memory.proportional as f64 / MIB, "MiB");
    }
    Ok(())
}

pub(crate) fn start(ground: Ground<'_>, sheet: &mut Sheet) -> Result<(), String> {
    let mut stage = Stage::new(ground, Way::Plain)?;
    for (kill, what) in [
        (false, "to the first login, empty, after a stop"),
        (true, "to the first login, empty, after kill -9"),
    ] {
        let mut times = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let restart = stage.restart(kill)?;
            // One that had to be killed is none that was stopped.
            if kill || restart.in_order {
                times.push(restart.took);
            }
        }
        times.sort_unstable();
        match times.get(times.len() / 2) {
            Some(time) => {
                let millis = time.as_secs_f64() * 1e3;
                sheet.add(&ground.peer.name, "start", what, millis, "ms");
            }
            None => sheet.say(&ground.peer.name, "start", what, NEVER_STOPPED),
        }
    }
    Ok(())
}

pub(crate) fn hold(
    ground: Ground<'_>,
    count: usize,
    tls: bool,
    sheet: &mut Sheet,
) -> Result<(), String> {
    let row = if tls { "held-tls" } else { "held" };
    if tls && ground.peer.tls == Tls::None {
        return Ok(());
    }
    let mut stage = Stage::new(ground, if tls { Way::Secure } else { Way::Plain })?;
    let (people, visitors) = (logins('c', count), logins('v', VISITORS.min(count)));
    stage.enter(&visitors)?;
    stage.enter(&people)?;
    // Making the accounts leaves pages and garbage that are no connection's.
    stage.restart(false)?;
    stage.arrive(&visitors, tls, false)?;
    stage.clear()?;
    let before = rest(&mut stage, ground.looks)?;
    stage.arrive(&people, tls, false)?;
    let holding = rest(&mut stage, ground.looks)?;
    let each = (holding.resident as f64 - before.resident as f64) / KIB / count as f64;
    let peer = &ground.peer.name;
    sheet.add(peer, row, &format!("RSS an idle connection ({count})"), each, "KiB");
    stage.clear()?;
    rest(&mut stage, ground.looks)?;
    stage.forget_tokens();
    let some = &people[..count.min(LOGINS)];
    let used = stage.server.usage()?;
    stage.arrive(some, tls, false)?;
    let used = stage.server.usage()?.since(&used);
    let micros = used.cpu.as_secs_f64() * 1e6 / some.len() as f64;
    sheet.add(peer, row, "server CPU a login", micros, "µs");
    Ok(())
}

pub(crate) fn wakes(ground: Ground<'_>, time: Duration, sheet: &mut Sheet) -> Result<(), String> {
    let mut stage = Stage::new(ground, Way::Plain)?;
    stage.enter(&logins('c', SLEEPERS))?;
    rest(&mut stage, ground.looks)?;
    let pids = stage.server.pids();
    let (sleeps, used, began) = (crate::tree::sleeps(&pids), stage.server.usage()?, Instant::now());
    let mut words = Vec::new();
    while began.elapsed() < time {
        stage.yard.turn(time.saturating_sub(began.elapsed()), &mut words)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let woken = crate::tree::sleeps(&pids).saturating_sub(sleeps) as f64 / seconds;
    let used = stage.server.usage()?.since(&used);
    let peer = &ground.peer.name;
    sheet.add(peer, "wakes", "wake-ups with 100 idle sessions", woken, "/s");
    let cpu = used.cpu.as_secs_f64() * 1e3 / seconds;
    sheet.add(peer, "wakes", "CPU with 100 idle sessions", cpu, "ms/s");
    Ok(())
}

/// Memory once it has stopped changing by more than a page or two. Whatever the server says
/// meanwhile is read.
fn rest(stage: &mut Stage<'_>, looks: usize) -> Result<Memory, String> {
    let mut memory = stage.server.memory()?;
    let mut equal = 0;
    let mut words = Vec::new();
    for _ in 0..LOOKS_MAX {
        let began = Instant::now();
        while began.elapsed() < LOOK {
            stage.yard.turn(LOOK.saturating_sub(began.elapsed()), &mut words)?;
        }
        let now = stage.server.memory()?;
        equal = if now.resident.abs_diff(memory.resident) <= 16 * 1024 { equal + 1 } else { 0 };
        memory = now;
        if equal >= looks {
            break;
        }
    }
    Ok(memory)
}
