//! What a request body says to routing, and what holding it costs.

mod envelope;
mod json;

pub use envelope::{Envelope, MAX_MODEL, ScanError};
mod stub;
pub use stub::*;
