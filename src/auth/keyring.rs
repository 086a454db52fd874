//! Whose key is this? The keys file's and the master key are compared, LiteLLM's are asked about and remembered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::clock::Clock;
use crate::config::{Auth, ListedKey, Secret};

use super::anonymous::Hosts;
use super::attempts::Attempts;
use super::cache::{Cache, Verdict};
use super::key_info;
use super::ours::Ours;
use super::places::Places;
use super::{Caller, Fingerprint, LiteLlmApi, Presented, Refusal};

/// How long a request waits to know whose key it carries.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct KeyRing {
    ours: Ours,
    litellm: Option<Asking>,
    /// `None`: nobody gets in without a key.
    anonymous: Option<Hosts>,
    attempts: Arc<Attempts>,
    clock: Arc<dyn Clock>,
}

struct Asking {
    api: Arc<dyn LiteLlmApi>,
    cache: Arc<Cache>,
    places: Arc<Places>,
}

/// What can be said of a request's keys at once.
enum Found {
    Caller(Caller),
    Nobody(Refused),
    /// LiteLLM may know these.
    Perhaps(Vec<Asked>, Refused),
}

struct Asked {
    print: Fingerprint,
    key: Secret,
    /// It was good before; else it may be a guess.
    heard_of: bool,
}

/// Why keys are refused, as far as they are known.
struct Refused {
    reason: Refusal,
    failures: u32,
}

impl KeyRing {
    /// `api`: whom to ask about keys we do not know; it is not asked unless `auth.litellm` says so.
    pub fn new(auth: &Auth, api: Option<Arc<dyn LiteLlmApi>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            ours: Ours::new(auth),
            litellm: api.filter(|_| auth.litellm).map(|api| Asking {
                api,
                cache: Arc::default(),
                places: Arc::new(Places::new()),
            }),
            anonymous: auth.allow_anonymous.then(|| Hosts::new(&auth.hosts)),
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
        self.ours.list(keys);
    }

    /// What a key of the keys file may do, for an explanation: nobody has shown it. `None` also for a disabled one.
    pub fn named(&self, name: &str) -> Option<Result<Caller, Refusal>> {
        Some(self.unexpired(self.ours.named(name)?))
    }

    /// Who it is, where that is known without asking. Cheap: hashes, and no lock for keys of ours.
    pub fn recognise(&self, presented: &Presented<'_>) -> Option<Caller> {
        match self.look_up(presented) {
            Found::Caller(caller) => Some(caller),
            Found::Nobody(_) | Found::Perhaps(..) => None,
        }
    }

    /// Any one credential that verifies suffices. If none does, each that is none counts against its address.
    pub async fn authenticate(&self, presented: &Presented<'_>) -> Result<Caller, Refusal> {
        let address = presented.address;
        let mut counted = 0;
        let found = match self.look_up(presented) {
            Found::Caller(caller) => return Ok(caller),
            Found::Nobody(refused) => Err(refused),
            Found::Perhaps(keys, refused) => self.ask(&keys, refused, address, &mut counted).await,
        };
        match found {
            Ok(caller) => {
                self.count(address, 0, counted);
                Ok(caller)
            }
            Err(refused) => Err(self.refuse(&refused, address, counted)),
        }
    }

