//! How does a lane that was quiet begin again? A few go first, and twice as many with each round trip: should the edge have
//! changed its mind meanwhile, few are refused before the others know. Nobody feels it, a hundred are out within six round trips.

use std::time::{Duration, Instant};

/// Nobody went for so long.
const QUIET: Duration = Duration::from_secs(1);
const FIRST: usize = 2;
/// By now refusals would be here, and whoever goes is one of many.
const MANY: usize = 128;
/// What a round trip may take.
const STEP: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(50));
/// A crowd slows everything down, here and there: so many times what it took.
const MARGIN: u32 = 2;

#[derive(Debug, Default)]
pub struct Burst {
    last: Option<Instant>,
    step: Option<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    window: usize,
    /// No answer to these yet.
    awaiting: usize,
    ends: Instant,
}

impl Burst {
    pub fn may_go(&self, now: Instant) -> bool {
        self.step
            .is_none_or(|step| step.awaiting < step.window || step.ends <= now)
    }

    /// `round_trip`: in which this edge refuses, if it ever did.
    pub fn went(&mut self, round_trip: Option<Duration>, now: Instant) {
        let last = self.last.replace(now);
        let quiet = last.is_some_and(|last| now.saturating_duration_since(last) >= QUIET);
        let window = match self.step {
            _ if quiet => Some(FIRST),
            Some(step) if step.ends <= now => {
                // Fewer than might be on their way are no burst any more.
                let over = step.awaiting < step.window || step.window >= MANY;
                (!over).then_some(step.window * 2)
            }
            _ => None,
        };
        if let Some(window) = window {
            self.step = Some(Step {
                window,
                awaiting: 0,
                ends: now
                    + round_trip.map_or(STEP.1, |known| (known * MARGIN).clamp(STEP.0, STEP.1)),
            });
        } else if self.step.is_some_and(|step| step.ends <= now) {
            self.step = None;
        }
        if let Some(step) = &mut self.step {
            step.awaiting += 1;
        }
    }

    /// It goes by the steps of a lane that opens.
    pub fn went_otherwise(&mut self, now: Instant) {
        *self = Self {
            last: Some(now),
            step: None,
        };
    }

    /// One that went has an answer: its place is the next one's.
    pub fn answered(&mut self) {
        if let Some(step) = &mut self.step {
            step.awaiting = step.awaiting.saturating_sub(1);
        }
    }

    pub fn alarm(&self) -> Option<Instant> {
        let step = self.step.filter(|step| step.awaiting >= step.window);
        step.map(|step| step.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(25);

    /// How many of so many that come at once go in each round trip.
    fn rounds(burst: &mut Burst, mut crowd: usize, mut now: Instant) -> Vec<usize> {
        let mut rounds = Vec::new();
        while crowd > 0 {
            let mut went = 0;
            while crowd > 0 && burst.may_go(now) {
                burst.went(Some(TRIP), now);
                (went, crowd) = (went + 1, crowd - 1);
            }
            rounds.push(went);
            now = burst.alarm().unwrap_or(now + TRIP);
        }
        rounds
    }

    fn that_was_used_at(now: Instant) -> Burst {
        let mut burst = Burst::default();
        burst.went(Some(TRIP), now);
        burst
    }

    #[test]
    fn a_crowd_after_a_quiet_time_goes_by_round_trips_each_with_twice_as_many() {
        let now = Instant::now();
        let mut burst = that_was_used_at(now);

        assert_eq!(rounds(&mut burst, 100, now + QUIET), [2, 4, 8, 16, 32, 38]);
    }

    #[test]
    fn nothing_holds_a_crowd_in_a_lane_that_is_busy() {
        let now = Instant::now();
        let mut burst = that_was_used_at(now);

        assert_eq!(rounds(&mut burst, 100, now + QUIET / 2), [100]);
    }

    #[test]
    fn those_who_come_one_by_one_never_wait() {
        let mut now = Instant::now();
        let mut burst = that_was_used_at(now);
        for apart in [QUIET, TRIP, 2 * QUIET, TRIP, TRIP, TRIP / 2] {
            now += apart;

            assert!(burst.may_go(now));
            burst.went(Some(TRIP), now);
        }
    }

    #[test]
    fn whoever_is_answered_makes_room_at_once() {
        let now = Instant::now();
        let mut burst = that_was_used_at(now);
        let now = now + QUIET;
        for _ in 0..100 {
            assert!(burst.may_go(now));
            burst.went(Some(TRIP), now);
            burst.answered();
        }
    }

    #[test]
    fn more_than_a_hundred_and_twenty_eight_in_a_round_trip_are_held_no_more() {
        let now = Instant::now();
        let mut burst = that_was_used_at(now);

        let rounds = rounds(&mut burst, 1000, now + QUIET);

        assert_eq!(rounds, [2, 4, 8, 16, 32, 64, 128, 746]);
    }
}
