//! Whose key is this? The keys file's and the master key are compared, LiteLLM's are asked about and remembered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config::{Auth, ListedKey, LiteLlm, Secret};

use super::anonymous::Hosts;
use super::attempts::Attempts;
use super::cache::{Cache, Verdict};
use super::key_info;
use super::listed::Listed;
use super::{Caller, Fingerprint, LiteLlmApi, Presented, Refusal, any_key};

/// Questions to LiteLLM at one time; made-up keys must not overrun it.
const AT_ONCE: usize = 32;
/// How long a request waits to know whose key it carries.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct KeyRing {
    ours: Ours,
    litellm: Option<Asking>,
    /// `None`: nobody gets in without a key.
    anonymous: Option<Hosts>,
    /// Towards LiteLLM a key of ours stands in for the client's.
    replaces: bool,
    attempts: Arc<Attempts>,
    clock: Arc<dyn Clock>,
}

/// The keys that we know ourselves.
struct Ours {
    master: Option<Fingerprint>,
    /// The master key may do what any other key may.
    master_serves: bool,
    /// `None`: there is no keys file.
    listed: Option<Listed>,
}

struct Asking {
    api: Arc<dyn LiteLlmApi>,
    cache: Arc<Cache>,
    places: Arc<Semaphore>,
}

/// What can be said at once.
pub enum Attempt {
    Ready(Result<Caller, Refusal>),
    /// LiteLLM must be asked: hand it to [`KeyRing::ask`].
    Ask(Question),
}

/// Keys that only LiteLLM may know.
pub struct Question {
    keys: Vec<Asked>,
    /// Of the keys that are already known to be refused.
    refusal: Refusal,
}

