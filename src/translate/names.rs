//! What is a tool called upstream, where its own name does not fit Anthropic's pattern?

use std::collections::BTreeMap;

/// The names that were rewritten for one request, so that the answer can have the client's again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolNames {
    /// By the name that was sent.
    originals: BTreeMap<Box<str>, Box<str>>,
}

impl ToolNames {
    /// The client's name of the tool that was sent as `sent`.
    pub fn original<'a>(&'a self, sent: &'a str) -> &'a str {
        self.originals.get(sent).map_or(sent, |name| name)
    }
}
