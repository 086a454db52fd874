//! May a key make one more request this minute?

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;

use super::standing::Window;

pub(super) struct Rate {
    limit: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, Time, StateInformationMiddleware>,
    /// What was drawn and not given back when it was last asked, which it does not tell otherwise.
    drawn: u32,
    at: Instant,
}

/// The gateway's time, as the limiter reads it.
#[derive(Clone)]
struct Time(Arc<dyn Clock>);

impl governor::clock::Clock for Time {
    type Instant = Instant;

    fn now(&self) -> Instant {
        self.0.now()
    }
}

impl Rate {
    /// A minute's requests may come at once, less those that were drawn before.
    pub fn new(limit: NonZeroU32, drawn: u32, clock: &Arc<dyn Clock>) -> Self {
        let limiter =
            RateLimiter::direct_with_clock(Quota::per_minute(limit), Time(Arc::clone(clock)));
        let limiter = limiter.with_middleware();
        let drawn = drawn.min(limit.get());
        if let Some(drawn) = NonZeroU32::new(drawn) {
            // As many as fit are there to be taken.
            let _ = limiter.check_n(drawn);
        }
        Self {
            limit,
            limiter,
            drawn,
            at: clock.now(),
        }
    }

    pub fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// Takes one, or says how long until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        match self.limiter.check() {
            Ok(left) => {
                let left = left.remaining_burst_capacity();
                self.drawn = self.limit.get().saturating_sub(left);
                self.at = now;
                Ok(())
            }
            Err(not_until) => Err(not_until.wait_time_from(now)),
        }
    }

    /// Those of which the minute has not given back everything.
    pub fn drawn(&self, now: Instant) -> u32 {
        self.left_of(now).ceil() as u32
    }

    pub fn window(&self, now: Instant) -> Window {
        Window::of(self.limit.get().into(), self.left_of(now))
    }

    /// What is still drawn now.
    fn left_of(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let back = passed * f64::from(self.limit.get()) / 60.0;
        (f64::from(self.drawn) - back).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_minutes_requests_may_come_at_once_and_the_next_as_they_come_back() {
        let manual = ManualClock::default();
        let clock: Arc<dyn Clock> = Arc::new(manual.clone());
        let mut rate = Rate::new(NonZeroU32::new(60).unwrap(), 0, &clock);

        for left in (0..60).rev() {
            assert_eq!(rate.take(manual.now()), Ok(()));
            assert_eq!(rate.window(manual.now()).remaining, left);
        }
        assert_eq!(rate.take(manual.now()), Err(Duration::from_secs(1)));
        assert_eq!(
            rate.window(manual.now()).reset,
            Duration::from_secs(60),
            "when all of it is there again"
        );

        manual.advance(Duration::from_millis(2500));
        assert_eq!(rate.window(manual.now()).remaining, 2);
        assert_eq!(rate.take(manual.now()), Ok(()));
        assert_eq!(rate.take(manual.now()), Ok(()));
        assert_eq!(rate.take(manual.now()), Err(Duration::from_millis(500)));
    }

    #[test]
    fn what_was_drawn_of_another_limit_is_drawn_of_this_one() {
        let manual = ManualClock::default();
        let clock: Arc<dyn Clock> = Arc::new(manual.clone());
        let limit = |limit| NonZeroU32::new(limit).unwrap();
        let mut rate = Rate::new(limit(60), 0, &clock);
        for _ in 0..12 {
            assert_eq!(rate.take(manual.now()), Ok(()));
        }
        manual.advance(Duration::from_millis(2500));
        assert_eq!(rate.drawn(manual.now()), 10);

        let mut more = Rate::new(limit(120), 10, &clock);
        let mut fewer = Rate::new(limit(6), 10, &clock);

        assert_eq!(more.take(manual.now()), Ok(()));
        assert_eq!(more.window(manual.now()).remaining, 109);
        assert_eq!(fewer.take(manual.now()), Err(Duration::from_secs(10)));
    }
}
