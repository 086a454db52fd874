//! What the gateway does, told through real sockets in front of a simulated world.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod harness;
mod logs;
mod patience;
mod two_ways;
mod wire;

mod access_log;
mod bad_heads;
mod bodies;
mod body_encodings;
mod body_framing;
mod body_room;
mod broken_streams;
mod bypass;
mod bypassed_crowds;
mod canary;
mod certificates;
mod chat_completions;
mod chat_errors;
mod chat_streams;
mod circuits;
mod clients;
mod cold_start;
mod connections;
mod cookie_file;
mod cookies;
mod deadlines;
mod departures;
mod direct;
mod drain;
mod early_answers;
mod egress;
mod endpoints;
mod errors;
mod exactly_once;
mod failures;
mod floods;
mod heads;
mod http2;
mod incidents;
mod key_charges;
mod key_limits;
mod keyless;
mod keys;
mod lane_limits;
mod lane_log;
mod lane_pauses;
mod lane_reach;
mod leaks;
mod listed_keys;
mod litellm_keys;
mod log_files;
mod memory_honesty;
mod memory_users;
mod model_lists;
mod model_names;
mod names;
mod oddities;
mod operators;
mod other_providers;
mod passing;
mod pipelining;
mod queues;
mod reloads;
mod replicas;
mod retries;
mod retry_budget;
mod retry_transport;
mod retry_waits;
mod reuse;
mod routing;
mod secrets;
mod shipped_runtime;
mod slowness;
mod smuggling;
mod spans;
mod status;
mod strangers;
mod stream_ends;
mod streams;
mod stuck_threads;
mod trace_context;
mod upstream_errors;
mod usage_log;
mod valve;
