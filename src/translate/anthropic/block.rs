//! What is in a turn of a conversation?

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::openai::Text;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::translate) enum Role {
    User,
    Assistant,
    System,
}

#[derive(Debug, Serialize)]
pub(in crate::translate) struct Turn<'a> {
    pub role: Role,
    pub content: Vec<Block<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::translate) enum Block<'a> {
    Text {
        text: Text<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Text<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<Text<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Thinking {
        thinking: Text<'a>,
        signature: Text<'a>,
    },
    RedactedThinking {
        data: Text<'a>,
    },
    ToolUse {
        id: Text<'a>,
        name: Text<'a>,
        input: Box<RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    ToolResult {
        tool_use_id: Text<'a>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
}

/// Where an image or a document is.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::translate) enum Source<'a> {
    /// In the client's own words, which were Anthropic's already.
    Given(&'a RawValue),
    Made(Made<'a>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(in crate::translate) enum Made<'a> {
    Base64 {
        media_type: &'static str,
        data: Text<'a>,
    },
    Text {
        media_type: &'static str,
        data: Text<'a>,
    },
    Url {
        url: Text<'a>,
    },
    File {
        file_id: Text<'a>,
    },
}

impl<'a> Block<'a> {
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::Text {
            text: text.into(),
            cache_control: None,
        }
    }

    pub fn is_thought(&self) -> bool {
        matches!(self, Self::Thinking { .. } | Self::RedactedThinking { .. })
    }

    /// It refers to a file that Anthropic keeps.
    pub fn is_file(&self) -> bool {
        match self {
            Self::Image { source, .. } | Self::Document { source, .. } => {
                matches!(source, Source::Made(Made::File { .. }))
            }
            Self::ToolResult { content, .. } => content.iter().any(Self::is_file),
            _ => false,
        }
    }

    /// Where a breakpoint of the prompt cache goes; thinking takes none.
    pub fn cache_control(&mut self) -> Option<&mut Option<&'a RawValue>> {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::ToolUse { cache_control, .. }
            | Self::ToolResult { cache_control, .. } => Some(cache_control),
            Self::Thinking { .. } | Self::RedactedThinking { .. } => None,
        }
    }
}
