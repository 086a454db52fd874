//! What has become of a request that was let go?

use std::time::Instant;

/// What a request in flight must remember.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub retry: bool,
    pub id: u64,
    pub epoch: u64,
    pub level: usize,
    pub went: Instant,
    /// Others wait to see what becomes of it.
    pub watched: bool,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No sign yet.
    Out,
    Passed,
    Answered,
    /// The slot is free again.
    Back,
}

impl Ticket {
    /// Must the lane be told when it has its connection?
    pub fn is_watched(&self) -> bool {
        self.watched
    }

    pub fn holds_a_slot(&self) -> bool {
        self.stage != Stage::Back
    }

    pub fn has_passed(&self) -> bool {
        self.stage == Stage::Passed
    }
}
