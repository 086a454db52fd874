//! What the gateway does, told through real sockets in front of a simulated world.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod harness;
mod logs;
mod wire;

mod access_log;
mod bodies;
mod broken_streams;
mod deadlines;
mod departures;
mod endpoints;
mod errors;
mod keys;
mod litellm_keys;
mod operators;
mod passing;
mod routing;
mod streams;
mod upstream_errors;
