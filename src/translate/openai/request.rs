//! What is in a chat completion besides its messages?

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{ChoiceObject, Message, ResponseFormat, StringOr, Text, Tool};

/// The request, extension fields included.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::translate) struct Request<'a> {
    #[serde(borrow)]
    pub messages: Vec<Message<'a>>,
    #[serde(borrow)]
    pub tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    pub tool_choice: Option<StringOr<'a, ChoiceObject<'a>>>,
    pub parallel_tool_calls: Option<bool>,
    pub max_completion_tokens: Option<u64>,
    pub max_tokens: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    #[serde(borrow)]
    pub stop: Option<StringOr<'a, Vec<Text<'a>>>>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    #[serde(borrow)]
    pub response_format: Option<ResponseFormat<'a>>,
    #[serde(borrow)]
    pub reasoning_effort: Option<Text<'a>>,
    #[serde(borrow)]
    pub user: Option<Text<'a>>,
    #[serde(borrow)]
    pub safety_identifier: Option<Text<'a>>,
    #[serde(borrow)]
    pub service_tier: Option<Text<'a>>,

    // What cannot be honoured.
    pub n: Option<u64>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u64>,
    #[serde(borrow)]
    pub modalities: Option<Vec<Text<'a>>>,
    pub audio: Option<IgnoredAny>,
    pub functions: Option<IgnoredAny>,
    pub function_call: Option<IgnoredAny>,
    pub web_search_options: Option<IgnoredAny>,

    // Extensions: Anthropic's own parameters.
    #[serde(borrow)]
    pub thinking: Option<&'a RawValue>,
    /// It is the operator's, not the client's.
    #[serde(skip)]
    pub default_thinking: bool,
    #[serde(borrow)]
    pub top_k: Option<&'a RawValue>,
    #[serde(borrow)]
    pub output_config: Option<&'a RawValue>,
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
    #[serde(borrow)]
    pub context_management: Option<&'a RawValue>,
    #[serde(borrow)]
    pub mcp_servers: Option<&'a RawValue>,
    #[serde(borrow)]
    pub container: Option<&'a RawValue>,
    #[serde(borrow)]
    pub speed: Option<&'a RawValue>,
    #[serde(borrow)]
    pub inference_geo: Option<&'a RawValue>,
    #[serde(borrow)]
    pub anthropic_beta: Option<StringOr<'a, Vec<Text<'a>>>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::translate) struct StreamOptions {
    pub include_usage: Option<bool>,
}
