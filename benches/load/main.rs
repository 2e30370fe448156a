//! Measures msimd and, where they are installed, Prosody, ejabberd, ngIRCd and mosquitto: the same
//! steps, the same load program, one machine, one run. `benches/README.md` says what the rows are.
//!
//! - Talks to the loopback only, and to servers that it started itself.
//! - A server runs in a directory of its own, is ended by its process id, and leaves nothing behind.
//! - One thread, so that what it takes from the machine is the same for every server.
//! - Not a part of msimd's binary, which has no use for the others' protocols.

mod bare;
mod lanes;
mod link;
mod machine;
mod peer;
mod plan;
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
use std::time::Instant;

use self::peer::Peer;
use self::plan::{Options, Plan, Row, Sub};
use self::rows::{fanout, history, idle, lost, rate, send, size};
use self::server::Way;
use self::sheet::{Column, Sheet};
use self::stage::{Ground, Stage};
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
    machine::raise_file_limit();
    let mut sheet = Sheet::default();
    machine::describe(&mut sheet, &plan);
    let clock = Clock::new();
    for peer in &plan.peers {
        if let Err(why) = peer.program(&plan.own) {
            eprintln!("load: {} is skipped: {why}", peer.name);
            sheet.note(&peer.title, format!("skipped, {why}"));
            continue;
        }
        sheet.column(column(peer, &plan.own));
        let (own, parent, looks) = (plan.own.as_path(), plan.dir.as_path(), plan.looks);
        let ground = Ground { peer, own, parent, clock: &clock, looks };
        // One that does not start would not start for any row.
        if let Err(why) = Stage::new(ground, Way::Plain) {
            sheet.gap(format!("{}: {why}", peer.title));
            continue;
        }
        for row in if peer.variant { &plan.variant_rows } else { &plan.rows } {
            let began = Instant::now();
            if let Err(why) = measure(*row, ground, &plan, &mut sheet) {
                sheet.gap(format!("{} of {}: {why}", row.name(), peer.title));
            }
            let took = began.elapsed().as_secs_f64();
            eprintln!("load: {} {} took {took:.1} s", peer.name, row.name());
            save(options, &sheet)?;
        }
    }
    print!("{}", sheet.markdown());
    if let Some(place) = &options.publish {
        let page = fs::read_to_string(place)
            .map_err(|e| format!("cannot read {}: {e}", place.display()))?;
        fs::write(place, sheet.publish(&page)?)
            .map_err(|e| format!("cannot write {}: {e}", place.display()))?;
    }
    Ok(sheet.gaps() == 0)
}

fn column(peer: &Peer, own: &Path) -> Column {
    let version = match &peer.package {
        Some(package) => size::version(package),
        None if peer.is_bare() => None,
        None => machine::version(own),
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
