//! Which sessions went round a lane lately? They stay there for a while, so that a provider's prompt cache is lost once
//! and not at every turn.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// More sessions than this are not remembered.
const KEPT: usize = 8192;

pub struct Sticky {
    time: Duration,
    /// So that nobody takes the lock while there is nothing to find.
    any: AtomicBool,
    until: Mutex<HashMap<u64, Instant>>,
}

impl Sticky {
    pub fn new(time: Duration) -> Self {
        Self {
            time,
            any: AtomicBool::new(false),
            until: Mutex::default(),
        }
    }

    pub fn note(&self, session: u64, now: Instant) {
        if self.time.is_zero() {
            return;
        }
        let mut until = self.until.lock();
        if until.len() >= KEPT {
            until.retain(|_, until| *until > now);
        }
        if until.len() < KEPT {
            until.insert(session, now + self.time);
            self.any.store(true, Ordering::Relaxed);
        }
    }

    pub fn holds(&self, session: u64, now: Instant) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut until = self.until.lock();
        let held = until.get(&session).is_some_and(|until| *until > now);
        if !held {
            until.remove(&session);
            self.any.store(!until.is_empty(), Ordering::Relaxed);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_session_that_was_turned_stays_for_the_time_and_no_longer() {
        let (sticky, now) = (Sticky::new(MINUTE), Instant::now());

        sticky.note(1, now);

        assert!(sticky.holds(1, now + MINUTE / 2));
        assert!(!sticky.holds(2, now));
        assert!(!sticky.holds(1, now + MINUTE));
        assert!(sticky.until.lock().is_empty());
    }

    #[test]
    fn the_sessions_remembered_are_bounded_and_the_old_ones_leave_first() {
        let (sticky, now) = (Sticky::new(MINUTE), Instant::now());
        for session in 0..KEPT as u64 {
            sticky.note(session, now);
        }

        sticky.note(u64::MAX, now);
        let too_many = sticky.holds(u64::MAX, now);
        sticky.note(u64::MAX, now + MINUTE);

        assert!(!too_many);
        assert!(sticky.holds(u64::MAX, now + MINUTE));
        assert_eq!(sticky.until.lock().len(), 1);
    }

    #[test]
    fn with_no_time_to_stay_nothing_is_remembered() {
        let (sticky, now) = (Sticky::new(Duration::ZERO), Instant::now());

        sticky.note(1, now);

        assert!(!sticky.holds(1, now));
    }
}
