//! How does an attempt go up? Chooses the server, waits where a retry must, and hands the body over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::context::{RequestCtx, Way};
use super::{failure, passage, relay};
use crate::gateway::Failure;
use crate::upstream::Phase;
use crate::upstream::peer::litellm_peer;
use crate::upstream::shares::Shares;

/// How long an upload waits for an early answer beyond the round trip, and at most.
const EARLY_ANSWER_SLACK: Duration = Duration::from_millis(20);
const EARLY_ANSWER_MAX: Duration = Duration::from_millis(60);

/// The peer of the next attempt, after the wait that the last one earned.
pub(super) async fn next_attempt(
    session: &mut Session,
    ctx: &mut RequestCtx,
) -> Result<Box<HttpPeer>> {
    if let Some(wait) = ctx.answered.wait.take() {
        if let Some(feed) = ctx.feed() {
            // The upstream owes nothing meanwhile.
            let over = Instant::now() + wait;
            feed.lock().rewind(Duration::ZERO, over);
        }
        let over = ctx.snapshot.clock.sleep(wait);
        wait_for(session, ctx, over).await?;
    }
    ctx.attempt = super::context::Attempt {
        number: ctx.attempt.number + 1,
        looks: ctx.attempt.looks,
        permit: ctx.attempt.permit.take(),
        ..Default::default()
    };
    ctx.answered.head_at = None;
    let peer = loop {
        passage::pass(session, ctx).await?;
        match choose_peer(ctx).await {
            Ok(peer) => break peer,
            // Without an address the other way is left, if there is one.
            Err(error) if !unresolved_goes_on(ctx) => return Err(error),
            Err(_) => {}
        }
    };
    ctx.attempt.chosen_at = Some(ctx.snapshot.clock.now());
    ctx.attempt.address = peer._address.as_inet().copied();
    if let Some(feed) = ctx.feed() {
        feed.lock().rewind(Duration::ZERO, Instant::now());
        if !session.downstream_session.is_custom() {
            relay::wrap(session, feed, &ctx.custody, &ctx.in_flight);
        }
    }
    Ok(Box::new(peer))
}

fn unresolved_goes_on(ctx: &mut RequestCtx) -> bool {
    ctx.answered.failure == Some(Failure::Unresolved) && failure::goes_on(ctx, Phase::Unusable)
}

/// A client that leaves ends the wait, and so does the gateway when it stops.
pub(super) async fn wait_for<T>(
    session: &mut Session,
    ctx: &mut RequestCtx,
    wait: impl Future<Output = T>,
) -> Result<T> {
    let left = tokio::select! {
        // First: others that end make room, and the relay would take it for the client's departure.
        biased;
        () = ctx.in_flight.time_up() => {
            ctx.answered.failure = Some(Failure::Stopping { sent: false });
            return Error::e_explain(ErrorType::InternalError, "stopping");
        }
        over = wait => return Ok(over),
        left = session.downstream_session.read_body_or_idle(true) => left,
    };
    ctx.answered.client_left = true;
    match left {
        Err(error) => Err(error.into_down()),
        Ok(_) => Error::e_explain(ErrorType::ConnectionClosed, "the client spoke out of turn")
            .map_err(|e| e.into_down()),
    }
}

/// So often a request looks for a connection that others opened; then it opens its own.
const LOOKS: u32 = 5;

async fn choose_peer(ctx: &mut RequestCtx) -> Result<HttpPeer> {
    let snapshot = Arc::clone(&ctx.snapshot);
    let Some(admitted) = ctx.admitted.as_mut() else {
        return Error::e_explain(ErrorType::InternalError, "not admitted");
    };
    let chosen = match &mut admitted.way {
        Way::Direct(way) => {
            let (server, looks) = (&way.upstream.server, ctx.attempt.looks);
            ctx.attempt.opener = (looks < LOOKS).then(|| server.opener(looks)).flatten();
            server
                .peer(ctx.attempt.opener.clone())
                .ok_or(Failure::Unresolved)
        }
        Way::LiteLlm { tried, .. } => match snapshot.litellm.backends.choose(tried) {
            Some(replica) => {
                tried.push(replica.address);
                let mut peer = litellm_peer(
                    &replica.base.origin,
                    replica.address,
                    &snapshot.config.limits,
                );
                peer.group_key = Shares::of(&snapshot.config.server).own() as u64;
                if admitted.feed.is_some() {
                    // The relay watches, at the price of one timer and not of one for each read.
                    peer.options.read_timeout = None;
                }
                ctx.attempt.replica = Some(replica);
                Ok(peer)
            }
            None => Err(Failure::LiteLlmDown),
        },
    };
    chosen.map_err(|failure| {
        ctx.answered.failure = Some(failure);
        ctx.answered.outcome = Some(failure.as_str());
        Error::explain(ErrorType::ConnectError, failure.as_str())
    })
}

/// Called when a connection is there.
pub(super) fn connected(ctx: &mut RequestCtx, reused: bool, digest: Option<&Digest>) {
    ctx.attempt.reused = Some(reused);
    let now = ctx.snapshot.clock.now();
    let chosen_at = ctx.attempt.chosen_at;
    ctx.attempt.connect = chosen_at.map(|at| now.saturating_duration_since(at));
    if let Some(metrics) = ctx.upstream_metrics() {
        metrics.connected(reused);
    }
    if let Some(permit) = &ctx.attempt.permit {
        permit.sent();
    }
    let Some(feed) = ctx.feed() else { return };
    let mut feed = feed.lock();
    if ctx.direct().is_some() {
        let pause = (round_trip(digest) + EARLY_ANSWER_SLACK).min(EARLY_ANSWER_MAX);
        feed.rewind(pause, Instant::now());
    }
    feed.pace_by(digest.and_then(|digest| digest.socket_digest.clone()));
}

fn round_trip(digest: Option<&Digest>) -> Duration {
    let micros = digest
        .and_then(|digest| digest.socket_digest.as_ref())
        .and_then(|socket| socket.tcp_info())
        .map_or(0, |info| info.tcpi_rtt);
    Duration::from_micros(u64::from(micros))
}

/// Mends what Pingora would write wrongly of a body.
pub(super) fn pass_body(body: &mut Option<Bytes>, end: bool, ctx: &RequestCtx) -> Result<()> {
    let empty = body.as_ref().is_some_and(Bytes::is_empty);
    if let Some(feed) = ctx.feed()
        && ctx.attempt.http2
        && (empty || body.is_none())
        && feed.lock().is_stopped()
    {
        // Ends the upload without END_STREAM; Pingora swallows the error and reads the answer on.
        return Error::e_explain(ErrorType::InternalError, "answered early")
            .map_err(|e| e.into_up());
    }
    if empty && end {
        // Written to a chunked upstream it would be a second terminator.
        *body = None;
    }
    Ok(())
}
