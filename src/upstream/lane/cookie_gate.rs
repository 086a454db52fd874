//! Must one request fetch the cookies first, while the others wait for them?

use std::time::Instant;

use super::pause::{SILENCE, SILENCE_OF_A_PROBE};

/// An edge sets a handful.
const MOST_NAMES: usize = 16;

#[derive(Debug, Default)]
pub struct CookieGate {
    /// What refusals demanded.
    names: Vec<String>,
    /// Somebody came without, and nobody fetched them yet.
    wanting: bool,
    /// Its number, and when no refusal of it can come any more.
    scout: Option<(u64, Instant)>,
    /// The last one that went before new cookies were captured: those after it carry them, and none of these has passed yet.
    captured_after: Option<u64>,
    /// One that carried them was refused all the same.
    useless: bool,
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
            self.scout = Some((id, now + SILENCE_OF_A_PROBE));
        }
    }

    /// It has its connection.
    pub fn sent(&mut self, id: u64, now: Instant) {
        if let Some((_, silent)) = self.scout.as_mut().filter(|scout| scout.0 == id) {
            *silent = now + SILENCE;
        }
    }

    /// The jar has them.
    pub fn fetched(&mut self) {
        self.wanting = false;
        self.scout = None;
    }

    /// An edge set some with its refusal, when so many had gone.
    pub fn captured(&mut self, last_id: u64) {
        self.captured_after.get_or_insert(last_id);
        self.fetched();
    }

    /// Is it for want of cookies that an edge, which sets some with each refusal, refused this one?
    pub fn may_help(&self, id: u64) -> bool {
        !self.useless && !self.carries_new(id)
    }

    pub fn refused(&mut self, id: u64) {
        self.useless |= self.carries_new(id);
    }

    fn carries_new(&self, id: u64) -> bool {
        self.captured_after.is_some_and(|last| id > last)
    }

    /// It had a head.
    pub fn passed(&mut self, id: u64) {
        if self.carries_new(id) {
            (self.captured_after, self.useless) = (None, false);
        }
        self.not_refused(id);
    }

    /// Who passes without them shows that they are demanded no more.
    fn not_refused(&mut self, id: u64) {
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
        if let Some((id, silent)) = self.scout
            && silent <= now
        {
            self.not_refused(id);
        }
    }

    pub fn alarm(&self) -> Option<Instant> {
        self.scout.map(|(_, silent)| silent)
    }
}
