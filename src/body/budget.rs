//! How many bytes of request bodies may the gateway hold at once, and who waits when it holds them?

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit of account; a share is rounded up to it.
const KIB: usize = 1024;

/// `limits.bodies_in_flight` over all requests; who waits for room is served in order of arrival.
#[derive(Debug)]
pub struct Budget {
    room: Arc<Semaphore>,
    /// What some may have of it together; `None`: all of it.
    part: Option<Arc<Semaphore>>,
    total: usize,
}

/// Room for one body, given back when dropped.
#[derive(Debug)]
pub struct Share {
    room: Arc<Semaphore>,
    part: Option<Arc<Semaphore>>,
    held: Option<OwnedSemaphorePermit>,
    held_of_part: Option<OwnedSemaphorePermit>,
    total: usize,
}

/// There was no room in time, or there never would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many bytes of request bodies are in flight")]
pub struct Full;

impl Budget {
    pub fn new(bytes: usize) -> Self {
        let total = (bytes / KIB).min(Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(total)),
            part: None,
            total,
        }
    }

    /// The same room for those who may have no more than `bytes` of it together.
    pub fn part(&self, bytes: usize) -> Self {
        let total = (bytes / KIB).min(self.total);
        Self {
            room: Arc::clone(&self.room),
            part: Some(Arc::new(Semaphore::new(total))),
            total,
        }
    }

    /// Room for `bytes`, waited for no longer than `patience`.
    pub async fn reserve(&self, bytes: usize, patience: Duration) -> Result<Share, Full> {
        let mut share = Share {
            room: Arc::clone(&self.room),
            part: self.part.clone(),
            held: None,
            held_of_part: None,
            total: self.total,
        };
        share.grow(bytes, patience).await?;
        Ok(share)
    }

    /// Bytes held by all shares together; not to be asked of a part.
    pub fn in_use(&self) -> usize {
        (self.total - self.room.available_permits().min(self.total)) * KIB
    }
}

impl Share {
    /// Bytes it has room for.
    pub fn bytes(&self) -> usize {
        self.units() * KIB
    }

    /// The most it could ever grow by, were all other shares given back.
    pub fn spare(&self) -> usize {
        self.total.saturating_sub(self.units()) * KIB
    }

    /// Room for `more` bytes beside what it has, for bodies whose length nobody knows before they end.
    /// On failure it keeps what it had.
    pub async fn grow(&mut self, more: usize, patience: Duration) -> Result<(), Full> {
        let units = more.div_ceil(KIB);
        if self.units() + units > self.total {
            return Err(Full);
        }
        let Ok(units) = u32::try_from(units) else {
            return Err(Full);
        };
        let acquire =
            async |room: &Arc<Semaphore>| Arc::clone(room).acquire_many_owned(units).await;
        let both = async {
            // First the part: who waits for that holds none of the others' room.
            let of_part = match &self.part {
                Some(part) => Some(acquire(part).await.ok()?),
                None => None,
            };
            Some((acquire(&self.room).await.ok()?, of_part))
        };
        let Ok(Some((permit, of_part))) = tokio::time::timeout(patience, both).await else {
            return Err(Full);
        };
        add(&mut self.held, Some(permit));
        add(&mut self.held_of_part, of_part);
        Ok(())
    }

    /// Gives back what a body of `bytes` does not need.
    pub fn shrink_to(&mut self, bytes: usize) {
        let spare = self.units().saturating_sub(bytes.div_ceil(KIB));
        for held in [&mut self.held, &mut self.held_of_part] {
            drop(held.as_mut().and_then(|held| held.split(spare)));
        }
    }

    fn units(&self) -> usize {
        self.held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

fn add(held: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (held.as_mut(), more) {
        (Some(held), Some(more)) => held.merge(more),
        (None, more) => *held = more,
        (Some(_), None) => {}
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
