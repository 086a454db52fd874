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

mod bodies;
mod broken_streams;
mod clients;
mod deadlines;
mod departures;
mod errors;
mod http2;
mod oddities;
mod passing;
mod replicas;
mod reuse;
mod routing;
mod streams;
mod upstream_errors;
