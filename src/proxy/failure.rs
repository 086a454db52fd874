//! What now, when an attempt failed? Decides on another one, and answers when there is none.

use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{BError, Error, ErrorSource, ErrorType, Result};
use pingora_proxy::{FailToProxy, Session};

use super::context::{RequestCtx, Way};
use super::judge::Next;
use super::relay::{AGAIN, CLOSED, Expired};
use super::stream::Tail;
use super::translation::Translation;
use super::{body, detour, judge, record, relay, reply};
use crate::gateway::{Failure, Rejection};
use crate::upstream::peer::LOOK_AGAIN;
use crate::upstream::{Outcome, Phase, Reason};

/// What breaks an answer off that outlasts the gateway.
const STOPPING: &str = "stopping";

/// Whose error it is and of which type. What Pingora tells beside may quote what was on the wire.
pub(super) fn name(error: &Error) -> String {
    let (source, kind) = (error.esource().as_str(), error.etype().as_str());
    format!("{source} {kind}")
}

/// No connection was made, so nothing was sent: another attempt cannot do harm.
pub(super) fn not_connected(ctx: &mut RequestCtx, peer: &HttpPeer, mut error: BError) -> BError {
    if *error.etype() == LOOK_AGAIN {
        ctx.attempt.looks += 1;
        ctx.attempt.number -= 1;
        error.set_retry(true);
        return error;
    }
    let timed_out = *error.etype() == ErrorType::ConnectTimedout;
    if ctx
        .attempt
        .opener
        .as_ref()
        .is_some_and(|opener| !opener.failed(timed_out))
    {
        // It waited for another's connection, of whose failure the lane hears once.
        ctx.attempt.permit = None;
    }
    let failure = match error.etype() {
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => Failure::Tls,
        _ => Failure::Connect,
    };
    if let (Some(way), Some(address)) = (ctx.direct(), peer._address.as_inet()) {
        way.upstream.server.failed(*address);
    }
    ctx.answered.failure = Some(failure);
    let again = match ctx.admitted.as_ref().map(|admitted| &admitted.way) {
        Some(Way::LiteLlm { tried, .. }) => {
            let another = ctx.snapshot.litellm.backends.choose(tried).is_some();
            another && at_once_elsewhere(ctx)
        }
        _ if failure == Failure::Tls => goes_on(ctx, Phase::Unusable),
        _ if timed_out => goes_on(ctx, Phase::ConnectTimedOut),
        _ => goes_on(ctx, Phase::Connect),
    };
    error.set_retry(again);
    error
}

/// An attempt broke after its connection was there.
pub(super) fn broke(
    session: &Session,
    ctx: &mut RequestCtx,
    mut error: BError,
    reused: bool,
) -> BError {
    error.set_retry(false);
    if *error.etype() == ErrorType::Custom(AGAIN) {
        error.set_retry(take_finding(ctx));
        return error;
    }
    if *error.etype() == ErrorType::Custom(CLOSED) {
        // The reason was noted where the answer was closed.
        return error;
    }
    match ctx.feed().and_then(|feed| feed.lock().expired()) {
        Some(Expired::FirstByte) => {
            ctx.answered.failure = Some(Failure::FirstByteTimeout);
            ctx.answered.outcome = Some(Outcome::of_transport(Phase::Silent).as_str());
            return error;
        }
        Some(Expired::Idle) => {
            break_off(ctx, "idle_timeout");
            return error;
        }
        Some(Expired::Stopping) => {
            stop(ctx);
            return error;
        }
        None => {}
    }
    if *error.esource() == ErrorSource::Downstream {
        let read_out = ctx.answered.stream.as_ref().is_some_and(Tail::is_finished);
        let at_fault = body::is_bad_framing(&error) || body::is_too_slow(&error);
        ctx.answered.client_left = !read_out && !at_fault;
        return error;
    }
    if ctx.answered.head_at.is_some() {
        break_off(ctx, "upstream_broke");
        return error;
    }
    let unprocessed = is_unprocessed(&error);
    ctx.answered.failure = Some(match error.etype() {
        _ if unprocessed => Failure::Unprocessed,
        ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 => Failure::Invalid,
        ErrorType::ReadTimedout => Failure::FirstByteTimeout,
        _ => Failure::Broken,
    });
    let again = if unprocessed {
        goes_on(ctx, Phase::Unprocessed)
    } else if is_stale_and_harmless(session, ctx, reused) {
        // The connection was old, not the replica dead: it may be asked again.
        if let Some(Way::LiteLlm { tried, .. }) =
            ctx.admitted.as_mut().map(|admitted| &mut admitted.way)
        {
            tried.pop();
        }
        ctx.attempt.number < ctx.snapshot.config.retry.attempts
    } else {
        ctx.answered.outcome = Some(Outcome::of_transport(Phase::Written).as_str());
        false
    };
    error.set_retry(again);
    error
}

/// An answer that began well and broke off is no good one, unless only its end was missing.
fn break_off(ctx: &mut RequestCtx, kind: &'static str) {
    ctx.answered.broken_stream = Some(kind);
    let outcome = match &ctx.answered.stream {
        Some(tail) if tail.is_finished() => return,
        Some(_) => Outcome::Truncated,
        None => Outcome::of_transport(Phase::Answering),
    };
    ctx.answered.outcome = Some(outcome.as_str());
}

