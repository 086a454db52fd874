//! How is a lane protected: how many at once, who waits, where to while it is closed, and when is it down?

use std::time::Duration;

use super::super::finding::Notes;
use super::super::reference::Key;
use super::super::section::Section;
use super::super::settings::{Bypass, Circuit, Queue};
use super::super::yaml::Node;

const INSTANT: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Requests of one lane, whether they wait or are under way.
const REQUESTS_MAX: usize = 100_000;

const QUEUE: &[Key] = &[
    ("max", "Requests that wait for one lane."),
    ("timeout", "Whoever would wait longer is told so at once."),
    (
        "before_bypass",
        "The wait that a request with a bypass accepts; not longer than `timeout`.",
    ),
];

const CIRCUIT: &[Key] = &[
    ("failures", "The share of failures at which a lane is down."),
    (
        "requests",
        "Of at least so many requests within `window`; where fewer go, three failures one after the other.",
    ),
    ("window", "The time that counts."),
    (
        "open",
        "So long it is left alone; it doubles up to a minute while the lane stays down.",
    ),
];

pub(super) fn bypass(section: &mut Section) -> (Bypass, Duration) {
    let bypass = section.choice(
        "bypass",
        Bypass::Provider,
        &[
            ("provider", Bypass::Provider),
            ("litellm", Bypass::LiteLlm),
            ("none", Bypass::None),
        ],
    );
    let sticky = section.duration("bypass_sticky", 5 * MINUTE, Duration::ZERO..=24 * HOUR);
    (bypass, sticky)
}

pub(super) fn max_concurrency(section: &mut Section) -> usize {
    section.count("max_concurrency", 512, 1..=REQUESTS_MAX)
}

pub(super) fn queue(node: Option<&Node>, notes: &mut Notes) -> Queue {
    let mut section = Section::open("direct.queue", node, QUEUE, &[], notes);
    let timeout = section.duration("timeout", Duration::from_secs(90), INSTANT..=HOUR);
    let before_bypass = timeout.min(Duration::from_millis(500));
    let queue = Queue {
        max: section.count("max", 2048, 1..=REQUESTS_MAX),
        timeout,
        before_bypass: section.duration("before_bypass", before_bypass, Duration::ZERO..=HOUR),
    };
    if queue.before_bypass > queue.timeout {
        section.fault(
            "before_bypass",
            "is longer than the queue's `timeout`, make it shorter",
        );
    }
    queue
}

pub(super) fn circuit(node: Option<&Node>, notes: &mut Notes) -> Circuit {
    let mut section = Section::open("direct.circuit", node, CIRCUIT, &[], notes);
    Circuit {
        failures: section.share("failures", 50, 1..=100),
        requests: section.count("requests", 10, 1..=10_000),
        window: section.duration("window", Duration::from_secs(10), INSTANT..=HOUR),
        open: section.duration("open", Duration::from_secs(5), INSTANT..=MINUTE),
    }
}
