//! How many may be in flight? As many as the edge has shown that it takes: what it refuses lowers the limit, what it lets
//! pass above the limit raises it. Latency says nothing here, it is the length of the answer.
//!
//! No crate fits: congestion-limiter and rate_limiter_aimd cut by a factor, judge by latency or by whole calls, and know neither
//! a single probe nor an injected clock.

use std::time::{Duration, Instant};

/// The delay of a refused probe doubles once and no further: a probe that is refused costs one retry, but a capacity that
/// grew is found only by the next one. Where it moves every twenty Retry-Afters, as the model has it, 94 % of it are used
/// with this cap, 90 % with twice as much, and less beyond.
const LONGEST_DELAY: u32 = 2;
/// Nor more often than after so many good answers, where probing stays in vain: a share of the traffic.
const MOST_ANSWERS_BETWEEN: usize = 24;
/// The last one in so many of a limit is never proven: with slots on their way back and forth, the edge counts others than
/// we do.
const FUZZY: usize = 16;
/// As many refusals above what is proven cost nobody a pause before they are believed, and so many at least.
const TOLERATED: usize = 3;

/// Up to `proven` a refusal is a loss. What lies between that and `limit` was reached by probing or in the middle of a loss: a slot
/// that the edge had just got back may have lent itself. It is proven when as many as it holds have passed at the limit.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    max: usize,
    limit: usize,
    proven: usize,
    /// Who passed at the limit since it was last in doubt, and how many shall before it is believed as it was then.
    passed: usize,
    goal: usize,
    tolerated: usize,
    growth: Growth,
}

/// One request at a time goes above the limit.
#[derive(Debug, Default)]
struct Growth {
    probe: Option<Probe>,
    due: Option<Instant>,
    /// Good answers since one was refused.
    answers: usize,
    repeats: u32,
    /// A probe has passed since one was refused, and nothing lent itself to it.
    rising: bool,
}

/// Goes above the limit.
#[derive(Debug)]
struct Probe {
    id: u64,
    went: Instant,
    /// A slot came free while it was on its way, and may have lent itself: that it passed proves nothing.
    lent: bool,
}

impl Growth {
    fn answers_between(&self, limit: usize) -> usize {
        limit
            .saturating_mul(1 << self.repeats.min(8))
            .min(MOST_ANSWERS_BETWEEN)
    }
}

/// Who was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    pub id: u64,
    /// How many were in flight when it went, itself included.
    pub level: usize,
    /// How many are in flight without it.
    pub others: usize,
    pub retry_after: Duration,
}

impl ConcurrencyLimit {
    pub fn new(max: usize) -> Self {
        let max = max.max(1);
        Self {
            max,
            limit: max,
            proven: max,
            passed: 0,
            goal: max,
            tolerated: 0,
            growth: Growth::default(),
        }
    }

    pub fn now(&self) -> usize {
        self.limit
    }

    /// Sets the safety stop. A limit that was never felt goes with it.
    pub fn stop_at(&mut self, max: usize) {
        let max = max.max(1);
        if self.limit == self.max {
            (self.limit, self.proven) = (max, max);
        }
        self.max = max;
        self.limit = self.limit.min(max);
        self.proven = self.proven.min(self.limit);
        self.doubt();
    }

    /// May a request go to the limit, or above it as a probe, when so many are in flight?
    pub fn may_go(&self, in_flight: usize, now: Instant) -> bool {
        in_flight < self.limit || self.may_probe(in_flight, now)
    }

    fn may_probe(&self, in_flight: usize, now: Instant) -> bool {
        let due = self.growth.due.is_none_or(|due| due <= now);
        due && self.may_grow(in_flight) && self.growth.probe.is_none()
    }

    fn may_grow(&self, in_flight: usize) -> bool {
        let untried = self.growth.due.is_none();
        let seldom = self.growth.answers >= self.growth.answers_between(self.limit);
        let sure = self.tolerated == 0;
        in_flight == self.limit && self.limit < self.max && sure && (untried || seldom)
    }

