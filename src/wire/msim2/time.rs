//! Days and clocks in UTC, in the two spellings that layers 2 and 3 have for them.

use crate::domain::id::Timestamp;

const SECS_PER_DAY: u64 = 86_400;
/// Days from 0000-03-01, where the count below begins, to 1970-01-01.
const EPOCH: i64 = 719_468;
/// Days in 400 years: after that the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;

/// `2000-09-09T14:22:31+0000`: what last-seen looks like.
pub(in crate::wire) fn zoned(at: Timestamp) -> String {
    let secs = at.secs();
    let (year, month, day) = civil((secs / SECS_PER_DAY).cast_signed());
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000")
}

/// The beginning of a day `YYYY-MM-DD`. `None` for what the calendar does not have. Days before
/// 1970 begin with the first moment there is.
pub(super) fn day(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |sum: i64, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // The 31st of a short month is a day of the next one.
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(Timestamp::from_secs(u64::try_from(days).unwrap_or(0) * SECS_PER_DAY))
}

/// Year, month, day of a number of days since 1970. Years begin in March here, so that the leap
/// day is the last of its year and months before it never move.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // 153 days are five months from March on.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
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

    #[test]
    fn every_day_of_eight_centuries_is_read_back() {
        for days in 0..2 * DAYS_PER_ERA {
            let (year, month, day_of) = civil(days);
            let text = format!("{year:04}-{month:02}-{day_of:02}");
            let secs = days.cast_unsigned() * SECS_PER_DAY;
            assert_eq!(day(&text), Some(Timestamp::from_secs(secs)), "{text}");
        }
    }

    #[test]
    fn days_that_no_calendar_has_are_refused() {
        let bad = [
            "",
            "2019-5-23",
            "2019-02-29",
            "1900-02-29",
            "2019-04-31",
            "2019-13-01",
            "2019-00-01",
            "2019-01-00",
            "2019/01/01",
            "+019-01-01",
            "2019-01-01T",
            "２019-01-0",
        ];
        for bad in bad {
            assert_eq!(day(bad), None, "{bad}");
        }
        assert_eq!(day("0000-01-01"), Some(Timestamp(0)));
        assert_eq!(day("1969-12-31"), Some(Timestamp(0)));
        assert!(day("9999-12-31").is_some());
    }
}
