//! Who calls? There is no [`Caller`] unless someone proved who it is.

mod admin_key;
mod allowance;
mod allowed;
mod anonymous;
mod attempts;
mod cache;
mod caller;
mod fingerprint;
mod key_info;
mod keyring;
mod listed;
mod litellm;
mod presented;
mod refusal;

pub use admin_key::{bears, opens};
pub use caller::Caller;
pub use fingerprint::{Fingerprint, KeyId};
pub use keyring::{Attempt, KeyRing, Question};
pub use litellm::{ClientError, LiteLlmApi, LiteLlmClient, Reply, Unreachable};
pub use presented::Presented;
use presented::any_key;
pub use refusal::Refusal;
