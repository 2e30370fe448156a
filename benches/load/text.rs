//! The hundred bytes of every message, and the clock they carry.

use std::cell::Cell;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Bytes of every message's text.
pub(crate) const TEXT_BYTES: usize = 100;
const STAMP_DIGITS: usize = 16;
const LANE_DIGITS: usize = 4;

/// What a text says: when it was written, which no two texts of a run have in common, and in which
/// pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    /// Nanoseconds of the run's clock.
    pub(crate) stamp: u64,
    pub(crate) lane: u16,
}

impl Text {
    /// Letters and digits only: no protocol has to escape them.
    pub(crate) fn write(self) -> String {
        let mut text = String::with_capacity(TEXT_BYTES);
        let _ = write!(text, "{:016x}{:04x}", self.stamp, self.lane);
        text.extend(('a'..='z').cycle().take(TEXT_BYTES - text.len()));
        text
    }

    /// The text that `bytes` begin with.
    pub(crate) fn read(bytes: &[u8]) -> Option<Text> {
        let digits = bytes.get(..STAMP_DIGITS + LANE_DIGITS)?;
        let digits = std::str::from_utf8(digits).ok()?;
        let stamp = u64::from_str_radix(&digits[..STAMP_DIGITS], 16).ok()?;
        let lane = u16::from_str_radix(&digits[STAMP_DIGITS..], 16).ok()?;
        Some(Text { stamp, lane })
    }
}

/// The run's clock: nanoseconds since it began. It also knows when a row has to be over.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    last: Cell<u64>,
    ends: Cell<u64>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { began: Instant::now(), last: Cell::new(0), ends: Cell::new(u64::MAX) }
    }

    pub(crate) fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    /// A row begins that may take so long. Whoever waits asks `is_over`.
    pub(crate) fn allow(&self, time: Duration) {
        self.ends.set(self.now().saturating_add(nanos(time)));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.now() > self.ends.get()
    }

    /// Now, but later than every stamp before.
    pub(crate) fn stamp(&self) -> u64 {
        let stamp = self.now().max(self.last.get() + 1);
        self.last.set(stamp);
        stamp
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_it_was_written() {
        let text = Text { stamp: 0x0123_4567_89ab_cdef, lane: 0xbeef };
        let written = text.write();
        assert_eq!(written.len(), TEXT_BYTES);
        assert_eq!(Text::read(written.as_bytes()), Some(text));
        assert_eq!(Text::read(&written.as_bytes()[..19]), None);
        assert_eq!(Text::read(b"not a stamp, not a lane"), None);
    }

    #[test]
    fn a_row_is_over_when_its_time_is() {
        let clock = Clock::new();
        assert!(!clock.is_over(), "nothing was said of an end");
        clock.allow(Duration::from_secs(3600));
        assert!(!clock.is_over());
        clock.allow(Duration::ZERO);
        while !clock.is_over() {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn no_two_stamps_are_equal() {
        let clock = Clock::new();
        let stamps: Vec<u64> = (0..1000).map(|_| clock.stamp()).collect();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
