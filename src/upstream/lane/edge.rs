//! What may go out to the edge, and what do its answers change?

use std::time::{Duration, Instant};

use super::Policy;
use super::burst::Burst;
use super::circuit::Circuit;
use super::cookie_gate::CookieGate;
use super::limit::{ConcurrencyLimit, Refused};
use super::news::Note;
use super::pause::{Gate, SILENCE};
use super::sign::{Cause, Sign};
use super::ticket::{Stage, Ticket};

/// What holds requests back, and those that it let go.
pub struct Edge {
    pub gate: Gate,
    pub limit: ConcurrencyLimit,
    pub cookies: CookieGate,
    pub circuit: Circuit,
    burst: Burst,
    refusals: RefusalTime,
    flight: Flight,
    notes: Vec<Note>,
}

/// How long this edge takes to refuse. Heads may take long, and a probe for growth that is not refused for much longer than
/// that has passed.
#[derive(Debug, Default)]
struct RefusalTime(Option<Duration>);

impl RefusalTime {
    fn learn(&mut self, time: Duration) {
        let faded = self.0.map_or(Duration::ZERO, |known| known * 7 / 8);
        self.0 = Some(time.min(SILENCE).max(faded));
    }

    fn silence(&self) -> Duration {
        self.0
            .map_or(SILENCE, |known| (known * 3).clamp(SILENCE / 20, SILENCE))
    }
}

#[derive(Debug, Default)]
struct Flight {
    last_id: u64,
    all: usize,
    /// Those that the edge let pass and that are still at it.
    passed: usize,
    /// The most of these since the last pause began.
    shown: usize,
}

impl Edge {
    pub fn new(policy: &Policy, now: Instant) -> Self {
        Self {
            gate: Gate::new(now),
            limit: ConcurrencyLimit::new(policy.max_concurrency),
            cookies: CookieGate::default(),
            circuit: Circuit::new(policy.circuit, now),
            burst: Burst::default(),
            refusals: RefusalTime::default(),
            flight: Flight::default(),
            notes: Vec::new(),
        }
    }

    pub fn in_flight(&self) -> usize {
        self.flight.all
    }

    pub fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    pub fn may_go(&self, now: Instant) -> bool {
        self.has_room(now) && (!self.gate.is_open() || self.burst.may_go(now))
    }

    /// Whoever has to wait all the same waits for a round trip.
    pub fn has_room(&self, now: Instant) -> bool {
        if !self.gate.may_go() || !self.cookies.may_go() {
            return false;
        }
        // Above the limit only a lane goes that is whole.
        let below = self.flight.all < self.limit.now();
        below || self.gate.is_open() && self.limit.may_go(self.flight.all, now)
    }

    /// Whoever waits now waits for the lane's first opening alone.
    pub fn opens_the_first_time(&self) -> bool {
        self.gate.is_untried() && self.flight.all < self.limit.now()
    }

    pub fn go(&mut self, retry: bool, now: Instant) -> Ticket {
        self.flight.last_id += 1;
        self.flight.all += 1;
        let (id, level) = (self.flight.last_id, self.flight.all);
        self.limit.went(id, level, now);
        self.cookies.went(id, now);
        let watched = !self.gate.is_open() || !self.cookies.may_go();
        if self.gate.is_open() {
            self.burst.went(self.refusals.0, now);
        } else {
            self.burst.went_otherwise(now);
        }
        Ticket {
            retry,
            id,
            epoch: self.gate.went(now),
            level,
            went: now,
            watched,
            stage: Stage::Out,
        }
    }

    /// It has its connection: the edge has its turn from now on.
    pub fn sent(&mut self, ticket: &mut Ticket, now: Instant) {
        if ticket.stage == Stage::Out {
            ticket.went = now;
            self.gate.sent(ticket.epoch, now);
            self.cookies.sent(ticket.id, now);
        }
    }

    /// Answers with the pause that the lane keeps because of it.
    pub fn sign(&mut self, ticket: &mut Ticket, sign: &Sign, now: Instant) -> Option<Duration> {
        if ticket.stage != Stage::Out {
            return None;
        }
        ticket.stage = Stage::Answered;
        self.burst.answered();
        match sign {
            Sign::Head => self.passed(ticket, now),
            Sign::Refused { pause } => return self.refused(ticket, *pause, now),
            Sign::CookiesDemanded {
                names,
                captured,
                pause,
            } => {
                self.cookies.learn(names);
                if self.gate.probing().is_some() || !self.cookies.may_help(ticket.id) {
                    return self.refused(ticket, *pause, now);
                }
                self.learn_time(ticket, now);
                self.demanded(ticket, *captured);
            }
            Sign::Failed => return self.failed(ticket, now),
            Sign::Neutral => {
                self.circuit.worked(now);
                self.answered(ticket);
            }
        }
        None
    }

    pub fn reached(&mut self) {
        self.gate.reached();
    }

