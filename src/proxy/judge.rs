//! What becomes of an attempt that ended badly? Delivered as it is, said in the caller's dialect, or tried again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use pingora_http::ResponseHeader;

use super::allowance;
use super::context::{RequestCtx, names};
use super::head::edit_response;
use super::passage;
use super::relay::{Decision, Judge, Rest};
use super::reply::{self, JSON};
use super::retelling;
use crate::gateway::{Answer, DirectUpstream, EdgeErrorNote, Rejection, Snapshot};
use crate::upstream::edge_error::{self, EdgeError, Whose};
use crate::upstream::lane::{Permit, Sign};
use crate::upstream::verdict::Attempt;
use crate::upstream::{Called, Effect, Outcome, Phase, Reach, Reason, Verdict};
use crate::wire::{Dialect, ErrorKind, Said, error_body};

/// What the judge of a kept answer found; the hooks read it after the attempt.
#[derive(Default)]
pub(super) struct Finding {
    pub outcome: Option<&'static str>,
    pub next: Option<Next>,
    /// Something behind the router turned it away: the router may have noted the request.
    pub behind: bool,
}

/// What follows an attempt that is not delivered.
#[derive(Clone, Copy)]
pub(super) enum Next {
    /// The same way, after so long.
    Again(Duration, Reason),
    /// Round its lane.
    Around(Reason),
}

/// The judge for the attempt under way; what it finds goes to the context.
pub(super) fn of(ctx: &RequestCtx) -> Option<Judge> {
    let case = Case {
        snapshot: Arc::clone(&ctx.snapshot),
        tried: Tried::of(ctx)?,
        dialect: ctx.dialect,
        translated: ctx.translation().is_some(),
        bodiless: ctx.admitted.as_ref().is_some_and(|it| it.held.is_none()),
        request_id: ctx.request_id.as_str().to_owned(),
        finding: Arc::clone(&ctx.answered.finding),
    };
    Some(Box::new(move |head, body, rest| {
        case.judge(head, body, rest)
    }))
}

/// Whether another attempt follows one whose connection failed; what was decided is noted.
pub(super) fn transport(ctx: &RequestCtx, phase: Phase) -> bool {
    let outcome = Outcome::of_transport(phase);
    let retry = &ctx.snapshot.retry;
    let verdict = match Tried::of(ctx) {
        Some(tried) => {
            tried.tell_lanes(&outcome, &ctx.snapshot);
            let mut attempt = tried.attempt();
            attempt.delivering = ctx.answered.head_at.is_some();
            retry.judge(&outcome, &attempt, fastrand::f64())
        }
        None => {
            let attempt = Attempt {
                number: ctx.attempt.number,
                called: Called {
                    host: "litellm",
                    provider: "litellm",
                },
                fresh_cookies: &[],
                retried_for_cookies: false,
                delivering: ctx.answered.head_at.is_some(),
                bypass: false,
            };
            retry.judge(&outcome, &attempt, fastrand::f64())
        }
    };
    let next = next(verdict);
    *ctx.answered.finding.lock() = Finding {
        outcome: Some(outcome.as_str()),
        next,
        behind: false,
    };
    next.is_some()
}

fn next(verdict: Verdict) -> Option<Next> {
    match verdict {
        Verdict::Retry { wait, reason } => Some(Next::Again(wait, reason)),
        Verdict::Bypass { reason } => Some(Next::Around(reason)),
        Verdict::Deliver | Verdict::Refuse { .. } => None,
    }
}

/// An attempt by a lane, as the policies see it.
struct Tried {
    number: u32,
    upstream: Arc<DirectUpstream>,
    provider: String,
    permit: Option<Arc<Permit>>,
    /// Names of cookies that the answer set and that we had not sent.
    fresh_cookies: Vec<String>,
    retried_for_cookies: bool,
    /// There is another way.
    detour: bool,
}

impl Tried {
    fn of(ctx: &RequestCtx) -> Option<Self> {
        let way = ctx.direct()?;
        Some(Self {
            number: way.attempts,
            upstream: Arc::clone(&way.upstream),
            provider: way.called().provider.to_owned(),
            permit: ctx.attempt.permit.clone(),
            fresh_cookies: ctx.answered.fresh_cookies.clone(),
            retried_for_cookies: ctx.answered.retried_for_cookies,
            detour: way.detour.is_some(),
        })
    }

    fn attempt(&self) -> Attempt<'_> {
        Attempt {
            number: self.number,
            called: Called {
                host: self.upstream.host(),
                provider: &self.provider,
            },
            fresh_cookies: &self.fresh_cookies,
            retried_for_cookies: self.retried_for_cookies,
            delivering: false,
            bypass: self.detour,
        }
    }

    /// Answers with the pause that the lane now keeps, where the outcome is a reason for one.
    fn tell_lanes(&self, outcome: &Outcome, snapshot: &Snapshot) -> Option<Duration> {
        let effect = Effect::of(outcome, &self.attempt());
        let kept = self.permit.as_ref()?.sign(&effect.sign)?;
        if let (Reach::Host, Sign::Refused { pause }) = (effect.reach, effect.sign) {
            snapshot.pause_beside(&self.upstream, pause);
        }
        Some(kept)
    }

    fn whose(&self, error: &EdgeError) -> Whose {
        error.whose(self.upstream.host(), &self.provider)
    }
}

