//! How do OpenAI's clients read in which headers Anthropic says how much is left?

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use crate::clock::parse_stamp;

/// The header for OpenAI's clients, where they have one. They count all tokens together: what Anthropic says of input
/// and of output tokens alone has no name there.
pub fn rate_limit_header<'v>(
    name: &str,
    value: &'v str,
    now: SystemTime,
) -> Option<(&'static str, Cow<'v, str>)> {
    let theirs = match name {
        "anthropic-ratelimit-requests-limit" => "x-ratelimit-limit-requests",
        "anthropic-ratelimit-requests-remaining" => "x-ratelimit-remaining-requests",
        "anthropic-ratelimit-requests-reset" => "x-ratelimit-reset-requests",
        "anthropic-ratelimit-tokens-limit" => "x-ratelimit-limit-tokens",
        "anthropic-ratelimit-tokens-remaining" => "x-ratelimit-remaining-tokens",
        "anthropic-ratelimit-tokens-reset" => "x-ratelimit-reset-tokens",
        _ => return None,
    };
    let value = match name.ends_with("-reset") {
        true => Cow::Owned(until(value, now)?),
        false => Cow::Borrowed(value),
    };
    Some((theirs, value))
}

/// Anthropic says a time, OpenAI a duration.
fn until(time: &str, now: SystemTime) -> Option<String> {
    let left = parse_stamp(time)?.duration_since(now).unwrap_or_default();
    Some(spoken_duration(left))
}

/// As OpenAI says it: `6m0s`. A part of a second counts as a whole one.
pub fn spoken_duration(left: Duration) -> String {
    let left = left.as_millis().div_ceil(1000);
    let (hours, minutes, seconds) = (left / 3600, left / 60 % 60, left % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}
