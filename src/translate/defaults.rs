//! What does the operator's file say for a model where the client is silent?

/// Parameters of LiteLLM's file for one model, in OpenAI's words; the client's own come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// A JSON object, or nothing where there are none.
    json: Box<str>,
}

impl Defaults {
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }
}