struct Case {
    snapshot: Arc<Snapshot>,
    tried: Tried,
    dialect: Dialect,
    /// The provider speaks another one.
    translated: bool,
    /// What carries nothing bills and writes nothing.
    bodiless: bool,
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
            self.note(status, edge);
        }
        let pause = self.tried.tell_lanes(&outcome, &self.snapshot);
        let attempt = self.tried.attempt();
        let verdict = self
            .snapshot
            .retry
            .judge(&outcome, &attempt, fastrand::f64());
        let next = next(verdict);
        *self.finding.lock() = Finding {
            outcome: Some(outcome.as_str()),
            next,
            behind: edge.is_some_and(|edge| self.tried.whose(edge) != Whose::Host),
        };
        match (verdict, edge) {
            _ if next.is_some() => Decision::Again,
            (
                Verdict::Refuse {
                    retry_after,
                    certain,
                },
                _,
            ) => self.refuse(
                &head,
                passage::spread(pause.unwrap_or(retry_after)),
                certain,
            ),
            (_, None) if self.translated => self.retell(head, body, rest),
            (_, None) if rest == Rest::Nothing => Decision::Deliver(head, body),
            (_, None) if rest == Rest::Follows => Decision::Begin(head, body),
            (_, edge) => {
                let processed = outcome.may_have_been_processed();
                let unseen = !processed
                    && edge.is_some_and(|edge| {
                        self.tried.whose(edge) == Whose::Host && edge.class().turned_away()
                    });
                let again = if processed {
                    (!self.bodiless).then_some(false)
                } else {
                    unseen.then_some(true)
                };
                self.say(head, edge, again)
            }
        }
    }

    /// The provider's error in the caller's dialect.
    fn retell(&self, head: Box<ResponseHeader>, body: Bytes, rest: Rest) -> Decision {
        let whole = (rest == Rest::Nothing).then_some(body);
        match whole.and_then(|body| retelling::unpacked(&head.headers, body)) {
            Some(body) => retelling::error(head, &body),
            None => self.say(head, None, None),
        }
    }

    fn note(&self, status: u16, edge: &EdgeError) {
        let snapshot = &self.snapshot;
        snapshot.metrics.edge_error(edge.zone.as_deref(), edge.code);
        snapshot.edge_errors.note(EdgeErrorNote {
            time: snapshot.clock.wall(),
            lane: self.tried.upstream.name().to_owned(),
            status,
            code: edge.code,
            zone: edge.zone.clone(),
            ray_id: edge.ray_id.clone(),
            request_id: self.request_id.clone(),
        });
    }

    /// The refusal that the client understands, in place of the edge's.
    fn refuse(&self, theirs: &ResponseHeader, retry_after: Duration, certain: bool) -> Decision {
        let answer = Rejection::Lane {
            retry_after,
            certain,
        }
        .answer(self.dialect);
        let body = error_body(self.dialect, &answer.said(), &self.request_id);
        let head = refusal_head(&answer, theirs, body.len());
        Decision::Deliver(Box::new(head), body)
    }

    /// The same status, in the caller's dialect.
    fn say(
        &self,
        mut head: Box<ResponseHeader>,
        edge: Option<&EdgeError>,
        again: Option<bool>,
    ) -> Decision {
        let status = match head.status.as_u16() {
            529 if self.translated => self.dialect.overloaded(),
            status => status,
        };
        let (code, message) = match edge {
            Some(edge) => ("edge_error", edge_error::explain(edge)),
            None => (
                "upstream_error",
                "the upstream's error answer could not be read whole".to_owned(),
            ),
        };
        let said = Said {
            kind: ErrorKind::of_status(status),
            code,
            message: &message,
            param: None,
        };
        let body = error_body(self.dialect, &said, &self.request_id);
        reframe(&mut head, status, body.len());
        edit_response(&mut head, |head| {
            if let Some(wait) = edge.and_then(|edge| edge.retry_after) {
                let wait = reply::seconds(wait).into();
                head.headers.insert(header::RETRY_AFTER, wait);
            }
            if let Some(again) = again {
                let again = HeaderValue::from_static(if again { "true" } else { "false" });
                head.headers.insert(names::SHOULD_RETRY, again);
            }
        });
        Decision::Deliver(head, body)
    }
}

/// Of the edge's own head nothing stays but what we have stamped on it.
pub(super) fn refusal_head(
    answer: &Answer,
    theirs: &ResponseHeader,
    length: usize,
) -> ResponseHeader {
    let mut head = reply::error_head(answer);
    head.headers.insert(header::CONTENT_LENGTH, length.into());
    for name in names::STAMPED.into_iter().chain(allowance::names()) {
        if let Some(value) = theirs.headers.get(&name) {
            head.headers.insert(name, value.clone());
        }
    }
    head.into()
}

/// The head of another body, of ours.
pub(super) fn reframe(head: &mut ResponseHeader, status: u16, length: usize) {
    edit_response(head, |head| {
        head.status = StatusCode::from_u16(status).unwrap_or(head.status);
        for name in [
            header::CONTENT_ENCODING,
            header::TRANSFER_ENCODING,
            header::CONTENT_LANGUAGE,
        ] {
            head.headers.remove(name);
        }
        head.headers.insert(header::CONTENT_TYPE, JSON);
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    });
}