/// The upstream did nothing wrong.
fn stop(ctx: &mut RequestCtx) {
    let finished = ctx.answered.stream.as_ref().is_some_and(Tail::is_finished);
    if ctx.answered.head_at.is_none() {
        let sent = ctx.attempt.sent || ctx.answered.may_have_been_written;
        ctx.answered.failure = Some(Failure::Stopping { sent });
    } else if !finished {
        ctx.answered.broken_stream = Some(STOPPING);
    }
}

/// RFC 9113 8.7: REFUSED_STREAM, and a graceful GOAWAY below our stream, mean that nothing was processed.
fn is_unprocessed(error: &Error) -> bool {
    let Some(cause) = error.root_cause().downcast_ref::<h2::Error>() else {
        return false;
    };
    let refused =
        cause.is_reset() && cause.is_remote() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
    let away =
        cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR);
    refused || away
}

/// A kept-alive connection that LiteLLM closed under an idempotent request without a body.
fn is_stale_and_harmless(session: &Session, ctx: &RequestCtx, reused: bool) -> bool {
    let held = ctx
        .admitted
        .as_ref()
        .is_some_and(|admitted| admitted.held.is_some());
    reused && !held && session.req_header().method.is_idempotent() && session.body_bytes_read() == 0
}

/// A replica that cannot be reached costs a request nothing: no wait, and no attempt of `retry.attempts`.
fn at_once_elsewhere(ctx: &mut RequestCtx) -> bool {
    ctx.answered.outcome = Some(Outcome::of_transport(Phase::Connect).as_str());
    ctx.snapshot.metrics.retried("other_replica");
    record::note_attempt(ctx);
    true
}

/// Whether another attempt follows one that ended in this phase.
pub(super) fn goes_on(ctx: &mut RequestCtx, phase: Phase) -> bool {
    judge::transport(ctx, phase) && take_finding(ctx)
}

/// Takes over what was judged: whether another attempt follows.
fn take_finding(ctx: &mut RequestCtx) -> bool {
    let finding = std::mem::take(&mut *ctx.answered.finding.lock());
    ctx.answered.outcome = finding.outcome;
    ctx.answered.may_have_been_written |= finding.behind;
    let Some(next) = finding.next else {
        return false;
    };
    record::note_attempt(ctx);
    // Whoever waits for the lane need not wait for this one's next attempt.
    ctx.attempt.permit = None;
    ctx.attempt.sent = false;
    match next {
        Next::Again(wait, reason) => {
            ctx.answered.wait = Some(wait);
            ctx.answered.retried_for_cookies |= reason == Reason::FreshCookies;
            ctx.snapshot.metrics.retried(reason.as_str());
            if reason == Reason::MayDuplicate {
                ctx.snapshot.metrics.possible_duplicate();
            }
            true
        }
        Next::Around(reason) => detour::take(ctx, reason.as_str()),
    }
}

/// Tells the client, in whatever way is left.
pub(super) async fn answer(
    session: &mut Session,
    error: &Error,
    ctx: &mut RequestCtx,
) -> FailToProxy {
    relay::unwrap(session, &ctx.custody);
    let begun = session
        .response_written()
        .is_some_and(|head| !head.status.is_informational());
    let told = ctx.feed().is_some_and(|feed| feed.lock().has_told());
    ctx.answered.told = if begun {
        told || end_stream(session, ctx).await
    } else if ctx.answered.client_left {
        false
    } else {
        say(session, error, ctx).await
    };
    // Pingora would close the connection of a client that was told; our own loop does not.
    FailToProxy {
        error_code: 0,
        can_reuse_downstream: false,
    }
}

/// Answers with an error of our own; `false` when it did not reach the client.
async fn say(session: &mut Session, error: &Error, ctx: &mut RequestCtx) -> bool {
    let failure = ctx.answered.failure.unwrap_or(match error.esource() {
        ErrorSource::Upstream => Failure::Broken,
        _ => Failure::Internal,
    });
    let of_client = *error.esource() == ErrorSource::Downstream;
    let rejection = match ctx.answered.turned_away {
        Some(away) => Rejection::Lane {
            retry_after: away.retry_after,
            certain: away.certain,
        },
        None if of_client && body::is_bad_framing(error) => body::bad_framing(session),
        None if body::is_too_slow(error) => Rejection::BodyTooSlow,
        None => Rejection::Upstream(failure),
    };
    let said = reply::reject(session, ctx, &rejection).await;
    delivered(&said)
}

/// A plain event stream ends with an error event; anything else is cut, so that nobody takes it for whole.
async fn end_stream(session: &mut Session, ctx: &mut RequestCtx) -> bool {
    let Some(tail) = &ctx.answered.stream else {
        return false;
    };
    if ctx.answered.client_left {
        return false;
    }
    let request_id = ctx.request_id.as_str();
    let (code, message) = match ctx.answered.broken_stream {
        Some(STOPPING) => ("stopping", "the gateway stopped in mid-stream"),
        _ => ("upstream_broken", "the upstream broke off in mid-stream"),
    };
    // After the last event nothing is missing but the end itself.
    let event = match ctx.translation().is_some() {
        true => ctx.translation_mut().and_then(Translation::end),
        false if tail.is_finished() => None,
        false => Some(tail.error_event(ctx.dialect, code, message, request_id)),
    };
    let said = session.write_response_body(event, true).await;
    delivered(&said)
}

fn delivered(said: &Result<()>) -> bool {
    if let Err(error) = said {
        log::debug!(target: "memgate::proxy", "the client was not told: {}", name(error));
    }
    said.is_ok()
}
