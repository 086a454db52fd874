//! The policies assembled for one configuration, and the reasons for which they turn a request away.

mod doorway;
mod edge_errors;
mod lanes;
mod rejection;
mod snapshot;
mod traffic;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use doorway::{Closed, Doorway, Guest, Visit};
pub use edge_errors::{EdgeErrorNote, EdgeErrors};
pub use lanes::DirectUpstream;
pub use rejection::{Answer, Failure, Rejection};
pub use snapshot::{BuildError, LiteLlm, Snapshot};
pub use traffic::{InFlight, Traffic};

/// What all requests share: the snapshot of the day, the count of those under way, and of their clients.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    pub traffic: Arc<Traffic>,
    pub doorway: Arc<Doorway>,
}

impl Gateway {
    pub fn new(snapshot: Snapshot) -> Self {
        let doorway = Doorway::new(snapshot.metrics.connections(), snapshot.clock.now());
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            traffic: Arc::default(),
            doorway: Arc::new(doorway),
        }
    }

    /// A request keeps the one it began with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }
}
