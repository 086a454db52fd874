//! What is said of a panic? Where it was, and never its text: that may quote what a client sent.

use std::panic::{self, PanicHookInfo};
use std::sync::LazyLock;

use prometheus::{IntCounter, Registry, Result};

/// Of the process, as panics are.
static PANICS: LazyLock<Result<IntCounter>> = LazyLock::new(|| {
    IntCounter::new(
        "panics_total",
        "Panics; each ended what it happened in and nothing else.",
    )
});

/// From now on a panic is counted, and is one line of the log.
pub fn tell_panics() {
    panic::set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    if let Ok(panics) = &*PANICS {
        panics.inc();
    }
    let place = panic.location().map(ToString::to_string);
    let place = place.as_deref().unwrap_or("a place that is not known");
    log::error!(target: "memgate::panic", "a panic at {place}; its text may quote a request and is left out");
}

pub(super) fn register(registry: &Registry) -> Result<()> {
    match &*PANICS {
        Ok(panics) => registry.register(Box::new(panics.clone())),
        // Its name is no name of a metric, which a test would have found.
        Err(_) => Ok(()),
    }
}
