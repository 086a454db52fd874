//! How does the gateway answer by itself? One writer for every rejection and every local answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::{RequestCtx, names};
use crate::gateway::{Answer, Rejection};
use crate::wire::error_body;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers with an error in the caller's dialect. What stands unread of the request ends the connection.
pub(super) async fn reject(
    session: &mut Session,
    ctx: &mut RequestCtx,
    rejection: &Rejection,
) -> Result<()> {
    let answer = rejection.answer(ctx.dialect);
    ctx.answered.refused = Some(answer.code);
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
    let body = error_body(
        ctx.dialect,
        answer.kind,
        answer.code,
        &answer.message,
        request_id,
    );
    let head = error_head(answer)?;
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    write(session, ctx, head, body).await
}

/// What the heads of all error answers of our own have in common.
pub(super) fn error_head(answer: &Answer) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(answer.status, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, JSON)?;
    if let Some(wait) = answer.retry_after {
        head.insert_header(header::RETRY_AFTER, seconds(wait))?;
    }
    if let Some(again) = answer.should_retry {
        head.insert_header(names::SHOULD_RETRY, if again { "true" } else { "false" })?;
    }
    if let Some(allow) = answer.allow {
        head.insert_header(header::ALLOW, allow)?;
    }
    Ok(head)
}

/// Whole seconds, and never too few.
pub(super) fn seconds(wait: Duration) -> u64 {
    let more = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + more).max(1)
}

/// Writes a local answer with a JSON body.
pub(super) async fn json(session: &mut Session, ctx: &RequestCtx, body: Bytes) -> Result<()> {
    let mut head = ResponseHeader::build(StatusCode::OK, Some(6))?;
    head.insert_header(header::CONTENT_TYPE, JSON)?;
    write(session, ctx, head, body).await
}

async fn write(
    session: &mut Session,
    ctx: &RequestCtx,
    mut head: ResponseHeader,
    body: Bytes,
) -> Result<()> {
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    stamp(&mut head, ctx)?;
    let bodiless = session.req_header().method == http::Method::HEAD || body.is_empty();
    session
        .write_response_header(Box::new(head), bodiless)
        .await?;
    if !bodiless {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// The gateway's own response headers : request id, route, attempts, body, memory.
pub(super) fn stamp(head: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    head.insert_header(names::REQUEST_ID, ctx.request_id.header())?;
    head.insert_header(names::ROUTE, HeaderValue::from_static(ctx.route()))?;
    if ctx.attempt.number > 0 {
        head.insert_header(names::ATTEMPTS, ctx.attempt.number)?;
    }
    if let Some(held) = ctx
        .admitted
        .as_ref()
        .and_then(|admitted| admitted.held.as_ref())
    {
        head.insert_header(names::BODY, HeaderValue::from_static(held.mode.as_str()))?;
    }
    if let Some(memory) = ctx.answered.memory {
        head.insert_header(names::MEMORY, HeaderValue::from_static(memory))?;
    }
    Ok(())
}
