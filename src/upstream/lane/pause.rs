//! Is the lane open, shut, or on its way from the one to the other?
//!
//! A pause ends with one probe. Its head, or very long silence, lets two go at a time, and each further head one more, so that
//! the lane doubles with each round trip until the limit is what holds it. A lane that nobody has tried yet opens the same way,
//! from a larger window in smaller steps. Silence widens either, since no news is no refusal and heads may take half a minute of
//! thought: as many more go as went unrefused, once a second after a pause.

use std::time::{Duration, Instant};

use super::sign::Cause;
use super::view::Pauses;

/// An edge refuses at once: who was not refused in this time has passed, however long its answer takes.
pub const SILENCE: Duration = Duration::from_secs(1);
/// The first answer ever has shown that the way is quick: a refusal on it would be here.
const SILENCE_UNTRIED: Duration = Duration::from_millis(250);
/// What ends a pause is a head, and connecting alone may take seconds. But a head may also take half a minute of thought,
/// and by then everybody would have waited for nothing: nothing refuses as late as this.
pub const SILENCE_OF_A_PROBE: Duration = Duration::from_secs(10);
/// How many go at a time after the first answer ever, and how many answers allow one more: nothing is known against them,
/// and what the edge takes is found with few refusals.
const COLD: (usize, usize) = (32, 4);
/// After a pause the limit is known, and the way to it is short.
const PAUSED: (usize, usize) = (2, 1);
/// Whoever asks for more, or for none, does not mean it: probes at the pace of the network would be refused one by one.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Gate {
    phase: Phase,
    /// Rises with each pause, and whenever those on their way are no longer waited for.
    epoch: u64,
    /// Who went before this one says nothing about the time after the pause.
    burst: u64,
    pauses: Pauses,
    /// The end of the pause moved away, and nobody has asked yet.
    prolonged: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Open,
    Opening(Opening),
    Shut { until: Instant, cause: Cause },
}

#[derive(Clone, Copy, Debug)]
struct Opening {
    heads: usize,
    /// How many are on their way to an answer.
    awaiting: usize,
    /// When the last one went.
    last: Instant,
    /// Of the pause that ended; none the first time.
    cause: Option<Cause>,
    /// Somebody had an answer since it began, or found the server beside it.
    answered: bool,
    /// The first one is on its way; before, it was still connecting.
    sent: bool,
}

impl Opening {
    fn probe(cause: Option<Cause>, now: Instant) -> Self {
        Self {
            heads: 0,
            awaiting: 0,
            last: now,
            cause,
            answered: false,
            sent: false,
        }
    }

    fn silent_at(&self) -> Option<Instant> {
        let patience = match self.cause {
            // A failure shows as late at every step.
            Some(Cause::Circuit) => SILENCE_OF_A_PROBE,
            Some(_) if self.is_probing() => SILENCE_OF_A_PROBE,
            // In a crowd that comes at once connecting takes longer than a refusal.
            None if self.is_probing() && !self.sent => SILENCE_OF_A_PROBE,
            None if self.answered => SILENCE_UNTRIED,
            // However quickly this edge refuses: it was full a moment ago.
            _ => SILENCE,
        };
        (self.awaiting >= self.window()).then(|| self.last + patience)
    }

    /// How many may be on their way: one, until the first head.
    fn window(&self) -> usize {
        let (first, each) = self.steps();
        let more = self.heads.checked_sub(1);
        more.map_or(1, |more| first + more / each)
    }

    /// Nobody was refused: as if so many had had their heads that the window is larger by half, and doubled after a pause.
    fn widen(&mut self) {
        let (_, each) = self.steps();
        let more = self.window() * each;
        self.heads += self.cause.map_or((more / 2).max(1), |_| more);
        self.awaiting = 0;
    }

    fn steps(&self) -> (usize, usize) {
        self.cause.map_or(COLD, |_| PAUSED)
    }

    fn is_probing(&self) -> bool {
        self.heads == 0
    }
}

