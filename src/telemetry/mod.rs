//! What do we count and write? One record per finished request, and the counters that are made from it.

mod audit;
mod certificates;
mod connections;
mod counted;
mod edge_errors;
mod lanes;
mod metrics;
mod panics;
mod recent;
mod record;
mod request_id;
mod requests;
mod spending;
mod upstreams;

pub use audit::AuditRecord;
pub use connections::ConnectionMetrics;
pub use counted::{Counted, Series};
pub use lanes::{LaneGauges, LaneMetrics};
pub use metrics::Metrics;
pub use panics::tell_panics;
pub use recent::{Failed, Ill, LaneSample, Place, Point, Recent, Spread, Step, Timeline};
pub use record::{AccessRecord, Answer, Asked, Person, RouteLabel, Spent, Tokens, Upstreamed};
pub use request_id::RequestId;
pub use upstreams::{InFlight, UpstreamMetrics};
