//! Whose memory does a request mean?

mod rules;
mod user;

pub use rules::{By, IdentityRules, Info, MatchedPattern, Resolved, Standing};
pub use user::MemoryUser;
