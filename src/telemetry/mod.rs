//! What do we count and write? One record per finished request, and the counters that are made from it.

mod audit;
mod certificates;
mod edge_errors;
mod lanes;
mod metrics;
mod record;
mod request_id;
mod requests;
mod upstreams;

pub use audit::AuditRecord;
pub use lanes::{LaneGauges, LaneMetrics};
pub use metrics::Metrics;
pub use record::{AccessRecord, Answer, Asked, Person, RouteLabel, Spent, Upstreamed};
pub use request_id::RequestId;
pub use upstreams::{InFlight, UpstreamMetrics};
