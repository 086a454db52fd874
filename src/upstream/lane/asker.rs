//! Who asks to pass a lane, and how the lane may answer.

use std::time::Duration;

use super::permit::Permit;
use super::place::Place;

/// What the lane must know of a request to treat it fairly.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub caller: u64,
    pub session: u64,
    /// Nobody sits in front of a screen and waits for it.
    pub background: bool,
    /// It was sent before, by us or by the client.
    pub retry: bool,
    /// It would go without cookies that the edge demanded: see `Lane::demands`.
    pub lacks_cookies: bool,
    pub patience: Patience,
    /// What it has spent in line before, over all its attempts.
    pub waited: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// There is no other way: it waits as long as the queue allows.
    Queue,
    /// It would rather go another way than wait long.
    Bypass,
}

#[derive(Debug)]
pub enum Entry {
    Go(Permit),
    Wait(Place),
    Refused(Refusal),
}

/// Why a request does not pass this lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The edge asked for silence.
    Paused { remaining: Duration },
    /// It failed too often.
    Down { remaining: Duration },
    /// Its turn would come too late.
    Full { expected: Duration },
    /// Too many wait already.
    QueueFull { expected: Duration },
}

impl Refusal {
    /// When asking again is worth it; never less than the second that HTTP can express.
    pub fn retry_after(&self) -> Duration {
        self.wait().max(Duration::from_secs(1))
    }

    pub(super) fn wait(&self) -> Duration {
        match self {
            Self::Paused { remaining } | Self::Down { remaining } => *remaining,
            Self::Full { expected } | Self::QueueFull { expected } => *expected,
        }
    }
}
