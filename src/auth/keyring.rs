//! Whose key is this? The master key is compared, LiteLLM's keys are asked about and remembered.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config::{Auth, LiteLlm, Secret};

use super::anonymous::Hosts;
use super::cache::{Cache, Verdict};
use super::key_info;
use super::presented::{Fingerprint, fingerprint};
use super::{Caller, LiteLlmApi, Presented, Refusal};

/// Questions to LiteLLM at one time; made-up keys must not overrun it.
const AT_ONCE: usize = 32;
/// How long a request waits to know whose key it carries.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct KeyRing {
    master: Option<Fingerprint>,
    litellm: Option<Asking>,
    /// `None`: nobody gets in without a key.
    anonymous: Option<Hosts>,
    /// Towards LiteLLM a key of ours stands in for the client's.
    replaces: bool,
    clock: Arc<dyn Clock>,
}

struct Asking {
    api: Arc<dyn LiteLlmApi>,
    cache: Cache,
    places: Semaphore,
}

/// What can be said at once.
pub enum Attempt {
    Ready(Result<Caller, Refusal>),
    /// LiteLLM must be asked: hand it to [`KeyRing::ask`].
    Ask(Question),
}

/// Keys that only LiteLLM may know.
pub struct Question {
    keys: Vec<(Fingerprint, Secret)>,
    /// Of the keys that are already known to be refused.
    refusal: Refusal,
}

impl KeyRing {
    /// `api`: whom to ask about keys we do not know; it is not asked unless `auth.litellm` says so.
    pub fn new(
        auth: &Auth,
        litellm: &LiteLlm,
        api: Option<Arc<dyn LiteLlmApi>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            master: auth
                .master_key
                .as_ref()
                .map(|key| fingerprint(key.reveal())),
            litellm: api.filter(|_| auth.litellm).map(|api| Asking {
                api,
                cache: Cache::default(),
                places: Semaphore::new(AT_ONCE),
            }),
            anonymous: auth.allow_anonymous.then(|| Hosts::new(&auth.hosts)),
            replaces: litellm.api_key.is_some(),
            clock,
        }
    }

    /// Whether anybody can pass at all; if not, the direct route is off.
    pub fn is_open(&self) -> bool {
        self.master.is_some() || self.litellm.is_some() || self.anonymous.is_some()
    }

    /// Any one credential that verifies suffices. Cheap: hashes, one lock, no waiting.
    pub fn try_authenticate(&self, presented: &Presented<'_>) -> Attempt {
        let mut keys = Vec::with_capacity(presented.credentials.len());
        for key in &presented.credentials {
            let print = fingerprint(key);
            if self.is_master(&print) {
                return Attempt::Ready(Ok(Caller::master()));
            }
            keys.push((print, *key));
        }
        if let Some(hosts) = &self.anonymous {
            // SDKs always send some key; where none is needed, none is asked about.
            return Attempt::Ready(hosts.admit(presented).map(|()| Caller::anonymous()));
        }
        match &self.litellm {
            Some(asking) => self.remembered(asking, keys),
            None if self.master.is_none() => Attempt::Ready(Err(Refusal::Off)),
            None if keys.is_empty() => Attempt::Ready(Err(Refusal::Missing)),
            None => Attempt::Ready(Err(Refusal::Unknown)),
        }
    }

    /// On LiteLLM's route. `None`: the client's own credential passes, and LiteLLM judges it. Where a key of
    /// ours replaces it, the client must prove itself here first.
    pub fn try_for_litellm(&self, presented: &Presented<'_>) -> Option<Attempt> {
        self.replaces.then(|| self.try_authenticate(presented))
    }

    /// Asks LiteLLM about the keys of a question, each at most once at a time.
    pub async fn ask(&self, question: Question) -> Result<Caller, Refusal> {
        let Some(asking) = &self.litellm else {
            return Err(Refusal::CannotAsk);
        };
        let mut refusal = question.refusal;
        for (print, key) in &question.keys {
            let verdict = tokio::select! {
                verdict = self.verdict(asking, print, key) => verdict,
                () = self.clock.sleep(PATIENCE) => Err(Refusal::CannotAsk),
            };
            match self.caller(verdict) {
                Ok(caller) => return Ok(caller),
                Err(other) => refusal = refusal.max(other),
            }
        }
        Err(refusal)
    }

    /// Both steps in one, for callers that may wait.
    pub async fn authenticate(&self, presented: &Presented<'_>) -> Result<Caller, Refusal> {
        match self.try_authenticate(presented) {
            Attempt::Ready(result) => result,
            Attempt::Ask(question) => self.ask(question).await,
        }
    }

    fn is_master(&self, print: &Fingerprint) -> bool {
        self.master
            .as_ref()
            .is_some_and(|master| bool::from(master.ct_eq(print)))
    }

    fn remembered(&self, asking: &Asking, keys: Vec<(Fingerprint, &str)>) -> Attempt {
        let now = self.clock.now();
        let mut refusal = Refusal::Missing;
        let mut unknown = Vec::new();
        for (print, key) in keys {
            let Some(verdict) = asking.cache.peek(&print, now) else {
                unknown.push((print, Secret::new(key)));
                continue;
            };
            match self.caller(verdict) {
                Ok(caller) => return Attempt::Ready(Ok(caller)),
                Err(other) => refusal = refusal.max(other),
            }
        }
        if unknown.is_empty() {
            return Attempt::Ready(Err(refusal));
        }
        Attempt::Ask(Question {
            keys: unknown,
            refusal,
        })
    }

    async fn verdict(&self, asking: &Asking, print: &Fingerprint, key: &Secret) -> Verdict {
        let slot = asking.cache.slot(print, self.clock.now());
        let ask = async {
            let Ok(_place) = asking.places.acquire().await else {
                return Err(Refusal::CannotAsk);
            };
            key_info::ask(&*asking.api, print, key).await
        };
        slot.verdict(ask, || self.clock.now()).await
    }

    /// A key may expire while it is remembered.
    fn caller(&self, verdict: Verdict) -> Result<Caller, Refusal> {
        let key = verdict?;
        match key.expires {
            Some(expires) if expires <= self.clock.wall() => Err(Refusal::Expired),
            _ => Ok(Caller::key(key)),
        }
    }
}

#[cfg(test)]
mod tests;
