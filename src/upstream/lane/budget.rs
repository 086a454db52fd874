//! May one more request be sent again? A share of what the lane carries, so that retries never become the load.

use super::pace::Pace;

#[derive(Debug)]
pub struct RetryBudget {
    share: f64,
    min: usize,
    in_flight: usize,
    exhausted: u64,
    /// How fast those move who wait to be sent again.
    pub pace: Pace,
}

impl RetryBudget {
    pub fn new(share: f64, min: usize) -> Self {
        Self {
            share,
            // Without a single one those who wait to be sent again would wait for ever.
            min: min.max(1),
            in_flight: 0,
            exhausted: 0,
            pace: Pace::default(),
        }
    }

    pub fn follow(&mut self, share: f64, min: usize) {
        self.share = share;
        self.min = min.max(1);
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub fn exhausted(&self) -> u64 {
        self.exhausted
    }

    /// How many retries may be in flight when the lane carries so many requests.
    pub fn allowed(&self, carried: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "saturates, and a lane carries thousands at most"
        )]
        let share = (carried as f64 * self.share) as usize;
        share.max(self.min)
    }

    pub fn has_room(&self, carried: usize) -> bool {
        self.in_flight < self.allowed(carried)
    }

    pub fn refused(&mut self) {
        self.exhausted += 1;
    }

    pub fn went(&mut self, retry: bool) {
        self.in_flight += usize::from(retry);
    }

    pub fn back(&mut self, retry: bool) {
        self.in_flight = self.in_flight.saturating_sub(usize::from(retry));
    }
}
