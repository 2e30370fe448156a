//! The time, and how far it is believed.
//!
//! A Pi has no clock of its own: it starts in 1970, or where it was switched off, until a time server
//! sets it; and any clock may be set wrong. So three times are told apart:
//!
//! - the wall clock, which may say anything;
//! - **now**, what people see: the wall clock, but never before what was noted while it was believed;
//! - **sure**, by which sessions and invitations end: never much later than that either.
//!
//! What is too old is found without any of them, see `store::days`. How fast somebody may ask, and
//! how long somebody waits after failed logins, goes by the system's steady clock alone.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::id::Timestamp;
use crate::limits::{CLOCK_DRIFT_SECS, CLOCK_LEAP_SECS, CLOCK_LEAST_SECS, CLOCK_PROOF_SECS};
use crate::store::{Look, Reader};

/// Before it no clock is right.
const CLOCK_LEAST: Timestamp = Timestamp::from_secs(CLOCK_LEAST_SECS);

/// The system's clocks, or two that a test moves by hand. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    began: Instant,
    hands: Option<Arc<Hands>>,
}

/// In milliseconds.
#[derive(Default)]
struct Hands {
    wall: AtomicU64,
    steady: AtomicU64,
    moved: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Clock {
    pub fn system() -> Clock {
        Clock { began: Instant::now(), hands: None }
    }

    /// One that stands until it is moved.
    pub fn by_hand(at: Timestamp) -> Clock {
        let hands = Hands { wall: AtomicU64::new(at.0), ..Hands::default() };
        Clock { began: Instant::now(), hands: Some(Arc::new(hands)) }
    }

    /// Somebody sets it; one of the system's stays as it is.
    pub fn set(&self, at: Timestamp) {
        if let Some(hands) = &self.hands {
            hands.wall.store(at.0, Ordering::SeqCst);
            hands.tell();
        }
    }

    /// So much time goes by; with the system's it does that by itself.
    pub fn pass(&self, time: Duration) {
        if let Some(hands) = &self.hands {
            hands.wall.fetch_add(millis(time), Ordering::SeqCst);
            hands.steady.fetch_add(millis(time), Ordering::SeqCst);
            hands.tell();
        }
    }

    /// What the wall clock says.
    pub fn wall(&self) -> Timestamp {
        match &self.hands {
            Some(hands) => Timestamp(hands.wall.load(Ordering::SeqCst)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(millis(since))
            }
        }
    }

    /// How long it has been running, which nobody sets.
    pub(super) fn steady(&self) -> Duration {
        match &self.hands {
            Some(hands) => Duration::from_millis(hands.steady.load(Ordering::SeqCst)),
            None => self.began.elapsed(),
        }
    }

    /// When it will have been running for so long.
    pub(super) fn at(&self, steady: Duration) -> Instant {
        Instant::now() + steady.saturating_sub(self.steady())
    }

    /// Whom to tell when it was moved.
    pub(super) fn on_move(&self, tell: impl Fn() + Send + 'static) {
        if let Some(hands) = &self.hands {
            *hands.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tell));
        }
    }
}

impl Hands {
    fn tell(&self) {
        if let Some(tell) = &*self.moved.lock().unwrap_or_else(PoisonError::into_inner) {
            tell();
        }
    }
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hands").field("wall", &self.wall).finish_non_exhaustive()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The time as the server goes by it, see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reckoning {
    pub now: Timestamp,
    pub sure: Timestamp,
}

impl Reckoning {
    /// `noted`: when the clock was last believed.
    pub fn of(wall: Timestamp, noted: Option<Timestamp>) -> Reckoning {
        let least = noted.unwrap_or_default().max(CLOCK_LEAST);
        let now = wall.max(least);
        Reckoning { now, sure: now.min(later(least, CLOCK_LEAP_SECS)) }
    }
}

/// When a database saw its clock believed last.
pub fn noted(reader: &Reader) -> Option<Timestamp> {
    match reader.read(|look| look.day(Timestamp(u64::MAX))) {
        Ok(day) => day.map(|(at, _)| at),
        Err(error) => {
            log::error!("when the clock was last right is not known: {error}");
            None
        }
    }
}

fn later(at: Timestamp, secs: u64) -> Timestamp {
    Timestamp(at.0.saturating_add(secs * 1000))
}

