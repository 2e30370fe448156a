//! What was said to be taken over, or was heard already, and is gone after `kill -9`.
//!
//! The page cache survives the end of a process, so this finds only what a server kept in its own
//! memory. What a power cut takes is a matter of syncs: see the line about them.

use std::collections::HashSet;
use std::time::Duration;

use super::send::pairs;
use crate::lanes::{self, Lane, Until};
use crate::server::Way;
use crate::sheet::Sheet;
use crate::stage::{Ground, Stage, logins};
use crate::talk::{Heard, Keeps};
use crate::text::Text;

const PAIRS: usize = 16;
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Nothing more comes out of a queue after so long.
const QUIET: Duration = Duration::from_secs(1);

pub(crate) fn measure(ground: Ground<'_>, time: Duration, sheet: &mut Sheet) -> Result<(), String> {
    let (peer, row) = (&ground.peer.name, "lost");
    let keeps = ground.peer.tongue()?.keeps();
    if keeps == Keeps::Nothing {
        sheet.say(peer, row, "taken over before kill -9", "keeps nothing");
        return Ok(());
    }
    let mut stage = Stage::new(ground, Way::Plain)?;
    let lanes = match keeps {
        Keeps::Queue => to_the_absent(&mut stage)?,
        Keeps::History | Keeps::Nothing => pairs(&mut stage, PAIRS)?,
    };
    let ran = lanes::run(&mut stage, &lanes, Until::Time(time))?;
    stage.restart(true)?;
    let found = found(&mut stage, keeps)?;
    let lost = ran.through.iter().filter(|text| !found.contains(text)).count();
    sheet.add(peer, row, "taken over before kill -9", ran.through.len() as f64, "");
    sheet.add(peer, row, "of these lost", lost as f64, "");
    Ok(())
}

/// Lanes to people who were here, asked for what they miss to be kept, and went.
fn to_the_absent(stage: &mut Stage<'_>) -> Result<Vec<Lane>, String> {
    let names = logins('b', PAIRS);
    stage.arrive(&names, false, true)?;
    stage.clear()?;
    let writers = stage.enter(&logins('a', PAIRS))?;
    let lane = |(writer, to)| Lane { writer, to, is_room: false, hearers: 0 };
    Ok(writers.into_iter().zip(names).map(lane).collect())
}

/// Everything that the hearers can still get.
fn found(stage: &mut Stage<'_>, keeps: Keeps) -> Result<HashSet<Text>, String> {
    let mut found = HashSet::new();
    let mut words = Vec::new();
    let names = logins('b', PAIRS);
    if keeps == Keeps::Queue {
        let guest = |login: &String| crate::talk::Guest {
            lasting: true,
            ..crate::talk::Guest::named(login)
        };
        let door = stage.server.door.clone();
        for name in &names {
            stage.yard.connect(&door, guest(name))?;
        }
        while stage.yard.turn(QUIET, &mut words)? {
            found.extend(words.drain(..).filter_map(|word| match word.heard {
                Heard::Message(text) => Some(text),
                _ => None,
            }));
        }
        return Ok(found);
    }
    for link in stage.enter(&names)? {
        loop {
            stage.yard.say(link, |talk, out| talk.catch_up(out))?;
            let mut page = None;
            while page.is_none() {
                if !stage.yard.turn(ANSWER_DEADLINE, &mut words)? {
                    return Err("a page did not come".into());
                }
                page = words.drain(..).find_map(|word| match word.heard {
                    Heard::Page { texts, more } => Some((texts, more)),
                    _ => None,
                });
            }
            let Some((texts, more)) = page else { break };
            found.extend(texts);
            if !more {
                break;
            }
        }
    }
    Ok(found)
}
