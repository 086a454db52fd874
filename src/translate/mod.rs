//! How is an OpenAI chat completion asked of a model that speaks Anthropic Messages, and its answer told back?
//!
//! The mapping follows the providers' own documents, as of autumn 2026:
//! OpenAI's API reference, "Create chat completion" with its streaming events and error object; Anthropic's
//! API reference, "Create a message", "Streaming messages", "Errors", "Rate limits" and "Versions" (2023-06-01
//! here: later ones refuse what this dialect's clients send), and its guides "Tool use", "Extended thinking",
//! "Adaptive thinking", "Effort", "Structured outputs", "Prompt caching", "Mid-conversation system messages",
//! "Vision", "PDF support", "Files" and "OpenAI SDK compatibility". What models differ in stands in
//! [`Capabilities`]; the golden files of `tests/fixtures/translation` show each rule at work.

mod answer;
mod anthropic;
mod capabilities;
mod defaults;
mod names;
mod openai;
mod request;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::config::Translation;

pub use answer::{
    ChunkStream, Unreadable, answer, error, error_within, rate_limit_header, spoken_duration,
    streamed,
};
pub use capabilities::{Accepts, Capabilities};
pub use defaults::{Defaults, Unusable};
pub use names::ToolNames;
pub use request::request;

/// The model that will answer, as far as a request must be shaped for it.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The provider's id.
    pub id: &'a str,
    /// The name as the client wrote it.
    pub alias: &'a str,
    pub capabilities: &'a Capabilities,
    pub defaults: &'a Defaults,
    pub choices: &'a Translation,
}

/// A request in Anthropic's words.
#[derive(Debug)]
pub struct Translated {
    pub body: Bytes,
    /// To be added to `anthropic-beta`; each is fit for a header.
    pub betas: Vec<String>,
    /// Parameters left out because nobody knows them, or this model or another parameter rules them out;
    /// for the log.
    pub dropped: Vec<Cow<'static, str>>,
    pub reply: Reply,
}

/// What the answer needs to know of the request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The model's name as the client wrote it.
    pub alias: Arc<str>,
    pub names: ToolNames,
    pub stream: bool,
    /// `stream_options.include_usage`.
    pub include_usage: bool,
    /// Unix seconds: when the request came.
    pub created: u64,
}

/// What cannot be said to the model: a 400 that names the parameter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Unsupported {
    pub param: Option<String>,
    pub message: String,
}

impl Unsupported {
    fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            message: message.into(),
        }
    }
}
