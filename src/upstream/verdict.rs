//! What becomes of a request whose attempt ended: is it delivered, sent again, sent another way, or refused?
//!
//! `POST /v1/messages` has no idempotency key: an attempt that may have been worked on may have been billed and, through
//! the router, written to memory. What is not known to be safe is delivered as it is.

use std::time::Duration;

use super::edge_class::EdgeClass;
use super::edge_error::{EdgeError, Whose};
use super::outcome::{Outcome, Phase, ProviderError};
use crate::config;

/// How often and how long to wait. It decides; the caller sleeps.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    attempts: u32,
    initial_delay: Duration,
    max_delay: Duration,
}

/// What must be known of the attempt that ended.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The first is 1.
    pub number: u32,
    pub called: Called<'a>,
    /// Names of the cookies that its answer set and that it had not sent.
    pub fresh_cookies: &'a [String],
    /// This request was already sent again only for its cookies.
    pub retried_for_cookies: bool,
    /// Something of an answer went to the client.
    pub delivering: bool,
    /// Another lane is at hand.
    pub bypass: bool,
}

/// Who was called, and who stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called<'a> {
    pub host: &'a str,
    /// The host behind a router, else the same.
    pub provider: &'a str,
}

/// What to do with an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client gets it, as an answer or as an error of ours.
    Deliver,
    /// The same way once more. What the lane's pause asks for is not part of `wait`.
    Retry { wait: Duration, reason: Reason },
    /// At once, by another lane.
    Bypass { reason: Reason },
    /// The client is told to come back, and never sees the edge's page.
    Refuse {
        retry_after: Duration,
        /// The request was certainly not processed.
        certain: bool,
    },
}

/// Why the request may go up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The edge asked for cookies and set them with its refusal.
    FreshCookies,
    /// The edge turned it away before any server saw it.
    EdgeRefused,
    /// An edge behind the router turned it away: the router may have written it to memory, and may again.
    MayDuplicate,
    /// No request reaches the server for now.
    RouteDown,
    /// The API turned it away unprocessed.
    ProviderRefused,
    /// It never left, or HTTP/2 says that it was not looked at.
    NotSent,
}

/// What facts allow, before bounds.
enum Repeat {
    Never,
    /// The edge's queue is full, or its owner's limit reached: the lane pauses.
    AfterPause(Duration, Reason),
    /// Another lane would do; this one will not.
    Elsewhere,
    ElsewhereOr(Duration, Reason),
    /// This lane first: without the router there is no memory.
    HereOrElsewhere(Reason),
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

    /// `random` is uniform in [0, 1). Waits are the time the provider asked for, and full jitter on top, so that
    /// those who were refused together do not come back together. Longer than `max_delay` nobody is
    /// kept waiting for a provider: its answer with its Retry-After is worth more to the client.
    pub fn judge(&self, outcome: &Outcome, attempt: &Attempt<'_>, random: f64) -> Verdict {
        if attempt.delivering {
            return Verdict::Deliver;
        }
        let last = attempt.number >= self.attempts;
        if !last && attempt.wants_cookies(outcome) {
            return Verdict::Retry {
                wait: Duration::ZERO,
                reason: Reason::FreshCookies,
            };
        }
        let jitter = self.jitter(attempt.number, random);
        let retry = |wait, reason| match wait + jitter {
            wait if !last => Verdict::Retry { wait, reason },
            _ => Verdict::Deliver,
        };
        match (repeat(outcome, attempt.called), attempt.bypass) {
            (Repeat::AfterPause(..), true) => Verdict::Bypass {
                reason: Reason::EdgeRefused,
            },
            (Repeat::AfterPause(pause, reason), false) if last => Verdict::Refuse {
                retry_after: pause,
                certain: reason != Reason::MayDuplicate,
            },
            (Repeat::AfterPause(_, reason), false) => retry(Duration::ZERO, reason),
            (Repeat::Elsewhere | Repeat::ElsewhereOr(..), true) => Verdict::Bypass {
                reason: Reason::RouteDown,
            },
            (Repeat::HereOrElsewhere(reason), true) if last => Verdict::Bypass { reason },
            (Repeat::HereOrElsewhere(reason), _) => retry(Duration::ZERO, reason),
            (Repeat::ElsewhereOr(floor, reason), false) | (Repeat::After(floor, reason), _)
                if floor <= self.max_delay =>
            {
                retry(floor, reason)
            }
            _ => Verdict::Deliver,
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

impl Attempt<'_> {
    /// The host's own edge refused for want of cookies: it set some, and this request was not yet repeated for them.
    pub(super) fn wants_cookies(&self, outcome: &Outcome) -> bool {
        let Outcome::Edge(error) = outcome else {
            return false;
        };
        error.class() == EdgeClass::QueueFull
            && error.whose(self.called.host, self.called.provider) == Whose::Host
            && !self.fresh_cookies.is_empty()
            && !self.retried_for_cookies
    }
}

impl Reason {
    /// The label in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FreshCookies => "fresh_cookies",
            Self::EdgeRefused => "edge_refused",
            Self::MayDuplicate => "may_duplicate",
            Self::RouteDown => "route_down",
            Self::ProviderRefused => "provider_refused",
            Self::NotSent => "not_sent",
        }
    }
}

fn repeat(outcome: &Outcome, called: Called<'_>) -> Repeat {
    match outcome {
        Outcome::Edge(error) => repeat_at_edge(error, called),
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
            Repeat::HereOrElsewhere(Reason::NotSent)
        }
        Outcome::Transport(Phase::ConnectTimedOut) => {
            Repeat::ElsewhereOr(Duration::ZERO, Reason::NotSent)
        }
        Outcome::Transport(Phase::Unusable) => Repeat::Elsewhere,
        Outcome::Answered
        | Outcome::ErrorEvent { .. }
        | Outcome::Truncated
        | Outcome::Transport(_) => Repeat::Never,
    }
}

/// An edge behind the host called has let the request through to the router, which may have read and written memory.
fn repeat_at_edge(error: &EdgeError, called: Called<'_>) -> Repeat {
    let whose = error.whose(called.host, called.provider);
    match error.class() {
        EdgeClass::QueueFull | EdgeClass::RateLimited => {
            let reason = match whose {
                Whose::Host => Reason::EdgeRefused,
                Whose::Behind | Whose::Unsaid => Reason::MayDuplicate,
            };
            Repeat::AfterPause(error.pause(), reason)
        }
        EdgeClass::PlanUsedUp | EdgeClass::Unreachable => Repeat::Elsewhere,
        EdgeClass::OriginDown => {
            let reason = match whose {
                Whose::Host | Whose::Unsaid => Reason::EdgeRefused,
                Whose::Behind => Reason::MayDuplicate,
            };
            Repeat::ElsewhereOr(error.retry_after.unwrap_or_default(), reason)
        }
        _ => Repeat::Never,
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
