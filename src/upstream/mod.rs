//! What stands behind the gateway: where a server is, how it is connected to, and what its answers mean.

pub mod backends;
pub mod connect_gate;
pub mod edge_error;
mod html;
pub mod lane;
pub mod outcome;
pub mod peer;
pub mod resolve;
pub mod retry;
pub mod retry_after;
pub mod roots;

pub use edge_error::{EdgeClass, EdgeError};
pub use outcome::{Outcome, Phase, ProviderError};
pub use retry::{RetryPolicy, Verdict};
