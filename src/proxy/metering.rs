//! What did an answer take? Read as it passes, and nothing of it held.
//!
//! A packed answer is not unpacked for this: a model that is called directly is asked for plain ones, and so is LiteLLM
//! where a limit of the key goes by tokens.

use http::{HeaderMap, header};

use super::context::{RequestCtx, Way};
use super::stream::Tail;
use crate::telemetry::Tokens;
use crate::wire::usage::{Usage, UsageScan};

/// Bytes of a request that make a token, as a rule of thumb.
const BYTES_A_TOKEN: u64 = 4;

/// Looks for the usage in a whole answer of a model; a stream's [`Tail`] finds its own.
pub(super) fn scan(headers: &HeaderMap, ctx: &RequestCtx) -> Option<Box<UsageScan>> {
    let admitted = ctx.admitted.as_ref()?;
    let of_model = admitted.model.is_some() && !is_litellms_errand(&admitted.way);
    let kind = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let json = kind
        .get(..16)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"application/json"));
    let plain = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|v| v.as_bytes() == b"identity");
    (of_model && json && plain).then(Box::default)
}

/// What the answer said that it took.
pub(super) fn usage(ctx: &RequestCtx) -> Option<Usage> {
    let admitted = ctx.admitted.as_ref()?;
    if is_litellms_errand(&admitted.way) {
        // Counted where LiteLLM itself was asked.
        return None;
    }
    let scanned = || Some(ctx.answered.scan.as_ref()?.said()?.usage());
    ctx.answered
        .stream
        .as_ref()
        .and_then(Tail::usage)
        .or_else(scanned)
}

/// What a stream took that does not say so: a token for each of its events, and a rule of thumb for what was asked.
pub(super) fn estimate(ctx: &RequestCtx, asked_bytes: u64) -> Option<Usage> {
    let output = ctx.answered.stream.as_ref()?.pieces();
    (output > 0).then(|| Usage {
        input: asked_bytes / BYTES_A_TOKEN,
        output,
        ..Usage::default()
    })
}

/// As it is counted and logged.
pub(super) fn tokens(usage: &Usage) -> Tokens {
    Tokens {
        input: usage.input,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write.saturating_add(usage.cache_write_1h),
        output: usage.output,
    }
}

fn is_litellms_errand(way: &Way) -> bool {
    match way {
        Way::Direct(way) => way.errand.is_litellms(),
        Way::LiteLlm { .. } => false,
    }
}
