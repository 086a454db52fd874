//! What does an answer say about the lane that it came through?

use std::time::Duration;

/// How an attempt went, as far as the lane is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The head of a good answer: the edge let it pass.
    Head,
    /// The edge turned it away and asked for silence. Its slot is free at once.
    Refused { pause: Duration },
    /// The edge turned it away for want of cookies; `captured`: it set them with the refusal. Where cookies were fetched and did
    /// not help, it is a refusal like any other, with its `pause`.
    CookiesDemanded {
        names: Vec<String>,
        captured: bool,
        pause: Duration,
    },
    /// Counts for the circuit: the lane did not do its work.
    Failed,
    /// An answer that says nothing about the lane.
    Neutral,
}

/// Why a lane is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The edge refused a request of this lane.
    Refused,
    /// The edge refused a request of another lane through the same host.
    Host,
    /// Too many requests failed.
    Circuit,
    /// A person wants it so.
    Operator,
}

impl Cause {
    pub const ALL: [Self; 4] = [Self::Refused, Self::Host, Self::Circuit, Self::Operator];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Host => "host",
            Self::Circuit => "circuit",
            Self::Operator => "operator",
        }
    }
}
