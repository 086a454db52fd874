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
    pub pauses: Pauses,
    pub retries: RetriesView,
    pub circuit: CircuitView,
}

/// Numbers of pauses by what caused them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    pub refused: u64,
    pub host: u64,
    pub circuit: u64,
    pub operator: u64,
}

impl Pauses {
    pub fn of(&self, cause: Cause) -> u64 {
        match cause {
            Cause::Refused => self.refused,
            Cause::Host => self.host,
            Cause::Circuit => self.circuit,
            Cause::Operator => self.operator,
        }
    }

    pub fn all(&self) -> u64 {
        self.refused + self.host + self.circuit + self.operator
    }

    pub(super) fn count(&mut self, cause: Cause) {
        *match cause {
            Cause::Refused => &mut self.refused,
            Cause::Host => &mut self.host,
            Cause::Circuit => &mut self.circuit,
            Cause::Operator => &mut self.operator,
        } += 1;
    }
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
