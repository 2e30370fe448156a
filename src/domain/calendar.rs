//! Days of the calendar, in UTC (the proleptic Gregorian one, as RFC 3339 has it).

use crate::domain::id::Timestamp;

pub const SECS_PER_DAY: u64 = 86_400;
/// Days from 0000-03-01, where the count below begins, to 1970-01-01.
const EPOCH: i64 = 719_468;
/// Days in 400 years: after that the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;

/// The beginning of a day `YYYY-MM-DD`. `None` for what the calendar does not have. Days before
/// 1970 begin with the first moment there is.
pub fn day(text: &str) -> Option<Timestamp> {
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
pub fn civil(days: i64) -> (i64, i64, i64) {
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
