//! How fast does the queue move?

use std::time::{Duration, Instant};

/// What is older counts less and less.
const MEMORY: Duration = Duration::from_secs(10);
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
            let kept = (-passed / MEMORY.as_secs_f64()).exp();
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

    /// How long until so many have gone; nothing while nothing is known.
    pub fn wait(&self, ahead: usize) -> Duration {
        if self.freed < ENOUGH {
            return Duration::ZERO;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a queue holds thousands at most"
        )]
        let wait = ahead as f64 * self.seconds / self.freed;
        Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX)
    }
}
