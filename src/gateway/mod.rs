//! The policies assembled for one configuration, and the reasons for which they turn a request away.

mod doorway;
mod edge_errors;
mod lanes;
mod litellm;
mod pulse;
mod rejection;
mod reloads;
mod snapshot;
mod traffic;
mod valve;
mod way_out;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use doorway::{Closed, Doorway, Guest, Visit};
pub use edge_errors::{EdgeErrorNote, EdgeErrors};
pub use litellm::LiteLlm;
pub use pulse::{Heart, Pulse};
pub use rejection::{Answer, Failure, Rejection};
pub use reloads::{Failed, Reloads};
pub use snapshot::{BuildError, Snapshot};
pub use traffic::{InFlight, TimeUp, Traffic};
pub use valve::{Setting, Thing, Valve};
pub use way_out::DirectUpstream;

/// What all requests share: the snapshot of the day, the count of those under way, and of their clients.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// How many took the first one's place.
    succession: watch::Sender<u64>,
    pub reloads: Mutex<Reloads>,
    pub traffic: Arc<Traffic>,
    pub doorway: Arc<Doorway>,
    pub pulse: Pulse,
}

impl Gateway {
    pub fn new(snapshot: Snapshot) -> Self {
        let now = snapshot.clock.now();
        let doorway = Doorway::new(snapshot.metrics.connections(), now);
        Self {
            reloads: Mutex::new(Reloads::new(snapshot.clock.wall())),
            snapshot: ArcSwap::from_pointee(snapshot),
            succession: watch::channel(0).0,
            traffic: Arc::default(),
            doorway: Arc::new(doorway),
            pulse: Pulse::new(now),
        }
    }

    /// A request keeps the one it began with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Requests that begin from now on have this one. Nobody else may do so at the same time.
    pub fn succeed(&self, snapshot: Snapshot) {
        let before = self.snapshot.swap(Arc::new(snapshot));
        self.snapshot().take_effect(&before);
        self.succession.send_modify(|count| *count += 1);
    }

    /// Changes with each snapshot that takes another's place.
    pub fn succession(&self) -> watch::Receiver<u64> {
        self.succession.subscribe()
    }
}
