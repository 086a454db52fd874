//! What may the operator say about translation, and about a model's abilities that its id does not tell?

/// The operator's choices for every translated request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// Ignore what cannot be delivered but does no harm (`logprobs`) instead of refusing it.
    pub lenient: bool,
    /// Pass `strict` of a function on, to models that know it.
    pub strict_tools: bool,
    /// Declare a placeholder tool where the history holds tool calls but the request has no tools.
    pub placeholder_tool: bool,
}

/// A model's abilities, each as the operator says it or `None` to go by the model's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapabilityOverrides {
    pub thinking: Option<ThinkingKind>,
    pub effort: Option<EffortLevels>,
    /// `max_tokens` where neither client nor defaults say one.
    pub max_output: Option<u32>,
    /// `temperature`, `top_p`, `top_k`.
    pub sampling: Option<bool>,
    /// `tool_choice` of `any` or one tool.
    pub forced_tool_choice: Option<bool>,
    /// A conversation that ends with an assistant turn.
    pub prefill: Option<bool>,
    pub structured_output: Option<bool>,
    /// `role: system` among the messages.
    pub system_in_place: Option<bool>,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThinkingKind {
    None,
    /// `enabled` with `budget_tokens`.
    Budget,
    /// `adaptive`, and no budget is given by us.
    Adaptive,
    /// `adaptive`, and never `disabled`.
    Always,
}

/// Which values of `output_config.effort` a model knows; ordered, each has those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EffortLevels {
    None,
    /// `low`, `medium`, `high`.
    High,
    /// And `max`.
    Max,
    /// And `xhigh`.
    XHigh,
}
