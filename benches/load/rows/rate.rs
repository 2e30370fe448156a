//! An open loop: messages are due at fixed times, whether or not those before have come. What a
//! server holds is the highest rate at which 99 of 100 are heard within 100 ms of when they were
//! due, and all of them in the end.

use std::time::Duration;

use msimd::bench::histogram::Histogram;

use super::send::pairs;
use crate::lanes::Lane;
use crate::server::Way;
use crate::sheet::Sheet;
use crate::stage::{Ground, Stage};
use crate::talk::Heard;
use crate::text::{Text, nanos};
use crate::yard::Yard;

const PAIRS: usize = 50;
/// The first rate that is tried.
const FIRST: f64 = 25.0;
/// More than the load program itself can send and read.
const LAST: f64 = 102_400.0;
const BOUND: Duration = Duration::from_millis(100);
/// How long messages may trail behind the last.
const TRAIL: Duration = Duration::from_secs(3);

pub(crate) fn measure(ground: Ground<'_>, time: Duration, sheet: &mut Sheet) -> Result<(), String> {
    let (mut held, mut failed) = (0.0, 0.0);
    let mut rate = FIRST;
    let mut p99 = 0.0;
    let mut stage = None;
    for step in 0.. {
        // After a rate that was too high there is a backlog that the next one should not meet.
        let (mut fresh, lanes) = match stage.take() {
            Some(prepared) => prepared,
            None => {
                let mut fresh = Stage::new(ground, Way::Plain)?;
                let lanes = pairs(&mut fresh, PAIRS)?;
                pour(&mut fresh.yard, &lanes, FIRST, Duration::from_millis(500))?;
                (fresh, lanes)
            }
        };
        match pour(&mut fresh.yard, &lanes, rate, time) {
            Ok(Some(quantile)) if quantile < BOUND => {
                (held, p99) = (rate, quantile.as_secs_f64() * 1e3);
                stage = Some((fresh, lanes));
            }
            Ok(_) => failed = rate,
            // A server that gives its clients up under this has not held it either.
            Err(why) => {
                eprintln!("load: {} at {rate} a second: {why}", ground.peer.name);
                failed = rate;
            }
        }
        if failed == 0.0 && held < LAST {
            rate *= 2.0;
        } else if failed > 0.0 && held > 0.0 && step < 32 && failed / held > 1.2 {
            rate = (held * failed).sqrt();
        } else {
            break;
        }
    }
    let row = "rate";
    if held == 0.0 {
        sheet.say(&ground.peer.name, row, "held with p99 < 100 ms", "less than 25 /s");
        return Ok(());
    }
    sheet.add(&ground.peer.name, row, "held with p99 < 100 ms", held, "/s");
    sheet.add(&ground.peer.name, row, "p99 at that rate", p99, "ms");
    Ok(())
}

/// The latency that 99 of 100 stay within; `None` when messages did not come, or when it was clear
/// before the end that the rate is not held.
fn pour(
    yard: &mut Yard<'_>,
    lanes: &[Lane],
    rate: f64,
    time: Duration,
) -> Result<Option<Duration>, String> {
    let gap = 1e9 / rate;
    let count = (time.as_secs_f64() * rate).ceil() as u64;
    let starts = yard.clock.now();
    let due = |number: u64| starts + (number as f64 * gap) as u64;
    let (mut sent, mut heard) = (0, 0);
    let mut latencies = Histogram::default();
    let mut words = Vec::new();
    let hopeless = nanos(10 * BOUND);
    while heard < count {
        let now = yard.clock.now();
        while sent < count && due(sent) <= now {
            let index = (sent % lanes.len() as u64) as usize;
            let lane = &lanes[index];
            let text = Text { stamp: due(sent), lane: index as u16 };
            yard.say(lane.writer, |talk, out| talk.say(&lane.to, text, out))?;
            sent += 1;
        }
        let late = now.saturating_sub(due(heard));
        if late > hopeless && now > due(count) + nanos(TRAIL) || late > 3 * hopeless {
            return Ok(None);
        }
        let next = if sent < count { due(sent).saturating_sub(now) } else { nanos(BOUND) };
        yard.turn(Duration::from_nanos(next.min(nanos(BOUND))), &mut words)?;
        for word in words.drain(..) {
            if let Heard::Message(text) = word.heard
                && text.stamp >= starts
            {
                heard += 1;
                latencies.add(Duration::from_nanos(word.at.saturating_sub(text.stamp)));
            }
        }
    }
    Ok(Some(latencies.quantile(0.99)))
}
