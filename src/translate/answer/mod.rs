//! How is the answer of a model that speaks Anthropic Messages told in OpenAI's words: whole, streamed, or as an error?

mod blocks;
mod error;
mod frame;
mod json;
mod rate_limits;
mod received;
mod stream;
mod usage;
mod whole;

pub use error::{error, error_within};
pub use rate_limits::{rate_limit_header, spoken_duration};
pub use stream::ChunkStream;
pub use whole::{answer, streamed};

/// The upstream's answer is not what Anthropic documents. The reason holds nothing of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer cannot be read: {0}")]
pub struct Unreadable(&'static str);

/// Why the model stopped, in OpenAI's words.
fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

#[cfg(test)]
mod tests;
