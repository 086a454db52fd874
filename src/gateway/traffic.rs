//! How busy are we, and do we still want work? What readiness and stopping go by.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The requests in flight, and whether a drain has begun.
#[derive(Default)]
pub struct Traffic {
    in_flight: AtomicUsize,
    draining: AtomicBool,
    idle: Notify,
    time_is_up: AtomicBool,
    ends: Arc<Notify>,
}

/// One request in flight, until it is dropped.
pub struct InFlight(Arc<Traffic>);

/// Resolves when a request has to end with what it has.
pub type TimeUp = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl Traffic {
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Lets nobody go on who is in flight: each says so to its client, and ends.
    pub fn end_all(&self) {
        self.time_is_up.store(true, Ordering::Release);
        self.ends.notify_waiters();
    }

    /// Resolves when nothing is in flight.
    pub async fn idle(&self) {
        loop {
            let became_idle = self.idle.notified();
            if self.in_flight() == 0 {
                return;
            }
            became_idle.await;
        }
    }
}

impl InFlight {
    /// All of it, of which this is one.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.0
    }

    pub fn time_up(&self) -> TimeUp {
        let traffic = Arc::clone(&self.0);
        // It hears of what happens from here on, and not of what has happened.
        let told = Arc::clone(&traffic.ends).notified_owned();
        Box::pin(async move {
            if !traffic.time_is_up.load(Ordering::Acquire) {
                told.await;
            }
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn it_is_idle_when_the_last_request_is_gone() {
        let traffic = Arc::new(Traffic::default());
        let (first, second) = (traffic.enter(), traffic.enter());
        let mut idle = Box::pin(traffic.idle());

        drop(first);
        let with_one_left = (&mut idle).now_or_never();
        drop(second);

        assert_eq!(with_one_left, None);
        assert_eq!(idle.now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn when_time_is_up_all_hear_of_it_whenever_they_came() {
        let traffic = Arc::new(Traffic::default());
        let requests = [traffic.enter(), traffic.enter(), traffic.enter()];
        let [early, waiting, late] = &requests;
        let unasked = early.time_up();
        let mut asked = waiting.time_up();
        let before = (&mut asked).now_or_never();

        traffic.end_all();

        assert_eq!(before, None);
        assert_eq!(unasked.now_or_never(), Some(()));
        assert_eq!(asked.now_or_never(), Some(()));
        assert_eq!(late.time_up().now_or_never(), Some(()));
    }
}
