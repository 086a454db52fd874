//! How does the gateway treat the servers it calls?

pub mod edge_error;
mod html;
pub mod outcome;
pub mod retry;
pub mod retry_after;

pub use edge_error::{EdgeClass, EdgeError};
pub use outcome::{Outcome, Phase, ProviderError};
pub use retry::{RetryPolicy, Verdict};
