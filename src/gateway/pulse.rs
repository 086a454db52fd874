//! Do the threads that serve clients still move? Each says so again and again; who has fallen silent is stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The threads, and when each was last heard of.
pub struct Pulse {
    began: Instant,
    hearts: Mutex<Vec<Arc<AtomicU64>>>,
}

/// One thread's, or that of several which share their tasks.
pub struct Heart {
    began: Instant,
    /// Milliseconds since `began`, and one; 0 before the first beat.
    last: Arc<AtomicU64>,
}

impl Pulse {
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            hearts: Mutex::default(),
        }
    }

    /// One more is expected to beat.
    pub fn expect(&self) -> Heart {
        let last = Arc::<AtomicU64>::default();
        self.hearts.lock().push(Arc::clone(&last));
        Heart {
            began: self.began,
            last,
        }
    }

    /// All that are expected have begun.
    pub fn all_beat(&self) -> bool {
        let hearts = self.hearts.lock();
        hearts.iter().all(|last| last.load(Ordering::Acquire) > 0)
    }

    /// The longest silence, where that is longer than it may be.
    pub fn silence(&self, now: Instant, most: Duration) -> Option<Duration> {
        let hearts = self.hearts.lock();
        let last = hearts.iter().map(|last| last.load(Ordering::Acquire)).min();
        let last = Duration::from_millis(last?.saturating_sub(1));
        let silence = now.saturating_duration_since(self.began + last);
        (silence > most).then_some(silence)
    }
}

impl Heart {
    pub fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.began).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX - 1);
        self.last.store(since + 1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(10);

    #[test]
    fn one_that_falls_silent_is_noticed_however_the_others_beat() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let pulse = Pulse::new(began);
        let (one, other) = (pulse.expect(), pulse.expect());
        one.beat(at(1));
        other.beat(at(3));

        for second in 4..=11 {
            other.beat(at(second));
            assert_eq!(pulse.silence(at(second), MOST), None, "{second}");
        }
        other.beat(at(12));
        assert_eq!(
            pulse.silence(at(12), MOST),
            Some(Duration::from_secs(11)),
            "the first one said nothing since"
        );
        one.beat(at(12));
        assert_eq!(pulse.silence(at(12), MOST), None, "it moves again");
    }

    #[test]
    fn who_never_began_is_missed_too() {
        let began = Instant::now();
        let pulse = Pulse::new(began);
        let (one, _never) = (pulse.expect(), pulse.expect());

        one.beat(began);

        assert!(!pulse.all_beat());
        assert_eq!(pulse.silence(began + MOST, MOST), None);
        let late = began + MOST + Duration::from_millis(1);
        one.beat(late);
        assert!(pulse.silence(late, MOST).is_some());
    }

    #[test]
    fn all_beat_when_each_has_begun() {
        let began = Instant::now();
        let pulse = Pulse::new(began);
        let (one, other) = (pulse.expect(), pulse.expect());

        one.beat(began);
        let with_one = pulse.all_beat();
        other.beat(began);

        assert!(!with_one && pulse.all_beat());
    }
}
