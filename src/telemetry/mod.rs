//! What do we count and write? One record per finished request, and the counters that are made from it.

mod audit;
mod certificates;
mod connections;
mod edge_errors;
mod lanes;
mod ledger;
mod line_file;
mod metrics;
mod panics;
mod record;
mod request_id;
mod requests;
mod sheet;
mod spending;
mod upstreams;

pub use audit::AuditRecord;
pub use connections::ConnectionMetrics;
pub use lanes::{LaneGauges, LaneMetrics};
pub use ledger::{Charge, Ledger};
pub use metrics::Metrics;
pub use panics::tell_panics;
pub use record::{AccessRecord, Answer, Asked, Person, RouteLabel, Spent, Tokens, Upstreamed};
pub use request_id::RequestId;
pub use upstreams::{InFlight, UpstreamMetrics};
