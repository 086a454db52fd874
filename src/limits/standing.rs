//! How much of its limits has a key left?

use std::time::Duration;

/// What is left of each limit that says so in an answer's head.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    pub requests: Option<Window>,
    pub tokens: Option<Window>,
}

/// One limit that refills by the minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub limit: u64,
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

impl Standing {
    /// Nothing of it is missing.
    pub(super) fn is_full(&self) -> bool {
        let windows = [self.requests, self.tokens];
        windows
            .iter()
            .flatten()
            .all(|window| window.reset.is_zero())
    }
}

impl Window {
    /// `drawn` of `limit`, refilled evenly over a minute.
    pub(super) fn of(limit: u64, drawn: f64) -> Self {
        let left = (limit as f64 - drawn).max(0.0);
        Self {
            limit,
            remaining: (left as u64).min(limit),
            reset: refill(drawn, limit),
        }
    }
}

/// How long so many take to come back, of a limit per minute.
pub(super) fn refill(count: f64, limit: u64) -> Duration {
    let seconds = count.max(0.0) * 60.0 / limit as f64;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
