//! The capacity gate: so many requests at once behind one edge, the next is refused.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;

use super::queue_full;
use super::schedule::Schedule;
use crate::sim::answer::Answer;
use crate::sim::record::{Timeline, TimelineView};

/// How the gate behaves.
#[derive(Clone, Debug)]
pub struct CapacityGate {
    pub capacity: Schedule,
    /// What those are told for whom there is no room.
    pub refusal: Answer,
}

impl Default for CapacityGate {
    fn default() -> Self {
        Self {
            capacity: Schedule::default(),
            refusal: queue_full(),
        }
    }
}

impl CapacityGate {
    /// Room for so many, now and later.
    pub fn of(capacity: usize) -> Self {
        Self::scheduled(Schedule::always(Some(capacity)))
    }

    pub fn scheduled(capacity: Schedule) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    pub fn refusing(mut self, refusal: Answer) -> Self {
        self.refusal = refusal;
        self
    }
}

/// What counts against the capacity at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Room {
    pub capacity: Option<usize>,
    pub in_flight: usize,
    pub in_flight_max: usize,
}

/// The gate at work.
pub(in crate::sim) struct Capacity(Mutex<State>);

struct State {
    schedule: Schedule,
    since: Instant,
    in_flight: usize,
    in_flight_max: usize,
    timeline: Timeline,
}

impl Capacity {
    pub(in crate::sim) fn new(schedule: Schedule) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            schedule,
            since: Instant::now(),
            in_flight: 0,
            in_flight_max: 0,
            timeline: Timeline::default(),
        })))
    }

    /// A slot, as long as there is one.
    pub(in crate::sim) fn enter(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.0.lock();
        let full = state.limit().is_some_and(|limit| state.in_flight >= limit);
        if full {
            state.note(|point| point.refused += 1);
            return None;
        }
        state.in_flight += 1;
        state.in_flight_max = state.in_flight_max.max(state.in_flight);
        state.note(|point| point.entered += 1);
        drop(state);
        Some(Slot(Arc::clone(self)))
    }

    /// Begins this schedule; who is inside stays.
    pub(in crate::sim) fn follow(&self, schedule: Schedule) {
        let mut state = self.0.lock();
        state.schedule = schedule;
        state.since = Instant::now();
        state.note(|_| {});
    }

    pub(in crate::sim) fn room(&self) -> Room {
        let state = self.0.lock();
        Room {
            capacity: state.limit(),
            in_flight: state.in_flight,
            in_flight_max: state.in_flight_max,
        }
    }

    pub(in crate::sim) fn timeline(&self) -> TimelineView {
        self.0.lock().timeline.view()
    }

    /// Forgets what is over.
    pub(in crate::sim) fn reset(&self) {
        let mut state = self.0.lock();
        state.in_flight_max = state.in_flight;
        state.timeline = Timeline::default();
        state.note(|_| {});
    }
}

impl State {
    fn limit(&self) -> Option<usize> {
        self.schedule.at(self.since.elapsed())
    }

    fn note(&mut self, change: impl FnOnce(&mut crate::sim::record::Point)) {
        let (limit, in_flight) = (self.limit(), self.in_flight);
        self.timeline.note(limit, in_flight, change);
    }
}

/// One request's hold on the capacity; dropping it gives it back.
pub(in crate::sim) struct Slot(Arc<Capacity>);

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.note(|point| point.left += 1);
    }
}
