//! How many clients are connected, and how many connections did we close on them?

use prometheus::{IntCounterVec, IntGauge, Registry, Result};

use super::metrics::{counters, gauge};

/// Handles, to be kept by whoever lets clients in.
#[derive(Clone)]
pub struct ConnectionMetrics {
    open: IntGauge,
    closed: IntCounterVec,
}

impl ConnectionMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let open = gauge(registry, "connections", "Clients' connections.")?;
        let closed = counters(
            registry,
            "connections_closed_total",
            "Clients' connections that were closed on them, and why.",
            &["reason"],
        )?;
        Ok(Self { open, closed })
    }

    pub fn open(&self, connections: usize) {
        self.open
            .set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// `reason` is one of the code's own words.
    pub fn closed(&self, reason: &'static str) {
        self.closed.with_label_values(&[reason]).inc();
    }
}
