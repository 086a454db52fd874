//! What the operator wrote, checked, in types: whoever holds a [`Config`] holds a consistent one.

mod secret;
mod types;

pub use secret::Secret;
pub use types::*;
