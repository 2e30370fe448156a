//! Clocks in UTC, as layer 2 spells them.

use crate::domain::calendar::{SECS_PER_DAY, civil};
use crate::domain::id::Timestamp;

/// `2000-09-09T14:22:31+0000`: what last-seen looks like.
pub(in crate::wire) fn zoned(at: Timestamp) -> String {
    let secs = at.secs();
    let (year, month, day) = civil((secs / SECS_PER_DAY).cast_signed());
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc_with_a_zone_without_colon() {
        let cases = [
            (0, "1970-01-01T00:00:00+0000"),
            (951_782_399, "2000-02-28T23:59:59+0000"),
            (951_868_799, "2000-02-29T23:59:59+0000"),
            (951_868_800, "2000-03-01T00:00:00+0000"),
            (968_509_351, "2000-09-09T14:22:31+0000"),
            (1_558_648_325, "2019-05-23T21:52:05+0000"),
            (4_107_542_400, "2100-03-01T00:00:00+0000"),
        ];
        for (secs, text) in cases {
            assert_eq!(zoned(Timestamp::from_secs(secs)), text);
        }
        // No moment is too large to be written.
        assert!(zoned(Timestamp(u64::MAX)).ends_with("+0000"));
    }
}
