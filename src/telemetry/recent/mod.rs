//! What happened lately? Kept in the gateway, bounded, so that a page that is just opened has something to show.

mod failures;
mod history;
mod spread;
mod troubles;

use std::time::SystemTime;

use parking_lot::Mutex;

pub use failures::Failed;
pub use history::{LaneSample, Point, Step, Timeline};
pub use spread::Spread;
pub use troubles::{Ill, Place};

use self::failures::Failures;
use self::history::History;
use self::troubles::Troubles;
use super::record::AccessRecord;

/// The last hour in numbers, the last failures, and what goes wrong now.
#[derive(Default)]
pub struct Recent {
    history: Mutex<History>,
    failures: Mutex<Failures>,
    troubles: Mutex<Troubles>,
}

impl Recent {
    /// A request has ended.
    pub(super) fn note(&self, record: &AccessRecord<'_>) {
        self.history.lock().note(record);
        if Failed::is_one(record) {
            self.failures.lock().note(Failed::of(record));
        }
    }

    /// How a lane stands, looked at every few seconds.
    pub fn sample(&self, lane: &str, sample: LaneSample, now: SystemTime) {
        self.history.lock().sample(lane, sample, now);
    }

    /// The last `points` steps, the one under way left out.
    pub fn timeline(&self, step: Step, points: usize, now: SystemTime) -> Timeline {
        self.history.lock().timeline(step, points, now)
    }

    /// All that ended within the last `steps`, the one under way included.
    pub fn sum(&self, steps: u64, now: SystemTime) -> Point {
        self.history.lock().sum(steps, now)
    }

    /// The latest first.
    pub fn failures(&self) -> Vec<Failed> {
        self.failures.lock().latest()
    }

    /// An attempt at a place went well.
    pub fn went_well(&self, at: &str) {
        self.troubles.lock().went_well(at);
    }

    /// An attempt at a place went wrong, in one of the code's own words. `request` is its id.
    pub fn went_wrong(&self, at: &str, what: &'static str, request: &str, now: SystemTime) {
        self.troubles.lock().went_wrong(at, what, request, now);
    }

    /// Something is wrong at a place as long as this is said of it, without a request that met it.
    pub fn stands(&self, at: &str, what: &'static str, now: SystemTime) {
        self.troubles.lock().stands(at, what, now);
    }

    /// Somebody was served another way than by this place.
    pub fn led_round(&self, at: &str, person: &str, now: SystemTime) {
        self.troubles.lock().touched(at, person, true, now);
    }

    /// Somebody was not served because of this place.
    pub fn failed(&self, at: &str, person: &str, now: SystemTime) {
        self.troubles.lock().touched(at, person, false, now);
    }

    /// What went wrong lately, by place.
    pub fn troubles(&self, now: SystemTime) -> Vec<Place> {
        self.troubles.lock().places(now)
    }
}
