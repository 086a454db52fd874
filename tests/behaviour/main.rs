//! What the gateway does, told through real sockets in front of a simulated world.

mod harness;
mod logs;

mod bodies;
mod streams;
