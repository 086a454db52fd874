//! What can no answer of Anthropic's deliver?

use super::super::Unsupported;
use super::super::openai::Request;

/// A 400 for each parameter that changes what the client gets and cannot be honoured.
pub(super) fn check(asked: &Request<'_>, lenient: bool) -> Result<(), Unsupported> {
    let modalities = asked.modalities.iter().flatten();
    let faults = [
        (
            asked.n.is_some_and(|n| n != 1),
            "n",
            "one answer at a time, `n` must be 1",
        ),
        (
            asked.logprobs == Some(true) && !lenient,
            "logprobs",
            "this model tells no log probabilities",
        ),
        (
            asked.top_logprobs.is_some_and(|top| top > 0) && !lenient,
            "top_logprobs",
            "this model tells no log probabilities",
        ),
        (
            modalities.into_iter().any(|kind| &**kind != "text"),
            "modalities",
            "this model answers with text alone",
        ),
        (
            asked.audio.is_some(),
            "audio",
            "this model answers with text alone",
        ),
        (
            asked.functions.is_some(),
            "functions",
            "`functions` is not supported, use `tools`",
        ),
        (
            asked.function_call.is_some(),
            "function_call",
            "`function_call` is not supported, use `tool_choice`",
        ),
        (
            asked.web_search_options.is_some(),
            "web_search_options",
            "the web search of this dialect is not supported",
        ),
    ];
    match faults.into_iter().find(|(faulty, ..)| *faulty) {
        Some((_, param, message)) => Err(Unsupported::new(param, message)),
        None => Ok(()),
    }
}
