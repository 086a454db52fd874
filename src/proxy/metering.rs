//! What did an answer take? Read as it passes, and nothing of it held.
//!
//! A packed answer is not unpacked for this: a model that is called directly is asked for plain ones, and so is LiteLLM
//! where a limit of the key goes by tokens.

use http::{HeaderMap, Method, header};
use pingora_proxy::Session;

use super::context::{RequestCtx, Way};
use super::stream::Tail;
use crate::telemetry::Tokens;
use crate::wire::usage::{Usage, UsageScan};

/// Bytes that make a token, as a rule of thumb.
const BYTES_A_TOKEN: u64 = 4;
/// Of a request that is longer the rest is files, whose bytes tell nothing of their tokens.
const MOST_ESTIMATED: u64 = 200_000;

/// What a request took.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    pub usage: Usage,
    /// Nobody said it.
    pub estimated: bool,
}

/// What a request took: as its answer said, or else, where somebody pays for it, by a rule of thumb.
pub(super) fn taken(session: &Session, ctx: &RequestCtx, is_paid: bool) -> Option<Taken> {
    if let Some(usage) = usage(session, ctx) {
        return Some(Taken {
            usage,
            estimated: false,
        });
    }
    let usage = estimate(session, ctx).filter(|_| is_paid)?;
    Some(Taken {
        usage,
        estimated: true,
    })
}

/// Looks for the usage in a whole answer; a stream's [`Tail`] finds its own.
pub(super) fn scan(
    session: &Session,
    headers: &HeaderMap,
    ctx: &RequestCtx,
) -> Option<Box<UsageScan>> {
    let admitted = ctx.admitted.as_ref()?;
    let counts = asks(session) && !is_litellms_errand(&admitted.way);
    // Also where no model was seen: whoever is admitted pays for what he gets.
    let counts = counts && (admitted.model.is_some() || admitted.admission.is_some());
    let kind = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let json = kind
        .get(..16)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"application/json"));
    let plain = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|v| v.as_bytes() == b"identity");
    (counts && json && plain).then(Box::default)
}

/// What the answer said that it took.
fn usage(session: &Session, ctx: &RequestCtx) -> Option<Usage> {
    let admitted = ctx.admitted.as_ref()?;
    if !asks(session) || is_litellms_errand(&admitted.way) {
        // Counted when it was made, or where LiteLLM itself was asked.
        return None;
    }
    let scanned = || Some(ctx.answered.scan.as_ref()?.said()?.usage());
    ctx.answered
        .stream
        .as_ref()
        .and_then(Tail::usage)
        .or_else(scanned)
}

/// What an answer took that did not say so: a stream a token for each of its events, and one whose client left before
/// its end what had passed of it. What was asked goes by a rule of thumb.
fn estimate(session: &Session, ctx: &RequestCtx) -> Option<Usage> {
    let streamed = ctx.answered.stream.as_ref().map(Tail::pieces);
    let said_nothing = streamed.is_none_or(|pieces| pieces == 0);
    if said_nothing && !was_left(session, ctx) {
        return None;
    }
    let read = session.body_bytes_read();
    let held = ctx.admitted.as_ref().and_then(|it| it.held.as_ref());
    let asked = held.map_or(read, |held| held.length.max(read));
    let passed = || match ctx.answered.scan {
        Some(_) => session.body_bytes_sent() as u64 / BYTES_A_TOKEN,
        None => 0,
    };
    Some(Usage {
        output: streamed.unwrap_or_else(passed),
        ..of_size(asked)
    })
}

/// The least that a request will take, by its size.
pub(super) fn expected(session: &Session) -> Usage {
    if !is_for_a_model(session) {
        return Usage::default();
    }
    let declared = session.req_header().headers.get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    of_size(session.body_bytes_read().max(declared.unwrap_or_default()))
}

fn of_size(bytes: usize) -> Usage {
    Usage {
        input: (bytes as u64 / BYTES_A_TOKEN).min(MOST_ESTIMATED),
        ..Usage::default()
    }
}

/// Whether the client left while a model was at it, or had answered well.
fn was_left(session: &Session, ctx: &RequestCtx) -> bool {
    let answered = &ctx.answered;
    let pending = ctx.attempt.sent && answered.head_at.is_none();
    let began = answered.stream.is_some() || answered.scan.is_some();
    answered.client_left && (pending || began) && is_for_a_model(session)
}

/// What is read again has been counted before.
fn asks(session: &Session) -> bool {
    session.req_header().method == Method::POST
}

/// Counting tokens and keeping files take none.
fn is_for_a_model(session: &Session) -> bool {
    let head = session.req_header();
    let kind = head.headers.get(header::CONTENT_TYPE);
    let upload = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"));
    asks(session) && !upload && !head.uri.path().ends_with("/count_tokens")
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

/// LiteLLM asks by itself, through the egress port.
pub(super) fn is_litellms_errand(way: &Way) -> bool {
    match way {
        Way::Direct(way) => way.errand.is_litellms(),
        Way::LiteLlm { .. } => false,
    }
}
