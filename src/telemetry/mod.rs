//! What do we count and write? One record per finished request, and the counters that are made from it.

mod access_log;
mod audit;
mod certificates;
mod connections;
#[cfg(test)]
mod contract_tests;
mod counted;
mod edge_errors;
mod exporter;
mod lanes;
mod ledger;
mod metrics;
#[cfg(test)]
mod metrics_tests;
mod panics;
mod process;
mod pseudonyms;
mod recent;
mod record;
mod request_id;
mod requests;
mod scribe;
mod sheet;
mod span;
mod spending;
mod trace_context;
mod tracer;
mod upstreams;

pub use access_log::AccessLog;
pub use audit::AuditRecord;
pub use connections::ConnectionMetrics;
pub use counted::{Counted, Series};
pub use lanes::{LaneGauges, LaneMetrics};
pub use ledger::{Charge, Ledger};
pub use metrics::{Metrics, ReportingMetrics};
pub use panics::tell_panics;
pub use pseudonyms::Pseudonyms;
pub use recent::{Failed, Ill, LaneSample, Place, Point, Recent, Spread, Step, Timeline};
pub use record::{AccessRecord, Answer, Asked, Person, RouteLabel, Spent, Tokens, Upstreamed};
pub use request_id::RequestId;
pub use trace_context::{TraceContext, TraceId};
pub use tracer::{Tracer, TracesError};
pub use upstreams::{InFlight, UpstreamMetrics};
