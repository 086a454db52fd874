//! What did LiteLLM say about this key a moment ago? A thousand requests at once ask it once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::caller::Key;
use super::{Fingerprint, Refusal};

const GOOD: Duration = Duration::from_secs(60);
const BAD: Duration = Duration::from_secs(10);
/// An outage is noticed to be over soon, and yet not every request waits for it anew.
const UNASKED: Duration = Duration::from_secs(1);
const MOST: usize = 10_000;

pub(super) type Verdict = Result<Arc<Key>, Refusal>;

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Fingerprint, Arc<Slot>>>);

/// A key that is being asked about, or was.
#[derive(Default)]
pub(super) struct Slot {
    known: OnceCell<Known>,
    /// It was a key before.
    heard_of: bool,
}

/// What there is to say of a key without asking.
pub(super) struct Recalled {
    pub verdict: Option<Verdict>,
    /// LiteLLM has said once that it is a key: no guess of somebody's.
    pub heard_of: bool,
}

struct Known {
    verdict: Verdict,
    until: Instant,
}

impl Cache {
    pub fn recall(&self, key: &Fingerprint, now: Instant) -> Recalled {
        let slots = self.0.lock();
        let slot = slots.get(key);
        Recalled {
            verdict: slot.and_then(|slot| slot.verdict_at(now)),
            heard_of: slot.is_some_and(|slot| slot.is_heard_of()),
        }
    }

    /// The place where everybody who asks about this key now waits.
    pub fn slot(&self, key: &Fingerprint, now: Instant) -> Arc<Slot> {
        let mut slots = self.0.lock();
        if let Some(slot) = slots.get(key).filter(|slot| slot.lives(now)) {
            return Arc::clone(slot);
        }
        if slots.len() >= MOST {
            make_room(&mut slots, now);
        }
        let slot = Arc::new(Slot {
            known: OnceCell::new(),
            heard_of: slots.get(key).is_some_and(|before| before.is_heard_of()),
        });
        slots.insert(*key, Arc::clone(&slot));
        slot
    }
}

impl Slot {
    /// The verdict; the first who comes asks, and if that one leaves, the next does.
    pub async fn verdict(
        &self,
        ask: impl Future<Output = Verdict>,
        now: impl Fn() -> Instant,
    ) -> Verdict {
        let known = self.known.get_or_init(|| async {
            let verdict = ask.await;
            let until = now() + life(&verdict);
            Known { verdict, until }
        });
        known.await.verdict.clone()
    }

    fn verdict_at(&self, now: Instant) -> Option<Verdict> {
        let known = self.known.get()?;
        (known.until > now).then(|| known.verdict.clone())
    }

    fn lives(&self, now: Instant) -> bool {
        self.known.get().is_none_or(|known| known.until > now)
    }

    /// An outage of LiteLLM's makes no stranger of a key.
    fn is_heard_of(&self) -> bool {
        match self.known.get().map(|known| &known.verdict) {
            Some(Ok(_) | Err(Refusal::OverBudget)) => true,
            None | Some(Err(Refusal::CannotAsk)) => self.heard_of,
            Some(Err(_)) => false,
        }
    }
}

fn life(verdict: &Verdict) -> Duration {
    match verdict {
        Ok(_) => GOOD,
        Err(Refusal::CannotAsk) => UNASKED,
        Err(_) => BAD,
    }
}

/// Made-up keys must not push out good ones, not even those that are to be asked about again.
fn make_room(slots: &mut HashMap<Fingerprint, Arc<Slot>>, now: Instant) {
    slots.retain(|_, slot| slot.is_heard_of());
    if slots.len() >= MOST {
        slots.retain(|_, slot| slot.lives(now));
    }
    if slots.len() >= MOST {
        slots.clear();
    }
}
