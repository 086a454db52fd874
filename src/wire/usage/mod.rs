//! How many tokens did an answer take, as either dialect says it, whole or streamed?
//!
//! Anthropic and Bedrock count what a cache gave or took apart from the input, OpenAI and Gemini within it; here each
//! token has one kind.

mod scan;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use scan::UsageScan;

/// No answer takes more of any kind: whoever says so is not to lock a key for years.
const MOST: u64 = 1_000_000_000;

/// Tokens by kind, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What no cache gave or took.
    pub input: u64,
    pub cache_read: u64,
    /// Written to a cache of minutes.
    pub cache_write: u64,
    /// Written to a cache of an hour.
    pub cache_write_1h: u64,
    pub output: u64,
}

impl Usage {
    /// What limits by the minute go by: as with the providers' own, what a cache gives is free.
    pub fn without_cached(&self) -> u64 {
        let written = self.cache_write.saturating_add(self.cache_write_1h);
        let asked = self.input.saturating_add(written);
        asked.saturating_add(self.output)
    }
}

/// What an answer has said of its usage so far; each count is a total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageSaid {
    input: Option<u64>,
    cache_read: Option<u64>,
    /// To whichever cache; the next is a part of it, and a later total may come without it.
    written: Option<u64>,
    written_1h: Option<u64>,
    output: Option<u64>,
}

impl UsageSaid {
    /// Of a `usage` object; `None` where it holds no count that is known.
    pub fn of(json: &[u8]) -> Option<Self> {
        let said = serde_json::from_slice::<Counts>(json).ok()?.said();
        (said != Self::default()).then_some(said)
    }

    /// Of a streamed event's data: `usage` stands in it, or in its `message` or `response`.
    pub fn of_event(data: &[u8]) -> Option<Self> {
        let event: Event<'_> = serde_json::from_slice(data).ok()?;
        let within = event.message.or(event.response);
        let usage = event.usage.or_else(|| within?.usage)?;
        Self::of(usage.get().as_bytes())
    }

    /// Counts are totals: a newer one replaces the older, and none are added up.
    pub fn replace(&mut self, newer: Self) {
        *self = Self {
            input: newer.input.or(self.input),
            cache_read: newer.cache_read.or(self.cache_read),
            written: newer.written.or(self.written),
            written_1h: newer.written_1h.or(self.written_1h),
            output: newer.output.or(self.output),
        };
    }

    pub fn usage(&self) -> Usage {
        let count = |said: Option<u64>| said.unwrap_or_default().min(MOST);
        let cache_write_1h = count(self.written_1h);
        Usage {
            input: count(self.input),
            cache_read: count(self.cache_read),
            cache_write: count(self.written).saturating_sub(cache_write_1h),
            cache_write_1h,
            output: count(self.output),
        }
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, alias = "usageMetadata")]
    usage: Option<&'a RawValue>,
    /// Of Anthropic's `message_start`.
    #[serde(borrow, default, deserialize_with = "lenient")]
    message: Option<Holder<'a>>,
    /// Of OpenAI's `response.completed`.
    #[serde(borrow, default, deserialize_with = "lenient")]
    response: Option<Holder<'a>>,
}

#[derive(Deserialize)]
struct Holder<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// The counts as they stand, in the words of OpenAI and Anthropic, Bedrock and Gemini; what is no count is taken as
/// not said.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    #[serde(alias = "inputTokens", deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(alias = "outputTokens", deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(alias = "cacheReadInputTokens", deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(alias = "cacheWriteInputTokens", deserialize_with = "count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    cache_creation: Option<Written>,
    #[serde(alias = "promptTokenCount", deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "candidatesTokenCount", deserialize_with = "count")]
    completion_tokens: Option<u64>,
    /// Gemini's, which its candidates' count is without.
    #[serde(rename = "thoughtsTokenCount", deserialize_with = "count")]
    thoughts: Option<u64>,
    #[serde(rename = "cachedContentTokenCount", deserialize_with = "count")]
    cached_content: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    prompt_tokens_details: Option<Details>,
    /// OpenAI's own, beside `input_tokens` of its newer APIs.
    #[serde(deserialize_with = "lenient")]
    input_tokens_details: Option<Details>,
}

/// By how long it stays in the cache.
#[derive(Deserialize)]
struct Written {
    #[serde(default, deserialize_with = "count")]
    ephemeral_1h_input_tokens: Option<u64>,
}

/// What stands in the prompt's count and yet had another price.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    #[serde(deserialize_with = "count")]
    cached_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_write_tokens: Option<u64>,
    /// As LiteLLM calls them.
    #[serde(deserialize_with = "count")]
    cache_creation_tokens: Option<u64>,
}

impl Counts {
    fn said(self) -> UsageSaid {
        let one_hour = self
            .cache_creation
            .and_then(|written| written.ephemeral_1h_input_tokens);
        let details = self.prompt_tokens_details.or(self.input_tokens_details);
        let openai = self.prompt_tokens.is_some() || details.is_some();
        let details = details.unwrap_or_default();
        let read = details
            .cached_tokens
            .or(self.cache_read_input_tokens)
            .or(self.cached_content);
        let written = details
            .cache_write_tokens
            .or(details.cache_creation_tokens)
            .or(self.cache_creation_input_tokens);
        let apart = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
        let input = match self.prompt_tokens.or(self.input_tokens) {
            Some(whole) if openai => Some(whole.saturating_sub(apart)),
            alone => alone,
        };
        let spoken = self.completion_tokens.or(self.output_tokens);
        let output = match (spoken, self.thoughts) {
            (Some(spoken), Some(thoughts)) => Some(spoken.saturating_add(thoughts)),
            (spoken, thoughts) => spoken.or(thoughts),
        };
        UsageSaid {
            input,
            cache_read: read,
            written,
            written_1h: one_hour,
            output,
        }
    }
}

