//! How long does an answer ask us to stay away?

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

/// Nobody is believed beyond a day: what would last longer is for people to look at.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// `Retry-After` as seconds or as an HTTP date (RFC 9110, 10.2.3); the longest if there are several.
/// A date that is past is a wait of nothing, a text that is neither is no wait at all.
pub fn parse(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter();
    let waits = values.filter_map(|value| wait(value.to_str().ok()?.trim(), now));
    waits.max()
}

fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a very long time, not a mistake.
        return Some(seconds(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now).unwrap_or_default().min(LONGEST))
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// 1994-11-06 08:49:37 GMT.
    const NOW: Duration = Duration::from_secs(784_111_777);

    fn read(values: &[&[u8]]) -> Option<u64> {
        let fields = values
            .iter()
            .map(|value| (RETRY_AFTER, HeaderValue::from_bytes(value).unwrap()));
        let headers = fields.collect::<HeaderMap>();
        parse(&headers, UNIX_EPOCH + NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_all_three_date_forms_are_read() {
        for (text, wait) in [
            ("60", 60),
            ("0", 0),
            (" 7 ", 7),
            ("007", 7),
            ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
            ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
            ("Sun Nov  6 08:50:37 1994", 60),
            ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ] {
            assert_eq!(read(&[text.as_bytes()]), Some(wait), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_nothing() {
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "60s",
            "0x10",
            "soon",
            "Sun, 99 Nov 1994",
        ] {
            assert_eq!(read(&[text.as_bytes()]), None, "{text}");
        }
        assert_eq!(read(&[b"\xff\xff"]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn no_value_is_believed_beyond_a_day() {
        for text in [
            "86401",
            "18446744073709551615",
            "99999999999999999999999999",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(read(&[text.as_bytes()]), Some(86_400), "{text}");
        }
    }

    #[test]
    fn of_several_the_longest_counts() {
        assert_eq!(read(&[b"5", b"nonsense", b"30", b"10"]), Some(30));
    }

    proptest! {
        #[test]
        fn any_value_is_a_bounded_wait_or_none(text in "[0-9A-Za-z,:+. -]{0,40}", age in 0..u64::MAX / 4) {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(&text).unwrap())]);
            let now = UNIX_EPOCH + Duration::from_secs(age % 253_402_300_800);

            let wait = parse(&headers, now);

            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST));
        }
    }
}
