//! What the gateway does, told through real sockets in front of a simulated world.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod harness;
mod logs;

mod bodies;
mod broken_streams;
mod deadlines;
mod departures;
mod errors;
mod streams;
mod upstream_errors;
