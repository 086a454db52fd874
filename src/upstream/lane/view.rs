//! What operators see of a lane.

use std::time::Duration;

use super::sign::Cause;

#[derive(Clone, Debug, PartialEq)]
pub struct LaneView {
    /// How many may be in flight.
    pub limit: usize,
    pub in_flight: usize,
    pub queued: usize,
    pub gate: GateView,
    /// Pauses that have begun since the start.
    pub pauses: u64,
    pub retries: RetriesView,
    pub circuit: CircuitView,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateView {
    Open,
    /// Opens step by step, as answers come.
    Opening,
    Paused {
        remaining: Duration,
        cause: Cause,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetriesView {
    pub in_flight: usize,
    pub allowed: usize,
    /// Retries that met a spent budget since the start.
    pub exhausted: u64,
}

/// The circuit's current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitView {
    pub failures: usize,
    pub requests: usize,
}

impl LaneView {
    pub fn pause_remaining(&self) -> Duration {
        match self.gate {
            GateView::Paused { remaining, .. } => remaining,
            GateView::Open | GateView::Opening => Duration::ZERO,
        }
    }
}
