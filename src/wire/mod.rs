//! The words both sides speak: which dialect a request is in, how that dialect says an error, how a stream says its events.

mod dialect;
mod error_body;
pub mod sse;

pub use dialect::Dialect;
pub use error_body::{ErrorKind, Said, error_body};
