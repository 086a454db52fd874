//! How busy are we, and do we still want work? What readiness and stopping go by.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The requests in flight, and whether a drain has begun.
#[derive(Default)]
pub struct Traffic {
    in_flight: AtomicUsize,
    draining: AtomicBool,
    idle: Notify,
}

/// One request in flight, until it is dropped.
pub struct InFlight(Arc<Traffic>);

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
}