    /// `level` is in flight now, and one of them just went.
    pub fn went(&mut self, id: u64, level: usize, now: Instant) {
        if level > self.limit {
            self.growth.probe = Some(Probe {
                id,
                went: now,
                lent: false,
            });
        }
    }

    pub fn passed(&mut self, id: u64, level: usize) {
        self.growth.answers = self.growth.answers.saturating_add(1);
        if let Some(probe) = self.growth.probe.take_if(|probe| probe.id == id) {
            self.probe_passed(&probe);
        }
        if level > self.firm() || level >= self.limit {
            self.passed += 1;
        }
        if self.passed >= self.goal {
            if self.proven < self.goal {
                self.proven = self.goal;
                self.growth.repeats = 0;
            }
            self.tolerated = 0;
            self.doubt();
        }
    }

    /// It ended without a word about the limit. Was it the probe?
    pub fn settled(&mut self, id: u64) -> bool {
        let probe = self.growth.probe.take_if(|probe| probe.id == id);
        probe.is_some()
    }

    /// A slot came free, and the edge takes so long to refuse.
    pub fn freed(&mut self, refusal: Duration, now: Instant) {
        if let Some(probe) = &mut self.growth.probe {
            probe.lent |= now.saturating_duration_since(probe.went) <= refusal;
        }
    }

    /// Is the refusal the price of growing? Otherwise the lane has to pause.
    pub fn tolerates(&mut self, refused: Refused, now: Instant) -> bool {
        let probe = self.settled(refused.id);
        let level = refused.level.max(refused.others + 1);
        let above = level > self.firm() && self.tolerated < TOLERATED.max(self.limit / FUZZY);
        if !probe && !above {
            return false;
        }
        if !probe {
            self.tolerated += 1;
            self.limit = self.limit.min(refused.others).max(self.firm());
        }
        self.doubt();
        self.delay(refused.retry_after, now);
        true
    }

    /// A loss: below what was in flight, though not below what has `shown` itself to pass in the same moment.
    pub fn lower(&mut self, others: usize, shown: usize) {
        self.limit = self.limit.min(others).max(shown.min(self.limit)).max(1);
        self.proven = self.proven.min(self.limit - self.limit / 8);
        self.tolerated = 0;
        self.growth.rising = false;
        self.doubt();
    }

    /// A probe that nobody refused in this time has passed.
    pub fn tick(&mut self, silence: Duration, now: Instant) {
        if self.silent_at(silence).is_some_and(|silent| silent <= now) {
            let probe = self.growth.probe.take();
            probe.inspect(|probe| self.probe_passed(probe));
        }
    }

    /// When to look again, with so many in flight and somebody waiting.
    pub fn alarm(&self, in_flight: usize, silence: Duration) -> Option<Instant> {
        let due = self.growth.due.filter(|_| self.may_grow(in_flight));
        self.silent_at(silence).or(due)
    }

    fn firm(&self) -> usize {
        self.proven.min(self.limit - self.limit / FUZZY)
    }

    fn silent_at(&self, silence: Duration) -> Option<Instant> {
        self.growth.probe.as_ref().map(|probe| probe.went + silence)
    }

    fn probe_passed(&mut self, probe: &Probe) {
        self.growth.rising |= !probe.lent;
        if self.growth.rising {
            self.limit = (self.limit + 1).min(self.max);
        }
    }

    fn doubt(&mut self) {
        self.passed = 0;
        self.goal = self.limit;
    }

    fn delay(&mut self, retry_after: Duration, now: Instant) {
        let factor = (1 << self.growth.repeats.min(8)).min(LONGEST_DELAY);
        self.growth.repeats += 1;
        self.growth.rising = false;
        self.growth.answers = 0;
        self.growth.due = Some(now + retry_after.min(Duration::from_secs(3600)) * factor);
    }
}
