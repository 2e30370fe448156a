//! What msimd wants to be beside its neighbours, as shares of what they take in the same run: a
//! share depends far less on the machine than a figure.

use crate::rows::history;
use crate::sheet::Sheet;

const OURS: &str = "msimd";
const MOSQUITTO: (&str, &str) = ("mosquitto", "mosquitto's");
const NGIRCD: (&str, &str) = ("ngircd", "ngIRCd's");
const PROSODY: (&str, &str) = ("prosody", "Prosody's on flat files");
const PROSODY_SQLITE: (&str, &str) = ("prosody-sqlite", "Prosody's on SQLite");

/// A goal that this run can tell something of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) found: String,
    pub(crate) passes: bool,
}

impl Goal {
    pub(crate) fn verdict(&self) -> &'static str {
        if self.passes { "passes" } else { "falls short" }
    }
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// At most so many times the neighbour's.
    Times(f64),
    /// At most one in so many of the neighbour's.
    Part(f64),
    /// At most the neighbour's and so much.
    Plus(f64),
    /// Less than the neighbour's.
    Below,
}

/// All goals whose figures are there: of msimd's own, and of the neighbour's.
pub(crate) fn of(sheet: &Sheet) -> Vec<Goal> {
    let cpu = "server CPU a message";
    let written = "written to the disk a message";
    // The number of connections follows in brackets.
    let held = "RSS an idle connection";
    let heard = "server CPU a delivery";
    let neighbours = [
        ("CPU a message, 50 pairs", "send-50", cpu, MOSQUITTO, Bound::Times(3.0)),
        ("CPU a message, 50 pairs", "send-50", cpu, PROSODY, Bound::Part(20.0)),
        ("CPU a message, 1 pair", "send-1", cpu, PROSODY, Bound::Part(3.0)),
        ("bytes written a message, 1 pair", "send-1", written, PROSODY_SQLITE, Bound::Part(8.0)),
        (
            "bytes written a message, 50 pairs",
            "send-50",
            written,
            PROSODY_SQLITE,
            Bound::Part(40.0),
        ),
        ("RSS of an idle server", "idle", "RSS", NGIRCD, Bound::Plus(1.0)),
        ("RSS of an idle server", "idle", "RSS", MOSQUITTO, Bound::Below),
        ("RSS an idle connection", "held", held, MOSQUITTO, Bound::Times(1.5)),
        ("RSS an idle connection", "held", held, NGIRCD, Bound::Below),
        ("RSS an idle connection, TLS", "held-tls", held, MOSQUITTO, Bound::Below),
        ("RSS an idle connection, TLS", "held-tls", held, NGIRCD, Bound::Below),
        ("CPU a delivery to 200", "fanout-200", heard, MOSQUITTO, Bound::Times(1.0)),
        ("CPU a delivery to 1,000", "fanout-1000", heard, MOSQUITTO, Bound::Times(1.0)),
    ];
    let beside = |(what, row, figure, (name, whose), bound): (_, _, _, (_, _), _)| {
        let (ours, unit) = sheet.figure(OURS, row, figure)?;
        let (theirs, _) = sheet.figure(name, row, figure)?;
        beside(what, (ours, theirs), unit, whose, bound)
    };
    neighbours.into_iter().filter_map(beside).chain(alone(sheet)).collect()
}

/// Goals that no neighbour is needed for.
fn alone(sheet: &Sheet) -> Vec<Goal> {
    let mut goals = Vec::new();
    // With fewer messages it would be another goal.
    let has_all = sheet
        .figure(OURS, "history", "messages in ")
        .is_some_and(|(messages, _)| messages >= history::MESSAGES as f64);
    if let (Some((millis, _)), true) = (sheet.figure(OURS, "history", history::AFTER_KILL), has_all)
    {
        goals.push(Goal {
            what: "start after kill -9, 1,000,000 messages".into(),
            wanted: "≤ 1,000 ms".into(),
            found: format!("{millis:.0} ms"),
            passes: millis <= 1000.0,
        });
    }
    if let Some((wakes, _)) = sheet.figure(OURS, "wakes", "wake-ups") {
        goals.push(Goal {
            what: "wake-ups with 100 idle sessions".into(),
            wanted: "< 1 /s".into(),
            found: format!("{wakes:.2} /s"),
            passes: wakes < 1.0,
        });
    }
    goals
}

