//! What stands behind the gateway: where a server is, how it is connected to, and what its answers mean.

pub mod backends;
pub mod connect_gate;
mod edge_class;
pub mod edge_error;
pub mod effect;
mod html;
pub mod lane;
pub mod outcome;
pub mod peer;
pub mod resolve;
pub mod retry_after;
pub mod roots;
pub mod shares;
pub mod sticky;
pub mod verdict;

pub use edge_class::EdgeClass;
pub use edge_error::{EdgeError, Whose};
pub use effect::{Effect, Reach};
pub use outcome::{Outcome, Phase, ProviderError};
pub use verdict::{Called, Reason, RetryPolicy, Verdict};
