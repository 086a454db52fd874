//! What must change in a JSON schema before Anthropic takes it?

pub(super) mod output;
pub(super) mod tool;