/// Nothing when the neighbour's figure is too small to be told from none: no share can be made.
fn beside(
    what: &str,
    (ours, theirs): (f64, f64),
    unit: &str,
    whose: &str,
    bound: Bound,
) -> Option<Goal> {
    if theirs <= 0.0 {
        return None;
    }
    let share = ours / theirs;
    let (wanted, passes) = match bound {
        Bound::Times(1.0) => (format!("≤ {whose}"), share <= 1.0),
        Bound::Times(most) => (format!("≤ {most} × {whose}"), share <= most),
        Bound::Part(part) => (format!("≤ 1/{part} of {whose}"), share <= 1.0 / part),
        Bound::Plus(more) => (format!("≤ {whose} + {more} {unit}"), ours <= theirs + more),
        Bound::Below => (format!("< {whose}"), ours < theirs),
    };
    let share = match bound {
        Bound::Part(_) if share > 0.0 => format!("1/{:.1}", 1.0 / share),
        Bound::Part(_) => "nothing".into(),
        Bound::Times(_) | Bound::Plus(_) | Bound::Below => format!("{share:.2} ×"),
    };
    let found = format!("{share} ({ours:.2} to {theirs:.2} {unit})");
    Some(Goal { what: what.into(), wanted, found, passes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(goals: &[Goal], what: &str, wanted: &str) -> Goal {
        let mut found = goals.iter().filter(|goal| goal.what == what && goal.wanted == wanted);
        found.next().unwrap_or_else(|| panic!("{what} {wanted}: {goals:#?}")).clone()
    }

    #[test]
    fn a_share_passes_up_to_its_bound() {
        let mut sheet = Sheet::default();
        let row = "send-50";
        sheet.add("msimd", row, "server CPU a message", 30.0, "µs");
        sheet.add("mosquitto", row, "server CPU a message", 10.0, "µs");
        sheet.add("prosody", row, "server CPU a message", 590.0, "µs");
        let goals = of(&sheet);
        let what = "CPU a message, 50 pairs";
        let one = goal(&goals, what, "≤ 3 × mosquitto's");
        assert_eq!((one.found.as_str(), one.passes), ("3.00 × (30.00 to 10.00 µs)", true));
        let other = goal(&goals, what, "≤ 1/20 of Prosody's on flat files");
        assert_eq!((other.found.as_str(), other.passes), ("1/19.7 (30.00 to 590.00 µs)", false));
        assert_eq!(goals.len(), 2, "what is missing is left out");
    }

    #[test]
    fn memory_is_compared_with_each_neighbour() {
        let mut sheet = Sheet::default();
        for (name, idle, held) in
            [("msimd", 5.9, 1.6), ("ngircd", 5.0, 1.6), ("mosquitto", 6.0, 1.2)]
        {
            sheet.add(name, "idle", "RSS", idle, "MiB");
            sheet.add(name, "held", "RSS an idle connection (1000)", held, "KiB");
        }
        let goals = of(&sheet);
        assert!(goal(&goals, "RSS of an idle server", "≤ ngIRCd's + 1 MiB").passes);
        assert!(goal(&goals, "RSS of an idle server", "< mosquitto's").passes);
        assert!(goal(&goals, "RSS an idle connection", "≤ 1.5 × mosquitto's").passes);
        assert!(!goal(&goals, "RSS an idle connection", "< ngIRCd's").passes);
    }

    #[test]
    fn a_start_is_judged_with_all_messages_only() {
        for (messages, judged) in [(999_999.0, 0), (1_000_000.0, 1)] {
            let mut sheet = Sheet::default();
            sheet.add("msimd", "history", "messages in 64 chats", messages, "");
            sheet.add("msimd", "history", history::AFTER_KILL, 370.4, "ms");
            assert_eq!(of(&sheet).len(), judged);
        }
    }

    #[test]
    fn rare_wake_ups_need_no_neighbour_and_nothing_is_divided_by_nothing() {
        let mut sheet = Sheet::default();
        sheet.add("msimd", "wakes", "wake-ups with 100 idle sessions", 0.2, "/s");
        sheet.add("msimd", "fanout-200", "server CPU a delivery", 7.0, "µs");
        sheet.add("mosquitto", "fanout-200", "server CPU a delivery", 0.0, "µs");
        let goals = of(&sheet);
        assert_eq!(goals.len(), 1);
        assert!(goals[0].passes);
    }
}
