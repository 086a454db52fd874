//! What becomes of an attempt that ended badly? Delivered as it is, said in the caller's dialect, or tried again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use parking_lot::Mutex;
use pingora_core::Result;
use pingora_http::ResponseHeader;

use super::context::{RequestCtx, Way, names};
use super::relay::{Decision, Judge, Rest};
use super::reply::JSON;
use crate::gateway::Snapshot;
use crate::routing::DirectModel;
use crate::upstream::edge_error::{self, EdgeError};
use crate::upstream::retry::Attempt;
use crate::upstream::{Outcome, Phase, Verdict};
use crate::wire::{Dialect, ErrorKind, error_body};

/// What the judge of a kept answer found; the hooks read it after the attempt.
#[derive(Default)]
pub(super) struct Finding {
    pub outcome: Option<&'static str>,
    /// The wait before another attempt, where one is wanted, and the reason for it.
    pub again: Option<(Duration, &'static str)>,
    pub for_cookies: bool,
}

/// The judge for the attempt under way; what it finds goes to the context.
pub(super) fn of(ctx: &RequestCtx) -> Option<Judge> {
    let case = Case {
        snapshot: Arc::clone(&ctx.snapshot),
        model: Arc::clone(&ctx.direct()?.model),
        attempt: ctx.attempt.number,
        fresh_cookies: ctx.answered.fresh_cookies,
        retried_for_cookies: ctx.answered.retried_for_cookies,
        dialect: ctx.dialect,
        request_id: ctx.request_id.as_str().to_owned(),
        finding: Arc::clone(&ctx.answered.finding),
    };
    Some(Box::new(move |head, body, rest| {
        case.judge(head, body, rest)
    }))
}

/// Whether the policy wants another attempt after a connection failed; what it decided is noted.
pub(super) fn transport(ctx: &mut RequestCtx, phase: Phase) -> bool {
    let outcome = Outcome::of_transport(phase);
    let (host, provider) = match ctx.admitted.as_ref().map(|admitted| &admitted.way) {
        Some(Way::Direct(way)) => (way.upstream.host(), way.model.target.provider_host.as_str()),
        _ => ("litellm", "litellm"),
    };
    let attempt = Attempt {
        number: ctx.attempt.number,
        host,
        provider,
        fresh_cookies: false,
        retried_for_cookies: ctx.answered.retried_for_cookies,
        delivering: ctx.answered.head_at.is_some(),
    };
    let verdict = ctx
        .snapshot
        .retry
        .judge(&outcome, &attempt, fastrand::f64());
    let again = again(verdict);
    *ctx.answered.finding.lock() = Finding {
        outcome: Some(outcome.as_str()),
        again,
        for_cookies: false,
    };
    again.is_some()
}

fn again(verdict: Verdict) -> Option<(Duration, &'static str)> {
    match verdict {
        Verdict::Deliver => None,
        Verdict::Retry { wait, reason } => Some((wait, reason.as_str())),
    }
}

struct Case {
    snapshot: Arc<Snapshot>,
    model: Arc<DirectModel>,
    attempt: u32,
    /// The answer set cookies that we had not sent.
    fresh_cookies: bool,
    retried_for_cookies: bool,
    dialect: Dialect,
    request_id: String,
    finding: Arc<Mutex<Finding>>,
}

impl Case {
    fn judge(self, head: Box<ResponseHeader>, body: Bytes, rest: Rest) -> Decision {
        let status = head.status.as_u16();
        let outcome = Outcome::of_answer(status, &head.headers, &body, self.snapshot.clock.wall());
        let edge = match &outcome {
            Outcome::Edge(edge) => Some(edge),
            _ => None,
        };
        if let Some(edge) = edge {
            self.snapshot
                .metrics
                .edge_error(edge.zone.as_deref(), edge.code);
        }
        let attempt = Attempt {
            number: self.attempt,
            host: &self.model.target.base.origin.host,
            provider: &self.model.target.provider_host,
            fresh_cookies: self.fresh_cookies,
            retried_for_cookies: self.retried_for_cookies,
            delivering: false,
        };
        let verdict = self
            .snapshot
            .retry
            .judge(&outcome, &attempt, fastrand::f64());
        let again = again(verdict);
        let for_cookies = again.is_some_and(|(_, reason)| reason == "fresh_cookies");
        *self.finding.lock() = Finding {
            outcome: Some(outcome.as_str()),
            again,
            for_cookies,
        };
        match (again, edge) {
            (Some(_), _) => Decision::Again,
            (None, None) if rest == Rest::Nothing => Decision::Deliver(head, body),
            (None, None) if rest == Rest::Follows => Decision::Begin(head, body),
            (None, edge) => self.say(head, edge, outcome.may_have_been_processed()),
        }
    }

    /// The same status, in the caller's dialect.
    fn say(
        &self,
        mut head: Box<ResponseHeader>,
        edge: Option<&EdgeError>,
        processed: bool,
    ) -> Decision {
        let status = head.status.as_u16();
        let (code, message) = match edge {
            Some(edge) => ("edge_error", edge_error::explain(edge)),
            None => (
                "upstream_error",
                "the upstream's error answer could not be read whole".to_owned(),
            ),
        };
        let body = error_body(
            self.dialect,
            ErrorKind::of_status(status),
            code,
            &message,
            &self.request_id,
        );
        let retry_after = edge.and_then(|edge| edge.retry_after);
        if let Err(error) = reframe(&mut head, body.len(), retry_after, processed) {
            log::error!(target: "memgate::proxy", "an upstream error could not be said: {}", error.etype().as_str());
        }
        Decision::Deliver(head, body)
    }
}

fn reframe(
    head: &mut ResponseHeader,
    length: usize,
    retry_after: Option<Duration>,
    processed: bool,
) -> Result<()> {
    for name in [
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONTENT_LANGUAGE,
    ] {
        head.remove_header(&name);
    }
    head.insert_header(header::CONTENT_TYPE, JSON)?;
    head.insert_header(header::CONTENT_LENGTH, length)?;
    if let Some(wait) = retry_after {
        head.insert_header(header::RETRY_AFTER, wait.as_secs().max(1))?;
    }
    if processed {
        head.insert_header(names::SHOULD_RETRY, "false")?;
    }
    Ok(())
}
