//! What becomes of an upstream's error answer? Delivered as it is, said in the caller's dialect, or tried again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use parking_lot::Mutex;
use pingora_core::Result;
use pingora_http::ResponseHeader;

use super::context::RequestCtx;
use super::relay::{Decision, Judge};
use super::reply::JSON;
use crate::gateway::Snapshot;
use crate::upstream::edge_error::{self, EdgeError};
use crate::upstream::outcome::Outcome;
use crate::wire::{Dialect, ErrorKind, error_body};

/// What the judge found; the hooks read it after the attempt.
#[derive(Default)]
pub(super) struct Finding {
    pub outcome: Option<&'static str>,
    /// The wait before another attempt, where one is wanted.
    pub again: Option<Duration>,
}

/// The judge for the attempt under way; what it finds goes to the context.
pub(super) fn of(ctx: &RequestCtx) -> Judge {
    let case = Case {
        snapshot: Arc::clone(&ctx.snapshot),
        attempt: ctx.attempt.number,
        fresh_cookies: ctx.answered.cookies_captured,
        dialect: ctx.dialect,
        request_id: ctx.request_id.as_str().to_owned(),
        finding: Arc::clone(&ctx.answered.finding),
    };
    Box::new(move |head, body, whole| case.judge(head, body, whole))
}

struct Case {
    snapshot: Arc<Snapshot>,
    attempt: u32,
    /// The answer set cookies that we had not sent.
    fresh_cookies: bool,
    dialect: Dialect,
    request_id: String,
    finding: Arc<Mutex<Finding>>,
}

impl Case {
    fn judge(self, head: Box<ResponseHeader>, body: Bytes, whole: bool) -> Decision {
        let status = head.status.as_u16();
        let outcome = Outcome::of_answer(status, &head.headers, &body);
        let edge = edge_error::read(status, &head.headers, &body);
        if let Some(edge) = &edge {
            self.snapshot
                .metrics
                .edge_error(edge.zone.as_deref(), edge.code);
        }
        let again = self
            .snapshot
            .retry
            .judge(&outcome, self.attempt, self.fresh_cookies);
        *self.finding.lock() = Finding {
            outcome: Some(outcome.as_str()),
            again,
        };
        if again.is_some() {
            return Decision::Again;
        }
        match edge {
            None if whole => Decision::Deliver(head, body),
            edge => self.say(head, edge.as_ref()),
        }
    }

    /// The same status, in the caller's dialect.
    fn say(&self, mut head: Box<ResponseHeader>, edge: Option<&EdgeError>) -> Decision {
        let status = head.status.as_u16();
        let (code, message) = match edge {
            Some(edge) => ("edge_error", edge_error::explain(edge)),
            None => (
                "upstream_error",
                "the upstream's error answer could not be read whole".to_owned(),
            ),
        };
        let kind = ErrorKind::of_status(status);
        let body = error_body(self.dialect, kind, code, &message, &self.request_id);
        match reframe(&mut head, body.len(), edge) {
            Ok(()) => Decision::Deliver(head, body),
            Err(error) => {
                log::error!(target: "memgate::proxy", "an edge error could not be said: {error}");
                Decision::Deliver(head, body)
            }
        }
    }
}

fn reframe(head: &mut ResponseHeader, length: usize, edge: Option<&EdgeError>) -> Result<()> {
    for name in [
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONTENT_LANGUAGE,
    ] {
        head.remove_header(&name);
    }
    head.insert_header(header::CONTENT_TYPE, JSON)?;
    head.insert_header(header::CONTENT_LENGTH, length)?;
    if let Some(wait) = edge.and_then(|edge| edge.retry_after) {
        head.insert_header(header::RETRY_AFTER, wait.as_secs().max(1))?;
    }
    Ok(())
}
