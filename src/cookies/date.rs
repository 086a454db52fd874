//! What moment does the text of an `Expires` attribute name?
//!
//! The algorithm of RFC 6265bis, 5.1.1: it looks for pieces that could be a time, a day, a month
//! and a year, in any order and dress, instead of trying a list of formats.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// `None` when the text names no moment; then the attribute is as good as absent.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text
        .as_bytes()
        .split(|&byte| is_delimiter(byte))
        .filter(|token| !token.is_empty())
    {
        if time.is_none() && set(&mut time, clock(token)) {
            continue;
        }
        if day.is_none() && set(&mut day, number(token, 1, 2)) {
            continue;
        }
        if month.is_none() && set(&mut month, month_number(token)) {
            continue;
        }
        if year.is_none() {
            set(&mut year, number(token, 2, 4));
        }
    }
    moment(full_year(year?), month?, day?, time?)
}

fn set<T>(place: &mut Option<T>, found: Option<T>) -> bool {
    *place = found;
    place.is_some()
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2F | 0x3B..=0x40 | 0x5B..=0x60 | 0x7B..=0x7E)
}

/// `min` to `max` digits, then the end or anything that is no digit.
fn number(token: &[u8], min: usize, max: usize) -> Option<u64> {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit());
    let count = digits.clone().count();
    (min..=max)
        .contains(&count)
        .then(|| digits.fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')))
}

/// Hours, minutes and seconds of one or two digits each; what follows the seconds does not matter.
fn clock(token: &[u8]) -> Option<[u64; 3]> {
    let mut parts = token.splitn(3, |&byte| byte == b':');
    let mut exact = || {
        let part = parts.next()?;
        part.iter()
            .all(u8::is_ascii_digit)
            .then(|| number(part, 1, 2))?
    };
    let (hours, minutes) = (exact()?, exact()?);
    Some([hours, minutes, number(parts.next()?, 1, 2)?])
}

fn month_number(token: &[u8]) -> Option<u64> {
    let start = token.get(..3)?.to_ascii_lowercase();
    let index = MONTHS.iter().position(|month| month[..] == start[..])?;
    Some(index as u64 + 1)
}

fn full_year(year: u64) -> u64 {
    match year {
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        _ => year,
    }
}

fn moment(
    year: u64,
    month: u64,
    day: u64,
    [hours, minutes, seconds]: [u64; 3],
) -> Option<SystemTime> {
    let in_range = year >= 1601
        && (1..=days_in(month, year)).contains(&day)
        && hours <= 23
        && minutes <= 59
        && seconds <= 59;
    if !in_range {
        return None;
    }
    let epoch = days_since_year_zero(1970, 1, 1);
    let days = days_since_year_zero(year, month, day);
    let of_day = hours * 3600 + minutes * 60 + seconds;
    match days.checked_sub(epoch) {
        Some(days) => UNIX_EPOCH.checked_add(Duration::from_secs(days * 86_400 + of_day)),
        // Before 1970 all moments are equally past.
        None => Some(UNIX_EPOCH),
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(month: u64, year: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(is_leap(year)),
        _ => 31,
    }
}

fn days_since_year_zero(year: u64, month: u64, day: u64) -> u64 {
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400;
    let of_year: u64 = (1..month).map(|month| days_in(month, year)).sum();
    before * 365 + leap_days + of_year + day
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Seconds since 1970, by the same calendar an HTTP date library has.
    fn seconds(text: &str) -> Option<u64> {
        let since = parse(text)?.duration_since(UNIX_EPOCH);
        Some(since.unwrap().as_secs())
    }

    #[test]
    fn dates_in_any_dress_name_the_same_moment() {
        for text in [
            "Wed, 12 Nov 2025 18:10:06 GMT",
            "Wed, 12-Nov-25 18:10:06 GMT",
            "Wednesday, 12-Nov-2025 18:10:06 GMT",
            "Wed Nov 12 18:10:06 2025",
            "12 November 2025 18:10:06",
            "2025 Nov 12 18:10:06 UTC",
            "18:10:06 12-NOV-2025",
            "wed,12 nOv 25;18:10:06+0500",
            "\"12/Nov/2025 18:10:06pm\"",
            "12th Nov 2025 18:10:06",
        ] {
            assert_eq!(seconds(text), Some(1_762_971_006), "{text}");
        }
    }

    #[test]
    fn two_digit_years_are_of_the_nearer_century() {
        assert_eq!(parse("1 Jan 69 00:00:00"), parse("1 Jan 2069 00:00:00"));
        assert_eq!(parse("1 Jan 70 00:00:00"), Some(UNIX_EPOCH));
        assert_eq!(parse("1 Jan 00 00:00:00"), parse("1 Jan 2000 00:00:00"));
        assert_eq!(parse("1 Jan 1601 00:00:00"), Some(UNIX_EPOCH), "long past");
    }

    #[test]
    fn a_text_that_names_no_moment_is_none() {
        for text in [
            "",
            "GMT",
            "12 Nov 2025",
            "Nov 2025 18:10:06",
            "12 2025 18:10:06",
            "12 Nov 18:10:06",
            "32 Jan 2025 00:00:00",
            "0 Jan 2025 00:00:00",
            "31 Apr 2025 00:00:00",
            "29 Feb 2025 00:00:00",
            "12 Nov 2025 24:00:00",
            "12 Nov 2025 18:60:00",
            "12 Nov 2025 18:10:60",
            "12 Nov 2025 18:10",
            "12 Nov 20255 18:10:06",
            "12 Nov 1600 18:10:06",
            "12 No 2025 18:10:06",
            "12 Nov 2025 118:10:06",
            "session",
            "-1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse("29 Feb 2024 00:00:00").is_some());
        assert!(parse("29 Feb 2000 00:00:00").is_some());
        assert!(parse("29 Feb 2100 00:00:00").is_none());
    }

    proptest! {
        #[test]
        fn every_http_date_is_read_as_the_http_date_library_reads_it(seconds in 0..253_402_300_799_u64) {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);

            prop_assert_eq!(parse(&httpdate::fmt_http_date(moment)), Some(moment));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,60}", digits in "[0-9: ,a-z-]{0,60}") {
            let (_, _) = (parse(&text), parse(&digits));
        }
    }
}
