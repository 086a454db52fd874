//! How are moments, spans and numbers said?

use std::time::{Duration, SystemTime};

use crate::clock::stamp;

/// `14:02 UTC`, with the day where it is another one.
pub(super) fn clock(time: SystemTime, now: SystemTime) -> String {
    let (then, today) = (stamp(time), stamp(now));
    let part = |text: &str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let (day, hour) = (part(&then, 0, 10), part(&then, 11, 16));
    let hour = hour.unwrap_or_default();
    if day == part(&today, 0, 10) {
        format!("{hour} UTC")
    } else {
        format!("{} {hour} UTC", day.unwrap_or_default())
    }
}

/// In the unit that people would use.
pub(super) fn span(time: Duration) -> String {
    // Never sooner than it will be.
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        7_200..=172_799 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `1 request`, `1,234 requests`, `41 people`.
pub(super) fn number(count: u64, noun: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match (count, noun) {
        (1, _) => format!("{grouped} {noun}"),
        (_, "person") => format!("{grouped} people"),
        _ => format!("{grouped} {noun}s"),
    }
}
