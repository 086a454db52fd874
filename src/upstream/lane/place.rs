//! A place in a lane's queue.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::Lane;
use super::asker::Refusal;
use super::permit::Permit;
use super::queue::Spot;

/// Dropped, it is given up; a permit that was on its way goes to the next one.
pub struct Place {
    lane: Arc<Lane>,
    spot: Spot,
    until: Instant,
    told: oneshot::Receiver<Permit>,
    queued: bool,
}

impl Place {
    pub(super) fn new(
        lane: Arc<Lane>,
        spot: Spot,
        until: Instant,
        told: oneshot::Receiver<Permit>,
    ) -> Self {
        Self {
            lane,
            spot,
            until,
            told,
            queued: true,
        }
    }

    /// Waits for the turn, no longer than the lane's policy allows.
    pub async fn granted(mut self) -> Result<Permit, Refusal> {
        let patience = self.lane.until(self.until);
        let granted = tokio::select! {
            biased;
            granted = &mut self.told => granted,
            () = patience => match self.lane.time_is_up(self.spot) {
                Some(refusal) => {
                    self.queued = false;
                    return Err(refusal);
                }
                // The turn came at the last moment.
                None => (&mut self.told).await,
            },
            never = self.lane.keep_watch() => match never {},
        };
        self.queued = false;
        // Nobody but this place takes itself from the queue, so there is always an answer.
        granted.map_err(|_gone| self.lane.refusal())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.queued {
            self.lane.give_up(self.spot);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.lane.name()).finish()
    }
}
