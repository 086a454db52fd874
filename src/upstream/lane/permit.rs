//! The right to have one request in flight.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Lane;
use super::sign::Sign;
use super::ticket::Ticket;

/// Kept to the request's end. Dropped, the slot is free and the next one goes.
pub struct Permit {
    lane: Arc<Lane>,
    ticket: Mutex<Ticket>,
}

impl Permit {
    pub(super) fn new(lane: Arc<Lane>, ticket: Ticket) -> Self {
        Self {
            lane,
            ticket: Mutex::new(ticket),
        }
    }

    /// Tells the lane how the attempt went; the first sign counts. Answers with the pause that the lane now keeps
    /// because of it: a refusal that concerns the whole host pauses the lanes beside it as long.
    pub fn sign(&self, sign: &Sign) -> Option<Duration> {
        self.lane.sign(&mut self.ticket.lock(), sign)
    }

    /// The attempt has its connection. An edge can refuse from now on, not before, and the lane may wait for that.
    pub fn sent(&self) {
        let mut ticket = self.ticket.lock();
        if ticket.is_watched() {
            self.lane.sent(&mut ticket);
        }
    }

    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.lane.leave(*self.ticket.get_mut());
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.lane.name()).finish()
    }
}
