//! How does a chat completion offer tools, choose among them, and ask for a form of answer?

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny};
use serde_json::value::RawValue;

use super::Text;

/// One entry of `tools`: as its bytes stand, and what we understand of it.
#[derive(Debug)]
pub(in crate::translate) struct Tool<'a> {
    pub raw: &'a RawValue,
    pub known: KnownTool<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::translate) struct KnownTool<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
    /// Of a tool in Anthropic's own words.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    pub input_schema: Option<IgnoredAny>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::translate) struct Function<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    pub strict: Option<bool>,
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
}

impl KnownTool<'_> {
    /// The name by which it is called.
    pub fn name(&self) -> Option<&str> {
        match &self.function {
            Some(function) => Some(&function.name),
            None => self.name.as_deref(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Tool<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        let known = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        Ok(Self { raw, known })
    }
}

/// `tool_choice` where it is no word.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::translate) struct ChoiceObject<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub function: Option<Named<'a>>,
    #[serde(borrow)]
    pub allowed_tools: Option<AllowedTools<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::translate) struct AllowedTools<'a> {
    #[serde(borrow)]
    pub mode: Text<'a>,
    #[serde(borrow)]
    pub tools: Vec<AllowedTool<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::translate) struct AllowedTool<'a> {
    #[serde(borrow)]
    pub function: Named<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::translate) struct Named<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::translate) struct ResponseFormat<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub json_schema: Option<JsonSchema<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::translate) struct JsonSchema<'a> {
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    #[serde(borrow)]
    pub schema: Option<&'a RawValue>,
}
