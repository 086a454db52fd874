//! What does an attempt's end say about the lane it took, and how far does that reach?

use super::edge_class::EdgeClass;
use super::edge_error::{EdgeError, Whose};
use super::lane::Sign;
use super::outcome::{Outcome, Phase};
use super::verdict::Attempt;

/// What an attempt's end means for lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub sign: Sign,
    pub reach: Reach,
}

/// Which lanes are meant. What lies behind a router says nothing of the direct lane to the same provider, whose own
/// answers judge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The lane that the request took.
    Lane,
    /// Every lane through the host that was called.
    Host,
}

impl Effect {
    pub fn of(outcome: &Outcome, attempt: &Attempt<'_>) -> Self {
        let lane = |sign| Self {
            sign,
            reach: Reach::Lane,
        };
        match outcome {
            Outcome::Answered => lane(Sign::Head),
            Outcome::Edge(error) if attempt.wants_cookies(outcome) => Self {
                sign: Sign::CookiesDemanded {
                    names: attempt.fresh_cookies.to_vec(),
                    captured: true,
                    pause: error.pause(),
                },
                reach: Reach::Host,
            },
            Outcome::Edge(error) => Self {
                sign: of_edge(error),
                reach: match error.whose(attempt.called.host, attempt.called.provider) {
                    Whose::Host | Whose::Unsaid => Reach::Host,
                    Whose::Behind => Reach::Lane,
                },
            },
            Outcome::Transport(Phase::Connect | Phase::ConnectTimedOut | Phase::Unusable) => Self {
                sign: Sign::Failed,
                reach: Reach::Host,
            },
            // A provider's limits are of a key and a model; what broke half-way may have been one request's fault.
            Outcome::Provider { .. }
            | Outcome::Unproved { .. }
            | Outcome::ErrorEvent { .. }
            | Outcome::Truncated
            | Outcome::Transport(_) => lane(Sign::Neutral),
        }
    }
}

fn of_edge(error: &EdgeError) -> Sign {
    match error.class() {
        EdgeClass::QueueFull | EdgeClass::RateLimited => Sign::Refused {
            pause: error.pause(),
        },
        EdgeClass::PlanUsedUp
        | EdgeClass::Unreachable
        | EdgeClass::OriginDown
        | EdgeClass::WorkerFailed => Sign::Failed,
        EdgeClass::Blocked
        | EdgeClass::Challenge
        | EdgeClass::Misaddressed
        | EdgeClass::OriginFailed
        | EdgeClass::OriginTls
        | EdgeClass::Other => Sign::Neutral,
    }
}

#[cfg(test)]
#[path = "effect_tests.rs"]
mod tests;
