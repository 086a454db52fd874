//! Who is connected now, by address, and who goes first?

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::config::Limits;

/// When many come at once, so many go together: the limit divided by this.
const SHARE_TO_GO: usize = 64;
/// Set in a guest's count of requests once it was chosen to go.
pub(super) const LEAVING: u32 = 1 << 31;

/// All who are connected.
#[derive(Default)]
pub(super) struct Hall {
    next: u64,
    guests: HashMap<u64, Arc<Presence>>,
    addresses: HashMap<IpAddr, Count>,
}

/// The connections of one address.
#[derive(Default)]
pub(super) struct Count {
    pub strangers: usize,
    pub known: usize,
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
        let fits = |count: &Count| count.known > 0 || count.strangers < most;
        self.addresses.get(&address).is_none_or(fits)
    }

    /// Sends away the stranger of this address who waits longest; how many that are.
    pub(super) fn displace_from(&mut self, address: IpAddr) -> usize {
        self.make_room(1, |one| {
            one.address == Some(address) && !one.known.load(Ordering::Relaxed)
        })
    }

    /// Sends away some of those who wait; how many that are.
    pub(super) fn displace(&mut self, limits: &Limits) -> usize {
        self.make_room(limits.connections.div_ceil(SHARE_TO_GO), |_| true)
    }

    /// Sends away up to `many` of those who wait and whom `fits` picks: strangers first, the longest waiting first.
    fn make_room(&mut self, many: usize, fits: impl Fn(&Presence) -> bool) -> usize {
        let waiting = |one: &Presence| one.busy.load(Ordering::Relaxed) == 0;
        let mut idle: Vec<(bool, u64, u64)> = self
            .guests
            .iter()
            .filter(|(_, one)| waiting(one) && fits(one))
            .map(|(id, one)| {
                let known = one.known.load(Ordering::Relaxed);
                (known, one.waits_since.load(Ordering::Relaxed), *id)
            })
            .collect();
        if idle.len() > many {
            idle.select_nth_unstable(many);
            idle.truncate(many);
        }
        let before = self.len();
        for (_, _, id) in idle {
            // Whoever has just begun a request stays.
            let goes = self.guests.get(&id).is_some_and(|one| one.send_away());
            if goes {
                self.remove(id);
            }
        }
        before - self.len()
    }

    /// Takes it in; the number it has here.
    pub(super) fn admit(&mut self, presence: Arc<Presence>) -> u64 {
        if let Some(address) = presence.address {
            self.addresses.entry(address).or_default().strangers += 1;
        }
        self.next += 1;
        self.guests.insert(self.next, presence);
        self.next
    }

    /// Counts it among those with a valid key.
    pub(super) fn vouch(&mut self, id: u64) {
        let Some(presence) = self.guests.get(&id) else {
            return;
        };
        if !presence.known.swap(true, Ordering::Relaxed) {
            self.recount(presence.address, |count| {
                count.strangers -= 1;
                count.known += 1;
            });
        }
    }

    /// `false`: it had gone before.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let Some(presence) = self.guests.remove(&id) else {
            return false;
        };
        let known = presence.known.load(Ordering::Relaxed);
        self.recount(presence.address, |count| {
            if known {
                count.known -= 1;
            } else {
                count.strangers -= 1;
            }
        });
        true
    }

    fn recount(&mut self, address: Option<IpAddr>, change: impl FnOnce(&mut Count)) {
        let Some(address) = address else { return };
        let Some(count) = self.addresses.get_mut(&address) else {
            return;
        };
        change(count);
        if count.strangers + count.known == 0 {
            self.addresses.remove(&address);
        }
    }
}
