//! Must one request fetch the cookies first, while the others wait for them?

use std::time::Instant;

use super::pause::SILENCE;

/// An edge sets a handful.
const MOST_NAMES: usize = 16;

#[derive(Debug, Default)]
pub struct CookieGate {
    /// What refusals demanded.
    names: Vec<String>,
    /// Somebody came without, and nobody fetched them yet.
    wanting: bool,
    scout: Option<(u64, Instant)>,
}

impl CookieGate {
    pub fn demands(&self, carries: impl Fn(&str) -> bool) -> bool {
        self.names.iter().any(|name| !carries(name))
    }

    pub fn learn(&mut self, names: &[String]) {
        for name in names {
            if self.names.len() < MOST_NAMES && !self.names.contains(name) {
                self.names.push(name.clone());
            }
        }
    }

    /// All requests share one jar: who lacks nothing shows that the cookies are there.
    pub fn asked(&mut self, lacks: bool) {
        if lacks {
            self.wanting = true;
        } else if self.wanting {
            self.fetched();
        }
    }

    pub fn is_scouting(&self) -> bool {
        self.wanting
    }

    pub fn may_go(&self) -> bool {
        self.scout.is_none()
    }

    pub fn went(&mut self, id: u64, now: Instant) {
        if self.wanting && self.scout.is_none() {
            self.scout = Some((id, now));
        }
    }

    /// The jar has them.
    pub fn fetched(&mut self) {
        self.wanting = false;
        self.scout = None;
    }

    /// Who passes without them shows that they are demanded no more.
    pub fn passed(&mut self, id: u64) {
        if self.settled(id) {
            self.names.clear();
            self.wanting = false;
        }
    }

    /// The scout ended without a word about cookies: the next one goes. Was it the scout?
    pub fn settled(&mut self, id: u64) -> bool {
        self.scout.take_if(|scout| scout.0 == id).is_some()
    }

    pub fn tick(&mut self, now: Instant) {
        if let Some((id, _)) = self.scout
            && self.alarm().is_some_and(|silent| silent <= now)
        {
            self.passed(id);
        }
    }

    pub fn alarm(&self) -> Option<Instant> {
        self.scout.map(|(_, went)| went + SILENCE)
    }
}