struct Asked {
    print: Fingerprint,
    key: Secret,
    /// From where it was presented, if it was never good before: it may be a guess.
    stranger: Option<IpAddr>,
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
            ours: Ours {
                master: auth
                    .master_key
                    .as_ref()
                    .map(|key| Fingerprint::of(key.reveal())),
                master_serves: auth.accept_master_key,
                listed: auth.keys_file.as_ref().map(|file| Listed::new(&file.keys)),
            },
            litellm: api.filter(|_| auth.litellm).map(|api| Asking {
                api,
                cache: Arc::default(),
                places: Arc::new(Semaphore::new(AT_ONCE)),
            }),
            anonymous: auth.allow_anonymous.then(|| Hosts::new(&auth.hosts)),
            replaces: litellm.api_key.is_some(),
            attempts: Arc::new(Attempts::new(auth.failed_attempts_per_minute)),
            clock,
        }
    }

    /// Takes over what the one before it has learned, of addresses and of keys that the same LiteLLM knows.
    pub fn after(mut self, before: &Self) -> Self {
        if self.attempts.is_like(&before.attempts) {
            self.attempts = Arc::clone(&before.attempts);
        }
        if let (Some(asking), Some(asked)) = (&mut self.litellm, &before.litellm)
            && Arc::ptr_eq(&asking.api, &asked.api)
        {
            asking.cache = Arc::clone(&asked.cache);
            asking.places = Arc::clone(&asked.places);
        }
        self
    }

    /// Whether anybody can pass at all; if not, the direct route is off.
    pub fn is_open(&self) -> bool {
        self.ours.any() || self.litellm.is_some() || self.anonymous.is_some()
    }

    /// Takes over what the keys file says now.
    pub fn list(&self, keys: &[ListedKey]) {
        if let Some(listed) = &self.ours.listed {
            listed.replace(keys);
        }
    }

    /// Any one credential that verifies suffices. Cheap: hashes, no waiting, and no lock for keys of ours.
    pub fn try_authenticate(&self, presented: &Presented<'_>) -> Attempt {
        let mut strange = Vec::new();
        let mut refusal = Refusal::Missing;
        for key in presented.credentials.iter() {
            let print = Fingerprint::of(key);
            match self.ours.find(&print).map(|found| self.unexpired(found?)) {
                Some(Ok(caller)) => return Attempt::Ready(Ok(caller)),
                Some(Err(other)) => refusal = refusal.max(other),
                None => strange.push((print, key)),
            }
        }
        if let (Some(hosts), Refusal::Missing) = (&self.anonymous, refusal) {
            // SDKs always send some key; where none is needed, none is asked about.
            return Attempt::Ready(hosts.admit(presented).map(|()| Caller::anonymous()));
        }
        let attempt = match &self.litellm {
            Some(asking) => self.remembered(asking, strange, refusal, presented.address),
            None if refusal == Refusal::Missing && !self.is_open() => {
                Attempt::Ready(Err(Refusal::Off))
            }
            None if strange.is_empty() => Attempt::Ready(Err(refusal)),
            None => Attempt::Ready(Err(refusal.max(Refusal::Unknown))),
        };
        self.guarded(attempt, presented)
    }

    /// On LiteLLM's route. `None`: the client's own credential passes, and LiteLLM judges it. Where a key of
    /// ours replaces it, the client must prove itself here first.
    pub fn try_for_litellm(&self, presented: &Presented<'_>) -> Option<Attempt> {
        self.replaces.then(|| self.try_authenticate(presented))
    }

    /// Whether LiteLLM would find the master key, which may not be used so here, where ever it looks.
    pub fn bars(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        if self.ours.master_serves || self.ours.master.is_none() {
            return false;
        }
        any_key(headers, query, |key| {
            self.ours.is_master(&Fingerprint::of(key))
        })
    }

    /// Asks LiteLLM about the keys of a question, each at most once at a time.
    pub async fn ask(&self, question: Question) -> Result<Caller, Refusal> {
        let Some(asking) = &self.litellm else {
            return Err(Refusal::CannotAsk);
        };
        let mut refusal = question.refusal;
        for asked in &question.keys {
            let verdict = tokio::select! {
                verdict = self.verdict(asking, asked) => verdict,
                () = self.clock.sleep(PATIENCE) => Err(Refusal::CannotAsk),
            };
            match verdict.and_then(|key| self.unexpired(Caller::key(key))) {
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
            Attempt::Ask(question) => {
                let asked = self.ask(question).await;
                asked.map_err(|refusal| self.counted(refusal, presented))
            }
        }
    }

    /// A refusal counts against its address. From one that failed too often, only those keys are asked about that
    /// were good before: behind a balancer one address is everybody.
    fn guarded(&self, attempt: Attempt, presented: &Presented<'_>) -> Attempt {
        match attempt {
            Attempt::Ready(Err(refusal)) => Attempt::Ready(Err(self.counted(refusal, presented))),
            Attempt::Ask(mut question) => {
                let mut longest = None;
                question.keys.retain(|asked| {
                    let wait = self.wait(asked);
                    longest = longest.max(wait);
                    wait.is_none()
                });
                match longest {
                    Some(retry_after) if question.keys.is_empty() => {
                        Attempt::Ready(Err(Refusal::TooManyFailures { retry_after }))
                    }
                    _ => Attempt::Ask(question),
                }
            }
            ready @ Attempt::Ready(Ok(_)) => ready,
        }
    }

    fn wait(&self, asked: &Asked) -> Option<Duration> {
        let wait = self.attempts.wait(asked.stranger?, self.clock.now());
        (!wait.is_zero()).then_some(wait)
    }

    fn counted(&self, refusal: Refusal, presented: &Presented<'_>) -> Refusal {
        let Some(address) = presented.address.filter(|_| refusal.is_failed_attempt()) else {
            return refusal;
        };
        let now = self.clock.now();
        // Several keys in one request are as many attempts.
        let keys = presented.credentials.iter();
        let wait = keys.filter_map(|_| self.attempts.fail(address, now).err());
        match wait.max() {
            None => refusal,
            Some(retry_after) => Refusal::TooManyFailures { retry_after },
        }
    }

    fn remembered(
        &self,
        asking: &Asking,
        keys: Vec<(Fingerprint, &str)>,
        mut refusal: Refusal,
        address: Option<IpAddr>,
    ) -> Attempt {
        let now = self.clock.now();
        let mut unknown = Vec::new();
        for (print, key) in keys {
            let Some(verdict) = asking.cache.peek(&print, now) else {
                unknown.push(Asked {
                    print,
                    key: Secret::new(key),
                    stranger: address.filter(|_| !asking.cache.has_heard_of(&print)),
                });
                continue;
            };
            match verdict.and_then(|key| self.unexpired(Caller::key(key))) {
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

    async fn verdict(&self, asking: &Asking, asked: &Asked) -> Verdict {
        let slot = asking.cache.slot(&asked.print, self.clock.now());
        let ask = async {
            let Ok(_place) = asking.places.acquire().await else {
                return Err(Refusal::CannotAsk);
            };
            // Others of its address may have failed while it stood in line.
            if let Some(retry_after) = self.wait(asked) {
                return Err(Refusal::TooManyFailures { retry_after });
            }
            key_info::ask(&*asking.api, &asked.print, &asked.key).await
        };
        slot.verdict(ask, || self.clock.now()).await
    }

    /// A key may expire while it is remembered.
    fn unexpired(&self, caller: Caller) -> Result<Caller, Refusal> {
        match caller.expires() {
            Some(expires) if expires <= self.clock.wall() => Err(Refusal::Expired),
            _ => Ok(caller),
        }
    }
}

impl Ours {
    /// Whether one of ours lets anybody in.
    fn any(&self) -> bool {
        self.master.is_some() && self.master_serves || self.listed.is_some()
    }

    fn is_master(&self, print: &Fingerprint) -> bool {
        self.master.as_ref() == Some(print)
    }

    /// `None`: it is none of ours.
    fn find(&self, print: &Fingerprint) -> Option<Result<Caller, Refusal>> {
        if self.is_master(print) {
            let master = self.master_serves.then(|| Caller::master(print));
            return Some(master.ok_or(Refusal::MasterKey));
        }
        let found = self.listed.as_ref()?.find(print)?;
        Some(found.map(Caller::key))
    }
}

#[cfg(test)]
mod tests;
