//! Who may open a connection? One request at a time per server, so that the others find it in the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a request waits for the one in front of it to get its connection; a server that hangs in
/// its handshake must not line everybody up.
const PATIENCE: Duration = Duration::from_secs(1);

/// Passed one by one on the way to a server that multiplexes: a thousand requests at once then share ten
/// connections instead of opening a thousand.
#[derive(Clone)]
pub struct ConnectGate {
    turn: Arc<Semaphore>,
    multiplexes: Arc<AtomicBool>,
}

/// The turn; it is over when this is dropped.
pub struct Turn(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

impl Default for ConnectGate {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            multiplexes: Arc::new(AtomicBool::new(true)),
        }
    }
}

impl ConnectGate {
    pub async fn pass(&self) -> Turn {
        if !self.multiplexes.load(Ordering::Relaxed) {
            return Turn(None);
        }
        if let Ok(permit) = Arc::clone(&self.turn).try_acquire_owned() {
            return Turn(Some(permit));
        }
        let waited = tokio::time::timeout(PATIENCE, Arc::clone(&self.turn).acquire_owned()).await;
        Turn(waited.ok().and_then(Result::ok))
    }

    /// What the server's connections turned out to speak: behind HTTP/1.1 there is nothing to wait for.
    pub fn learned(&self, multiplexes: bool) {
        self.multiplexes.store(multiplexes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_for_the_first_but_not_for_ever() {
        let gate = ConnectGate::default();
        let first = gate.pass().await;
        let started = tokio::time::Instant::now();

        let _second = gate.pass().await;

        assert_eq!(
            started.elapsed(),
            PATIENCE,
            "the first never finished its handshake"
        );
        drop(first);
        let _third = gate.pass().await;
        assert_eq!(started.elapsed(), PATIENCE, "the turn was free again");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_where_connections_are_not_shared() {
        let gate = ConnectGate::default();
        gate.learned(false);
        let started = tokio::time::Instant::now();

        let _turns = (gate.pass().await, gate.pass().await);

        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
