//! One request's way through the record, from its arrival to its end.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Outcome, Recorder, SeenBody, Stats};
use crate::sim::cloudflare::{Guard, Slot};
use crate::sim::head::{Asked, Head};
use crate::sim::reply::{Body, Reply};

/// A request's place in the record, and its hold on the capacity; dropped without an outcome it
/// counts as dropped.
pub(in crate::sim) struct Ticket {
    recorder: Arc<Recorder>,
    id: u64,
    open: bool,
    post: bool,
    digest: Option<u64>,
    said: Option<Said>,
    slot: Option<Slot>,
}

/// What it is being answered.
#[derive(Clone, Copy)]
struct Said {
    status: u16,
    stream: bool,
}

impl Ticket {
    pub(super) fn new(recorder: &Arc<Recorder>, id: u64, head: &Head) -> Self {
        Self {
            recorder: Arc::clone(recorder),
            id,
            open: true,
            post: head.method == "POST",
            digest: None,
            said: None,
            slot: None,
        }
    }

    /// Holds the slot until the last words of the answer.
    pub(in crate::sim) fn hold(&mut self, slot: Slot) {
        self.slot = Some(slot);
    }

    pub(in crate::sim) fn holds(&self) -> bool {
        self.slot.is_some()
    }

    pub(in crate::sim) fn refused(&self, guard: Guard) {
        self.recorder.count(|stats| {
            *match guard {
                Guard::Cookies => &mut stats.refused.cookies,
                Guard::Rate => &mut stats.refused.rate,
                Guard::Capacity => &mut stats.refused.capacity,
            } += 1;
        });
    }

    /// What was received of the body, when no more will be.
    pub(in crate::sim) fn body(&mut self, asked: &Asked, complete: bool) {
        let retention = self.recorder.retention;
        let wanted = retention.digests || (retention.duplicates && self.post);
        let digest = wanted.then(|| Sha256::digest(&asked.body));
        self.digest = digest
            .as_ref()
            .and_then(|digest| digest.first_chunk().copied())
            .map(u64::from_be_bytes);
        let written = |digest: &[u8]| match retention.digests {
            true => hex(digest),
            false => String::new(),
        };
        let sha256 = digest.map(|digest| written(&digest)).unwrap_or_default();
        let decoded = asked.decoded.as_ref();
        let seen = SeenBody {
            length: asked.body.len(),
            complete,
            decoded_sha256: match decoded {
                Some(plain) if plain.as_ptr() != asked.body.as_ptr() && retention.digests => {
                    written(&Sha256::digest(plain))
                }
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

    /// What it is answered: an error of the edge's own by its number, or what the host says.
    pub(in crate::sim) fn says(&mut self, reply: &Reply, edge_error: Option<u16>) {
        let status = reply.status;
        let stream = matches!(reply.body, Body::Events(_));
        self.said = Some(Said { status, stream });
        let digest = self.digest.filter(|_| processed(status, edge_error));
        let (id, post) = (self.id, self.post);
        self.recorder.update(|ledger| {
            *ledger.stats.by_status.entry(status).or_default() += 1;
            if let Some(code) = edge_error {
                *ledger.stats.edge_errors.entry(code).or_default() += 1;
            }
            if let Some(digest) = digest.filter(|_| post) {
                ledger.stats.duplicates += u64::from(ledger.processed.again(digest));
            }
            if let Some(request) = ledger.find(id) {
                request.status = Some(status);
            }
        });
    }

    /// The head is about to be written.
    pub(in crate::sim) fn head(&self) {
        self.served(|stats, _| stats.served_heads += 1);
    }

    /// The last bytes are about to be written: a client that has read them finds the slot free.
    pub(in crate::sim) fn last_words(&mut self) {
        self.slot = None;
    }

    fn served(&self, change: impl FnOnce(&mut Stats, bool)) {
        let good = |said: &Said| self.post && (200..300).contains(&said.status);
        if let Some(said) = self.said.filter(good) {
            self.recorder.count(|stats| change(stats, said.stream));
        }
    }

    pub(in crate::sim) fn leaked(&self) {
        self.recorder.count(|stats| stats.leaks += 1);
    }

    pub(in crate::sim) fn end(mut self, outcome: Outcome) {
        self.close(outcome);
    }

    fn close(&mut self, outcome: Outcome) {
        self.open = false;
        self.slot = None;
        if outcome == Outcome::Answered {
            self.served(|stats, stream| {
                stats.served_whole += 1;
                stats.streams_whole += u64::from(stream);
            });
        }
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

/// Whether the provider may have done its work, for all that the answer shows.
fn processed(status: u16, edge_error: Option<u16>) -> bool {
    match edge_error {
        Some(code) => matches!(code, 520 | 522 | 524 | 1101 | 1102),
        None => status < 400 || matches!(status, 500 | 502 | 504),
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
