//! How is a moment written in JSON? RFC 3339 in UTC, both ways.

use std::time::{Duration, SystemTime};

const DAY: i64 = 86_400;

/// `2025-11-12T18:10:06Z`; with milliseconds where there are any.
pub fn stamp(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(0);
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let rest = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let mut text = String::with_capacity(24);
    push_two(&mut text, year / 100);
    for (number, after) in [
        (year, '-'),
        (month, '-'),
        (day, 'T'),
        (hour, ':'),
        (minute, ':'),
    ] {
        push_two(&mut text, number);
        text.push(after);
    }
    push_two(&mut text, second);
    let millis = i64::from(since.subsec_millis());
    if millis > 0 {
        text.push('.');
        push_digit(&mut text, millis / 100);
        push_two(&mut text, millis);
    }
    text.push('Z');
    text
}

/// The last two digits; a stamp is made for every request, and a formatter takes twenty times as long.
fn push_two(text: &mut String, number: i64) {
    push_digit(text, number / 10);
    push_digit(text, number);
}

fn push_digit(text: &mut String, number: i64) {
    text.push(char::from(b'0' + (number % 10) as u8));
}

/// Reads what `stamp` writes and its relatives: a space for the `T`, fractions of any length, an offset,
/// or neither `Z` nor offset, which means UTC.
pub fn parse_stamp(text: &str) -> Option<SystemTime> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let (year, month, day) = three(date, '-')?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (time, offset) = split_offset(time)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let (hour, minute, second) = three(time, ':')?;
    if hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    let nanos = nanos(fraction)?;
    Some(SystemTime::UNIX_EPOCH + Duration::new(u64::try_from(seconds).ok()?, nanos))
}

fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.find(['+', '-']) else {
        return Some((time, 0));
    };
    let (time, offset) = time.split_at(at);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    Some((time, sign * (number(hours)? * 3600 + number(minutes)? * 60)))
}

fn three(text: &str, separator: char) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(separator).map(number);
    let three = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(three)
}

fn number(text: &str) -> Option<i64> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn nanos(fraction: &str) -> Option<u32> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<9}").get(..9)?.parse().ok()
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counted in years that begin in
/// March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn known_moments_are_written_as_everybody_writes_them() {
        assert_eq!(stamp(at(0)), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(at(951_782_400)), "2000-02-29T00:00:00Z");
        assert_eq!(stamp(at(1_677_610_602)), "2023-02-28T18:56:42Z");
        assert_eq!(
            stamp(at(1) + Duration::from_millis(50)),
            "1970-01-01T00:00:01.050Z"
        );
    }

    #[test]
    fn the_spellings_of_other_programs_are_read() {
        let same = at(1_677_610_602);
        for text in [
            "2023-02-28T18:56:42Z",
            "2023-02-28T18:56:42",
            "2023-02-28 18:56:42+00:00",
            "2023-02-28T20:56:42+02:00",
            "2023-02-28T17:26:42-01:30",
            "2023-02-28T18:56:42.000000+00:00",
        ] {
            assert_eq!(parse_stamp(text), Some(same), "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_moment() {
        for text in [
            "",
            "2023-02-28",
            "2023-13-01T00:00:00Z",
            "2023-02-28T25:00:00Z",
            "never",
            "2023-02-28T18:56Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(parse_stamp(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..8_000_000_000_000u64) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            prop_assert_eq!(parse_stamp(&stamp(time)), Some(time));
        }
    }
}
