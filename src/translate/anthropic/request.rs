//! What is in a request for a message?

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::openai::{Members, Text};
use super::{Block, Turn};
use crate::config::Effort;

#[derive(Debug, Serialize)]
pub(in crate::translate) struct Request<'a> {
    pub model: &'a str,
    pub max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<Block<'a>>,
    pub messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking<'a>>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    pub output_config: OutputConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,

    // In the client's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_management: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_servers: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference_geo: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::translate) enum Tool<'a> {
    /// In the client's own words, which were Anthropic's already.
    Given(&'a RawValue),
    /// The same, but for a name that Anthropic does not take.
    Renamed(Map<String, Value>),
    Function(Function<'a>),
}

#[derive(Debug, Serialize)]
pub(in crate::translate) struct Function<'a> {
    pub name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    pub input_schema: Schema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<&'a RawValue>,
}

/// A JSON schema: as it came, or as it had to be changed.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::translate) enum Schema<'a> {
    Given(&'a RawValue),
    Changed(Value),
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(in crate::translate) enum ToolChoice<'a> {
    Auto {
        #[serde(skip_serializing_if = "is_false")]
        disable_parallel_tool_use: bool,
    },
    Any {
        #[serde(skip_serializing_if = "is_false")]
        disable_parallel_tool_use: bool,
    },
    Tool {
        name: Text<'a>,
        #[serde(skip_serializing_if = "is_false")]
        disable_parallel_tool_use: bool,
    },
    None,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::translate) enum Thinking<'a> {
    Given(&'a RawValue),
    Mode(ThinkingMode),
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(in crate::translate) enum ThinkingMode {
    Enabled { budget_tokens: u64 },
    Adaptive { display: &'static str },
    Disabled,
}

#[derive(Debug, Serialize)]
pub(in crate::translate) struct Metadata<'a> {
    pub user_id: Text<'a>,
}

/// The client's own members, and ours where it says nothing.
#[derive(Debug, Default)]
pub(in crate::translate) struct OutputConfig<'a> {
    pub given: Members<'a>,
    pub effort: Option<Effort>,
    pub format: Option<Format>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "json_schema")]
pub(in crate::translate) struct Format {
    pub schema: Value,
}

impl OutputConfig<'_> {
    fn is_empty(&self) -> bool {
        self.given.0.is_empty() && self.effort.is_none() && self.format.is_none()
    }

    fn says(&self, key: &str) -> bool {
        self.given.0.iter().any(|(given, _)| &**given == key)
    }
}

impl Serialize for OutputConfig<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &self.given.0 {
            map.serialize_entry(key, value)?;
        }
        if let Some(effort) = self.effort.filter(|_| !self.says("effort")) {
            map.serialize_entry("effort", word(effort))?;
        }
        if let Some(format) = self.format.as_ref().filter(|_| !self.says("format")) {
            map.serialize_entry("format", format)?;
        }
        map.end()
    }
}

fn word(effort: Effort) -> &'static str {
    match effort {
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh => "xhigh",
        Effort::Max => "max",
    }
}
