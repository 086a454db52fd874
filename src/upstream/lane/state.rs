//! One lane's rules, composed: events in, grants out.

use std::time::{Duration, Instant};

use super::Policy;
use super::asker::{Asker, Refusal};
use super::queue::{FairQueue, Spot};
use super::sign::{Cause, Sign};
use super::view::{CircuitView, GateView, LaneView, RetriesView};

pub struct State<W> {
    policy: Policy,
    limit: usize,
    in_flight: usize,
    queue: FairQueue<W>,
    news: News<W>,
}

/// What a request in flight must remember.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub retry: bool,
    gone: bool,
}

#[derive(Debug)]
pub enum Decision {
    Go(Ticket),
    Wait { until: Instant },
    Refused(Refusal),
}

/// What others must be told.
pub struct News<W> {
    pub grants: Vec<(W, Ticket)>,
    pub notes: Vec<Note>,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    Paused {
        wait: Duration,
        cause: Cause,
        limit: usize,
    },
    Over {
        limit: usize,
    },
}

impl<W> Default for News<W> {
    fn default() -> Self {
        Self {
            grants: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl<W> State<W> {
    pub fn new(policy: Policy, _now: Instant) -> Self {
        Self {
            limit: policy.max_concurrency,
            policy,
            in_flight: 0,
            queue: FairQueue::default(),
            news: News::default(),
        }
    }

    pub fn enter(&mut self, asker: &Asker, now: Instant) -> Decision {
        if self.queue.is_empty() && self.in_flight < self.limit {
            return Decision::Go(self.take(asker.retry));
        }
        if self.queue.len() >= self.policy.queue_max {
            return Decision::Refused(Refusal::QueueFull {
                expected: Duration::from_secs(1),
            });
        }
        Decision::Wait {
            until: now + self.policy.queue_timeout,
        }
    }

    pub fn wait(&mut self, asker: &Asker, told: W, _now: Instant) -> Spot {
        let spot = self.queue.push(asker, told);
        self.drain();
        spot
    }

    pub fn give_up(&mut self, spot: Spot, _now: Instant) -> Option<W> {
        let waiter = self.queue.remove(spot)?;
        self.drain();
        Some(waiter.told)
    }

    pub fn sign(&mut self, ticket: &mut Ticket, sign: &Sign, _now: Instant) -> Option<Duration> {
        if let Sign::Refused { .. } = sign
            && !ticket.gone
        {
            self.in_flight -= 1;
            ticket.gone = true;
            self.drain();
        }
        None
    }

    pub fn leave(&mut self, ticket: Ticket, _now: Instant) {
        self.in_flight -= usize::from(!ticket.gone);
        self.drain();
    }

    pub fn pause(&mut self, _wait: Duration, _cause: Cause, _now: Instant) {}

    pub fn tick(&mut self, _now: Instant) {
        self.drain();
    }

    pub fn alarm(&self, _now: Instant) -> Option<Instant> {
        None
    }

    pub fn anybody_waits(&self) -> bool {
        !self.queue.is_empty()
    }

    pub fn news(&mut self) -> News<W> {
        std::mem::take(&mut self.news)
    }

    pub fn demands(&self, _carries: impl Fn(&str) -> bool) -> bool {
        false
    }

    pub fn refusal(&self, _now: Instant) -> Refusal {
        Refusal::Full {
            expected: Duration::from_secs(1),
        }
    }

    pub fn view(&self, _now: Instant) -> LaneView {
        LaneView {
            limit: self.limit,
            in_flight: self.in_flight,
            queued: self.queue.len(),
            gate: GateView::Open,
            pauses: 0,
            retries: RetriesView {
                in_flight: 0,
                allowed: self.policy.retry_min,
                exhausted: 0,
            },
            circuit: CircuitView {
                failures: 0,
                requests: 0,
            },
        }
    }

    fn drain(&mut self) {
        while self.in_flight < self.limit
            && let Some(waiter) = self.queue.pop(true)
        {
            let ticket = self.take(waiter.retry);
            self.news.grants.push((waiter.told, ticket));
        }
    }

    fn take(&mut self, retry: bool) -> Ticket {
        self.in_flight += 1;
        Ticket { retry, gone: false }
    }
}
