//! What becomes of a whole answer that must be told in the other dialect?

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora_http::ResponseHeader;

use super::context::RequestCtx;
use super::head::edit_response;
use super::judge::{reframe, refusal_head};
use super::relay::{Decision, Judge, Rest};
use crate::body::{DecodeBounds, Encoding, decode};
use crate::gateway::{Failure, Rejection};
use crate::translate::{self, Reply};
use crate::wire::{Dialect, error_body};

/// More than any model says.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const BOUNDS: DecodeBounds = DecodeBounds {
    max_bytes: LONGEST,
    max_ratio: 200,
};

/// The judge of an answer that began well: tells it, or why it cannot be told.
pub(super) fn of(ctx: &RequestCtx, reply: Reply) -> Judge {
    let request_id = ctx.request_id.as_str().to_owned();
    let finding = Arc::clone(&ctx.answered.finding);
    Box::new(move |mut head, body, rest| {
        let failure = match retold(&head.headers, body, rest, &reply) {
            Ok(Told::Answer(told)) => {
                let status = head.status.as_u16();
                reframe(&mut head, status, told.len());
                return Decision::Deliver(head, told);
            }
            Ok(Told::Chunks(told)) => {
                let status = head.status.as_u16();
                reframe(&mut head, status, told.len());
                edit_response(&mut head, |head| {
                    head.headers.insert(header::CONTENT_TYPE, EVENTS);
                });
                return Decision::Deliver(head, told);
            }
            Ok(Told::Error(told)) => {
                finding.lock().outcome = Some(Failure::Unreadable.as_str());
                reframe(&mut head, 502, told.len());
                return Decision::Deliver(head, told);
            }
            Err(failure) => failure,
        };
        finding.lock().outcome = Some(failure.as_str());
        let answer = Rejection::Upstream(failure).answer(Dialect::OpenAi);
        let body = error_body(Dialect::OpenAi, &answer.said(), &request_id);
        let head = refusal_head(&answer, &head, body.len());
        Decision::Deliver(Box::new(head), body)
    })
}

/// What a whole answer comes to.
enum Told {
    Answer(Bytes),
    /// A stream was asked for, and so it becomes one.
    Chunks(Bytes),
    /// Under a good status it said an error.
    Error(Bytes),
}

fn retold(headers: &HeaderMap, body: Bytes, rest: Rest, reply: &Reply) -> Result<Told, Failure> {
    let body = match rest {
        Rest::Lost => return Err(Failure::Broken),
        Rest::Follows => return Err(Failure::Unreadable),
        Rest::Nothing => unpacked(headers, body).ok_or(Failure::Unreadable)?,
    };
    let told = match reply.stream {
        true => translate::streamed(&body, reply).map(Told::Chunks),
        false => translate::answer(&body, reply).map(Told::Answer),
    };
    told.or_else(|unreadable| {
        log::warn!(target: "memgate::translate", "{unreadable}");
        let error = translate::error_within(&body).map(Told::Error);
        error.ok_or(Failure::Unreadable)
    })
}

/// A provider's error in OpenAI's words, with a status that OpenAI's clients know.
pub(super) fn error(mut head: Box<ResponseHeader>, body: &[u8]) -> Decision {
    let (status, told) = translate::error(head.status.as_u16(), body);
    reframe(&mut head, status, told.len());
    Decision::Deliver(head, told)
}

/// A body as it was before somebody in between packed it, although nobody asked for that.
pub(super) fn unpacked(headers: &HeaderMap, body: Bytes) -> Option<Bytes> {
    match Encoding::of(headers).ok()? {
        Encoding::Identity => Some(body),
        packed => decode(packed, &body, BOUNDS).ok(),
    }
}
