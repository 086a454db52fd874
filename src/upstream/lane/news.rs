//! What is told of a lane's events, to those who wait and to the log?

use std::time::Duration;

use super::sign::Cause;
use super::ticket::Ticket;

/// What others must be told.
pub struct News<W> {
    pub grants: Vec<(W, Ticket)>,
    /// Those who would wait in vain: the lane is down, or paused beyond their patience.
    pub dismissed: Vec<W>,
    pub notes: Vec<Note>,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    Paused {
        wait: Duration,
        cause: Cause,
        limit: usize,
    },
    Over {
        limit: usize,
    },
}
