//! What is in a message of a chat completion?

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{StringOr, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::translate) struct Message<'a> {
    #[serde(borrow)]
    pub role: Text<'a>,
    #[serde(borrow)]
    pub content: Option<StringOr<'a, Vec<Part<'a>>>>,
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    pub tool_call_id: Option<Text<'a>>,
    /// Extension: the tool failed.
    pub is_error: Option<bool>,
    /// Extension: counts for the last block that the message becomes.
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
    /// Extension: what an earlier answer thought, to be given back.
    #[serde(borrow)]
    pub thinking_blocks: Option<Vec<Part<'a>>>,
    pub function_call: Option<IgnoredAny>,
    pub audio: Option<IgnoredAny>,
}

/// One part of a message's content; which fields count is for `kind` to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::translate) struct Part<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    #[serde(borrow)]
    pub image_url: Option<StringOr<'a, ImageUrl<'a>>>,
    #[serde(borrow)]
    pub file: Option<File<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
    #[serde(borrow)]
    pub thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub data: Option<Text<'a>>,
    /// Extension: an image or document in Anthropic's own words, with the three that follow.
    #[serde(borrow)]
    pub source: Option<&'a RawValue>,
    #[serde(borrow)]
    pub title: Option<Text<'a>>,
    #[serde(borrow)]
    pub context: Option<Text<'a>>,
    #[serde(borrow)]
    pub citations: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::translate) struct ImageUrl<'a> {
    #[serde(borrow)]
    pub url: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::translate) struct File<'a> {
    #[serde(borrow)]
    pub file_data: Option<Text<'a>>,
    #[serde(borrow)]
    pub file_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub filename: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::translate) struct ToolCall<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub function: Option<Called<'a>>,
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::translate) struct Called<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub arguments: Option<Text<'a>>,
}
