//! What a request body says to routing, and what holding it costs.

mod budget;
mod decode;
mod envelope;
mod json;

pub use budget::{Budget, Full, Share};
pub use decode::{DecodeBounds, DecodeError, Encoding, decode};
pub use envelope::{Envelope, Glance, MAX_MODEL, ScanError};
