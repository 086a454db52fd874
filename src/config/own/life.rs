//! How does a running gateway take up a changed configuration, and how does it stop?

use std::time::Duration;

use super::super::finding::Notes;
use super::super::reference::Key;
use super::super::section::Section;
use super::super::settings::{Drain, Reload};
use super::super::yaml::Node;

const HOUR: Duration = Duration::from_secs(3600);

const DRAIN: &[Key] = &[
    (
        "grace",
        "So long it still accepts, until balancers have seen that; answers say `connection: close`.",
    ),
    (
        "timeout",
        "Then it stops as soon as nothing is in flight; after this time it ends what is left with its dialect's error. A service manager must wait for longer than both together.",
    ),
];

impl Default for Drain {
    fn default() -> Self {
        Self {
            grace: Duration::ZERO,
            timeout: Duration::from_secs(30),
        }
    }
}

pub(super) fn drain(node: Option<&Node>, notes: &mut Notes) -> Drain {
    let mut section = Section::open("drain", node, DRAIN, &[], notes);
    let default = Drain::default();
    Drain {
        grace: section.duration("grace", default.grace, Duration::ZERO..=HOUR),
        timeout: section.duration("timeout", default.timeout, Duration::ZERO..=24 * HOUR),
    }
}

pub(super) fn reload(top: &mut Section) -> Reload {
    let choices = [("signal", Reload::Signal), ("watch", Reload::Watch)];
    top.choice("reload", Reload::Signal, &choices)
}
