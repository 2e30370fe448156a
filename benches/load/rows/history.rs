//! What was said before: filling a history in, reading its newest pages, starting with it, and a
//! device that catches up.

use std::time::{Duration, Instant};

use super::send::pairs;
use super::{KIB, MIB, NEVER_STOPPED};
use crate::lanes::{self, Lane, Until};
use crate::server::Way;
use crate::sheet::Sheet;
use crate::stage::{Ground, Stage, logins};
use crate::talk::{Heard, Keeps};
use msimd::bench::histogram::Histogram;

/// Connections that read, each in a chat of its own, one page at a time.
const READERS: usize = 16;
/// Chats of a device that was away.
const BEHIND_CHATS: usize = 35;
/// Messages of the whole history.
pub(crate) const MESSAGES: u64 = 1_000_000;
/// The line about a start that finds the database as a kill has left it.
pub(crate) const AFTER_KILL: &str = "start with it, after kill -9 in the middle of work";
const NOTHING: &str = "keeps nothing";
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// The load program's own limit in catching up.
const PAGES_MAX: usize = 100_000;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) messages: u64,
    /// The chats that they are in, evenly.
    pub(crate) chats: usize,
    /// Filling ends after this, however few they are.
    pub(crate) filling: Duration,
    /// Messages that a device has missed.
    pub(crate) behind: u64,
}

pub(crate) fn measure(
    ground: Ground<'_>,
    amount: Amount,
    time: Duration,
    sheet: &mut Sheet,
) -> Result<(), String> {
    let (peer, row) = (&ground.peer.name, "history");
    let what = format!("messages in {} chats", amount.chats);
    if ground.peer.tongue()?.keeps() != Keeps::History {
        sheet.say(peer, row, &what, "no history");
        return Ok(());
    }
    let mut stage = Stage::new(ground, Way::Plain)?;
    let lanes = pairs(&mut stage, amount.chats)?;
    let until = Until::Count(amount.messages, amount.filling);
    let filled = lanes::run(&mut stage, &lanes, until)?;
    stage.yard.settle()?;
    stage.clear()?;
    sheet.add(peer, row, &what, filled.messages as f64, "");

    let readers = READERS.min(amount.chats);
    let links = stage.enter(&logins('a', readers))?;
    let paged = page(&mut stage, &links, time)?;
    sheet.add(peer, row, "newest pages of 50", paged.pages as f64 / paged.seconds, "/s");
    sheet.add(peer, row, "server CPU a page", paged.micros, "µs");
    sheet.add(peer, row, "a page, p50", paged.latencies.quantile(0.5).as_secs_f64() * 1e3, "ms");
    sheet.add(peer, row, "a page, p99", paged.latencies.quantile(0.99).as_secs_f64() * 1e3, "ms");
    sheet.add(peer, row, "bytes a page", paged.bytes as f64 / KIB / paged.pages as f64, "KiB");
    if paged.short > 0 {
        sheet.add(peer, row, "pages with fewer than 50", paged.short as f64, "");
    }
    let memory = stage.server.memory()?.resident as f64 / MIB;
    sheet.add(peer, row, "RSS after that", memory, "MiB");

    let (what, restart) = ("start with it, after a stop", stage.restart(false)?);
    match restart.in_order {
        true => sheet.add(peer, row, what, restart.took.as_secs_f64() * 1e3, "ms"),
        false => sheet.say(peer, row, what, NEVER_STOPPED),
    }
    // Something is under way when the power goes.
    let lanes = pairs(&mut stage, readers)?;
    lanes::run(&mut stage, &lanes, Until::Time(Duration::from_millis(500)))?;
    let killed = stage.restart(true)?.took.as_secs_f64() * 1e3;
    sheet.add(peer, row, AFTER_KILL, killed, "ms");
    Ok(())
}

#[derive(Debug)]
struct Paged {
    pages: u64,
    bytes: u64,
    short: u64,
    seconds: f64,
    micros: f64,
    latencies: Histogram,
}

