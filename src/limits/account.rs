//! What one key has used, and what it has under way.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::{KeyLimits, Price};
use crate::wire::usage::Usage;

use super::accounts::Holder;
use super::cost::usd;
use super::day::{Reserved, Spent};
use super::drawn::Drawn;
use super::rate::Rate;
use super::refusal::{Limit, Refusal, SOON};
use super::standing::Standing;

/// After so long without a request nothing of a minute is missing.
const MINUTE: Duration = Duration::from_secs(60);

pub(super) struct Account {
    clock: Arc<dyn Clock>,
    counts: Mutex<Counts>,
}

struct Counts {
    name: Box<str>,
    limits: KeyLimits,
    under_way: u32,
    requests: Option<Rate>,
    tokens: Drawn,
    spent: Spent,
    used: Instant,
}

/// A request under way for a key; dropping it gives its place back, and the money that was set aside for it.
pub struct Admission {
    account: Arc<Account>,
    price: Price,
    reserved: Reserved,
    limits: KeyLimits,
    standing: Standing,
}

/// One key as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountView {
    pub name: Box<str>,
    pub limits: KeyLimits,
    pub under_way: u32,
    pub standing: Standing,
    pub usd_today: f64,
}

impl Account {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let used = clock.now();
        Self {
            clock,
            counts: Mutex::new(Counts {
                name: Box::default(),
                limits: KeyLimits::default(),
                under_way: 0,
                requests: None,
                tokens: Drawn::default(),
                spent: Spent::default(),
                used,
            }),
        }
    }

    pub fn admit(
        self: Arc<Self>,
        holder: &Holder<'_>,
        price: Price,
        expected: &Usage,
    ) -> Result<Admission, Refusal> {
        let now = self.clock.now();
        let (reserved, standing) = {
            let mut counts = self.counts.lock();
            counts.know(holder, &self.clock);
            let wall = || self.clock.wall();
            counts
                .enter(now, wall)
                .map_err(|(limit, retry_after)| Refusal {
                    limit,
                    retry_after,
                    standing: counts.standing(now),
                })?;
            let dollars = holder.limits.usd_per_day.map(|_| usd(&price, expected));
            let reserved = counts.spent.reserve(dollars.unwrap_or_default());
            (reserved, counts.standing(now))
        };
        Ok(Admission {
            account: self,
            price,
            reserved,
            limits: holder.limits,
            standing,
        })
    }

    pub fn view(&self) -> AccountView {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let counts = self.counts.lock();
        AccountView {
            name: counts.name.clone(),
            limits: counts.limits,
            under_way: counts.under_way,
            standing: counts.standing(now),
            usd_today: counts.spent.today(wall),
        }
    }

    /// When it was last used; `None` while something is under way.
    pub fn idle_since(&self) -> Option<Instant> {
        let counts = self.counts.lock();
        (counts.under_way == 0).then_some(counts.used)
    }

    /// Whether forgetting it forgets nothing.
    pub fn is_blank(&self) -> bool {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let counts = self.counts.lock();
        let idle = now.saturating_duration_since(counts.used) > MINUTE;
        let full = counts.standing(now).is_full();
        counts.under_way == 0 && idle && full && counts.spent.today(wall) == 0.0
    }
}

impl Counts {
    /// Takes over what the key is called and may do now.
    fn know(&mut self, holder: &Holder<'_>, clock: &Arc<dyn Clock>) {
        if *self.name != *holder.name {
            self.name = holder.name.into();
        }
        self.limits = holder.limits;
        let limit = holder.limits.requests_per_minute;
        if self.requests.as_ref().map(Rate::limit) != limit {
            let drawn = self.requests.as_ref().map(|rate| rate.drawn(clock.now()));
            let drawn = drawn.unwrap_or_default();
            self.requests = limit.map(|limit| Rate::new(limit, drawn, clock));
        }
    }

    /// Takes a place and a request, or neither.
    fn enter(
        &mut self,
        now: Instant,
        wall: impl Fn() -> SystemTime,
    ) -> Result<(), (Limit, Duration)> {
        self.used = now;
        if let Some(limit) = self.limits.usd_per_day {
            let check = self.spent.check(limit, wall());
            check.map_err(|wait| (Limit::Usd(limit), wait))?;
        }
        if let Some(limit) = self.limits.tokens_per_minute {
            let check = self.tokens.check(limit, now);
            check.map_err(|wait| (Limit::Tokens(limit), wait))?;
        }
        if let Some(limit) = self.limits.concurrent_requests
            && self.under_way >= limit.get()
        {
            return Err((Limit::Concurrent(limit), SOON));
        }
        if let Some(rate) = &mut self.requests {
            let limit = Limit::Requests(rate.limit());
            rate.take(now).map_err(|wait| (limit, wait))?;
        }
        self.under_way += 1;
        Ok(())
    }

    fn standing(&self, now: Instant) -> Standing {
        let tokens = self.limits.tokens_per_minute;
        Standing {
            requests: self.requests.as_ref().map(|rate| rate.window(now)),
            tokens: tokens.map(|limit| self.tokens.window(limit, now)),
        }
    }
}

impl Admission {
    /// What was left when it was let in, itself taken off.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether a limit goes by what the answer takes.
    pub fn counts_tokens(&self) -> bool {
        self.limits.counts_tokens()
    }

    /// Whether its key has any limit at all.
    pub fn is_limited(&self) -> bool {
        self.limits != KeyLimits::default()
    }

    /// Books what the answer took.
    pub fn charge(&self, usage: &Usage) {
        let account = &self.account;
        let mut counts = account.counts.lock();
        if let Some(limit) = counts.limits.tokens_per_minute {
            let now = account.clock.now();
            counts.tokens.draw(usage.without_cached(), limit, now);
        }
        let wall = account.clock.wall();
        counts.spent.add(usd(&self.price, usage), wall);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.account.counts.lock();
        counts.under_way = counts.under_way.saturating_sub(1);
        counts.spent.give_back(self.reserved);
    }
}
