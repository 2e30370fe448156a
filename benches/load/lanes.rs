//! The one loop of all sending rows: every lane has a writer, who writes again once its message has
//! been heard by all who should hear it and, where the protocol acknowledges, was acknowledged.

use std::collections::HashMap;
use std::time::Duration;

use msimd::bench::histogram::Histogram;
use msimd::bench::usage::Usage;

use crate::server::Server;
use crate::stage::Stage;
use crate::talk::Heard;
use crate::text::{Text, nanos};
use crate::yard::{Word, Yard};

/// Before counting begins: buffers have grown, the chats exist.
pub(crate) const WARM_UP: Duration = Duration::from_millis(500);
/// Nothing at all was heard for so long: the row is given up.
const SILENCE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) writer: usize,
    /// A person or, where it is one, a room.
    pub(crate) to: String,
    pub(crate) is_room: bool,
    /// How many hear each message.
    pub(crate) hearers: usize,
}

/// When a run ends, after the warm-up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Time(Duration),
    /// So many messages, or the time, whichever is first; counted without a warm-up.
    Count(u64, Duration),
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) messages: u64,
    /// Copies that were heard.
    pub(crate) heard: u64,
    pub(crate) time: Duration,
    /// From before the write until the last who should hear it has read it.
    pub(crate) latencies: Histogram,
    pub(crate) used: Usage,
    pub(crate) own: Usage,
    /// Calls that waited for the disk, where they were counted.
    pub(crate) syncs: Option<u64>,
    /// Every message that came through, the warm-up's too.
    pub(crate) through: Vec<Text>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    /// Of the message that is on its way.
    stamp: u64,
    copies: usize,
    is_answered: bool,
}

/// Everything that is read at the edges of the measured time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: u64,
    used: Usage,
    own: Usage,
    syncs: Option<u64>,
}

impl Reading {
    fn now(server: &Server<'_>, yard: &Yard<'_>) -> Result<Reading, String> {
        let (syncs, used, own) = (server.syncs(), server.usage()?, Usage::of(0)?);
        Ok(Reading { at: yard.clock.now(), used, own, syncs })
    }
}

/// Runs the lanes. What is on its way at the end is left so.
pub(crate) fn run(stage: &mut Stage<'_>, lanes: &[Lane], until: Until) -> Result<Ran, String> {
    let acknowledges = stage.server.door.tongue.acknowledges();
    let by_writer: HashMap<usize, usize> =
        lanes.iter().enumerate().map(|(index, lane)| (lane.writer, index)).collect();
    let mut progress = vec![Progress::default(); lanes.len()];
    let (mut ran, mut words) = (Ran::nothing(), Vec::new());
    let yard = &mut stage.yard;
    for (index, lane) in lanes.iter().enumerate() {
        progress[index].stamp = write(yard, lane, index)?;
    }
    let warm_up = match until {
        Until::Time(time) => WARM_UP.min(time),
        Until::Count(..) => Duration::ZERO,
    };
    let starts = yard.clock.now() + nanos(warm_up);
    let mut before = None;
    let mut last_word = yard.clock.now();
    let after = loop {
        let now = yard.clock.now();
        if before.is_none() && now >= starts {
            before = Some(Reading::now(&stage.server, yard)?);
        }
        if let Some(before) = &before
            && is_over(until, &ran, lanes.len(), now.saturating_sub(before.at))
        {
            break Reading::now(&stage.server, yard)?;
        }
        if now > last_word + nanos(SILENCE) {
            return Err(format!("nothing was heard for {} s", SILENCE.as_secs()));
        }
        yard.turn(PATIENCE, &mut words)?;
        for Word { link, heard, at } in words.drain(..) {
            last_word = at;
            let index = match heard {
                Heard::Message(text) => usize::from(text.lane),
                Heard::Answered => by_writer.get(&link).copied().unwrap_or(usize::MAX),
                _ => continue,
            };
            let (Some(lane), Some(mine)) = (lanes.get(index), progress.get_mut(index)) else {
                continue;
            };
            match heard {
                // Rooms may repeat to the author what it said.
                Heard::Message(_) if link == lane.writer => continue,
                Heard::Message(text) if text.stamp == mine.stamp => {
                    mine.copies += 1;
                    ran.heard += u64::from(before.is_some());
                }
                Heard::Message(_) => continue,
                _ => mine.is_answered = true,
            }
            if mine.copies < lane.hearers || (acknowledges && !mine.is_answered) {
                continue;
            }
            if before.is_some() {
                ran.messages += 1;
                ran.latencies.add(Duration::from_nanos(at.saturating_sub(mine.stamp)));
            }
            ran.through.push(Text { stamp: mine.stamp, lane: index as u16 });
            *mine = Progress { stamp: write(yard, lane, index)?, ..Progress::default() };
        }
    };
    let before = before.unwrap_or(after);
    ran.time = Duration::from_nanos(after.at - before.at);
    ran.used = after.used.since(&before.used);
    ran.own = after.own.since(&before.own);
    ran.syncs = after.syncs.zip(before.syncs).map(|(after, before)| after - before);
    Ok(ran)
}

/// No time is so short that nothing comes through: on a machine that has other work the first
/// message may take all of it. A count that is not reached in time ends the run, but not before
/// every lane had its turn.
fn is_over(until: Until, ran: &Ran, lanes: usize, ran_for: u64) -> bool {
    match until {
        Until::Time(time) => ran_for >= nanos(time) && ran.messages > 0,
        Until::Count(count, time) => {
            ran.messages >= count || (ran_for >= nanos(time) && ran.messages >= lanes as u64)
        }
    }
}

fn write(yard: &mut Yard<'_>, lane: &Lane, index: usize) -> Result<u64, String> {
    let text = Text { stamp: yard.clock.stamp(), lane: index as u16 };
    yard.say(lane.writer, |talk, out| match lane.is_room {
        true => talk.tell(&lane.to, text, out),
        false => talk.say(&lane.to, text, out),
    })?;
    Ok(text.stamp)
}

impl Ran {
    fn nothing() -> Ran {
        Ran {
            messages: 0,
            heard: 0,
            time: Duration::ZERO,
            latencies: Histogram::default(),
            used: Usage::default(),
            own: Usage::default(),
            syncs: None,
            through: Vec::new(),
        }
    }

    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.time.as_secs_f64().max(1e-9)
    }

    pub(crate) fn micros(&self, count: u64) -> f64 {
        self.used.cpu.as_secs_f64() * 1e6 / count.max(1) as f64
    }

    pub(crate) fn millis(&self, share: f64) -> f64 {
        self.latencies.quantile(share).as_secs_f64() * 1e3
    }
}
