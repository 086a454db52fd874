//! The words both sides speak: which dialect a request is in, how it says an error, a stream's events, an answer's usage.

mod dialect;
mod error_body;
pub mod sse;
pub mod usage;

pub use dialect::Dialect;
pub use error_body::{ErrorKind, Said, error_body};
