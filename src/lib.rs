//! memgate: an edge gateway in front of Supermemory's memory router and LiteLLM, built on Pingora.
//!
//! The folders are the architecture. Modules stand on floors and import from lower floors only;
//! `tests/architecture.rs` holds the list and fails when an arrow points up.
#![forbid(unsafe_code)]

pub mod admin;
pub mod auth;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cookies;
pub mod gateway;
pub mod identity;
pub mod limits;
pub mod proxy;
pub mod routing;
pub mod server;
pub mod sim;
pub mod telemetry;
pub mod translate;
pub mod upstream;
pub mod wire;
