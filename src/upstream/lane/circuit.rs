//! Does the lane fail so often that it is better left alone for a while?

use std::time::{Duration, Instant};

use super::CircuitPolicy;
use super::view::CircuitView;

const SLICES: usize = 10;
/// However often it failed again, it is probed after so many times the first wait.
const LONGEST: u32 = 12;
/// Where too few go for a share to mean anything, so many failures without a success between mean it, however far
/// apart: who waits long for each of them has few in any window.
const IN_A_ROW: usize = 3;

#[derive(Debug)]
pub struct Circuit {
    policy: CircuitPolicy,
    start: Instant,
    slices: [Slice; SLICES],
    /// Failures since it last worked.
    in_a_row: usize,
    /// Times it was opened since it last worked.
    opened: u32,
}

/// A tenth of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    number: u64,
    requests: usize,
    failures: usize,
}

impl Circuit {
    pub fn new(policy: CircuitPolicy, start: Instant) -> Self {
        Self {
            policy,
            start,
            slices: [Slice::default(); SLICES],
            in_a_row: 0,
            opened: 0,
        }
    }

    /// Goes by another policy; where the window is another, by what comes from now on.
    pub fn follow(&mut self, policy: CircuitPolicy) {
        if policy.window != self.policy.window {
            self.slices = [Slice::default(); SLICES];
        }
        self.policy = policy;
    }

    pub fn worked(&mut self, now: Instant) {
        self.in_a_row = 0;
        self.count(false, now);
    }

    /// If that was one too many: how long to leave the lane alone.
    pub fn failed(&mut self, now: Instant) -> Option<Duration> {
        self.count(true, now);
        self.in_a_row += 1;
        let CircuitView { failures, requests } = self.view(now);
        #[expect(clippy::cast_precision_loss, reason = "a window holds few requests")]
        let share = failures as f64 / requests.max(1) as f64;
        let broken = if requests >= self.policy.requests.max(1) {
            share >= self.policy.failures
        } else {
            self.in_a_row >= IN_A_ROW
        };
        broken.then(|| self.open())
    }

    /// Its probe failed, or too many did: longer each time.
    pub fn open(&mut self) -> Duration {
        let factor = (1 << self.opened.min(8)).min(LONGEST);
        self.opened += 1;
        self.in_a_row = 0;
        self.slices = [Slice::default(); SLICES];
        self.policy.open.min(Duration::from_secs(3600)) * factor
    }

    /// Its probe passed.
    pub fn close(&mut self) {
        self.opened = 0;
    }

    pub fn view(&self, now: Instant) -> CircuitView {
        let current = self.number(now);
        let recent = |slice: &&Slice| slice.number + SLICES as u64 > current;
        let (failures, requests) = self
            .slices
            .iter()
            .filter(recent)
            .fold((0, 0), |(failures, requests), slice| {
                (failures + slice.failures, requests + slice.requests)
            });
        CircuitView { failures, requests }
    }

    fn count(&mut self, failed: bool, now: Instant) {
        let number = self.number(now);
        #[expect(clippy::cast_possible_truncation, reason = "a remainder of ten")]
        let place = (number % SLICES as u64) as usize;
        if let Some(slice) = self.slices.get_mut(place) {
            if slice.number != number {
                *slice = Slice {
                    number,
                    ..Slice::default()
                };
            }
            slice.requests += 1;
            slice.failures += usize::from(failed);
        }
    }

    fn number(&self, now: Instant) -> u64 {
        let slice = self.policy.window.as_secs_f64().max(0.001) / SLICES as f64;
        let elapsed = now.saturating_duration_since(self.start).as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "neither negative nor beyond an age"
        )]
        let number = (elapsed / slice) as u64;
        number
    }
}
