//! May an attempt go up its lane now? It passes, waits in line, goes round the lane, or is turned away.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::context::{DirectWay, RequestCtx, TurnedAway};
use super::detour::STICKY;
use super::{detour, forward};
use crate::cookies::Site;
use crate::upstream::lane::{Asker, Entry, Patience, Permit, Refusal};

const JITTER: f64 = 0.2;
const JITTER_MAX: Duration = Duration::from_secs(5);

/// What makes a queue fair; read once of each request.
#[derive(Clone, Copy, Default)]
pub(super) struct Fairness {
    pub caller: u64,
    /// `None`: the client speaks of none.
    pub session: Option<u64>,
    background: bool,
    /// The client itself sends it again.
    repeated: bool,
}

impl Fairness {
    /// `caller` is whoever shall have a turn of his own.
    pub(super) fn of(headers: &HeaderMap, caller: impl Hash) -> Self {
        let is = |name, value: &[u8]| {
            headers
                .get(name)
                .is_some_and(|said| said.as_bytes() == value)
        };
        let count = headers.get("x-stainless-retry-count");
        Self {
            caller: hash(caller),
            session: session_of(headers),
            background: is("x-app", b"cli-bg"),
            repeated: count.is_some_and(|count| count.as_bytes() != b"0"),
        }
    }
}

/// Claude Code's session, and the agent in it.
fn session_of(headers: &HeaderMap) -> Option<u64> {
    let id = headers.get("x-claude-code-session-id")?;
    Some(hash((id, headers.get("x-claude-code-agent-id"))))
}

pub(super) fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Takes the permit that the attempt needs, as long as that takes; a client that leaves meanwhile gives up its
/// place. Where the lane does not let it pass, the request goes round it or is turned away.
pub(super) async fn pass(session: &mut Session, ctx: &mut RequestCtx) -> Result<()> {
    // A second look at the pool is the same attempt.
    while ctx.attempt.permit.is_none() {
        let Some(way) = ctx.direct() else {
            return Ok(());
        };
        let asker = asker(ctx, way);
        let refusal = match way.upstream.lane.enter(asker) {
            Entry::Go(permit) => {
                go(ctx, permit);
                continue;
            }
            Entry::Wait(place) => match stand_in_line(session, ctx, place.granted()).await? {
                Ok(permit) => {
                    go(ctx, permit);
                    continue;
                }
                Err(refusal) => refusal,
            },
            Entry::Refused(refusal) => refusal,
        };
        note(ctx, refusal);
        if !detour::take(ctx, word(refusal)) {
            return turn_away(ctx, refusal);
        }
    }
    Ok(())
}

fn go(ctx: &mut RequestCtx, permit: Permit) {
    ctx.attempt.permit = Some(Arc::new(permit));
    if let Some(way) = ctx.direct_mut() {
        way.attempts += 1;
    }
}

fn asker(ctx: &RequestCtx, way: &DirectWay) -> Asker {
    let fairness = way.fairness;
    // Whoever has just been turned never asked this lane before, however often the client sent it.
    let newcomer = ctx.answered.bypassed.is_some_and(|why| why != STICKY);
    Asker {
        caller: fairness.caller,
        session: fairness.session.unwrap_or_default(),
        background: fairness.background,
        retry: way.attempts > 0 || fairness.repeated && !newcomer,
        lacks_cookies: lacks_cookies(ctx, way),
        patience: if way.detour.is_some() {
            Patience::Bypass
        } else {
            Patience::Queue
        },
        waited: ctx.answered.queued,
    }
}

fn lacks_cookies(ctx: &RequestCtx, way: &DirectWay) -> bool {
    way.upstream.lane.demands(|| {
        let site = Site {
            host: way.upstream.host(),
            path: way.uri.path(),
            secure: true,
        };
        let cookies = way.upstream.jar.header(&site, ctx.snapshot.clock.wall());
        move |name: &str| {
            let sent = cookies.as_ref().map(|cookies| &cookies.names);
            sent.is_some_and(|sent| sent.iter().any(|sent| sent == name))
        }
    })
}

async fn stand_in_line(
    session: &mut Session,
    ctx: &mut RequestCtx,
    granted: impl Future<Output = Result<Permit, Refusal>>,
) -> Result<Result<Permit, Refusal>> {
    let began = ctx.snapshot.clock.now();
    let patience = ctx.snapshot.config.direct.queue.timeout;
    if let Some(feed) = ctx.feed() {
        // The upstream owes nothing meanwhile.
        feed.lock()
            .rewind(Duration::ZERO, Instant::now() + patience);
    }
    let granted = forward::wait_for(session, ctx, granted).await;
    let waited = ctx.snapshot.clock.now().saturating_duration_since(began);
    ctx.answered.queued += waited;
    granted
}

/// Nothing went up this time.
fn turn_away(ctx: &mut RequestCtx, refusal: Refusal) -> Result<()> {
    ctx.attempt.number -= 1;
    ctx.answered.turned_away = Some(TurnedAway {
        retry_after: spread(refusal.retry_after()),
        certain: !ctx.answered.may_have_been_written,
    });
    ctx.answered.outcome = Some(word(refusal));
    Error::e_explain(ErrorType::ConnectError, word(refusal))
}

/// A wait and up to a fifth of it, so that those who are told together do not come back together.
pub(super) fn spread(wait: Duration) -> Duration {
    let most = wait.mul_f64(JITTER).min(JITTER_MAX);
    wait + most.mul_f64(fastrand::f64())
}

/// A pause tells of itself; a lane without room is known by those who find none.
fn note(ctx: &RequestCtx, refusal: Refusal) {
    if let (Some(way), Refusal::Full { .. } | Refusal::QueueFull { .. }) = (ctx.direct(), refusal) {
        let (recent, now) = (ctx.snapshot.metrics.recent(), ctx.snapshot.clock.wall());
        let request = ctx.request_id.as_str();
        recent.went_wrong(way.upstream.name(), word(refusal), request, now);
    }
}

fn word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Paused { .. } => "lane_paused",
        Refusal::Down { .. } => "lane_down",
        Refusal::Full { .. } => "lane_full",
        Refusal::QueueFull { .. } => "queue_full",
    }
}
