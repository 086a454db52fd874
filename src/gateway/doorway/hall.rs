//! Who is connected now, by address, and who goes first?

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::config::Limits;

/// When many come at once, so many go together: the limit divided by this.
const SHARE_TO_GO: usize = 64;
/// For so many milliseconds after nobody could go, nobody is looked for: a flood must not make each look the others' wait.
const LOOK_AGAIN: u64 = 50;
/// Set in a guest's count of requests once it was chosen to go.
pub(super) const LEAVING: u32 = 1 << 31;

/// All who are connected.
#[derive(Default)]
pub(super) struct Hall {
    next: u64,
    guests: HashMap<u64, Arc<Presence>>,
    addresses: HashMap<IpAddr, Line>,
    busy_until: u64,
}

/// The connections of one address.
#[derive(Default)]
struct Line {
    strangers: BTreeSet<u64>,
    known: usize,
    busy_until: u64,
}

/// One who is.
pub(super) struct Presence {
    /// `None`: not counted by its address.
    pub address: Option<IpAddr>,
    /// Presented a valid key.
    pub known: AtomicBool,
    /// Requests under way.
    pub busy: AtomicU32,
    /// Milliseconds since the doorway opened.
    pub waits_since: AtomicU64,
    pub leave: Notify,
}

impl Presence {
    pub(super) fn new(address: Option<IpAddr>, since: u64) -> Self {
        Self {
            address,
            known: AtomicBool::new(false),
            busy: AtomicU32::new(0),
            waits_since: AtomicU64::new(since),
            leave: Notify::new(),
        }
    }

    /// `false`: it has a request under way.
    fn send_away(&self) -> bool {
        let chosen = self
            .busy
            .compare_exchange(0, LEAVING, Ordering::AcqRel, Ordering::Relaxed);
        if chosen.is_ok() {
            self.leave.notify_one();
        }
        chosen.is_ok()
    }
}

impl Hall {
    pub(super) fn len(&self) -> usize {
        self.guests.len()
    }

    /// Whether the address may have another one.
    pub(super) fn has_room_for(&self, address: IpAddr, limits: &Limits) -> bool {
        let most = limits.connections_per_address;
        let fits = |line: &Line| line.known > 0 || line.strangers.len() < most;
        self.addresses.get(&address).is_none_or(fits)
    }

    /// Sends away the stranger of this address who waits longest; how many that are.
    pub(super) fn displace_from(&mut self, address: IpAddr, now: u64) -> usize {
        let Some(line) = self.addresses.get(&address) else {
            return 0;
        };
        if now < line.busy_until {
            return 0;
        }
        let waiting = self.waiting(line.strangers.iter().copied());
        let gone = self.make_room(1, waiting);
        if let Some(line) = self.addresses.get_mut(&address).filter(|_| gone == 0) {
            line.busy_until = now + LOOK_AGAIN;
        }
        gone
    }

    /// Sends away some of those who wait; how many that are.
    pub(super) fn displace(&mut self, limits: &Limits, now: u64) -> usize {
        if now < self.busy_until {
            return 0;
        }
        let waiting = self.waiting(self.guests.keys().copied());
        let gone = self.make_room(limits.connections.div_ceil(SHARE_TO_GO), waiting);
        if gone == 0 {
            self.busy_until = now + LOOK_AGAIN;
        }
        gone
    }

    /// Those of them who wait: strangers come before others, and the longest waiting first.
    fn waiting(&self, ids: impl Iterator<Item = u64>) -> Vec<(bool, u64, u64)> {
        let rank = |id| {
            let one = self.guests.get(&id)?;
            let known = one.known.load(Ordering::Relaxed);
            let waits = one.busy.load(Ordering::Relaxed) == 0;
            waits.then(|| (known, one.waits_since.load(Ordering::Relaxed), id))
        };
        ids.filter_map(rank).collect()
    }

    /// Sends away up to `many` of these, the first first.
    fn make_room(&mut self, many: usize, mut waiting: Vec<(bool, u64, u64)>) -> usize {
        if waiting.len() > many {
            waiting.select_nth_unstable(many);
        }
        let mut gone = 0;
        for (_, _, id) in waiting {
            if gone == many {
                break;
            }
            // Whoever has just begun a request stays, and another goes.
            let goes = self.guests.get(&id).is_some_and(|one| one.send_away());
            if goes && self.remove(id) {
                gone += 1;
            }
        }
        gone
    }

    /// Takes it in; the number it has here.
    pub(super) fn admit(&mut self, presence: Arc<Presence>) -> u64 {
        self.next += 1;
        if let Some(address) = presence.address {
            let line = self.addresses.entry(address).or_default();
            line.strangers.insert(self.next);
        }
        self.guests.insert(self.next, presence);
        self.next
    }

    /// Counts it among those with a valid key.
    pub(super) fn vouch(&mut self, id: u64) {
        let Some(presence) = self.guests.get(&id) else {
            return;
        };
        if !presence.known.swap(true, Ordering::Relaxed) {
            self.recount(presence.address, |line| {
                line.strangers.remove(&id);
                line.known += 1;
            });
        }
    }

    /// `false`: it had gone before.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let Some(presence) = self.guests.remove(&id) else {
            return false;
        };
        let known = presence.known.load(Ordering::Relaxed);
        self.recount(presence.address, |line| {
            if known {
                line.known -= 1;
            } else {
                line.strangers.remove(&id);
            }
        });
        true
    }

    fn recount(&mut self, address: Option<IpAddr>, change: impl FnOnce(&mut Line)) {
        let Some(address) = address else { return };
        let Some(line) = self.addresses.get_mut(&address) else {
            return;
        };
        change(line);
        if line.strangers.is_empty() && line.known == 0 {
            self.addresses.remove(&address);
        }
    }
}
