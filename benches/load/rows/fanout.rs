//! One message, many who hear it: a room whose members each sit on a connection of their own, and
//! one who writes again once all have heard.

use std::time::Duration;

use super::KIB;
use crate::lanes::{self, Lane, Until};
use crate::server::Way;
use crate::sheet::Sheet;
use crate::stage::{Ground, Stage, logins};

/// How many hear.
pub(crate) const MEMBERS: [usize; 2] = [200, 1000];
const ROOM: &str = "room";

pub(crate) fn measure(
    ground: Ground<'_>,
    members: usize,
    time: Duration,
    sheet: &mut Sheet,
) -> Result<(), String> {
    let mut stage = Stage::new(ground, Way::Plain)?;
    let lane = gather(&mut stage, members)?;
    let ran = lanes::run(&mut stage, &[lane], Until::Time(time))?;
    if ran.heard == 0 {
        return Err("no message was heard".into());
    }
    let (peer, row) = (&ground.peer.name, &format!("fanout-{members}"));
    let mut add = |what: &str, figure, unit| sheet.add(peer, row, what, figure, unit);
    add("deliveries", ran.per_second(ran.heard), "/s");
    add("server CPU a delivery", ran.micros(ran.heard), "µs");
    add("until all have heard, p50", ran.millis(0.5), "ms");
    add("until all have heard, p99", ran.millis(0.99), "ms");
    let messages = ran.messages.max(1) as f64;
    add("written to the disk a message", ran.used.stored as f64 / KIB / messages, "KiB");
    let own = ran.own.cpu.as_secs_f64() * 1e6 / ran.heard as f64;
    add("load program's CPU a delivery", own, "µs");
    Ok(())
}

/// A room with its members in it, and its writer's lane.
fn gather(stage: &mut Stage<'_>, members: usize) -> Result<Lane, String> {
    let (names, author) = (logins('b', members), logins('a', 1));
    let tongue = stage.server.door.tongue;
    let writers = stage.enter(&author)?;
    stage.each(&writers, |talk, out| talk.found(ROOM, out))?;
    if tongue.has_lasting_members() {
        let hearers = stage.enter(&names)?;
        stage.each(&hearers, |talk, out| talk.enroll(ROOM, out))?;
        // What joining made everybody hear waits for nobody after this.
        stage.restart(false)?;
    } else {
        stage.clear()?;
    }
    // Whoever enters a room first owns it, where rooms are made by entering.
    let writer = stage.enter(&author)?[0];
    if !tongue.tells_from_outside() {
        stage.each(&[writer], |talk, out| talk.enter(ROOM, out))?;
    }
    let hearers = stage.enter(&names)?;
    stage.each(&hearers, |talk, out| talk.enter(ROOM, out))?;
    stage.yard.settle()?;
    Ok(Lane { writer, to: ROOM.into(), is_room: true, hearers: members })
}
