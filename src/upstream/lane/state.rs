//! One lane's rules, composed: events in, grants out.

use std::time::{Duration, Instant};

use super::Policy;
use super::asker::{Asker, Patience, Refusal};
use super::budget::RetryBudget;
use super::edge::Edge;
use super::news::News;
use super::pace::Pace;
use super::pause::SILENCE;
use super::queue::{FairQueue, Spot};
use super::sign::{Cause, Sign};
use super::ticket::Ticket;
use super::view::{GateView, LaneView, RetriesView};

/// After each event nobody waits who might go.
pub struct State<W> {
    policy: Policy,
    edge: Edge,
    queue: FairQueue<W>,
    budget: RetryBudget,
    pace: Pace,
    grants: Vec<(W, Ticket)>,
    dismissed: Vec<W>,
}

#[derive(Debug)]
pub enum Decision {
    Go(Ticket),
    /// In the queue, no longer than this.
    Wait {
        until: Instant,
    },
    Refused(Refusal),
}

impl<W> State<W> {
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            edge: Edge::new(&policy, now),
            queue: FairQueue::default(),
            budget: RetryBudget::new(policy.retry_share, policy.retry_min),
            pace: Pace::default(),
            grants: Vec::new(),
            dismissed: Vec::new(),
            policy,
        }
    }

    pub fn enter(&mut self, asker: &Asker, now: Instant) -> Decision {
        self.edge.cookies.asked(asker.lacks_cookies);
        self.tick(now);
        let affordable = !asker.retry || self.budget.has_room(self.carried());
        if affordable && self.queue.is_empty() && self.edge.may_go(now) {
            return Decision::Go(self.go(asker.retry, now));
        }
        if !affordable {
            self.budget.refused();
        }
        if let Some(refusal) = self.turns_away(asker, now) {
            return Decision::Refused(refusal);
        }
        let until = now + self.patience(asker);
        Decision::Wait { until }
    }

    /// Takes the place that `enter` offered.
    pub fn wait(&mut self, asker: &Asker, told: W, now: Instant) -> Spot {
        if self.queue.is_empty() {
            self.pace.starts(now);
        }
        if asker.retry && self.queue.retries() == 0 {
            self.budget.pace.starts(now);
        }
        let spot = self.queue.push(asker, told);
        self.drain(now);
        spot
    }

    /// Nothing, if its turn has come before.
    pub fn give_up(&mut self, spot: Spot, now: Instant) -> Option<W> {
        let waiter = self.queue.remove(spot)?;
        self.drain(now);
        Some(waiter.told)
    }

    /// Whoever has waited as long as anybody may has shown what is to be expected. Nothing, if its turn has come before.
    pub fn time_is_up(&mut self, spot: Spot, now: Instant) -> Option<(W, Refusal)> {
        let told = self.give_up(spot, now)?;
        let refusal = match self.refusal(now) {
            Refusal::Full { expected } => Refusal::Full {
                expected: expected.max(self.policy.queue_timeout),
            },
            shut => shut,
        };
        Some((told, refusal))
    }

    pub fn sign(&mut self, ticket: &mut Ticket, sign: &Sign, now: Instant) -> Option<Duration> {
        let held = ticket.holds_a_slot();
        let paused = self.edge.sign(ticket, sign, now);
        if held && !ticket.holds_a_slot() {
            self.budget.back(ticket.retry);
        }
        self.drain(now);
        paused
    }

    /// One that others watch has its connection.
    pub fn sent(&mut self, ticket: &mut Ticket, now: Instant) {
        self.edge.sent(ticket, now);
    }

    pub fn leave(&mut self, ticket: Ticket, now: Instant) {
        if !self.anybody_waits() {
            return self.leave_unwatched(ticket);
        }
        let full = !self.edge.has_room(now);
        self.back(ticket);
        if ticket.has_passed() {
            let open = self.edge.gate.is_open();
            self.edge.freed(now);
            // Otherwise it is the budget that holds those back who wait.
            self.pace.freed(open && full, now);
            if ticket.retry {
                let held = self.queue.retries() > 0;
                self.budget.pace.freed(open && held, now);
            }
        }
        self.drain(now);
    }

    /// While nobody waits it does not matter when, and asking the clock is the dearest part.
    pub fn leave_unwatched(&mut self, ticket: Ticket) {
        self.back(ticket);
        self.pace.rests();
        self.budget.pace.rests();
    }

    /// Goes by another policy from now on; what was learned stays.
    pub fn follow(&mut self, policy: Policy, now: Instant) {
        if policy == self.policy {
            return;
        }
        self.budget.follow(policy.retry_share, policy.retry_min);
        self.edge.limit.stop_at(policy.max_concurrency);
        self.edge.circuit.follow(policy.circuit);
        self.policy = policy;
        self.drain(now);
    }

    pub fn pause(&mut self, wait: Duration, cause: Cause, now: Instant) {
        self.edge.pause(wait, cause, now);
        self.drain(now);
    }

    /// Ends a pause, whatever it was for.
    pub fn resume(&mut self, now: Instant) {
        self.edge.gate.resume(now);
        self.tick(now);
    }

    pub fn reached(&mut self, now: Instant) {
        self.edge.reached();
        self.drain(now);
    }

    /// Lets time do its part.
    pub fn tick(&mut self, now: Instant) {
        self.edge.tick(now);
        self.drain(now);
    }

    /// When to call `tick`, if nothing happens before.
    pub fn alarm(&self, now: Instant) -> Option<Instant> {
        let alarm = self.edge.alarm(now);
        alarm.filter(|_| self.anybody_waits())
    }

    pub fn anybody_waits(&self) -> bool {
        !self.queue.is_empty()
    }

    pub fn news(&mut self) -> News<W> {
        News {
            grants: std::mem::take(&mut self.grants),
            dismissed: std::mem::take(&mut self.dismissed),
            notes: self.edge.notes(),
        }
    }

    pub fn demands(&self, carries: impl Fn(&str) -> bool) -> bool {
        self.edge.cookies.demands(carries)
    }

    /// What is said to somebody whom the lane lets wait no longer.
    pub fn refusal(&self, now: Instant) -> Refusal {
        let expected = self.or_patience(self.pace.wait(self.queue.len()));
        self.shut(now).unwrap_or(Refusal::Full { expected })
    }

    pub fn view(&self, now: Instant) -> LaneView {
        let gate = match self.edge.gate.shut(now) {
            Some((remaining, cause)) if !remaining.is_zero() => {
                GateView::Paused { remaining, cause }
            }
            None if self.edge.gate.is_open() => GateView::Open,
            // Nobody came since the pause ran out, so nobody looked.
            Some(_) | None => GateView::Opening,
        };
        LaneView {
            limit: self.edge.limit.now(),
            in_flight: self.edge.in_flight(),
            queued: self.queue.len(),
            gate,
            pauses: self.edge.gate.pauses(),
            retries: RetriesView {
                in_flight: self.budget.in_flight(),
                allowed: self.budget.allowed(self.carried()),
                exhausted: self.budget.exhausted(),
            },
            circuit: self.edge.circuit.view(now),
        }
    }

    /// Better told now than after the wait.
    fn turns_away(&self, asker: &Asker, now: Instant) -> Option<Refusal> {
        let shut = self.shut(now);
        let remaining = shut.map_or(Duration::ZERO, |refusal| refusal.wait());
        let expected = self.expected(asker, now);
        if self.queue.len() >= self.policy.queue_max {
            let expected = self.or_patience(expected);
            return Some(shut.unwrap_or(Refusal::QueueFull { expected }));
        }
        if asker.patience == Patience::Bypass && self.edge.gate.probing().is_some() {
            return Some(self.refusal(now));
        }
        let down = matches!(shut, Some(Refusal::Down { .. }));
        if down || asker.patience == Patience::Bypass && shut.is_some() {
            return shut;
        }
        let expected = remaining.saturating_add(expected.unwrap_or_default());
        let late = expected > self.patience(asker);
        late.then(|| shut.unwrap_or(Refusal::Full { expected }))
    }

    /// How long a newcomer would wait for its turn in an open lane; `None`: there is nothing to tell it from.
    fn expected(&self, asker: &Asker, now: Instant) -> Option<Duration> {
        let turn = if self.edge.has_room(now) {
            // Those who wait all the same are retries without budget, and fresh requests overtake them.
            Some(Duration::ZERO)
        } else {
            self.pace.wait(self.queue.ahead_of(asker) + 1)
        };
        if !asker.retry || self.budget.has_room(self.carried()) {
            return turn;
        }
        let share = self.budget.pace.wait(self.queue.retries() + 1)?;
        Some(share.max(turn.unwrap_or_default()))
    }

    /// Nobody is sent away with a shorter wait than he would have had to bear here.
    fn or_patience(&self, expected: Option<Duration>) -> Duration {
        expected.unwrap_or(self.policy.queue_timeout)
    }

    fn patience(&self, asker: &Asker) -> Duration {
        let scouting = self.edge.cookies.is_scouting();
        let allowed = match asker.patience {
            Patience::Queue => self.policy.queue_timeout,
            // Nothing is wrong, and it is quick: no reason to go another way, and to stay there.
            Patience::Bypass if self.edge.opens_the_first_time() => self.policy.queue_timeout,
            // A scout is back in a second: no reason to go without memory.
            Patience::Bypass if scouting => self.policy.before_bypass + SILENCE,
            Patience::Bypass => self.policy.before_bypass,
        };
        allowed.saturating_sub(asker.waited)
    }

    fn shut(&self, now: Instant) -> Option<Refusal> {
        let (remaining, cause) = self.edge.gate.shut(now)?;
        Some(match cause {
            Cause::Circuit => Refusal::Down { remaining },
            Cause::Refused | Cause::Host | Cause::Operator => Refusal::Paused { remaining },
        })
    }

    fn carried(&self) -> usize {
        self.edge.in_flight() + self.queue.len()
    }

    fn drain(&mut self, now: Instant) {
        if self.edge.gate.take_prolonged() {
            self.dismiss(now);
        }
        while self.anybody_waits() && self.edge.may_go(now) {
            let retries = self.budget.has_room(self.carried());
            let Some(waiter) = self.queue.pop(retries) else {
                return;
            };
            let ticket = self.go(waiter.retry, now);
            self.grants.push((waiter.told, ticket));
        }
    }

    /// Better told now than after the wait.
    fn dismiss(&mut self, now: Instant) {
        let Some(refusal) = self.shut(now) else {
            return;
        };
        // A pause has its end; nobody knows whether a failure has.
        let down = matches!(refusal, Refusal::Down { .. });
        for (patience, allows) in [
            (Patience::Queue, self.policy.queue_timeout),
            (Patience::Bypass, self.policy.before_bypass),
        ] {
            if down || refusal.wait() > allows {
                self.dismissed.extend(self.queue.dismiss(patience));
            }
        }
    }

    fn back(&mut self, ticket: Ticket) {
        self.edge.leave(ticket);
        if ticket.holds_a_slot() {
            self.budget.back(ticket.retry);
        }
    }

    fn go(&mut self, retry: bool, now: Instant) -> Ticket {
        self.budget.went(retry);
        self.edge.go(retry, now)
    }
}
