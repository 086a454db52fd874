//! What the `memgate` program does, told through its command line, its exit codes and its signals.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod program;

mod check;
mod ctl;
mod demo;
mod key;
mod operate;
mod panics;
mod run;
mod signals;
mod upgrade;
