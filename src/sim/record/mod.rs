//! What the simulator saw: every request in a bounded ring, counters, and a way to wait for either.

mod seen;
mod stats;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

pub use self::seen::{Outcome, SeenBody, SeenRequest};
pub use self::stats::{Connections, Stats};
use super::head::{Asked, Head};

/// How much the recorder holds.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Requests in the ring.
    pub requests: usize,
    /// Bytes of each body.
    pub body: usize,
    /// Whether bodies are digested; off, a load test spends its time elsewhere.
    pub digests: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            requests: 1024,
            body: 64 << 10,
            digests: true,
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
        Ticket {
            recorder: Arc::clone(self),
            id,
            open: true,
        }
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

/// A request's place in the record; dropped without an outcome it counts as dropped.
pub(super) struct Ticket {
    recorder: Arc<Recorder>,
    id: u64,
    open: bool,
}

impl Ticket {
    /// What was received of the body, when no more will be.
    pub(super) fn body(&self, asked: &Asked, complete: bool) {
        let retention = self.recorder.retention;
        let digest = |bytes: &[u8]| match retention.digests {
            true => hex(&Sha256::digest(bytes)),
            false => String::new(),
        };
        let sha256 = digest(&asked.body);
        let decoded = asked.decoded.as_ref();
        let seen = SeenBody {
            length: asked.body.len(),
            complete,
            decoded_sha256: match decoded {
                Some(plain) if plain.as_ptr() != asked.body.as_ptr() => digest(plain),
                Some(_) => sha256.clone(),
                None => String::new(),
            },
            sha256,
            // A copy: a slice would keep the whole body alive in the ring.
            kept: decoded
                .and_then(|plain| plain.get(..plain.len().min(retention.body)))
                .map(Bytes::copy_from_slice)
                .unwrap_or_default(),
        };
        self.recorder.update(|ledger| {
            if let Some(request) = ledger.find(self.id) {
                request.body = seen;
            }
        });
    }

    pub(super) fn status(&self, status: u16) {
        self.recorder.update(|ledger| {
            *ledger.stats.by_status.entry(status).or_default() += 1;
            if let Some(request) = ledger.find(self.id) {
                request.status = Some(status);
            }
        });
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.close(outcome);
    }

    fn close(&mut self, outcome: Outcome) {
        self.open = false;
        let now = self.recorder.clock();
        self.recorder.update(|ledger| {
            ledger.stats.in_flight = ledger.stats.in_flight.saturating_sub(1);
            ledger.stats.cancelled += u64::from(outcome == Outcome::ClientLeft);
            if let Some(request) = ledger.find(self.id) {
                request.ended = Some(now);
                request.outcome = outcome;
            }
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.close(Outcome::Dropped);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
