//! How did it go when the configuration was read again? For the status page.

use std::time::SystemTime;

/// Since the start.
#[derive(Clone, Debug)]
pub struct Reloads {
    /// Since when the configuration at work is.
    pub since: SystemTime,
    pub taken: u64,
    pub failed: u64,
    /// The last time, where it failed.
    pub failure: Option<Failed>,
    /// Keys that say something else by now and need a restart.
    pub waiting: Vec<&'static str>,
}

/// Why the configuration stayed as it was.
#[derive(Clone, Debug)]
pub struct Failed {
    pub at: SystemTime,
    pub why: String,
}

impl Reloads {
    pub fn new(now: SystemTime) -> Self {
        Self {
            since: now,
            taken: 0,
            failed: 0,
            failure: None,
            waiting: Vec::new(),
        }
    }

    pub fn took(&mut self, waiting: Vec<&'static str>, now: SystemTime) {
        self.since = now;
        self.taken += 1;
        self.failure = None;
        self.waiting = waiting;
    }

    pub fn failed(&mut self, why: &str, now: SystemTime) {
        self.failed += 1;
        let why = why.to_owned();
        self.failure = Some(Failed { at: now, why });
    }
}
