//! What the gateway does, told through real sockets in front of a simulated world.

mod harness;
mod logs;

mod bodies;
mod broken_streams;
mod deadlines;
mod departures;
mod streams;