    /// Whether a request carries one of the operators' keys. From an address that failed too often none is looked at.
    pub fn admit_operator<'k>(
        &self,
        presented: &Presented<'_>,
        mut keys: impl Iterator<Item = &'k Secret>,
    ) -> Result<(), Refusal> {
        let address = presented.address;
        let now = self.clock.now();
        let wait = address.map_or(Duration::ZERO, |address| self.attempts.wait(address, now));
        if !wait.is_zero() {
            return Err(Refusal::TooManyFailures { retry_after: wait });
        }
        if keys.any(|key| presented.is(&Fingerprint::of(key.reveal()))) {
            return Ok(());
        }
        let mut refused = Refused::default();
        let credentials = presented.credentials.iter();
        let unknown = credentials.filter(|key| !self.is_callers(&Fingerprint::of(key)));
        unknown.for_each(|_| refused.add(Refusal::Unknown));
        Err(self.refuse(&refused, address, 0))
    }

    /// A key that opens other doors is no guess at this one.
    fn is_callers(&self, print: &Fingerprint) -> bool {
        let ours = self.ours.find(print).is_some_and(|found| found.is_ok());
        let known = |asking: &Asking| asking.cache.recall(print, self.clock.now()).heard_of;
        ours || self.litellm.as_ref().is_some_and(known)
    }

    /// Whether LiteLLM would find the master key, which may not be used so here, where ever it looks.
    pub fn bars(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        self.ours.bars(headers, query)
    }

    fn look_up(&self, presented: &Presented<'_>) -> Found {
        let mut strange = Vec::new();
        let mut refused = Refused::default();
        for key in presented.credentials.iter() {
            let print = Fingerprint::of(key);
            match self.ours.find(&print).map(|found| self.unexpired(found?)) {
                Some(Ok(caller)) => return Found::Caller(caller),
                Some(Err(reason)) => refused.add(reason),
                None => strange.push((print, key)),
            }
        }
        if let (Some(hosts), Refusal::Missing) = (&self.anonymous, refused.reason) {
            // SDKs always send some key; where none is needed, none is asked about.
            return match hosts.admit(presented) {
                Ok(()) => Found::Caller(Caller::anonymous()),
                Err(reason) => Found::Nobody(Refused::because(reason)),
            };
        }
        match &self.litellm {
            Some(asking) => return self.remembered(asking, &strange, refused),
            None if refused.reason == Refusal::Missing && !self.is_open() => {
                refused.add(Refusal::Off);
            }
            None => strange.iter().for_each(|_| refused.add(Refusal::Unknown)),
        }
        Found::Nobody(refused)
    }

    /// What LiteLLM said of these keys. Of several that are good the first counts, asked about again or not: it says
    /// whose memory is meant.
    fn remembered(
        &self,
        asking: &Asking,
        keys: &[(Fingerprint, &str)],
        mut refused: Refused,
    ) -> Found {
        let now = self.clock.now();
        let mut unsure: Vec<Asked> = Vec::new();
        for (print, key) in keys {
            let recalled = asking.cache.recall(print, now);
            match recalled.verdict.map(|verdict| self.caller(verdict)) {
                Some(Ok(caller)) if !unsure.iter().any(|before| before.heard_of) => {
                    return Found::Caller(caller);
                }
                Some(Err(reason)) => refused.add(reason),
                Some(Ok(_)) | None => unsure.push(Asked {
                    print: *print,
                    key: Secret::new(*key),
                    heard_of: recalled.heard_of,
                }),
            }
        }
        if unsure.is_empty() {
            return Found::Nobody(refused);
        }
        Found::Perhaps(unsure, refused)
    }

    /// Asks LiteLLM, each key at most once at a time. One that may be a guess is counted before, as long as its address
    /// may fail, and else waits for its turn: behind a balancer one address is everybody.
    async fn ask(
        &self,
        keys: &[Asked],
        mut refused: Refused,
        address: Option<IpAddr>,
        counted: &mut u32,
    ) -> Result<Caller, Refused> {
        let Some(asking) = &self.litellm else {
            return Err(Refused::because(Refusal::CannotAsk));
        };
        for asked in keys {
            let stranger = address.filter(|_| !asked.heard_of);
            let attempt = stranger.map(|address| self.attempts.fail(address, self.clock.now()));
            let answer = match (stranger, attempt) {
                (Some(address), Some(Err(wait))) => self.turn(asking, asked, address, wait).await,
                (_, attempt) => {
                    *counted += u32::from(attempt.is_some());
                    self.answer(asking, asked).await
                }
            };
            match answer {
                Ok(caller) => return Ok(caller),
                Err(reason) => refused.add(reason),
            }
        }
        Err(refused)
    }

    /// The answer about a key from an address that failed too often: a few at a time.
    async fn turn(
        &self,
        asking: &Asking,
        asked: &Asked,
        address: IpAddr,
        retry_after: Duration,
    ) -> Result<Caller, Refusal> {
        let too_many = Refusal::TooManyFailures { retry_after };
        let line = asking.places.stand_in_line(address);
        let Some(Some(_head)) = self.in_time(line).await else {
            return Err(too_many);
        };
        let answer = self.answer(asking, asked).await;
        answer.map_err(|reason| {
            if reason.is_failed_attempt() {
                too_many
            } else {
                reason
            }
        })
    }

    async fn answer(&self, asking: &Asking, asked: &Asked) -> Result<Caller, Refusal> {
        let slot = asking.cache.slot(&asked.print, self.clock.now());
        let ask = async {
            let Some(_place) = asking.places.enter(asked.heard_of).await else {
                return Err(Refusal::CannotAsk);
            };
            key_info::ask(&*asking.api, &asked.print, &asked.key).await
        };
        let verdict = self.in_time(slot.verdict(ask, || self.clock.now())).await;
        self.caller(verdict.unwrap_or(Err(Refusal::CannotAsk)))
    }

    async fn in_time<T>(&self, awaited: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            awaited = awaited => Some(awaited),
            () = self.clock.sleep(PATIENCE) => None,
        }
    }

    fn caller(&self, verdict: Verdict) -> Result<Caller, Refusal> {
        self.unexpired(Caller::key(verdict?))
    }

    /// A key may expire while it is remembered.
    fn unexpired(&self, caller: Caller) -> Result<Caller, Refusal> {
        match caller.expires() {
            Some(expires) if expires <= self.clock.wall() => Err(Refusal::Expired),
            _ => Ok(caller),
        }
    }

    fn refuse(&self, refused: &Refused, address: Option<IpAddr>, counted: u32) -> Refusal {
        match self.count(address, refused.failures, counted) {
            None => refused.reason,
            Some(retry_after) => refused.reason.max(Refusal::TooManyFailures { retry_after }),
        }
    }

    /// Counts failures, of which so many are counted already; the wait where they are too many.
    fn count(&self, address: Option<IpAddr>, failures: u32, counted: u32) -> Option<Duration> {
        let address = address?;
        (failures..counted).for_each(|_| self.attempts.forgive(address));
        let now = self.clock.now();
        let waits = (counted..failures).filter_map(|_| self.attempts.fail(address, now).err());
        waits.max()
    }
}

impl Default for Refused {
    fn default() -> Self {
        Self::because(Refusal::Missing)
    }
}

impl Refused {
    fn because(reason: Refusal) -> Self {
        Self {
            reason,
            failures: 0,
        }
    }

    fn add(&mut self, reason: Refusal) {
        self.reason = self.reason.max(reason);
        self.failures += u32::from(reason.is_failed_attempt());
    }
}

#[cfg(test)]
mod tests;