    /// One of those that it let pass is over.
    pub fn freed(&mut self, now: Instant) {
        if let Some(time) = self.refusals.0 {
            self.limit.freed(time, now);
        }
    }

    /// The request is over, with or without a sign.
    pub fn leave(&mut self, ticket: Ticket) {
        if ticket.stage == Stage::Out {
            self.burst.answered();
            self.settled(&ticket);
        }
        if ticket.has_passed() {
            self.flight.passed = self.flight.passed.saturating_sub(1);
        }
        if ticket.holds_a_slot() {
            self.flight.all = self.flight.all.saturating_sub(1);
        }
    }

    pub fn pause(&mut self, wait: Duration, cause: Cause, now: Instant) {
        if self.gate.pause(wait, cause, now) {
            self.flight.shown = self.flight.passed;
            self.notes.push(Note::Paused {
                wait,
                cause,
                limit: self.limit.now(),
            });
        }
    }

    pub fn tick(&mut self, now: Instant) {
        self.limit.tick(self.refusals.silence(), now);
        self.cookies.tick(now);
        if self.gate.tick(self.limit.now(), now) {
            self.over();
        }
    }

    /// When time alone may let somebody go who waits.
    pub fn alarm(&self, now: Instant) -> Option<Instant> {
        let limit = self.limit.alarm(self.flight.all, self.refusals.silence());
        let alarms = [
            self.gate.alarm(),
            self.cookies.alarm(),
            self.burst.alarm(),
            limit,
        ];
        alarms.into_iter().flatten().filter(|at| *at > now).min()
    }

    fn passed(&mut self, ticket: &mut Ticket, now: Instant) {
        ticket.stage = Stage::Passed;
        self.flight.passed += 1;
        self.flight.shown = self.flight.shown.max(self.flight.passed);
        self.circuit.worked(now);
        self.cookies.passed(ticket.id);
        self.limit.passed(ticket.id, ticket.level);
        self.opens(ticket);
        self.settled(ticket);
    }

    fn refused(&mut self, ticket: &mut Ticket, wait: Duration, now: Instant) -> Option<Duration> {
        ticket.stage = Stage::Back;
        self.learn_time(ticket, now);
        self.cookies.refused(ticket.id);
        self.flight.all = self.flight.all.saturating_sub(1);
        let shut = self.gate.shut(now).is_some();
        let old = self.gate.is_old(ticket.epoch);
        // What a probe meets says nothing about the limit: it went alone.
        let alone = self.gate.probing().is_some() || self.gate.is_cold();
        let refused = Refused {
            id: ticket.id,
            level: ticket.level,
            others: self.flight.all,
            retry_after: wait,
        };
        if old && !shut {
            self.settled(ticket);
            return None;
        }
        if !shut && !alone && self.limit.tolerates(refused, now) {
            self.settled(ticket);
            return None;
        }
        self.settled(ticket);
        if shut {
            self.limit.lower(self.flight.all, self.flight.shown);
        } else if !alone {
            self.limit.lower(self.flight.all, self.flight.passed);
        }
        self.pause(wait, Cause::Refused, now);
        self.gate.shut(now).map(|(remaining, _)| remaining)
    }

    fn learn_time(&mut self, refused: &Ticket, now: Instant) {
        let time = now.saturating_duration_since(refused.went);
        self.refusals.learn(time);
    }

    fn demanded(&mut self, ticket: &Ticket, captured: bool) {
        if captured {
            self.cookies.captured(self.flight.last_id);
            self.answered(ticket);
        } else {
            self.settled(ticket);
        }
    }

    fn failed(&mut self, ticket: &Ticket, now: Instant) -> Option<Duration> {
        let probe = self.gate.probing() == Some(Cause::Circuit) && self.gate.awaits(ticket.epoch);
        self.settled(ticket);
        if self.gate.is_old(ticket.epoch) {
            return None;
        }
        let wait = if probe {
            Some(self.circuit.open())
        } else {
            self.circuit.failed(now)
        };
        // What fails on this way need not fail on those beside it.
        if let Some(wait) = wait {
            self.pause(wait, Cause::Circuit, now);
        }
        None
    }

    /// The edge has done its part, though it came to no good answer.
    fn answered(&mut self, ticket: &Ticket) {
        if self.gate.is_cold() {
            self.opens(ticket);
        }
        self.settled(ticket);
    }

    fn opens(&mut self, ticket: &Ticket) {
        if self.gate.passed(ticket.epoch, self.limit.now()) {
            self.over();
        }
    }

    fn settled(&mut self, ticket: &Ticket) {
        self.limit.settled(ticket.id);
        self.cookies.settled(ticket.id);
        self.gate.settled(ticket.epoch);
    }

    fn over(&mut self) {
        self.circuit.close();
        self.notes.push(Note::Over {
            limit: self.limit.now(),
        });
    }
}
