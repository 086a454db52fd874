//! Who calls? There is no [`Caller`] unless someone proved who it is.

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
mod ours;
mod places;
mod presented;
mod refusal;

pub use caller::Caller;
pub use fingerprint::{Fingerprint, KeyId};
pub use keyring::KeyRing;
pub use litellm::{ClientError, LiteLlmApi, LiteLlmClient, Reply, Unreachable};
pub use presented::Presented;
pub use refusal::Refusal;
