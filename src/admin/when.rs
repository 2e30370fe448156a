//! Times for the eye, in UTC: the standard library knows no time zones.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `2026-11-21 03:21` of Unix seconds.
pub fn minute(secs: u64) -> String {
    let (year, month, day) = date(secs / 86_400);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}", secs / 3600 % 24, secs / 60 % 60)
}

/// `2026-11-21T032107Z`: for file names, which sort by time.
pub fn stamp(secs: u64) -> String {
    let (year, month, day) = date(secs / 86_400);
    let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The Gregorian date of a day since 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let (mut year, mut day) = (1970, days);
    // 400 years have a whole number of days, so the loops below are short.
    year += day / 146_097 * 400;
    day %= 146_097;
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let months = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    (year, month as u64 + 1, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        assert_eq!(minute(0), "1970-01-01 00:00");
        assert_eq!(minute(951_782_399), "2000-02-28 23:59");
        assert_eq!(minute(951_782_400), "2000-02-29 00:00");
        assert_eq!(stamp(1_795_231_267), "2026-11-21T032107Z");
        assert_eq!(minute(4_107_542_399), "2100-02-28 23:59");
        assert_eq!(minute(4_107_542_400), "2100-03-01 00:00");
        assert_eq!(minute(32_503_680_000), "3000-01-01 00:00");
    }
}
