//! How does the gateway answer by itself? One writer for every rejection and every local answer.

use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::allowance;
use super::context::{RequestCtx, names};
use super::head_check::METHODS;
use crate::gateway::{Answer, Rejection};
use crate::wire::error_body;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ONCE: HeaderValue = HeaderValue::from_static("1");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Answers with an error in the caller's dialect. What stands unread of the request ends the connection.
pub(super) async fn reject(
    session: &mut Session,
    ctx: &mut RequestCtx,
    rejection: &Rejection,
) -> Result<()> {
    let mut answer = rejection.answer(ctx.dialect);
    if session.is_body_empty() {
        // What carries nothing bills and writes nothing.
        answer.should_retry = answer.should_retry.filter(|again| *again);
    }
    // What follows a CONNECT is no request.
    if rejection.ends_connection() || session.req_header().method == http::Method::CONNECT {
        session.set_keepalive(None);
    }
    ctx.answered.refused = Some(answer.code);
    if let Rejection::Limit(refusal) = rejection {
        ctx.answered.limited = Some(refusal.standing);
    }
    error(session, ctx, &answer).await
}

/// Writes an error answer, unless an answer has begun already.
pub(super) async fn error(session: &mut Session, ctx: &RequestCtx, answer: &Answer) -> Result<()> {
    if session
        .response_written()
        .is_some_and(|head| !head.status.is_informational())
    {
        return Ok(());
    }
    let request_id = ctx.request_id.as_str();
    let body = error_body(ctx.dialect, &answer.said(), request_id);
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    write(session, ctx, error_head(answer), body).await
}

/// What the heads of all error answers of our own have in common.
pub(super) fn error_head(answer: &Answer) -> Parts {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut head = json_head(status);
    let headers = &mut head.headers;
    if let Some(wait) = answer.retry_after {
        headers.insert(header::RETRY_AFTER, seconds(wait).into());
    }
    if let Some(again) = answer.should_retry {
        let again = HeaderValue::from_static(if again { "true" } else { "false" });
        headers.insert(names::SHOULD_RETRY, again);
    }
    if let Some(allow) = answer.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    head
}

fn json_head(status: StatusCode) -> Parts {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = status;
    head.headers.reserve(12);
    head.headers.insert(header::CONTENT_TYPE, JSON);
    head.headers.insert(header::CACHE_CONTROL, NO_STORE);
    head
}

/// Whole seconds, and never too few.
pub(super) fn seconds(wait: Duration) -> u64 {
    let more = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(more).max(1)
}

/// Says which methods the server takes at all.
pub(super) async fn methods(session: &mut Session, ctx: &RequestCtx) -> Result<()> {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static(METHODS);
    head.headers.insert(header::ALLOW, allow);
    stamp(&mut head.headers, ctx);
    let head = Box::new(ResponseHeader::from(head));
    session.write_response_header(head, true).await
}

/// Writes a local answer with a JSON body.
pub(super) async fn json(session: &mut Session, ctx: &RequestCtx, body: Bytes) -> Result<()> {
    write(session, ctx, json_head(StatusCode::OK), body).await
}

async fn write(
    session: &mut Session,
    ctx: &RequestCtx,
    mut head: Parts,
    body: Bytes,
) -> Result<()> {
    head.headers
        .insert(header::CONTENT_LENGTH, body.len().into());
    stamp(&mut head.headers, ctx);
    let bodiless = session.req_header().method == http::Method::HEAD || body.is_empty();
    let head = Box::new(ResponseHeader::from(head));
    session.write_response_header(head, bodiless).await?;
    if !bodiless {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// The gateway's own response headers: request id, route, attempts, body, memory, what is left to the key.
pub(super) fn stamp(headers: &mut HeaderMap, ctx: &RequestCtx) {
    headers.insert(names::REQUEST_ID, ctx.request_id.header());
    headers.insert(names::ROUTE, HeaderValue::from_static(ctx.route()));
    match ctx.attempt.number {
        0 => {}
        1 => drop(headers.insert(names::ATTEMPTS, ONCE)),
        more => drop(headers.insert(names::ATTEMPTS, more.into())),
    }
    if let Some(held) = ctx
        .admitted
        .as_ref()
        .and_then(|admitted| admitted.held.as_ref())
    {
        headers.insert(names::BODY, HeaderValue::from_static(held.mode.as_str()));
    }
    if let Some(memory) = ctx.answered.memory {
        headers.insert(names::MEMORY, HeaderValue::from_static(memory));
    }
    allowance::tell(headers, ctx);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_said_in_whole_seconds_never_too_short_and_however_long_it_is() {
        let said = [Duration::ZERO, Duration::from_millis(1500), Duration::MAX].map(seconds);

        assert_eq!(said, [1, 2, u64::MAX]);
    }
}
