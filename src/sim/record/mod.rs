//! What the simulator saw: every request in a bounded ring, counters, and a way to wait for either.

mod duplicates;
mod seen;
mod stats;
mod ticket;
mod timeline;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use self::duplicates::Processed;
pub use self::seen::{Outcome, SeenBody, SeenRequest};
pub use self::stats::{Connections, Refused, Stats};
pub(super) use self::ticket::Ticket;
pub(super) use self::timeline::Timeline;
pub use self::timeline::{Point, TimelineView};
use super::head::Head;

/// How much the recorder holds.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Requests in the ring.
    pub requests: usize,
    /// Bytes of each body.
    pub body: usize,
    /// Whether bodies are digested; off, a load test spends its time elsewhere.
    pub digests: bool,
    /// Whether bodies that are processed twice are counted, digests or not.
    pub duplicates: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            requests: 1024,
            body: 64 << 10,
            digests: true,
            duplicates: true,
        }
    }
}

pub(super) struct Recorder {
    started: Instant,
    retention: Retention,
    ledger: Mutex<Ledger>,
    changed: Notify,
}

#[derive(Default)]
struct Ledger {
    stats: Stats,
    ring: VecDeque<SeenRequest>,
    processed: Processed,
    next_id: u64,
}

impl Ledger {
    fn find(&mut self, id: u64) -> Option<&mut SeenRequest> {
        let first = self.ring.front()?.id;
        self.ring
            .get_mut(usize::try_from(id.checked_sub(first)?).ok()?)
    }
}

impl Recorder {
    pub(super) fn new(retention: Retention) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            retention,
            ledger: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(super) fn clock(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn arrive(self: &Arc<Self>, head: &Head, connection: u64, stream: u32) -> Ticket {
        let mut seen = SeenRequest {
            id: 0,
            connection,
            stream,
            method: head.method.clone(),
            target: head.target.clone(),
            version: head.version,
            authority: head.authority.clone(),
            headers: head.headers.clone(),
            cookies: head
                .cookies()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: SeenBody::default(),
            arrived: self.clock(),
            ended: None,
            outcome: Outcome::Open,
            status: None,
        };
        let id = self.update(|ledger| {
            let id = ledger.next_id;
            ledger.next_id += 1;
            seen.id = id;
            ledger.stats.arrive(head);
            while ledger.ring.len() >= self.retention.requests.max(1) {
                ledger.ring.pop_front();
            }
            ledger.ring.push_back(seen);
            id
        });
        Ticket::new(self, id, head)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Stats)) {
        self.update(|ledger| change(&mut ledger.stats));
    }

    fn update<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let result = change(&mut self.ledger.lock());
        self.changed.notify_waiters();
        result
    }

    pub(super) fn stats(&self) -> Stats {
        self.ledger.lock().stats.clone()
    }

    pub(super) fn requests(&self) -> Vec<SeenRequest> {
        self.ledger.lock().ring.iter().cloned().collect()
    }

    /// Forgets what is over; connections and requests in flight stay counted.
    pub(super) fn reset(&self) {
        self.update(|ledger| {
            let (in_flight, open) = (ledger.stats.in_flight, ledger.stats.connections.open);
            ledger.stats = Stats {
                in_flight,
                in_flight_max: in_flight,
                connections: Connections {
                    open,
                    ..Connections::default()
                },
                ..Stats::default()
            };
            ledger.ring.clear();
            ledger.processed = Processed::default();
        });
    }

    /// The first value that `look` finds, asked anew after each change; `None` at the deadline.
    /// It is asked with no lock held, so it may read the record itself.
    pub(super) async fn until<T>(
        &self,
        deadline: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let watch = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(deadline, watch).await.ok()
    }
}
