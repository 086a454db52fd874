//! Is what passes between the dialects what the golden files say?
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "translation/answers.rs"]
mod answers;
#[path = "translation/requests.rs"]
mod requests;
#[path = "translation/turns.rs"]
mod turns;
