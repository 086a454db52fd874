//! The words both sides speak: which dialect a request is in, and how that dialect says an error.

mod dialect;
mod error_body;

pub use dialect::Dialect;
pub use error_body::{ErrorKind, error_body};