/// A value that is no count is as good as none.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    Ok(raw.get().parse().ok())
}

/// A value that is not what was expected is as good as none.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        UsageSaid::of(json.as_bytes()).unwrap().usage()
    }

    #[test]
    fn each_token_has_one_kind_whichever_dialect_counts_it() {
        let apart = Usage {
            input: 10,
            cache_read: 200,
            cache_write: 30,
            cache_write_1h: 0,
            output: 5,
        };
        for json in [
            r#"{"input_tokens":10,"cache_read_input_tokens":200,"cache_creation_input_tokens":30,"output_tokens":5,"service_tier":"standard"}"#,
            r#"{"prompt_tokens":240,"completion_tokens":5,"total_tokens":245,"prompt_tokens_details":{"cached_tokens":200,"cache_write_tokens":30}}"#,
            r#"{"prompt_tokens":240,"completion_tokens":5,"prompt_tokens_details":null,"cache_read_input_tokens":200,"cache_creation_input_tokens":30}"#,
            r#"{"prompt_tokens":240,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":200,"cache_creation_tokens":30}}"#,
            r#"{"input_tokens":240,"input_tokens_details":{"cached_tokens":200,"cache_write_tokens":30},"output_tokens":5}"#,
            r#"{"inputTokens":10,"cacheReadInputTokens":200,"cacheWriteInputTokens":30,"outputTokens":5,"totalTokens":245}"#,
        ] {
            assert_eq!(usage(json), apart, "{json}");
        }
    }

    #[test]
    fn what_is_cached_for_an_hour_is_counted_apart() {
        let json = r#"{"input_tokens":1,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}}"#;

        let usage = usage(json);

        assert_eq!((usage.cache_write, usage.cache_write_1h), (10, 20));
    }

    #[test]
    fn what_cannot_be_a_count_is_not_said() {
        let odd = usage(
            r#"{"input_tokens":-1,"output_tokens":7,"cache_creation":"x","prompt_tokens_details":1,"cache_read_input_tokens":1e99}"#,
        );

        assert_eq!(
            odd,
            Usage {
                output: 7,
                ..Usage::default()
            }
        );
        assert_eq!(UsageSaid::of(b"null"), None);
        assert_eq!(UsageSaid::of(b"{"), None);
    }

    #[test]
    fn a_usage_without_a_count_that_is_known_says_nothing() {
        for json in [
            "{}",
            r#"{"seconds":9,"type":"duration"}"#,
            r#"{"input_tokens":null}"#,
        ] {
            assert_eq!(UsageSaid::of(json.as_bytes()), None, "{json}");
        }
        assert!(UsageSaid::of(br#"{"output_tokens":0}"#).is_some());
    }

    #[test]
    fn what_gemini_thinks_is_output_and_what_its_cache_gives_is_within_the_prompt() {
        let json = r#"{"promptTokenCount":210,"cachedContentTokenCount":200,"candidatesTokenCount":5,"thoughtsTokenCount":40,"totalTokenCount":255}"#;

        let usage = usage(json);

        assert_eq!((usage.input, usage.cache_read, usage.output), (10, 200, 45));
    }

    #[test]
    fn no_answer_takes_more_than_any_could() {
        let usage = usage(r#"{"input_tokens":5,"output_tokens":18446744073709551615}"#);

        assert_eq!((usage.input, usage.output), (5, MOST));
    }

    #[test]
    fn a_later_count_replaces_the_earlier_and_leaves_the_others() {
        let mut said = UsageSaid::of(br#"{"input_tokens":9,"output_tokens":1}"#).unwrap();

        for output in [20, 300] {
            let newer = format!(r#"{{"output_tokens":{output}}}"#);
            said.replace(UsageSaid::of(newer.as_bytes()).unwrap());
        }

        let (input, output) = (said.usage().input, said.usage().output);
        assert_eq!((input, output), (9, 300));
    }

    #[test]
    fn what_is_cached_for_an_hour_is_counted_once_though_the_total_is_said_again() {
        let start = br#"{"input_tokens":1,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_1h_input_tokens":20}}"#;
        let end = br#"{"input_tokens":1,"cache_creation_input_tokens":30,"output_tokens":50}"#;

        let mut said = UsageSaid::of(start).unwrap();
        said.replace(UsageSaid::of(end).unwrap());

        let usage = said.usage();
        assert_eq!((usage.cache_write, usage.cache_write_1h), (10, 20));
    }

    #[test]
    fn usage_is_found_wherever_an_event_says_it() {
        for (event, input) in [
            (
                r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":3}}}"#,
                Some(3),
            ),
            (
                r#"{"type":"message_delta","delta":{},"usage":{"input_tokens":4}}"#,
                Some(4),
            ),
            (r#"{"choices":[],"usage":{"prompt_tokens":5}}"#, Some(5)),
            (
                r#"{"type":"response.completed","response":{"usage":{"input_tokens":6,"input_tokens_details":{}}}}"#,
                Some(6),
            ),
            (
                r#"{"candidates":[],"usageMetadata":{"promptTokenCount":7}}"#,
                Some(7),
            ),
            (r#"{"message":"no object","usage":null}"#, None),
            (r#"{"choices":[]}"#, None),
            ("[DONE]", None),
        ] {
            let said = UsageSaid::of_event(event.as_bytes());
            assert_eq!(said.map(|said| said.usage().input), input, "{event}");
        }
    }
}
