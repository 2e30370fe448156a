//! From when to when a certificate is valid: a walk of some fifty lines over its DER, because the
//! two dates are all that is wanted of it.
//!
//! ```text
//! SEQUENCE                        certificate
//!   SEQUENCE                      what is signed
//!     [0] version                 may be absent
//!     INTEGER, SEQUENCE, SEQUENCE serial number, algorithm, issuer
//!     SEQUENCE                    validity
//!       time, time                UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5)
//! ```

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Days since 1970-01-01, which may lie before it: the first day and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) till: i64,
}

/// Of the first certificate of a PEM file.
pub(super) fn validity(file: &Path) -> Result<Validity, String> {
    let found = CertificateDer::from_pem_file(file).map_err(|e| e.to_string())?;
    of_der(&found).ok_or_else(|| "its dates cannot be read".into())
}

fn of_der(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut rest, _) = value(certificate, SEQUENCE)?;
    if *rest.first()? == VERSION {
        rest = next(rest)?.2;
    }
    for _serial_algorithm_issuer in 0..3 {
        rest = next(rest)?.2;
    }
    let (dates, _) = value(rest, SEQUENCE)?;
    let (kind, from, dates) = next(dates)?;
    let from = day(kind, from)?;
    let (kind, till, _) = next(dates)?;
    Some(Validity { from, till: day(kind, till)? })
}

/// A value of this kind, and what follows it.
fn value(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = next(der)?;
    (found == kind).then_some((value, rest))
}

/// Kind, value, and what follows.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, first], mut rest) = der.split_first_chunk()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        // The number of bytes that hold the length; a certificate has fewer than 2^24 bytes.
        let (bytes, tail) = rest.split_at_checked(usize::from(first & 0x7F))?;
        if bytes.is_empty() || 3 < bytes.len() {
            return None;
        }
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = tail;
    }
    let (value, rest) = rest.split_at_checked(length)?;
    Some((kind, value, rest))
}

/// `YYMMDD…` or `YYYYMMDD…`; the time of the day does not matter here.
fn day(kind: u8, text: &[u8]) -> Option<i64> {
    let number = |from: usize, length: usize| -> Option<i64> {
        std::str::from_utf8(text.get(from..from + length)?).ok()?.parse().ok()
    };
    let (year, rest) = match kind {
        // RFC 5280: 50 to 99 are of the last century.
        UTC_TIME => {
            (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2)
        }
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    Some(days(year, number(rest, 2)?, number(rest + 2, 2)?))
}

/// Days from 1970-01-01 to a Gregorian date. With March as the first month the odd day is the last
/// of a year, and months have 30.6 days on the average.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        for (year, month, day, expected) in [
            (1970, 1, 1, 0),
            (1969, 12, 31, -1),
            (2000, 2, 29, 11_016),
            (2000, 3, 1, 11_017),
            (2026, 11, 21, 20_778),
            (4096, 1, 1, 776_506),
        ] {
            assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn the_dates_of_a_certificate_are_read() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("cert.pem");
        let mut params = rcgen::CertificateParams::new(["im.test".to_owned()]).unwrap();
        let pair = rcgen::KeyPair::generate().unwrap();
        for (from, till) in [((2026, 1, 31), (2026, 5, 1)), ((1975, 1, 1), (4096, 1, 1))] {
            params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
            params.not_after = rcgen::date_time_ymd(till.0, till.1, till.2);
            let certificate = params.self_signed(&pair).unwrap();
            std::fs::write(&file, certificate.pem()).unwrap();
            let day = |(year, month, day): (i32, u8, u8)| {
                days(i64::from(year), i64::from(month), i64::from(day))
            };
            let expected = Validity { from: day(from), till: day(till) };
            assert_eq!(validity(&file), Ok(expected));
            // Cut anywhere, it is none, and nothing panics.
            let der = certificate.der();
            for length in 0..der.len() {
                assert_eq!(of_der(&der[..length]), None, "{length}");
            }
        }
        assert!(validity(&home.path().join("none.pem")).is_err());
    }
}