impl Gate {
    /// Of a lane that nobody has tried.
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Opening(Opening::probe(None, now)),
            epoch: 0,
            burst: 0,
            pauses: Pauses::default(),
            prolonged: false,
        }
    }

    pub fn pauses(&self) -> Pauses {
        self.pauses
    }

    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// While shut: how long still, and why.
    pub fn shut(&self, now: Instant) -> Option<(Duration, Cause)> {
        match self.phase {
            Phase::Shut { until, cause } => Some((until.saturating_duration_since(now), cause)),
            Phase::Open | Phase::Opening(_) => None,
        }
    }

    /// The cause of the pause that the one on its way now is to end.
    pub fn probing(&self) -> Option<Cause> {
        match self.phase {
            Phase::Opening(opening) if opening.is_probing() => opening.cause,
            _ => None,
        }
    }

    /// Waits for the first answer ever.
    pub fn is_cold(&self) -> bool {
        matches!(self.phase, Phase::Opening(opening) if opening.is_probing() && opening.cause.is_none())
    }

    /// Nothing was ever held against this lane: it only opens step by step.
    pub fn is_untried(&self) -> bool {
        matches!(self.phase, Phase::Opening(opening) if opening.cause.is_none())
    }

    /// Somebody has seen that there is a server: the first one who goes is waited for no longer than those after it, for it
    /// may be refused for want of cookies.
    pub fn reached(&mut self) {
        if let Phase::Opening(opening) = &mut self.phase {
            opening.answered = true;
        }
    }

    /// A longer pause extends the one that is kept, a shorter one never cuts it. Is it a new one?
    pub fn pause(&mut self, wait: Duration, cause: Cause, now: Instant) -> bool {
        let end = now + wait.clamp(SHORTEST, LONGEST);
        if let Phase::Shut { until, cause: kept } = &mut self.phase {
            if end > *until {
                (*until, *kept) = (end, cause);
                self.prolonged = true;
            }
            return false;
        }
        self.phase = Phase::Shut { until: end, cause };
        self.prolonged = true;
        self.epoch += 1;
        self.burst = self.epoch;
        self.pauses.count(cause);
        true
    }

    /// The pause is over now.
    pub fn resume(&mut self, now: Instant) {
        if let Phase::Shut { until, .. } = &mut self.phase {
            *until = now.min(*until);
        }
    }

    /// Must those who wait be told of a longer pause?
    pub fn take_prolonged(&mut self) -> bool {
        std::mem::take(&mut self.prolonged)
    }

    pub fn may_go(&self) -> bool {
        match self.phase {
            Phase::Open => true,
            Phase::Opening(opening) => opening.awaiting < opening.window(),
            Phase::Shut { .. } => false,
        }
    }

    /// Marks the one that goes.
    pub fn went(&mut self, now: Instant) -> u64 {
        if let Phase::Opening(opening) = &mut self.phase {
            opening.awaiting += 1;
            opening.last = now;
        }
        self.epoch
    }

    /// One that was let go has its connection.
    pub fn sent(&mut self, epoch: u64, now: Instant) {
        if let Phase::Opening(opening) = &mut self.phase
            && epoch == self.epoch
        {
            (opening.sent, opening.last) = (true, now);
        }
    }

    /// Was it let go since the lane began to open as far as it is?
    pub fn awaits(&self, epoch: u64) -> bool {
        epoch == self.epoch
    }

    /// It went before the last pause, so what it meets belongs to that one.
    pub fn is_old(&self, epoch: u64) -> bool {
        epoch < self.burst
    }

    /// One that went has an answer which opens the lane further; it is settled as well. Has the pause ended with it?
    pub fn passed(&mut self, epoch: u64, limit: usize) -> bool {
        let Phase::Opening(opening) = &mut self.phase else {
            return false;
        };
        opening.answered = true;
        if epoch != self.epoch {
            return false;
        }
        let ended = opening.is_probing() && opening.cause.is_some();
        opening.heads += 1;
        self.open_at(limit);
        ended
    }

    /// One that went ended without telling anything: its place is the next one's.
    pub fn settled(&mut self, epoch: u64) {
        if let Phase::Opening(opening) = &mut self.phase
            && epoch == self.epoch
        {
            opening.awaiting = opening.awaiting.saturating_sub(1);
        }
    }

    /// What time alone brings. Has the pause ended with it?
    pub fn tick(&mut self, limit: usize, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Open => false,
            Phase::Shut { until, cause } => {
                if *until <= now {
                    self.phase = Phase::Opening(Opening::probe(Some(*cause), now));
                }
                false
            }
            Phase::Opening(opening) => {
                if opening.silent_at().is_none_or(|silent| silent > now) {
                    return false;
                }
                let ended = opening.is_probing() && opening.cause.is_some();
                opening.widen();
                self.epoch += 1;
                self.open_at(limit);
                ended
            }
        }
    }

    /// When to look again.
    pub fn alarm(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Open => None,
            Phase::Shut { until, .. } => Some(*until),
            Phase::Opening(opening) => opening.silent_at(),
        }
    }

    fn open_at(&mut self, limit: usize) {
        if matches!(self.phase, Phase::Opening(opening) if opening.window() >= limit) {
            self.phase = Phase::Open;
        }
    }
}
