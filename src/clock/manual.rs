//! Time that stands still until a test moves it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Clock, Sleep};

/// A clock for tests; clones share one time.
#[derive(Clone)]
pub struct ManualClock {
    start: Instant,
    wall: SystemTime,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    elapsed: Duration,
    sleepers: Vec<Sleeper>,
}

struct Sleeper {
    until: Duration,
    wake: oneshot::Sender<()>,
}

impl ManualClock {
    /// Starts at `wall`.
    pub fn at(wall: SystemTime) -> Self {
        Self {
            start: Instant::now(),
            wall,
            state: Arc::default(),
        }
    }

    /// Moves time forward and wakes every sleeper whose time has come.
    pub fn advance(&self, time: Duration) {
        let mut state = self.state.lock();
        state.elapsed += time;
        let now = state.elapsed;
        for sleeper in state
            .sleepers
            .extract_if(.., |sleeper| sleeper.until <= now)
        {
            // A sleeper that is gone needs no waking.
            let _ = sleeper.wake.send(());
        }
    }

    /// How many are asleep now; those that gave up do not count.
    pub fn sleepers(&self) -> usize {
        let mut state = self.state.lock();
        state.sleepers.retain(|sleeper| !sleeper.wake.is_closed());
        state.sleepers.len()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + self.state.lock().elapsed
    }

    fn wall(&self) -> SystemTime {
        self.wall + self.state.lock().elapsed
    }

    fn sleep(&self, time: Duration) -> Sleep {
        if time.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        let mut state = self.state.lock();
        let until = state.elapsed + time;
        state.sleepers.push(Sleeper { until, wake });
        Box::pin(async move {
            // An error means that the clock is gone, and nobody will ever wake us.
            if woken.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_awake(sleep: &mut Sleep) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        sleep.as_mut().poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = ManualClock::default();
        let mut sleep = clock.sleep(Duration::from_secs(10));

        clock.advance(Duration::from_secs(9));
        assert!(!is_awake(&mut sleep));
        clock.advance(Duration::from_secs(1));
        assert!(is_awake(&mut sleep));
    }

    #[test]
    fn both_times_move_together() {
        let clock = ManualClock::default();
        let (now, wall) = (clock.now(), clock.wall());

        clock.clone().advance(Duration::from_secs(5));

        assert_eq!(clock.now() - now, Duration::from_secs(5));
        assert_eq!(clock.wall(), wall + Duration::from_secs(5));
    }

    #[test]
    fn a_dropped_sleeper_does_not_count() {
        let clock = ManualClock::default();
        let kept = clock.sleep(Duration::from_secs(1));
        drop(clock.sleep(Duration::from_secs(1)));

        assert_eq!(clock.sleepers(), 1);
        drop(kept);
    }
}
