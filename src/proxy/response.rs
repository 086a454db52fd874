//! What does an answer's head tell, and what of it reaches the client?

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::{DirectWay, RequestCtx};
use super::head::edit_response;
use super::relay::Judge;
use super::stream::Tail;
use super::translation::rename_limits;
use super::upstream_head::CREDENTIALS;
use super::{judge, metering, reply, retelling};
use crate::cookies::Site;
use crate::gateway::Failure;
use crate::upstream::Outcome;
use crate::upstream::lane::Sign;

/// Informational answers passed on before we lose patience.
const INFORMATIONAL_MAX: u32 = 8;
/// Bytes of an answer's head.
const HEAD_MAX: usize = 64 * 1024;

/// Hop-by-hop fields that Pingora passes on (RFC 9110 7.6.1), and what speaks of the upstream's own site.
const PRIVATE: [HeaderName; 6] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("alt-svc"),
    HeaderName::from_static("x-litellm-model-api-base"),
    header::PROXY_AUTHENTICATE,
    header::UPGRADE,
];

/// Never taken away, whoever nominates them: without them the answer would have another end, or no type.
const FRAMING: [HeaderName; 3] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONTENT_TYPE,
];

/// Reads an upstream head, informational ones included, before anything is done with it.
pub(super) fn arrived(
    session: &mut Session,
    head: &mut ResponseHeader,
    ctx: &mut RequestCtx,
) -> Result<()> {
    if head.status.is_informational() {
        return informational(session, head, ctx);
    }
    refuse_huge(head, ctx)?;
    ctx.answered.head_at = Some(ctx.snapshot.clock.now());
    ctx.answered.failure = None;
    if ctx.is_strangers() && head.status.is_success() && is_known_to_litellm(session, ctx) {
        ctx.vouch();
    }
    if ctx.direct().is_some() {
        capture_cookies(head, ctx);
        note_memory(head, ctx);
    }
    let status = head.status;
    ctx.answered.outcome = Some(if status.is_success() {
        "ok"
    } else {
        "answered"
    });
    let request = session.req_header();
    if status.is_success() && request.method != Method::HEAD {
        if ctx.translation().is_some() {
            // Of the provider's words.
            head.remove_header(&header::CONTENT_LENGTH);
        }
        ctx.answered.stream = Tail::of(&head.headers, request.uri.path());
        ctx.answered.scan = metering::scan(session, &head.headers, ctx);
    }
    let retelling = retelling(ctx, status);
    let is_error = status.as_u16() >= 400;
    if let (false, Some(permit)) = (is_error, &ctx.attempt.permit) {
        permit.sign(&Sign::Head);
    }
    let judge = is_error.then(|| judge::of(ctx)).flatten();
    if judge.is_none() {
        ctx.forget_detour();
    }
    if let Some(feed) = ctx.feed() {
        let mut feed = feed.lock();
        match retelling {
            Some(retelling) => feed.keep(retelling, retelling::LONGEST),
            None if status.is_success() => feed.release(),
            None => feed.stop(judge),
        }
    }
    Ok(())
}

/// Begins the telling of a good answer in the other dialect: event by event, or, with a judge, whole. A stream that
/// was not asked for is no answer.
fn retelling(ctx: &mut RequestCtx, status: StatusCode) -> Option<Judge> {
    let streams = ctx.answered.stream.is_some();
    let translation = ctx.translation_mut().filter(|_| status.is_success())?;
    if streams && translation.reply.stream {
        translation.begin();
        return None;
    }
    let reply = translation.reply.clone();
    ctx.answered.stream = None;
    Some(retelling::of(ctx, reply))
}

/// What is larger than any answer's head is not passed on.
fn refuse_huge(head: &ResponseHeader, ctx: &mut RequestCtx) -> Result<()> {
    let sizes = head.headers.iter();
    let sizes = sizes.map(|(name, value)| name.as_str().len() + value.len());
    if sizes.sum::<usize>() <= HEAD_MAX {
        return Ok(());
    }
    ctx.answered.failure = Some(Failure::Invalid);
    Error::e_explain(ErrorType::InvalidHTTPHeader, "a huge head").map_err(|e| e.into_up())
}

/// LiteLLM does nothing for a key that it does not know.
fn is_known_to_litellm(session: &Session, ctx: &RequestCtx) -> bool {
    let head = session.req_header();
    let has = |name| head.headers.contains_key(name);
    ctx.direct().is_none() && head.method == Method::POST && CREDENTIALS.iter().any(has)
}

fn informational(session: &Session, head: &ResponseHeader, ctx: &mut RequestCtx) -> Result<()> {
    ctx.attempt.informational += 1;
    let upgrade = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let unasked = upgrade && (ctx.direct().is_some() || !session.is_upgrade_req());
    if unasked || ctx.attempt.informational > INFORMATIONAL_MAX {
        ctx.answered.failure = Some(Failure::Invalid);
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "unasked informational answer")
            .map_err(|e| e.into_up());
    }
    Ok(())
}

