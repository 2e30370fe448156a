//! Moments as Tinode spells them.

use crate::domain::calendar::{SECS_PER_DAY, civil};
use crate::domain::id::Timestamp;

/// The last moment of the year 9999.
const LAST: Timestamp = Timestamp(253_402_300_799_999);

/// `2015-10-06T18:07:29.841Z` (RFC 3339): always 24 characters, by whose number the SDK tells a
/// moment from any other text.
pub(super) fn stamp(at: Timestamp) -> String {
    let at = at.min(LAST);
    let (secs, millis) = (at.secs(), at.0 % 1000);
    let (year, month, day) = civil((secs / SECS_PER_DAY).cast_signed());
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_always_has_its_milliseconds() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_444_154_849_841, "2015-10-06T18:07:29.841Z"),
            (1_444_154_849_840, "2015-10-06T18:07:29.840Z"),
            (1_444_154_849_000, "2015-10-06T18:07:29.000Z"),
            (1_456_790_399_007, "2016-02-29T23:59:59.007Z"),
            (LAST.0, "9999-12-31T23:59:59.999Z"),
            (LAST.0 + 1, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ];
        for (millis, text) in cases {
            assert_eq!(stamp(Timestamp(millis)), text);
            assert_eq!(text.len(), 24);
        }
    }
}
