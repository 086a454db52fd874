//! Who may open a connection, when a hundred requests can share one? One for each hundred who wait; the
//! others wait for it and find it in the pool.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Entered by requests that found no connection with room in the pool. Those that find one pay nothing.
#[derive(Clone, Debug)]
pub struct ConnectGate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Requests that share one connection, beside the one that opens it.
    companions: usize,
    multiplexes: AtomicBool,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    opening: usize,
    waiting: VecDeque<oneshot::Sender<Entry>>,
}

/// What a request without a connection does now.
#[derive(Debug)]
pub enum Entry {
    Open(Turn),
    /// Others opened theirs: there is room in the pool.
    LookAgain,
    /// The connection that this one waited for could not be made.
    Failed {
        timed_out: bool,
    },
}

/// The right to open a connection. Dropped, it was given up: the next one in line tries.
#[derive(Debug)]
pub struct Turn(Option<Arc<Inner>>);

impl ConnectGate {
    /// For servers that take `streams` requests on one connection.
    pub fn new(streams: usize) -> Self {
        Self(Arc::new(Inner {
            companions: streams.saturating_sub(1),
            multiplexes: AtomicBool::new(true),
            line: Mutex::default(),
        }))
    }

    pub async fn enter(&self) -> Entry {
        if !self.multiplexes() {
            return Entry::Open(Turn(None));
        }
        let told = {
            let mut line = self.0.line.lock();
            if line.waiting.len() >= line.opening * self.0.companions {
                line.opening += 1;
                return Entry::Open(Turn(Some(Arc::clone(&self.0))));
            }
            let (tell, told) = oneshot::channel();
            line.waiting.push_back(tell);
            told
        };
        told.await.unwrap_or(Entry::LookAgain)
    }

    pub fn multiplexes(&self) -> bool {
        self.0.multiplexes.load(Ordering::Relaxed)
    }

    /// What the server's connections turned out to speak: behind HTTP/1.1 there is nothing to wait for.
    pub fn learned(&self, multiplexes: bool) {
        self.0.multiplexes.store(multiplexes, Ordering::Relaxed);
    }
}

impl Turn {
    /// Those who waited for it share in the failure, instead of running into it one after the other.
    pub fn failed(mut self, timed_out: bool) {
        if let Some(gate) = self.0.take() {
            gate.end(|| Entry::Failed { timed_out });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.end(|| Entry::LookAgain);
        }
    }
}

impl Inner {
    /// Tells those whom this opening was for; so whoever still waits has another one to wait for.
    fn end(&self, entry: impl Fn() -> Entry) {
        let mut line = self.line.lock();
        line.opening -= 1;
        let mut told = 0;
        while told < self.companions
            && let Some(waiting) = line.waiting.pop_front()
        {
            // Whoever left needs no connection.
            told += usize::from(waiting.send(entry()).is_ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    type Waiting = std::pin::Pin<Box<dyn Future<Output = Entry>>>;

    /// What each of so many who come at once may do; `None` waits.
    fn come(gate: &ConnectGate, many: usize) -> Vec<Waiting> {
        (0..many)
            .map(|_| {
                let gate = gate.clone();
                Box::pin(async move { gate.enter().await }) as _
            })
            .collect()
    }

    fn sort(crowd: Vec<Waiting>) -> (Vec<Turn>, Vec<Waiting>) {
        let (mut turns, mut waiting) = (Vec::new(), Vec::new());
        for mut one in crowd {
            match (&mut one).now_or_never() {
                Some(Entry::Open(turn)) => turns.push(turn),
                Some(other) => panic!("{other:?} though nothing had ended"),
                None => waiting.push(one),
            }
        }
        (turns, waiting)
    }

    #[test]
    fn one_in_a_hundred_opens() {
        let gate = ConnectGate::new(100);

        let (turns, waiting) = sort(come(&gate, 1_000));

        assert_eq!((turns.len(), waiting.len()), (10, 990));
    }

    #[test]
    fn an_opened_connection_is_for_the_first_who_wait() {
        let gate = ConnectGate::new(100);
        let (mut turns, waiting) = sort(come(&gate, 250));

        drop(turns.remove(0));

        let told: Vec<bool> = waiting
            .into_iter()
            .map(|one| matches!(one.now_or_never(), Some(Entry::LookAgain)))
            .collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 99);
        assert!(told[..99].iter().all(|told| *told));
    }

    #[test]
    fn nobody_waits_for_ever_when_turns_are_given_up() {
        let gate = ConnectGate::new(3);
        let (mut turns, mut waiting) = sort(come(&gate, 10));
        let mut rounds = 0;

        while !waiting.is_empty() {
            turns.clear();
            rounds += 1;
            let again = waiting
                .drain(..)
                .map(|one| one.now_or_never())
                .map(|entry| {
                    assert!(matches!(entry, Some(Entry::LookAgain)));
                });
            let again = again.count();
            (turns, waiting) = sort(come(&gate, again));
        }

        assert_eq!(
            rounds, 4,
            "a third of those who look again open in each round"
        );
    }

    #[test]
    fn those_who_waited_share_in_a_failure() {
        let gate = ConnectGate::new(100);
        let (mut turns, waiting) = sort(come(&gate, 50));

        turns.remove(0).failed(true);

        for one in waiting {
            assert!(matches!(
                one.now_or_never(),
                Some(Entry::Failed { timed_out: true })
            ));
        }
        assert!(
            matches!(gate.enter().now_or_never(), Some(Entry::Open(_))),
            "the next one tries anew"
        );
    }

    #[test]
    fn who_left_takes_no_place() {
        let gate = ConnectGate::new(3);
        let (turns, mut waiting) = sort(come(&gate, 6));
        let last = waiting.pop().unwrap();
        drop(waiting);

        drop(turns);

        assert!(matches!(last.now_or_never(), Some(Entry::LookAgain)));
    }

    #[test]
    fn nobody_waits_where_connections_are_not_shared() {
        let gate = ConnectGate::new(100);
        gate.learned(false);

        let (turns, waiting) = sort(come(&gate, 20));

        assert_eq!((turns.len(), waiting.len()), (20, 0));
    }
}
