//! May this request be sent again, and when?
//!
//! `POST /v1/messages` has no idempotency key: an attempt that may have been worked on may have been billed and, through
//! the router, written to memory. What is not known to be safe is delivered as it is.

use std::time::Duration;

use super::edge_error::{EdgeClass, EdgeError};
use super::outcome::{Outcome, Phase, ProviderError};
use crate::config;

/// How often and how long to wait. It decides; the caller sleeps.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    attempts: u32,
    initial_delay: Duration,
    max_delay: Duration,
}

/// What the policy must know of the attempt that ended.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The first is 1.
    pub number: u32,
    /// The host that was called.
    pub host: &'a str,
    /// The host behind a router, else the same.
    pub provider: &'a str,
    /// The next try would carry cookies that this one had not.
    pub fresh_cookies: bool,
    /// This request was already sent again only for its cookies.
    pub retried_for_cookies: bool,
    /// Something of an answer went to the client.
    pub delivering: bool,
}

/// What to do with an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client gets it, as an answer or as an error of ours.
    Deliver,
    Retry {
        wait: Duration,
        reason: Reason,
    },
}

/// Why it is safe to send the request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The edge asked for cookies and set them with its refusal.
    FreshCookies,
    /// The edge turned it away before any server saw it.
    EdgeRefused,
    /// The API turned it away unprocessed.
    ProviderRefused,
    /// It never left, or HTTP/2 says that it was not looked at.
    NotSent,
}

/// What facts allow, before budgets and bounds.
enum Repeat {
    Never,
    AtOnce(Reason),
    After(Duration, Reason),
}

impl RetryPolicy {
    pub fn new(config: config::Retry) -> Self {
        Self {
            attempts: config.attempts,
            initial_delay: config.initial_delay,
            max_delay: config.max_delay,
        }
    }

    /// `random` is uniform in [0, 1). Waits are the time the upstream asked for, and full jitter on top, so that
    /// those who were refused together do not come back together. Longer than `max_delay` nobody is
    /// kept waiting: the answer with its Retry-After is worth more to the client.
    pub fn judge(&self, outcome: &Outcome, attempt: &Attempt<'_>, random: f64) -> Verdict {
        if attempt.number >= self.attempts || attempt.delivering {
            return Verdict::Deliver;
        }
        match repeat(outcome, attempt) {
            Repeat::Never => Verdict::Deliver,
            Repeat::AtOnce(reason) => Verdict::Retry {
                wait: Duration::ZERO,
                reason,
            },
            Repeat::After(floor, _) if floor > self.max_delay => Verdict::Deliver,
            Repeat::After(floor, reason) => Verdict::Retry {
                wait: floor + self.jitter(attempt.number, random),
                reason,
            },
        }
    }

    /// Uniform in [0, min(max_delay, initial_delay · 2^(attempt - 1))).
    fn jitter(&self, attempt: u32, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let cap = self
            .initial_delay
            .saturating_mul(doubled)
            .min(self.max_delay);
        let share = if (0.0..1.0).contains(&random) {
            random
        } else {
            0.0
        };
        cap.mul_f64(share)
    }
}

impl Reason {
    /// The label in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FreshCookies => "fresh_cookies",
            Self::EdgeRefused => "edge_refused",
            Self::ProviderRefused => "provider_refused",
            Self::NotSent => "not_sent",
        }
    }
}

fn repeat(outcome: &Outcome, attempt: &Attempt<'_>) -> Repeat {
    match outcome {
        Outcome::Edge(error) => repeat_at_edge(error, attempt),
        Outcome::Provider {
            error: ProviderError::SpendLimit,
            ..
        } => Repeat::Never,
        Outcome::Provider {
            status,
            retry_after,
            ..
        }
        | Outcome::Unproved {
            status,
            retry_after,
        } => match (status, retry_after) {
            (429, Some(wait)) => Repeat::After(*wait, Reason::ProviderRefused),
            (529, wait) => Repeat::After(wait.unwrap_or_default(), Reason::ProviderRefused),
            _ => Repeat::Never,
        },
        Outcome::Transport(Phase::Connect | Phase::Unprocessed) => {
            Repeat::After(Duration::ZERO, Reason::NotSent)
        }
        Outcome::Answered | Outcome::Transport(_) => Repeat::Never,
    }
}

/// An edge that names a zone behind the host called has let the request through to the router, which may have read
/// and written memory: such a refusal is not repeated on the same way. One that names nothing counts as
/// the host's own only where nothing is behind it.
fn repeat_at_edge(error: &EdgeError, attempt: &Attempt<'_>) -> Repeat {
    let of_host = error
        .is_about(attempt.host)
        .unwrap_or(attempt.host == attempt.provider);
    let wait = |seconds| {
        let asked = error.retry_after.unwrap_or(Duration::from_secs(seconds));
        Repeat::After(asked, Reason::EdgeRefused)
    };
    match error.class() {
        EdgeClass::QueueFull if !of_host => Repeat::Never,
        EdgeClass::QueueFull if attempt.fresh_cookies && !attempt.retried_for_cookies => {
            Repeat::AtOnce(Reason::FreshCookies)
        }
        // What Cloudflare sends with these errors since 2026, for pages that lack it.
        EdgeClass::QueueFull => wait(60),
        EdgeClass::RateLimited if of_host => wait(30),
        EdgeClass::OriginDown => wait(0),
        _ => Repeat::Never,
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
