//! What is there to say of a request that has ended? Its one record, made here.

use std::borrow::Cow;

use http::Version;
use pingora_core::Error;
use pingora_proxy::Session;

use super::context::{Memory, RequestCtx, Way};
use super::stream::Tail;
use super::{allowance, bill, metering, relay};
use crate::identity::MemoryUser;
use crate::telemetry::{
    AccessRecord, Answer, Asked, AuditRecord, Person, RouteLabel, Spent, Upstreamed,
};
use crate::upstream::Outcome;

/// Attempts after which nothing is wrong at the place they went to, though something may be in the request.
const WELL: [&str; 4] = [
    "ok",
    "answered",
    "provider_invalid_request",
    "provider_too_large",
];

/// Gives the session back to Pingora and writes the record.
pub(super) fn finish(session: &mut Session, error: Option<&Error>, ctx: &mut RequestCtx) {
    relay::unwrap(session, &ctx.custody);
    note_departure(ctx);
    note_error_event(ctx);
    if let Some(kind) = ctx.answered.broken_stream {
        ctx.snapshot.metrics.stream_broke(kind);
    }
    // An error that was delivered, or not tried again, is still here with its name.
    let judged = ctx.answered.finding.lock().outcome.take();
    ctx.answered.outcome = judged.or(ctx.answered.outcome);
    note_attempt(ctx);
    let taken = allowance::settle(session, ctx);
    // What nobody said is in no metric.
    let said = taken.as_ref().filter(|taken| !taken.estimated);
    let sent = ctx
        .attempt
        .cookies_sent
        .iter()
        .flat_map(|sent| sent.names.iter());
    let cookies: Vec<&str> = sent.map(String::as_str).collect();
    let user = meant_user(ctx);
    let record = AccessRecord {
        time: ctx.snapshot.clock.wall(),
        id: ctx.request_id.as_str(),
        trace: Some(ctx.trace),
        asked: asked(session, ctx),
        person: Person {
            user: user.as_deref(),
            ..person(ctx)
        },
        answer: answer(session, error, ctx),
        upstream: Upstreamed {
            upstream: upstream_name(ctx),
            attempts: ctx.attempt.number,
            bypassed: ctx.answered.bypassed,
            reused: ctx.attempt.reused,
            cookies: &cookies,
        },
        spent: Spent {
            tokens: said.map(|said| metering::tokens(&said.usage)),
            ..spent(session, ctx)
        },
    };
    ctx.snapshot.finish(&record);
    note_failed(&record, ctx);
    bill::write(ctx, &record, taken.as_ref());
    if error.is_some() && ctx.answered.told {
        relay::keep(session, &ctx.custody);
    }
}

/// Says once of a request whose memory it goes up for.
pub(super) fn audit(ctx: &mut RequestCtx) {
    let Some(admitted) = &ctx.admitted else {
        return;
    };
    let (Memory::Of(meant), Some(caller)) = (&admitted.memory, &admitted.caller) else {
        return;
    };
    if matches!(admitted.way, Way::LiteLlm { .. }) {
        // It was turned there, past the router.
        return;
    }
    if std::mem::replace(&mut ctx.answered.audited, true) {
        return;
    }
    let record = AuditRecord {
        time: ctx.snapshot.clock.wall(),
        id: ctx.request_id.as_str(),
        caller: caller.name(),
        user: &ctx.snapshot.pseudonyms.of(meant.user.as_str()),
        by: meant.by.as_str(),
        model: admitted.model.as_deref(),
    };
    record.write();
}

/// Somebody was not served because of the place where the last attempt went.
fn note_failed(record: &AccessRecord<'_>, ctx: &RequestCtx) {
    let recent = ctx.snapshot.metrics.recent();
    if let (Some("error"), Some(at)) = (record.person.memory, record.upstream.upstream) {
        recent.went_wrong(at, "memory_error", record.id, record.time);
        recent.led_round(at, who(ctx), record.time);
    }
    let left = ctx.answered.client_left;
    let served = ctx
        .answered
        .outcome
        .is_some_and(|outcome| WELL.contains(&outcome));
    if let (false, Some(at)) = (left || served, record.upstream.upstream) {
        recent.failed(at, who(ctx), record.time);
    }
}

fn note_departure(ctx: &RequestCtx) {
    if !ctx.answered.client_left {
        return;
    }
    ctx.snapshot.metrics.client_left();
    if let Some(guest) = &ctx.guest {
        guest.gave_up();
    }
}

/// An answer that began well and said an error in its stream is no good answer.
fn note_error_event(ctx: &mut RequestCtx) {
    let Some(kind) = ctx.answered.stream.as_ref().and_then(Tail::seen_error) else {
        return;
    };
    ctx.answered.broken_stream.get_or_insert(kind.as_str());
    ctx.answered.outcome = Some(Outcome::ErrorEvent { kind }.as_str());
}

