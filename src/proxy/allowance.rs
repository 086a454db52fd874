//! What may this key still spend? Asked when caller and model are known, told in the answer's head, charged at its end.
//!
//! Whoever proved to us who it is is counted, whichever way its request goes. On the way to LiteLLM that is so where a
//! key of ours takes the place of the client's; else LiteLLM knows and counts its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::metering::{self, Taken};
use super::upstream_head::remove_prefixed;
use crate::auth::Caller;
use crate::clock::stamp;
use crate::gateway::Rejection;
use crate::limits::{Admission, Holder, Standing, Window};
use crate::routing::Route;
use crate::translate::spoken_duration;
use crate::wire::Dialect;

/// Of the limit, of what remains, and of when all of it is there again.
type Names = [HeaderName; 3];

/// The names of both limits' headers, by dialect.
const OPENAI: [Names; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];
const ANTHROPIC: [Names; 2] = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
];

/// How all headers begin that say what is left.
const ALL: [&str; 2] = ["anthropic-ratelimit-", "x-ratelimit-"];

/// Lets the request in by its key's limits. Of the model the price is taken. Who needs no key has no account.
pub(super) fn ask(
    session: &Session,
    ctx: &RequestCtx,
    caller: Option<&Caller>,
    route: Option<&Route>,
) -> Result<Option<Admission>, Rejection> {
    let Some(caller) = caller.filter(|caller| !caller.is_anonymous()) else {
        return Ok(None);
    };
    if caller.limits().counts_tokens() && session.is_upgrade_req() {
        return Err(Rejection::Uncounted);
    }
    let prices = &ctx.snapshot.config.prices;
    let known = route.and_then(|route| prices.of(route.names().chain(route.model.as_deref())));
    let holder = Holder {
        name: caller.name(),
        limits: caller.limits(),
    };
    let price = known.unwrap_or_else(|| prices.dearest());
    let (accounts, expected) = (&ctx.snapshot.accounts, metering::expected(session));
    let admitted = accounts.admit(caller.id(), &holder, price, &expected);
    admitted.map(Some).map_err(|refusal| {
        ctx.snapshot.metrics.limited(refusal.limit.as_str());
        Rejection::Limit(refusal)
    })
}

/// Charges what the answer took, at its end, and says it.
pub(super) fn settle(session: &Session, ctx: &RequestCtx) -> Option<Taken> {
    let admission = ctx.admitted.as_ref().and_then(|it| it.admission.as_ref());
    let taken = metering::taken(session, ctx, admission.is_some())?;
    if let Some(admission) = admission {
        admission.charge(&taken.usage);
    }
    Some(taken)
}

/// Says what is left to the key, in the place of what a provider said of ours. Whoever is refused is told in both
/// families of names: not every client looks for those of its dialect.
pub(super) fn tell(headers: &mut HeaderMap, ctx: &RequestCtx) {
    let wall = || ctx.snapshot.clock.wall();
    if let Some(standing) = &ctx.answered.limited {
        for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
            write(headers, standing, dialect, wall());
        }
        return;
    }
    let admitted = ctx.admitted.as_ref();
    let admission = admitted.and_then(|admitted| admitted.admission.as_ref());
    if let Some(admission) = admission.filter(|admission| admission.is_limited()) {
        remove_prefixed(headers, &ALL);
        write(headers, admission.standing(), ctx.dialect, wall());
    }
}

/// Everything that may be said of it.
pub(super) fn names() -> impl Iterator<Item = HeaderName> {
    OPENAI.into_iter().chain(ANTHROPIC).flatten()
}

fn write(headers: &mut HeaderMap, standing: &Standing, dialect: Dialect, wall: SystemTime) {
    let names = match dialect {
        Dialect::Anthropic => ANTHROPIC,
        Dialect::OpenAi => OPENAI,
    };
    let windows = [&standing.requests, &standing.tokens];
    for ([limit, remaining, reset], window) in names.into_iter().zip(windows) {
        let Some(window) = window else { continue };
        headers.insert(limit, window.limit.into());
        headers.insert(remaining, window.remaining.into());
        if let Ok(value) = HeaderValue::try_from(said_reset(window, dialect, wall)) {
            headers.insert(reset, value);
        }
    }
}

/// Anthropic says when, OpenAI how long until.
fn said_reset(window: &Window, dialect: Dialect, wall: SystemTime) -> String {
    match dialect {
        Dialect::Anthropic => {
            let when = wall.checked_add(window.reset).unwrap_or(wall);
            stamp(whole_second(when))
        }
        Dialect::OpenAi => spoken_duration(window.reset),
    }
}

/// Without the milliseconds, which Anthropic does not say; never too early.
fn whole_second(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let more = u64::from(since.subsec_nanos() > 0);
    UNIX_EPOCH + Duration::from_secs(since.as_secs() + more)
}
