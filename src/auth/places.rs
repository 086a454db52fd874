//! Whose question to LiteLLM is next? Made-up keys must overrun neither LiteLLM nor the keys that are good.

use std::array;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::attempts::network;

/// Questions at one time about keys that were good before, and as many about others.
pub(super) const AT_ONCE: usize = 16;
/// Addresses that failed too often stand in these lines, those of one address in the same.
const LINES: usize = 64;
/// How many may stand in one: behind a balancer all of a team comes at once when the gateway was started anew.
pub(super) const LONGEST: usize = 2048;
/// How many of a line are asked about at a time. A minority of all, so that guesses leave the others room.
pub(super) const IN_TURN: usize = 4;

pub(super) struct Places {
    heard_of: Semaphore,
    strange: Semaphore,
    lines: [Line; LINES],
    by: RandomState,
}

struct Line {
    room: Semaphore,
    heads: Semaphore,
}

/// One of those at the head of a line, until it is dropped.
pub(super) struct Head<'p> {
    _room: SemaphorePermit<'p>,
    _head: SemaphorePermit<'p>,
}

impl Places {
    pub fn new() -> Self {
        Self {
            heard_of: Semaphore::new(AT_ONCE),
            strange: Semaphore::new(AT_ONCE),
            lines: array::from_fn(|_| Line {
                room: Semaphore::new(LONGEST),
                heads: Semaphore::new(IN_TURN),
            }),
            by: RandomState::new(),
        }
    }

    /// The right to ask.
    pub async fn enter(&self, heard_of: bool) -> Option<SemaphorePermit<'_>> {
        let places = if heard_of {
            &self.heard_of
        } else {
            &self.strange
        };
        places.acquire().await.ok()
    }

    /// A place at the head of the line of an address that failed too often. `None`: there is no room in it.
    pub async fn stand_in_line(&self, address: IpAddr) -> Option<Head<'_>> {
        let hash = self.by.hash_one(network(address));
        let line = self.lines.get(hash as usize % LINES)?;
        Some(Head {
            _room: line.room.try_acquire().ok()?,
            _head: line.heads.acquire().await.ok()?,
        })
    }
}