/// Counts the last attempt; the earlier ones were counted when they were judged.
pub(super) fn note_attempt(ctx: &RequestCtx) {
    if ctx.attempt.number == 0 || ctx.answered.turned_away.is_some() {
        return;
    }
    let outcome = ctx.answered.outcome.unwrap_or(if ctx.answered.client_left {
        "client_left"
    } else {
        "answered"
    });
    if let Some(metrics) = ctx.upstream_metrics() {
        metrics.attempted(outcome);
    }
    note_trouble(ctx);
}

/// Tells where it went how it went there.
fn note_trouble(ctx: &RequestCtx) {
    let Some(at) = upstream_name(ctx) else { return };
    let (now, recent) = (ctx.snapshot.clock.wall(), ctx.snapshot.metrics.recent());
    match (ctx.answered.outcome, ctx.answered.failure) {
        // It says which of the reasons it was.
        (Some("unusable") | None, Some(failure)) => {
            recent.went_wrong(at, failure.as_str(), ctx.request_id.as_str(), now);
        }
        (Some(outcome), _) if WELL.contains(&outcome) => recent.went_well(at),
        (Some(outcome), _) => recent.went_wrong(at, outcome, ctx.request_id.as_str(), now),
        (None, None) => {}
    }
}

/// Who asks: the person whose memory is meant, else whose key it is.
pub(super) fn who(ctx: &RequestCtx) -> &str {
    let admitted = ctx.admitted.as_ref();
    let user = admitted.and_then(|admitted| admitted.memory.user());
    let user = user.map(MemoryUser::as_str);
    user.or(person(ctx).caller).unwrap_or("anonymous")
}

fn asked<'a>(session: &'a Session, ctx: &'a RequestCtx) -> Asked<'a> {
    let head = session.req_header();
    let admitted = ctx.admitted.as_ref();
    Asked {
        method: head.method.as_str(),
        path: head.uri.path(),
        protocol: if head.version == Version::HTTP_2 {
            "HTTP/2"
        } else {
            "HTTP/1.1"
        },
        dialect: ctx.dialect.as_str(),
        model: admitted.and_then(|admitted| admitted.model.as_deref()),
        stream: admitted.is_some_and(|admitted| admitted.stream),
    }
}

/// As others may read it.
fn meant_user(ctx: &RequestCtx) -> Option<Cow<'_, str>> {
    let user = ctx.admitted.as_ref()?.memory.user()?;
    Some(ctx.snapshot.pseudonyms.of(user.as_str()))
}

/// But for the user.
fn person(ctx: &RequestCtx) -> Person<'_> {
    Person {
        caller: ctx
            .admitted
            .as_ref()
            .and_then(|admitted| admitted.caller.as_ref())
            .map(|caller| &**caller.name()),
        user: None,
        memory: ctx.answered.memory,
    }
}

fn answer<'a>(session: &Session, error: Option<&Error>, ctx: &'a RequestCtx) -> Answer<'a> {
    let status = session
        .response_written()
        .map_or(0, |head| head.status.as_u16());
    let outcome = match (
        ctx.answered.client_left,
        ctx.answered.broken_stream,
        ctx.answered.refused,
        error,
    ) {
        (true, ..) => "client_left",
        (_, Some(_), ..) => "broken",
        (_, _, Some(_), _) if ctx.attempt.number == 0 => "refused",
        (_, _, None, None) if status < 400 => "ok",
        _ => "failed",
    };
    Answer {
        route: match ctx.admitted.as_ref().map(|admitted| &admitted.way) {
            _ if ctx.answered.bypassed.is_some() => RouteLabel::Bypass,
            Some(Way::Direct(way)) if way.errand.is_litellms() => RouteLabel::Egress,
            Some(Way::Direct(_)) => RouteLabel::Direct,
            Some(Way::LiteLlm { .. }) => RouteLabel::LiteLlm,
            None => RouteLabel::Local,
        },
        status,
        outcome,
        reason: ctx
            .answered
            .broken_stream
            .or(ctx.answered.refused)
            .or(ctx.answered.outcome.filter(|word| *word != "ok")),
        body: ctx
            .admitted
            .as_ref()
            .and_then(|admitted| admitted.held.as_ref())
            .map(|held| held.mode.as_str()),
    }
}

fn upstream_name(ctx: &RequestCtx) -> Option<&str> {
    match &ctx.admitted.as_ref()?.way {
        Way::Direct(way) => Some(way.upstream.name()),
        Way::LiteLlm { .. } => Some("litellm"),
    }
}

fn spent(session: &Session, ctx: &RequestCtx) -> Spent {
    let now = ctx.snapshot.clock.now();
    let first_byte = ctx
        .answered
        .head_at
        .map(|at| at.saturating_duration_since(ctx.started));
    Spent {
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        total: now.saturating_duration_since(ctx.started),
        first_byte,
        overhead: ctx.answered.overhead,
        connect: ctx.attempt.connect,
        queue_wait: Some(ctx.answered.queued).filter(|wait| !wait.is_zero()),
        tokens: None,
    }
}
