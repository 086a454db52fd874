//! How fast does the queue move?

use std::time::{Duration, Instant};

/// What is older counts less and less.
const MEMORY: Duration = Duration::from_secs(10);
/// But no slot that comes free makes us forget more than this: those of long streams come seldom.
const KEPT_AT_LEAST: f64 = 15.0 / 16.0;
/// Fewer slots than this say nothing about a rate.
const ENOUGH: f64 = 5.0;

/// Counts slots that came free, and the time, while the limit alone held somebody back.
#[derive(Debug, Default)]
pub struct Pace {
    freed: f64,
    seconds: f64,
    since: Option<Instant>,
}

impl Pace {
    /// `busy`: somebody waits for nothing but a slot.
    pub fn freed(&mut self, busy: bool, now: Instant) {
        let since = self.since.replace(now).filter(|_| busy);
        if let Some(since) = since {
            let passed = now.saturating_duration_since(since).as_secs_f64();
            let kept = (-passed / MEMORY.as_secs_f64()).exp().max(KEPT_AT_LEAST);
            self.freed = self.freed * kept + 1.0;
            self.seconds = self.seconds * kept + passed;
        }
        if !busy {
            self.rests();
        }
    }

    /// Nobody waits any more.
    pub fn rests(&mut self) {
        self.since = None;
    }

    /// Nobody waited until now.
    pub fn starts(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// How long until so many have gone; `None` while that is not known.
    pub fn wait(&self, ahead: usize) -> Option<Duration> {
        if self.freed < ENOUGH {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a queue holds thousands at most"
        )]
        let wait = ahead as f64 * self.seconds / self.freed;
        Some(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What eight slots that came free this far apart tell of the next one.
    fn after_slots(apart: Duration) -> Duration {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        pace.starts(now);
        for _ in 0..8 {
            now += apart;
            pace.freed(true, now);
        }
        pace.wait(1).unwrap()
    }

    #[test]
    fn slots_that_come_free_seldom_have_a_pace_as_those_that_come_often() {
        for apart in [1, 100, 3_000, 20_000, 300_000].map(Duration::from_millis) {
            let told = after_slots(apart).as_secs_f64() / apart.as_secs_f64();

            assert!((0.99..=1.01).contains(&told), "{apart:?}: {told}");
        }
    }
}
