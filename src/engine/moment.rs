//! A point of the steady clock in eight bytes, where `Instant` has sixteen and an optional one has
//! no room for its absence: for what there is one of a session.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds since the first one was made, and one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    pub(super) fn now() -> Moment {
        // Before the clock is read: nothing is earlier than the first one.
        let first = first();
        let nanos = Instant::now().saturating_duration_since(first).as_nanos();
        // Five hundred years.
        Moment(NonZeroU64::MIN.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    pub(super) fn instant(self) -> Instant {
        first() + Duration::from_nanos(self.0.get() - 1)
    }
}

fn first() -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    *FIRST.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_instant() {
        let before = Instant::now();
        let _ = first();
        let (first, second) = (Moment::now(), Moment::now());
        assert!(first <= second && first.instant() <= second.instant());
        assert!(before <= first.instant() && second.instant() <= Instant::now());
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