/// Whether the clock is believed. One that has not leapt is; one that has is once it has kept step
/// with the steady one for long enough.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// Since when it has kept step where it is not believed: by itself, and by the steady one.
    doubt: Option<(Timestamp, Duration)>,
}

impl Trust {
    /// `noted`: when it was last believed.
    pub(super) fn believes(
        &mut self,
        noted: Option<Timestamp>,
        wall: Timestamp,
        steady: Duration,
    ) -> bool {
        // The first that is noted makes nothing old.
        let is_near = noted.is_none_or(|at| at <= wall && wall <= later(at, CLOCK_LEAP_SECS));
        if wall < CLOCK_LEAST || is_near {
            self.doubt = None;
            return CLOCK_LEAST <= wall;
        }
        let (since, then) = *self.doubt.get_or_insert((wall, steady));
        let passed = steady.saturating_sub(then);
        let expected = Timestamp(since.0.saturating_add(millis(passed)));
        if wall.0.abs_diff(expected.0) > CLOCK_DRIFT_SECS * 1000 {
            self.doubt = Some((wall, steady));
            return false;
        }
        let is_proven = passed >= Duration::from_secs(CLOCK_PROOF_SECS);
        if is_proven {
            self.doubt = None;
        }
        is_proven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    fn at(secs: u64) -> Timestamp {
        later(NOON, secs)
    }

    #[test]
    fn now_never_goes_back_behind_what_was_noted_and_sure_never_leaps() {
        let of = |wall, noted| {
            let Reckoning { now, sure } = Reckoning::of(wall, noted);
            (now, sure)
        };
        assert_eq!(of(at(HOUR), Some(NOON)), (at(HOUR), at(HOUR)));
        // It starts in 1970.
        assert_eq!(of(Timestamp(5), Some(NOON)), (NOON, NOON));
        assert_eq!(of(Timestamp(5), None), (CLOCK_LEAST, CLOCK_LEAST));
        // It stands sixty years ahead.
        let ahead = at(60 * 365 * DAY);
        assert_eq!(of(ahead, Some(NOON)), (ahead, at(CLOCK_LEAP_SECS)));
        assert_eq!(of(Timestamp(u64::MAX), Some(NOON)).1, at(CLOCK_LEAP_SECS));
    }

    /// A trust that is asked every hour, and what it says.
    struct Asked {
        trust: Trust,
        noted: Timestamp,
        steady: u64,
    }

    impl Asked {
        fn new() -> Asked {
            Asked { trust: Trust::default(), noted: NOON, steady: 0 }
        }

        fn hear(&mut self, wall: Timestamp) -> bool {
            self.steady += HOUR;
            self.trust.believes(Some(self.noted), wall, Duration::from_secs(self.steady))
        }
    }

    #[test]
    fn a_clock_that_has_not_leapt_is_believed() {
        let mut asked = Asked::new();
        assert!(asked.hear(NOON) && asked.hear(at(DAY)) && asked.hear(at(2 * DAY)));
        assert!(!asked.hear(at(2 * DAY + 1)));
        assert!(asked.hear(at(DAY)), "it is back");
        let mut new = Trust::default();
        assert!(new.believes(None, NOON, Duration::ZERO), "nothing is known");
        assert!(!new.believes(None, Timestamp(5), Duration::ZERO), "but that it is not 1970");
    }

    #[test]
    fn one_that_has_leapt_is_believed_after_half_a_day_in_step() {
        for away in [at(60 * 365 * DAY), at(3 * DAY), Timestamp(NOON.0 - 1000 * 90 * DAY)] {
            let mut asked = Asked::new();
            let hours = (0..).find(|hour| asked.hear(later(away, hour * HOUR)));
            assert_eq!(hours, Some(CLOCK_PROOF_SECS / HOUR), "{away:?}");
        }
    }

    #[test]
    fn one_that_leaps_about_is_not_nor_is_one_in_1970() {
        let mut asked = Asked::new();
        for hour in 0..100 {
            // It leaps again every ten hours.
            let years = 1 + hour / 10;
            assert!(!asked.hear(at(years * 365 * DAY + hour * HOUR)));
        }
        let mut asked = Asked::new();
        for hour in 0..100 {
            assert!(!asked.hear(Timestamp(hour * HOUR * 1000)));
        }
    }
}
