//! What does a YAML file say, and where? Read as PyYAML's `safe_load` reads it (YAML 1.1).

mod build;
mod events;
mod mapping;
mod node;
mod scalar;

pub(super) use build::{Document, parse};
pub(super) use events::MAX_BYTES;
pub(super) use node::{Entry, Node, Value};
pub(super) use scalar::{Plain, resolve};

#[cfg(test)]
mod tests;
