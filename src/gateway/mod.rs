//! The policies assembled for one configuration, and the reasons for which they turn a request away.

mod edge_errors;
mod lanes;
mod rejection;
mod snapshot;
mod traffic;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use edge_errors::{EdgeErrorNote, EdgeErrors};
pub use lanes::DirectUpstream;
pub use rejection::{Answer, Failure, Rejection};
pub use snapshot::{BuildError, LiteLlm, Snapshot};
pub use traffic::{InFlight, Traffic};

/// What all requests share: the snapshot of the day, and the count of those under way.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    pub traffic: Arc<Traffic>,
}

impl Gateway {
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            traffic: Arc::default(),
        }
    }

    /// A request keeps the one it began with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }
}
