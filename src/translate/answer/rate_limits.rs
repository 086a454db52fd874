//! What does OpenAI call the headers in which Anthropic says how much is left?

/// The header's name for OpenAI's clients. Resets are no pair: Anthropic says a time, OpenAI a duration.
pub fn rate_limit_header(name: &str) -> Option<&'static str> {
    Some(match name {
        "anthropic-ratelimit-requests-limit" => "x-ratelimit-limit-requests",
        "anthropic-ratelimit-requests-remaining" => "x-ratelimit-remaining-requests",
        "anthropic-ratelimit-tokens-limit" => "x-ratelimit-limit-tokens",
        "anthropic-ratelimit-tokens-remaining" => "x-ratelimit-remaining-tokens",
        _ => return None,
    })
}
