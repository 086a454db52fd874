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
use super::reply::{self, JSON};
use crate::gateway::{Answer, Rejection, Snapshot};
use crate::routing::DirectModel;
use crate::upstream::edge_error::{self, EdgeError};
use crate::upstream::lane::Sign;
use crate::upstream::verdict::Attempt;
use crate::upstream::{Called, Effect, Outcome, Phase, Reason, Verdict};
use crate::wire::{Dialect, ErrorKind, error_body};

/// What the judge of a kept answer found; the hooks read it after the attempt.
#[derive(Default)]
pub(super) struct Finding {
    pub outcome: Option<&'static str>,
    /// The wait before another attempt, where one is wanted, and the reason for it.
    pub again: Option<(Duration, Reason)>,
}

/// The judge for the attempt under way; what it finds goes to the context.
pub(super) fn of(ctx: &RequestCtx) -> Option<Judge> {
    let case = Case {
        snapshot: Arc::clone(&ctx.snapshot),
        model: Arc::clone(&ctx.direct()?.model),
        attempt: ctx.attempt.number,
        fresh_cookies: ctx.answered.fresh_cookies.clone(),
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
        called: Called { host, provider },
        fresh_cookies: &[],
        retried_for_cookies: ctx.answered.retried_for_cookies,
        delivering: ctx.answered.head_at.is_some(),
        bypass: false,
    };
    let verdict = ctx
        .snapshot
        .retry
        .judge(&outcome, &attempt, fastrand::f64());
    let again = again(verdict);
    *ctx.answered.finding.lock() = Finding {
        outcome: Some(outcome.as_str()),
        again,
    };
    again.is_some()
}

fn again(verdict: Verdict) -> Option<(Duration, Reason)> {
    match verdict {
        Verdict::Retry { wait, reason } => Some((wait, reason)),
        Verdict::Deliver | Verdict::Bypass { .. } | Verdict::Refuse { .. } => None,
    }
}

struct Case {
    snapshot: Arc<Snapshot>,
    model: Arc<DirectModel>,
    attempt: u32,
    /// Names of cookies that the answer set and that we had not sent.
    fresh_cookies: Vec<String>,
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
        let verdict = self.verdict(&outcome);
        let again = again(verdict);
        *self.finding.lock() = Finding {
            outcome: Some(outcome.as_str()),
            again,
        };
        match (verdict, edge) {
            (Verdict::Retry { .. }, _) => Decision::Again,
            (
                Verdict::Refuse {
                    retry_after,
                    certain,
                },
                _,
            ) => self.refuse(&head, retry_after, certain),
            (_, None) if rest == Rest::Nothing => Decision::Deliver(head, body),
            (_, None) if rest == Rest::Follows => Decision::Begin(head, body),
            (_, edge) => self.say(head, edge, outcome.may_have_been_processed()),
        }
    }

    /// A lane's pause is waited out here, where it is short enough, until lanes do it.
    fn verdict(&self, outcome: &Outcome) -> Verdict {
        let attempt = Attempt {
            number: self.attempt,
            called: Called {
                host: &self.model.target.base.origin.host,
                provider: &self.model.target.provider_host,
            },
            fresh_cookies: &self.fresh_cookies,
            retried_for_cookies: self.retried_for_cookies,
            delivering: false,
            bypass: false,
        };
        let judged = self
            .snapshot
            .retry
            .judge(outcome, &attempt, fastrand::f64());
        let Sign::Refused { pause } = Effect::of(outcome, &attempt).sign else {
            return judged;
        };
        match judged {
            Verdict::Retry { reason, .. } if pause > self.snapshot.config.retry.max_delay => {
                Verdict::Refuse {
                    retry_after: pause,
                    certain: reason != Reason::MayDuplicate,
                }
            }
            Verdict::Retry { wait, reason } => Verdict::Retry {
                wait: wait + pause,
                reason,
            },
            judged => judged,
        }
    }

    /// The refusal that the client understands, in place of the edge's.
    fn refuse(&self, theirs: &ResponseHeader, retry_after: Duration, certain: bool) -> Decision {
        let answer = Rejection::Lane {
            retry_after,
            certain,
        }
        .answer(self.dialect);
        let body = error_body(
            self.dialect,
            answer.kind,
            answer.code,
            &answer.message,
            &self.request_id,
        );
        let head = refusal_head(&answer, theirs, body.len());
        Decision::Deliver(Box::new(head), body)
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

/// Of the edge's own head nothing stays but what we have stamped on it.
fn refusal_head(answer: &Answer, theirs: &ResponseHeader, length: usize) -> ResponseHeader {
    let mut head = reply::error_head(answer);
    head.headers.insert(header::CONTENT_LENGTH, length.into());
    for name in names::STAMPED {
        if let Some(value) = theirs.headers.get(&name) {
            head.headers.insert(name, value.clone());
        }
    }
    head.into()
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
        head.insert_header(header::RETRY_AFTER, reply::seconds(wait))?;
    }
    if processed {
        head.insert_header(names::SHOULD_RETRY, "false")?;
    }
    Ok(())
}