/// Every reader asks for the newest page of its chat, again and again.
fn page(stage: &mut Stage<'_>, links: &[usize], time: Duration) -> Result<Paged, String> {
    let mut asked = vec![0; links.len()];
    let received = |stage: &mut Stage<'_>| -> Result<u64, String> {
        links.iter().map(|link| Ok(stage.yard.link(*link)?.received)).sum()
    };
    for (reader, link) in links.iter().enumerate() {
        asked[reader] = stage.yard.clock.now();
        stage.yard.say(*link, |talk, out| talk.look_back(&format!("b{reader}"), out))?;
    }
    let (warm_up, began) = (lanes::WARM_UP.min(time), Instant::now());
    let mut before = None;
    let mut paged = Paged {
        pages: 0,
        bytes: 0,
        short: 0,
        seconds: 0.0,
        micros: 0.0,
        latencies: Histogram::default(),
    };
    let mut words = Vec::new();
    // Some page comes, however busy the machine.
    while began.elapsed() < warm_up + time
        || (paged.pages == 0 && began.elapsed() < ANSWER_DEADLINE)
    {
        if before.is_none() && began.elapsed() >= warm_up {
            before = Some((stage.server.usage()?, received(stage)?, Instant::now()));
        }
        stage.yard.turn(Duration::from_millis(50), &mut words)?;
        for word in words.drain(..) {
            let Heard::Page { texts, .. } = word.heard else { continue };
            let Some(reader) = links.iter().position(|link| *link == word.link) else { continue };
            if before.is_some() {
                paged.pages += 1;
                paged.short += u64::from(texts.len() < 50);
                paged.latencies.add(Duration::from_nanos(word.at.saturating_sub(asked[reader])));
            }
            asked[reader] = stage.yard.clock.now();
            stage.yard.say(word.link, |talk, out| talk.look_back(&format!("b{reader}"), out))?;
        }
    }
    let (usage, bytes, at) = before.ok_or("no time to read pages")?;
    if paged.pages == 0 {
        return Err("no page was answered".into());
    }
    let used = stage.server.usage()?.since(&usage);
    paged.micros = used.cpu.as_secs_f64() * 1e6 / paged.pages as f64;
    paged.bytes = received(stage)? - bytes;
    paged.seconds = at.elapsed().as_secs_f64();
    stage.clear()?;
    Ok(paged)
}

/// A device that missed messages of 35 chats asks for all of them, with as few requests as its
/// protocol has it.
pub(crate) fn behind(ground: Ground<'_>, amount: Amount, sheet: &mut Sheet) -> Result<(), String> {
    let (peer, row) = (&ground.peer.name, "behind");
    let keeps = ground.peer.tongue()?.keeps();
    if keeps == Keeps::Nothing {
        sheet.say(peer, row, "messages missed, in 35 chats", NOTHING);
        return Ok(());
    }
    let mut stage = Stage::new(ground, Way::Plain)?;
    let device = logins('d', 1);
    stage.arrive(&device, false, keeps == Keeps::Queue)?;
    let hearers = if keeps == Keeps::Queue {
        stage.clear()?;
        0
    } else {
        1
    };
    let writers = stage.enter(&logins('a', BEHIND_CHATS))?;
    stage.yard.settle()?;
    let lane = |writer| Lane { writer, to: device[0].clone(), is_room: false, hearers };
    let lanes: Vec<Lane> = writers.into_iter().map(lane).collect();
    let until = Until::Count(amount.behind, amount.filling);
    let filled = lanes::run(&mut stage, &lanes, until)?;
    stage.yard.settle()?;
    stage.clear()?;
    stage.forget_tokens();

    let caught = catch_up(&mut stage, &device, keeps, filled.messages)?;
    sheet.add(peer, row, "messages missed, in 35 chats", filled.messages as f64, "");
    sheet.add(peer, row, "to have them all", caught.millis, "ms");
    sheet.add(peer, row, "round trips after the login", caught.trips as f64, "");
    sheet.add(
        peer,
        row,
        "bytes received a message",
        caught.bytes as f64 / filled.messages as f64,
        "B",
    );
    let micros = caught.micros / filled.messages as f64;
    sheet.add(peer, row, "server CPU a message", micros, "µs");
    Ok(())
}

#[derive(Debug)]
struct Caught {
    millis: f64,
    trips: u64,
    bytes: u64,
    micros: f64,
}

fn catch_up(
    stage: &mut Stage<'_>,
    device: &[String],
    keeps: Keeps,
    missed: u64,
) -> Result<Caught, String> {
    let (used, began) = (stage.server.usage()?, Instant::now());
    let (mut trips, mut count) = (0, 0);
    let link;
    if keeps == Keeps::Queue {
        // What was kept comes between the login and whatever it is followed by.
        let guest = crate::talk::Guest { lasting: true, ..crate::talk::Guest::named(&device[0]) };
        let door = stage.server.door.clone();
        link = stage.yard.connect(&door, guest)?;
        stage
            .yard
            .count(missed as usize, ANSWER_DEADLINE, |heard| matches!(heard, Heard::Message(_)))?;
    } else {
        link = stage.enter(device)?[0];
        let mut words = Vec::new();
        let mut more = true;
        stage.yard.link(link)?.received = 0;
        while more && trips < PAGES_MAX as u64 {
            stage.yard.say(link, |talk, out| talk.catch_up(out))?;
            trips += 1;
            let mut page = None;
            while page.is_none() {
                if !stage.yard.turn(ANSWER_DEADLINE, &mut words)? {
                    return Err("a page did not come".into());
                }
                page = words.drain(..).find_map(|word| match word.heard {
                    Heard::Page { texts, more } => Some((texts.len(), more)),
                    _ => None,
                });
            }
            if let Some((texts, is_more)) = page {
                count += texts as u64;
                more = is_more;
            }
        }
        if count < missed {
            return Err(format!("{count} of {missed} messages were in the pages"));
        }
    }
    let millis = began.elapsed().as_secs_f64() * 1e3;
    let used = stage.server.usage()?.since(&used);
    let bytes = stage.yard.link(link)?.received;
    Ok(Caught { millis, trips, bytes, micros: used.cpu.as_secs_f64() * 1e6 })
}
