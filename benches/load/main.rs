//! Measures msimd and, where they are installed, Prosody, ejabberd, ngIRCd and mosquitto: the same
//! steps, the same load program, one machine, one run. `benches/README.md` says what the rows are.
//!
//! - Talks to the loopback only, and to servers that it started itself.
//! - A server runs in a directory of its own, is ended by its process id, and leaves nothing behind.
//! - One thread, so that what it takes from the machine is the same for every server.
//! - Not a part of msimd's binary, which has no use for the others' protocols.

mod bare;
mod goals;
mod lanes;
mod link;
mod machine;
mod peer;
mod plan;
mod report;
mod rows;
mod server;
mod sheet;
mod stage;
mod talk;
mod text;
mod tree;
mod yard;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::peer::Peer;
use self::plan::{Options, Plan, Row, Sub};
use self::report::Report;
use self::rows::{fanout, history, idle, lost, rate, send, size};
use self::sheet::{Column, Sheet};
use self::stage::Ground;
use self::text::Clock;

fn main() -> ExitCode {
    let options: Options = argh::from_env();
    let done = match &options.bare {
        Some(Sub::Bare(bare)) => bare::run(bare).map(|()| true),
        None => run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::from(2)
        }
    }
}

/// False when a row could not be measured.
fn run(options: &Options) -> Result<bool, String> {
    let plan = Plan::from(options)?;
    machine::set_file_limit();
    let mut sheet = Sheet::new(plan.left_out.is_some());
    machine::describe(&mut sheet, &plan);
    // Not after an hour.
    if let Some(place) = &options.publish {
        sheet.publish(&page(place)?)?;
    }
    let (clock, began) = (Clock::new(), Instant::now());
    for peer in &plan.peers {
        if let Err(why) = peer.program(&plan.own) {
            eprintln!("load: {} is skipped: {why}", peer.name);
            sheet.note(&peer.title, format!("skipped, {why}"));
            continue;
        }
        sheet.column(column(peer, &plan.own, options.commit.as_deref()));
        let (own, parent, looks) = (plan.own.as_path(), plan.dir.as_path(), plan.looks);
        let report = Report::default();
        let ground = Ground { peer, own, parent, clock: &clock, report: &report, looks };
        for row in plan.rows(peer) {
            let began = Instant::now();
            clock.allow(plan.row_max);
            let measured = measure(*row, ground, &plan, &mut sheet);
            for what in report.take() {
                sheet.remark(format!("{}, {}: {what}", peer.title, row.name()));
            }
            let took = began.elapsed().as_secs_f64();
            eprintln!("load: {} {} took {took:.1} s", peer.name, row.name());
            if let Err(why) = measured {
                sheet.gap(format!("{} of {}: {why}", row.name(), peer.title));
                // One that did not start for this row would not start for the next.
                if !report.was_ever_up() {
                    break;
                }
            }
            save(options, &sheet)?;
        }
    }
    sheet.note("all of it took", minutes(began.elapsed()));
    save(options, &sheet)?;
    print!("{}", sheet.markdown());
    if let Some(place) = &options.publish {
        fs::write(place, sheet.publish(&page(place)?)?)
            .map_err(|e| format!("cannot write {}: {e}", place.display()))?;
    }
    Ok(sheet.gaps() == 0)
}

fn page(place: &Path) -> Result<String, String> {
    fs::read_to_string(place).map_err(|e| format!("cannot read {}: {e}", place.display()))
}

fn minutes(time: Duration) -> String {
    format!("{:.1} minutes", time.as_secs_f64() / 60.0)
}

fn column(peer: &Peer, own: &Path, commit: Option<&str>) -> Column {
    let version = match &peer.package {
        Some(package) => size::version(package),
        None if peer.is_bare() => None,
        None => machine::version(own).map(|version| match commit {
            Some(commit) => format!("{version}, commit {commit}"),
            None => version,
        }),
    };
    Column {
        name: peer.name.clone(),
        title: peer.title.clone(),
        version: version.unwrap_or_default(),
        synced: peer.synced.clone(),
        hash: peer.hash.clone(),
        note: peer.note.clone(),
    }
}

fn measure(row: Row, ground: Ground<'_>, plan: &Plan, sheet: &mut Sheet) -> Result<(), String> {
    match row {
        Row::Size => size::measure(ground.peer, ground.own, sheet),
        Row::Idle => idle::measure(ground, sheet),
        Row::Wakes => idle::wakes(ground, plan.idling, sheet),
        Row::Start => idle::start(ground, sheet),
        Row::Held => idle::hold(ground, plan.connections, false, sheet),
        Row::HeldTls => idle::hold(ground, plan.connections, true, sheet),
        Row::Send => send::measure(ground, &plan.pairs, plan.time, sheet),
        Row::Syncs => send::count_syncs(ground, &plan.pairs, plan.time, sheet),
        Row::FanOut => plan
            .members
            .iter()
            .try_for_each(|members| fanout::measure(ground, *members, plan.time, sheet)),
        Row::Rate => rate::measure(ground, plan.time, sheet),
        Row::History => history::measure(ground, plan.amount, plan.time, sheet),
        Row::Behind => history::behind(ground, plan.amount, sheet),
        Row::Lost => lost::measure(ground, plan.time, sheet),
    }
}

/// What there is so far: a run of half an hour may be cut short.
fn save(options: &Options, sheet: &Sheet) -> Result<(), String> {
    for (place, text) in [(&options.markdown, sheet.markdown()), (&options.json, sheet.json())] {
        if let Some(place) = place {
            fs::write(place, text).map_err(|e| format!("cannot write {}: {e}", place.display()))?;
        }
    }
    Ok(())
}
