//! How many tokens did an answer take, in OpenAI's way of counting?

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::received::part;

/// Anthropic's counts, as far as they are known.
#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    /// Without what the cache gave or took.
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    thinking_tokens: Option<u64>,
    service_tier: Option<Tier>,
}

/// Anthropic's counts as they stand, each to be read by itself.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_read_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_creation_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputTokens<'a> {
    #[serde(borrow)]
    thinking_tokens: Option<&'a RawValue>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tier {
    Standard,
    Priority,
    #[serde(other)]
    Other,
}

/// OpenAI's counts: the prompt includes its cached part.
#[derive(Serialize)]
pub(super) struct Told {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl Usage {
    /// Counts are not worth an answer: one that cannot be read is taken as not said.
    pub(super) fn of(raw: Option<&RawValue>) -> Self {
        let said: Said<'_> = part(raw).unwrap_or_default();
        let details: OutputTokens<'_> = part(said.output_tokens_details).unwrap_or_default();
        Self {
            input_tokens: read(said.input_tokens),
            cache_read_input_tokens: read(said.cache_read_input_tokens),
            cache_creation_input_tokens: read(said.cache_creation_input_tokens),
            output_tokens: read(said.output_tokens),
            thinking_tokens: read(details.thinking_tokens),
            service_tier: read(said.service_tier),
        }
    }

    /// Counts are totals: a newer one replaces the older.
    pub(super) fn replace(&mut self, newer: Self) {
        *self = Self {
            input_tokens: newer.input_tokens.or(self.input_tokens),
            cache_read_input_tokens: newer
                .cache_read_input_tokens
                .or(self.cache_read_input_tokens),
            cache_creation_input_tokens: newer
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
            output_tokens: newer.output_tokens.or(self.output_tokens),
            thinking_tokens: newer.thinking_tokens.or(self.thinking_tokens),
            service_tier: newer.service_tier.or(self.service_tier),
        };
    }

    pub(super) fn told(&self) -> Told {
        let [input, read, written, output] = [
            self.input_tokens,
            self.cache_read_input_tokens,
            self.cache_creation_input_tokens,
            self.output_tokens,
        ]
        .map(Option::unwrap_or_default);
        let prompt = input.saturating_add(read).saturating_add(written);
        Told {
            prompt_tokens: prompt,
            completion_tokens: output,
            total_tokens: prompt.saturating_add(output),
            prompt_tokens_details: PromptDetails {
                cached_tokens: read,
                cache_write_tokens: written,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: self.thinking_tokens.unwrap_or_default(),
            },
        }
    }

    /// `,"service_tier":…` where OpenAI has a word for it.
    pub(super) fn service_tier(&self) -> &'static str {
        match self.service_tier {
            Some(Tier::Standard) => r#","service_tier":"default""#,
            Some(Tier::Priority) => r#","service_tier":"priority""#,
            Some(Tier::Other) | None => "",
        }
    }
}

fn read<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    part(raw).ok()
}