/// Allow-listed cookies go into the jar, from every status; no upstream cookie reaches a client.
fn capture_cookies(head: &mut ResponseHeader, ctx: &mut RequestCtx) {
    ctx.answered.fresh_cookies.clear();
    if !head.headers.contains_key(header::SET_COOKIE) {
        return;
    }
    let wall = ctx.snapshot.clock.wall();
    let Some(way) = ctx.direct() else { return };
    let site = Site {
        host: way.upstream.host(),
        path: way.uri.path(),
        secure: true,
    };
    let captured = way.upstream.jar.capture(&head.headers, &site, wall);
    for name in &captured.names {
        ctx.snapshot.metrics.captured_cookie(name);
    }
    let sent = ctx.attempt.cookies_sent.as_ref();
    let superseded = way.upstream.jar.supersedes(sent, &site, wall);
    if superseded {
        ctx.answered.fresh_cookies = captured.names;
    }
    head.remove_header(&header::SET_COOKIE);
}

/// Supermemory's router fails open: a 200 may carry no memory, and says so in its headers.
fn note_memory(head: &ResponseHeader, ctx: &mut RequestCtx) {
    if !ctx.direct().is_some_and(DirectWay::is_router) {
        return;
    }
    ctx.answered.memory = None;
    if !head.status.is_success() {
        return;
    }
    let modified = head.headers.get("x-supermemory-context-modified");
    let modified = modified.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"true"));
    ctx.answered.memory = Some(if head.headers.contains_key("x-supermemory-error") {
        "error"
    } else if modified {
        "on"
    } else {
        "unchanged"
    });
}

/// Remembers how a stream stands, and ends one whose last event is missing with an error event.
pub(super) fn pass_body(body: &mut Option<Bytes>, end: bool, ctx: &mut RequestCtx) {
    if let (Some(scan), Some(bytes)) = (&mut ctx.answered.scan, &body) {
        scan.push(bytes);
    }
    let Some(tail) = ctx.answered.stream.as_mut() else {
        return;
    };
    if let Some(bytes) = body {
        tail.pass(bytes);
    }
    let finished = tail.is_finished();
    if let Some(translation) = ctx.translation_mut() {
        *body = body.take().and_then(|bytes| translation.tell(&bytes));
        if translation.is_over() && !finished {
            // Of an event that nobody could read. More is not waited for, and not paid for.
            ctx.answered
                .broken_stream
                .get_or_insert(Failure::Unreadable.as_str());
            if let Some(feed) = ctx.feed() {
                feed.lock().close();
            }
        }
    }
    if !end {
        return;
    }
    if let Some(event) = end_stream(ctx) {
        let bytes = body.take().unwrap_or_default();
        *body = Some(Bytes::from([bytes, event].concat()));
    }
}

/// A stream's clean end: its last words, where those are missing, which then are ours.
pub(super) fn end_stream(ctx: &mut RequestCtx) -> Option<Bytes> {
    let tail = ctx.answered.stream.as_ref()?;
    let truncated = tail.is_truncated() && ctx.answered.broken_stream.is_none();
    if truncated {
        ctx.answered.broken_stream = Some(Outcome::Truncated.as_str());
        ctx.answered.outcome = Some(Outcome::Truncated.as_str());
    }
    if ctx.translation().is_some() {
        return ctx.translation_mut()?.end();
    }
    let message = "the upstream ended the stream before its last event";
    let request_id = ctx.request_id.as_str();
    truncated.then(|| tail.error_event(ctx.dialect, "upstream_broken", message, request_id))
}

/// Makes an upstream's head ours on its way to the client.
pub(super) fn deliver(head: &mut ResponseHeader, ctx: &RequestCtx) {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // Its Upgrade field is the handshake itself.
        return;
    }
    edit_response(head, |head| {
        let (status, headers) = (head.status, &mut head.headers);
        for name in nominated(headers).iter().chain(&PRIVATE) {
            headers.remove(name);
        }
        if status == StatusCode::NO_CONTENT {
            headers.remove(header::CONTENT_LENGTH);
            headers.remove(header::TRANSFER_ENCODING);
        }
        if ctx.translation().is_some() {
            rename_limits(headers, ctx.snapshot.clock.wall());
        }
        if !status.is_informational() {
            reply::stamp(headers, ctx);
        }
    });
}

/// The fields that the upstream's Connection field says are for this hop alone.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(header::CONNECTION).iter();
    let names = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    names
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(|name| *name != header::CONNECTION && !FRAMING.contains(name))
        .collect()
}
