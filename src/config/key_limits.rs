//! How much may one key spend?

use std::num::{NonZeroU32, NonZeroU64};

use super::finding::Notes;
use super::reference::Key;
use super::section::{NONE, Section, literal};
use super::yaml::{Node, Value};

const KEYS: &[Key] = &[
    (
        "requests_per_minute",
        "A minute's worth may come at once, and comes back evenly.",
    ),
    (
        "tokens_per_minute",
        "Input, what a cache keeps, and output; what a cache gives is free.",
    ),
    (
        "concurrent_requests",
        "Under way at a time, to the end of the answer.",
    ),
    ("usd_per_day", "By UTC's day and the table `prices`."),
];
const MOST_DOLLARS: f64 = 1e9;

/// What a key may spend. `None`: no limit of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KeyLimits {
    pub requests_per_minute: Option<NonZeroU32>,
    /// Input and output together.
    pub tokens_per_minute: Option<NonZeroU64>,
    pub concurrent_requests: Option<NonZeroU32>,
    /// Above 0 and finite.
    pub usd_per_day: Option<f64>,
}

impl KeyLimits {
    pub(super) fn read(node: Option<&Node>, notes: &mut Notes) -> Self {
        let mut section = Section::open("key.limits", node, KEYS, &[], notes);
        for (key, _) in KEYS {
            section.unset_is(key, NONE);
        }
        section.takes("usd_per_day", "dollars above 0, such as `50` or `2.50`");
        let mut count = |key: &str, most: u64| {
            section.get(key)?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            NonZeroU64::new(section.count(key, 1, 1..=most) as u64)
        };
        let few = u64::from(u32::MAX);
        let narrow = |count: NonZeroU64| NonZeroU32::try_from(count).ok();
        Self {
            requests_per_minute: count("requests_per_minute", few).and_then(narrow),
            tokens_per_minute: count("tokens_per_minute", u64::MAX >> 1),
            concurrent_requests: count("concurrent_requests", few).and_then(narrow),
            usd_per_day: dollars(&mut section),
        }
    }

    /// Whether one of them goes by what answers take.
    pub fn counts_tokens(&self) -> bool {
        self.tokens_per_minute.is_some() || self.usd_per_day.is_some()
    }
}

fn dollars(section: &mut Section) -> Option<f64> {
    let node = section.get("usd_per_day")?;
    let dollars = match literal(node) {
        Some(Value::Int(whole)) => Some(whole as f64),
        Some(Value::Float(part)) => Some(part),
        _ => None,
    };
    let dollars = dollars.filter(|dollars| *dollars > 0.0 && *dollars <= MOST_DOLLARS);
    if dollars.is_none() {
        section.fault(
            "usd_per_day",
            "takes dollars above 0, such as `50` or `2.50`",
        );
    }
    dollars
}
