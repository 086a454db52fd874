//! What the operator wrote, checked, in types: whoever holds a [`Config`] holds a consistent one.

mod address;
mod audit;
mod env;
mod finding;
mod key_limits;
mod keys_file;
mod litellm;
mod load;
mod logs;
mod models;
mod own;
mod prices;
mod reference;
mod secret;
mod section;
mod settings;
mod source;
mod tls;
mod traces;
mod translation;
mod units;
mod unknown;
mod usage_log;
mod word;
mod yaml;

pub use env::Env;
pub use finding::{Faults, Finding, Place};
pub use key_limits::KeyLimits;
pub use keys_file::{KeysFile, ListedKey};
pub use litellm::Skipped;
pub use load::{Loaded, Sources};
pub use logs::{AccessLog, Log, Slow};
pub use models::*;
pub use prices::{ModelPattern, Price, Prices};
pub use reference::reference;
pub use secret::Secret;
pub use settings::*;
pub use tls::TlsFault;
pub use traces::{Otlp, Traces};
pub use translation::{Effort, ThinkingKind, Traits, Translation, begins};
pub use units::duration;
pub use usage_log::UsageLog;

/// The tree that PyYAML's `safe_load` would make of this text, in JSON; what JSON cannot say becomes an
/// object with one `!` key. The fidelity test compares it with PyYAML's own.
pub fn yaml_as_json(text: &[u8], file: &str) -> Result<serde_json::Value, Vec<Finding>> {
    yaml::parse(text, &file.into()).map(|document| document.root.to_json())
}
