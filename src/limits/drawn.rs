//! How many tokens did a key use that its minute has not given back yet?
//!
//! What an answer takes is known at its end, so more may be drawn than there is; whoever comes next waits until
//! something is there again.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::standing::{Window, refill};

#[derive(Default)]
pub(super) struct Drawn {
    tokens: f64,
    at: Option<Instant>,
}

impl Drawn {
    pub fn draw(&mut self, tokens: u64, limit: NonZeroU64, now: Instant) {
        self.tokens = self.left_of(limit, now) + tokens as f64;
        self.at = Some(now);
    }

    /// Whether there is anything left; else how long until one token is.
    pub fn check(&self, limit: NonZeroU64, now: Instant) -> Result<(), Duration> {
        let over = self.left_of(limit, now) - limit.get() as f64;
        if over < 0.0 {
            return Ok(());
        }
        Err(refill(over + 1.0, limit.get()))
    }

    pub fn window(&self, limit: NonZeroU64, now: Instant) -> Window {
        Window::of(limit.get(), self.left_of(limit, now))
    }

    /// What is still drawn now.
    fn left_of(&self, limit: NonZeroU64, now: Instant) -> f64 {
        let passed = self
            .at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let back = passed.as_secs_f64() * limit.get() as f64 / 60.0;
        (self.tokens - back).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(tokens: u64) -> NonZeroU64 {
        NonZeroU64::new(tokens).unwrap()
    }

    #[test]
    fn more_than_there_was_is_waited_for() {
        let (mut drawn, limit, now) = (Drawn::default(), limit(600), Instant::now());
        assert_eq!(drawn.check(limit, now), Ok(()));

        drawn.draw(900, limit, now);

        assert_eq!(
            drawn.check(limit, now),
            Err(Duration::from_millis(30_100)),
            "ten a second, and one of them must be there"
        );
        assert_eq!(
            drawn.window(limit, now),
            Window {
                limit: 600,
                remaining: 0,
                reset: Duration::from_secs(90)
            }
        );
    }

    #[test]
    fn what_was_drawn_comes_back_evenly_and_no_more_than_that() {
        let (mut drawn, limit, now) = (Drawn::default(), limit(600), Instant::now());
        drawn.draw(600, limit, now);

        let later = now + Duration::from_secs(15);
        assert_eq!(drawn.window(limit, later).remaining, 150);
        let much_later = now + Duration::from_secs(1000);
        assert_eq!(drawn.window(limit, much_later).remaining, 600);
    }

    proptest! {
        #[test]
        fn whoever_waits_as_told_is_let_in(limit in 1..5_000_000u64, draws in prop::collection::vec((0..3_000_000u64, 0..90_000u64), 1..8)) {
            let limit = NonZeroU64::new(limit).unwrap();
            let (mut drawn, mut now) = (Drawn::default(), Instant::now());
            for (tokens, pause) in draws {
                drawn.draw(tokens, limit, now);
                now += Duration::from_millis(pause);
            }
            if let Err(wait) = drawn.check(limit, now) {
                prop_assert_eq!(drawn.check(limit, now + wait), Ok(()));
            }
        }

        #[test]
        fn no_minute_gives_more_than_the_limit_twice(limit in 1..10_000u64, answers in prop::collection::vec((1..4_000u64, 0..5_000u64), 1..60)) {
            let limit = NonZeroU64::new(limit).unwrap();
            let start = Instant::now();
            let (mut drawn, mut now, mut taken, mut largest) = (Drawn::default(), start, 0, 0);
            for (tokens, pause) in answers {
                now += Duration::from_millis(pause);
                if drawn.check(limit, now).is_ok() {
                    drawn.draw(tokens, limit, now);
                    taken += tokens;
                    largest = largest.max(tokens);
                }
            }
            let minutes = now.duration_since(start).as_secs_f64() / 60.0;
            let most = limit.get() as f64 * (1.0 + minutes) + largest as f64;
            prop_assert!(taken as f64 <= most + 1.0, "{taken} of {most}");
        }
    }
}
