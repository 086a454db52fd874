//! The rate gate: a zone owner's limit, which those who come back early only lengthen.

use std::time::{Duration, Instant};

use super::rate_limited;
use crate::sim::answer::Answer;

/// How the gate behaves.
#[derive(Clone, Debug)]
pub struct RateGate {
    /// Requests of one window.
    pub requests: u32,
    pub per: Duration,
    /// How long nobody passes after one too many; its Retry-After too.
    pub block: Duration,
    pub refusal: Answer,
}

impl Default for RateGate {
    fn default() -> Self {
        Self {
            requests: 100,
            per: Duration::from_secs(1),
            block: Duration::from_secs(30),
            refusal: rate_limited(),
        }
    }
}

impl RateGate {
    pub fn per_second(requests: u32) -> Self {
        Self {
            requests,
            ..Self::default()
        }
    }

    pub fn block(mut self, block: Duration) -> Self {
        self.block = block;
        self
    }
}

/// The gate at work.
pub(super) struct Rate {
    rules: RateGate,
    window: Option<Instant>,
    passed: u32,
    blocked_until: Option<Instant>,
}

impl Rate {
    pub(super) fn new(rules: RateGate) -> Self {
        Self {
            rules,
            window: None,
            passed: 0,
            blocked_until: None,
        }
    }

    pub(super) fn refuse(&mut self, now: Instant) -> Option<Answer> {
        if self.blocked_until.is_some_and(|until| now < until) {
            return Some(self.block(now));
        }
        let fresh = |since| now.saturating_duration_since(since) < self.rules.per;
        if !self.window.is_some_and(fresh) {
            self.window = Some(now);
            self.passed = 0;
        }
        if self.passed >= self.rules.requests {
            return Some(self.block(now));
        }
        self.passed += 1;
        None
    }

    fn block(&mut self, now: Instant) -> Answer {
        self.blocked_until = now.checked_add(self.rules.block);
        let seconds = self.rules.block.as_secs_f64().ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a duration's whole seconds"
        )]
        self.rules.refusal.clone().retry_after(seconds as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn so_many_pass_in_a_window_and_no_more() {
        let now = Instant::now();
        let mut rate = Rate::new(RateGate::per_second(2).block(SECOND));

        let passed: Vec<bool> = (0..3).map(|_| rate.refuse(now).is_none()).collect();

        assert_eq!(passed, [true, true, false]);
        assert!(rate.refuse(now + SECOND).is_none(), "the block is over");
    }

    #[test]
    fn an_early_try_lengthens_the_block() {
        let now = Instant::now();
        let mut rate = Rate::new(RateGate::per_second(1).block(10 * SECOND));
        rate.refuse(now);
        rate.refuse(now);

        let early = rate.refuse(now + 9 * SECOND);

        assert!(early.is_some());
        assert!(rate.refuse(now + 10 * SECOND).is_some(), "it began anew");
        assert!(rate.refuse(now + 20 * SECOND).is_none());
    }
}
