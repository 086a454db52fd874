//! Which clients may be connected, and who has to go when there is no room for another?
//!
//! A newcomer is let in as long as somebody can go for it: whoever has waited longest without asking for anything,
//! those first who never presented a valid key. An address counts only for connections without such a key, and not at
//! all while one with a valid key is open: behind a balancer everybody has the same address.

mod hall;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use ipnet::IpNet;
use parking_lot::Mutex;

use self::hall::{Hall, LEAVING, Presence};
use crate::config::Limits;
use crate::telemetry::ConnectionMetrics;

/// Requests that a client gives up on before they are too many, if they are also most of those that cost us something.
const GIVEN_UP_MAX: u32 = 100;

tokio::task_local! {
    static HERE: Arc<Guest>;
}

/// All clients' connections.
pub struct Doorway {
    opened: Instant,
    hall: Mutex<Hall>,
    /// The last newcomer found no room.
    full: AtomicBool,
    metrics: ConnectionMetrics,
}

/// Why a connection was closed before its client wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No room, and nobody to go.
    Full,
    /// Its address has too many without a valid key.
    Address,
    /// It waited when another needed its room.
    Displaced,
    /// No request's head came in time.
    Silent,
    /// Nearly all it did was to ask and not to wait.
    GaveUp,
}

/// One client's connection, until it is dropped.
pub struct Guest {
    doorway: Arc<Doorway>,
    id: u64,
    presence: Arc<Presence>,
    since: Instant,
    requests: AtomicU32,
    /// Those of them that were let in; what is answered on the spot costs us next to nothing.
    admitted: AtomicU32,
    given_up: AtomicU32,
}

/// A request under way on a guest's connection, until it is dropped.
pub struct Visit {
    guest: Arc<Guest>,
    /// The connection should end with it.
    pub last: bool,
}

impl Doorway {
    pub fn new(metrics: ConnectionMetrics, now: Instant) -> Self {
        Self {
            opened: now,
            hall: Mutex::default(),
            full: AtomicBool::new(false),
            metrics,
        }
    }

    /// Lets a connection in, if need be in the place of one that waits. `None`: it is to be closed.
    pub fn enter(
        self: &Arc<Self>,
        from: Option<IpAddr>,
        limits: &Limits,
        trusted: &[IpNet],
        now: Instant,
    ) -> Option<Guest> {
        let address = from
            .map(|ip| ip.to_canonical())
            .filter(|ip| !trusted.iter().any(|net| net.contains(ip)))
            .map(network);
        let millis = self.millis(now);
        let mut hall = self.hall.lock();
        if let Some(address) = address
            && !hall.has_room_for(address, limits)
            && !self.displaced(hall.displace_from(address, millis))
        {
            self.closed(Closed::Address);
            return None;
        }
        if hall.len() >= limits.connections && !self.displaced(hall.displace(limits, millis)) {
            self.full.store(true, Ordering::Relaxed);
            self.closed(Closed::Full);
            return None;
        }
        self.full.store(false, Ordering::Relaxed);
        let presence = Arc::new(Presence::new(address, millis));
        let id = hall.admit(Arc::clone(&presence));
        self.metrics.open(hall.len());
        drop(hall);
        Some(Guest {
            doorway: Arc::clone(self),
            id,
            presence,
            since: now,
            requests: AtomicU32::new(0),
            admitted: AtomicU32::new(0),
            given_up: AtomicU32::new(0),
        })
    }

    /// Whoever came last was turned away for want of room, and nobody has left since.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.hall.lock().len() == 0
    }

    pub fn closed(&self, why: Closed) {
        self.metrics.closed(why.as_str());
    }

    /// Whether anybody went.
    fn displaced(&self, many: usize) -> bool {
        (0..many).for_each(|_| self.closed(Closed::Displaced));
        many > 0
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.opened).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl Guest {
    /// Begins a request. `None`: the connection was chosen to go.
    pub fn begin(self: &Arc<Self>, limits: &Limits, now: Instant) -> Option<Visit> {
        let before = self.presence.busy.fetch_add(1, Ordering::AcqRel);
        if before & LEAVING != 0 {
            return None;
        }
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let last = requests as usize >= limits.connection_requests
            || now.saturating_duration_since(self.since) >= limits.connection_age;
        Some(Visit {
            guest: Arc::clone(self),
            last,
        })
    }

    /// A request's head has come.
    pub fn has_spoken(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    pub fn is_known(&self) -> bool {
        self.presence.known.load(Ordering::Relaxed)
    }

    /// A valid key was presented.
    pub fn vouch(&self) {
        if self.is_known() {
            return;
        }
        self.doorway.hall.lock().vouch(self.id);
    }

    /// A request goes on to an upstream.
    pub fn admitted(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// The client did not wait for an answer.
    pub fn gave_up(&self) {
        let times = self.given_up.fetch_add(1, Ordering::Relaxed) + 1;
        if times >= GIVEN_UP_MAX && times > self.admitted.load(Ordering::Relaxed) / 2 {
            self.doorway.closed(Closed::GaveUp);
            self.presence.leave.notify_one();
        }
    }

    /// Whose request this task serves; `None` where nobody said.
    pub fn here() -> Option<Arc<Self>> {
        HERE.try_with(Arc::clone).ok()
    }

    pub async fn during<F: Future>(self: &Arc<Self>, served: F) -> F::Output {
        HERE.scope(Arc::clone(self), served).await
    }

    /// Resolves when the connection is to be closed.
    pub async fn told_to_leave(&self) {
        self.presence.leave.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut hall = self.doorway.hall.lock();
        if hall.remove(self.id) {
            self.doorway.full.store(false, Ordering::Relaxed);
        }
        self.doorway.metrics.open(hall.len());
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let presence = &self.guest.presence;
        let now = self.guest.doorway.millis(Instant::now());
        presence.waits_since.store(now, Ordering::Relaxed);
        presence.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Closed {
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Displaced => "displaced",
            Self::Silent => "silent",
            Self::GaveUp => "gave_up",
        }
    }
}

/// What one client can be expected to hold alone: an address, or the network of its IPv6 line.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
    }
}
