//! What have operators set by hand, and until when? It goes before the configuration, and outlives a reload.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// All that is set by hand.
#[derive(Default)]
pub struct Valve {
    /// So that requests do not look where there is nothing to see.
    any: AtomicBool,
    set: Mutex<BTreeMap<Thing, Held>>,
}

/// What a hand can be laid on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// Whether requests go round the router's lanes: always, or never.
    Bypass,
    /// Requests go without the router's memory.
    Memory,
    /// So many of a lane at a time, by its name.
    Limit(String),
    /// A key is refused, by its name.
    Key(String),
}

/// How it is set. What each thing means by it is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    On,
    Off,
    Number(usize),
}

#[derive(Clone, Copy)]
struct Held {
    setting: Setting,
    /// `None`: until somebody takes it back.
    until: Option<Instant>,
}

impl Valve {
    pub fn set(&self, thing: Thing, setting: Setting, until: Option<Instant>) {
        let mut set = self.set.lock();
        set.insert(thing, Held { setting, until });
        self.any.store(true, Ordering::Relaxed);
    }

    /// The configuration's word counts again.
    pub fn take_back(&self, thing: &Thing) {
        let mut set = self.set.lock();
        set.remove(thing);
        self.any.store(!set.is_empty(), Ordering::Relaxed);
    }

    pub fn of(&self, thing: &Thing, now: Instant) -> Option<Setting> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let set = self.set.lock();
        let held = set.get(thing)?;
        held.lasts(now).then_some(held.setting)
    }

    pub fn bypass(&self, now: Instant) -> Option<Setting> {
        self.of(&Thing::Bypass, now)
    }

    pub fn memory_is_off(&self, now: Instant) -> bool {
        self.of(&Thing::Memory, now) == Some(Setting::Off)
    }

    pub fn disables(&self, key: &str, now: Instant) -> bool {
        self.any.load(Ordering::Relaxed)
            && self.of(&Thing::Key(key.to_owned()), now) == Some(Setting::Off)
    }

    pub fn limit(&self, lane: &str, now: Instant) -> Option<usize> {
        match self.of(&Thing::Limit(lane.to_owned()), now)? {
            Setting::Number(most) => Some(most),
            Setting::On | Setting::Off => None,
        }
    }

    /// When the next of them is over.
    pub fn next_end(&self) -> Option<Instant> {
        self.set.lock().values().filter_map(|held| held.until).min()
    }

    /// Forgets those whose time is over; which ones.
    pub fn expire(&self, now: Instant) -> Vec<Thing> {
        let mut set = self.set.lock();
        let over = set.iter().filter(|(_, held)| !held.lasts(now));
        let over: Vec<Thing> = over.map(|(thing, _)| thing.clone()).collect();
        set.retain(|_, held| held.lasts(now));
        self.any.store(!set.is_empty(), Ordering::Relaxed);
        over
    }

    /// A line for each, with the time that it has left.
    pub fn shown(&self, now: Instant) -> Vec<(String, Option<Duration>)> {
        let set = self.set.lock();
        let lasting = set.iter().filter(|(_, held)| held.lasts(now));
        lasting
            .map(|(thing, held)| {
                let left = held.until.map(|until| until.saturating_duration_since(now));
                (format!("{thing} {}", held.setting), left)
            })
            .collect()
    }
}

impl Held {
    fn lasts(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bypass => write!(f, "bypass"),
            Self::Memory => write!(f, "memory"),
            Self::Limit(lane) => write!(f, "limit of {lane}"),
            Self::Key(name) => write!(f, "key {name}"),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => write!(f, "on"),
            Self::Off => write!(f, "off"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_set_lasts_as_long_as_it_was_said_or_until_it_is_taken_back() {
        let (valve, now) = (Valve::default(), Instant::now());
        assert!(!valve.memory_is_off(now));

        valve.set(Thing::Memory, Setting::Off, Some(now + MINUTE));
        valve.set(Thing::Key("ann".into()), Setting::Off, None);
        valve.set(Thing::Limit("lane".into()), Setting::Number(7), None);

        assert!(valve.memory_is_off(now));
        assert!(!valve.memory_is_off(now + MINUTE), "nobody needs to look");
        assert!(valve.disables("ann", now + 999 * MINUTE));
        assert!(!valve.disables("bob", now));
        assert_eq!(valve.limit("lane", now), Some(7));
        valve.take_back(&Thing::Limit("lane".into()));
        assert_eq!(valve.limit("lane", now), None);
    }

    #[test]
    fn what_is_over_is_told_once() {
        let (valve, now) = (Valve::default(), Instant::now());
        valve.set(Thing::Bypass, Setting::On, Some(now + MINUTE));
        valve.set(Thing::Memory, Setting::Off, None);

        assert_eq!(valve.next_end(), Some(now + MINUTE));
        assert_eq!(valve.expire(now), []);
        assert_eq!(valve.expire(now + MINUTE), [Thing::Bypass]);
        assert_eq!(valve.expire(now + MINUTE), []);
        assert_eq!(valve.next_end(), None);
        assert_eq!(valve.shown(now + MINUTE), [("memory off".to_owned(), None)]);
    }
}
