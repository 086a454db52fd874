//! Is there a Retry-After that keeps anybody away for longer than it says, or than a day?
#![no_main]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use memgate::upstream::retry_after::{LONGEST, parse};

fn read(values: &[HeaderValue], now: SystemTime) -> Option<Duration> {
    let fields = values.iter().map(|value| (RETRY_AFTER, value.clone()));
    parse(&fields.collect::<HeaderMap>(), now)
}

/// The seconds that digits alone say, however many they are.
fn counted(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.trim_start_matches('0');
    let seconds = match number.len() {
        0 => 0,
        1..=5 => number.parse().ok()?,
        _ => u64::MAX,
    };
    digits.then(|| Duration::from_secs(seconds).min(LONGEST))
}

fuzz_target!(|data: &[u8]| {
    let Some((age, text)) = data.split_first_chunk::<4>() else {
        return;
    };
    let now = UNIX_EPOCH + Duration::from_secs(u64::from(u32::from_be_bytes(*age)));
    let lines = text.split(|byte| *byte == b'\n');
    let values: Vec<HeaderValue> = lines
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();

    let wait = read(&values, now);

    let each = values
        .iter()
        .map(|value| read(std::slice::from_ref(value), now));
    assert_eq!(wait, each.max().flatten(), "the longest counts");
    assert!(wait.is_none_or(|wait| wait <= LONGEST));
    for value in &values {
        let alone = read(std::slice::from_ref(value), now);
        let later = read(std::slice::from_ref(value), now + Duration::from_secs(1));
        match (counted(value), alone, later) {
            (Some(counted), alone, later) => {
                assert_eq!((alone, later), (Some(counted), Some(counted)));
            }
            (None, Some(alone), Some(later)) => {
                let shorter = alone.saturating_sub(Duration::from_secs(1));
                assert!(shorter <= later && later <= alone, "a date comes nearer");
            }
            (None, alone, later) => assert_eq!(alone, later),
        }
    }
});
