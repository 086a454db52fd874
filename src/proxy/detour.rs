//! How does a request go round its lane? To the provider itself or to LiteLLM, and without the router's memory.

use std::sync::Arc;

use bytes::Bytes;

use super::context::{BodyMode, DirectWay, Memory, RequestCtx, Way};
use super::parcel::Parcel;
use super::{passage, record};
use crate::auth::Caller;
use crate::body::Envelope;
use crate::config::Bypass;
use crate::gateway::{DirectUpstream, Setting, Snapshot};
use crate::routing::Route;

/// Why a session goes round that was turned before.
pub(super) const STICKY: &str = "sticky";
/// Why all go round.
const OPERATOR: &str = "operator";

/// Another way to the same model.
pub(super) enum Detour {
    Provider(Arc<DirectUpstream>),
    /// With the body as LiteLLM wants it.
    LiteLlm(Original),
}

/// A body before its model was renamed for the provider.
pub(super) struct Original {
    pub bytes: Bytes,
    pub mode: BodyMode,
    /// Where the model stands in it, and LiteLLM's name for it where that is another.
    pub rename: Option<(Envelope, Arc<str>)>,
}

impl Detour {
    /// The other way that the configuration has for a model behind the router.
    pub(super) fn of(
        snapshot: &Snapshot,
        route: &Route,
        caller: Option<&Caller>,
        parcel: &Parcel,
        envelope: &Envelope,
    ) -> Option<Self> {
        let model = route.direct()?;
        if snapshot.valve.bypass(snapshot.clock.now()) == Some(Setting::Off) {
            return None;
        }
        let litellm = &snapshot.config.litellm;
        // LiteLLM would refuse a key of ours, and keep a confined one to no list.
        let may_turn_there = caller.is_none_or(|caller| {
            let stood_in_for = litellm.api_key.is_some();
            (stood_in_for || !caller.is_listed())
                && !(envelope.other_models && caller.is_confined())
        });
        match snapshot.config.direct.bypass {
            Bypass::Provider => snapshot
                .bypass_of(model)
                .filter(|upstream| !upstream.is_out_of_reach())
                .map(|upstream| Self::Provider(Arc::clone(upstream))),
            Bypass::LiteLlm
                if model.target.router && !litellm.urls.is_empty() && may_turn_there =>
            {
                Some(Self::LiteLlm(parcel.original(envelope, &route.name)))
            }
            Bypass::LiteLlm | Bypass::None => None,
        }
    }
}

impl Original {
    fn into_body(self) -> (Bytes, BodyMode) {
        match self.rename {
            Some((envelope, name)) => (envelope.splice(&self.bytes, &name), self.mode),
            None => (self.bytes, self.mode),
        }
    }
}

/// Turns the request to its other way; `false` where it has none. A session that was turned stays there for a
/// while: its prompt cache is not to be lost twice.
pub(super) fn take(ctx: &mut RequestCtx, reason: &'static str) -> bool {
    let session = ctx.direct().and_then(DirectWay::sticky_key);
    let taken = turn(ctx, reason);
    if let (true, Some(session)) = (taken, session) {
        let now = ctx.snapshot.clock.now();
        ctx.snapshot.sticky.note(session, now);
    }
    taken
}

/// Turns a session that was turned before, as long as its other way is open, and everybody where an operator says so.
pub(super) fn keep(ctx: &mut RequestCtx) {
    let now = ctx.snapshot.clock.now();
    if ctx.snapshot.valve.bypass(now) == Some(Setting::On) {
        turn(ctx, OPERATOR);
        return;
    }
    let Some(way) = ctx.direct() else { return };
    let stays = |session| ctx.snapshot.sticky.holds(session, now);
    if !way.sticky_key().is_some_and(stays) {
        return;
    }
    let open = match &way.detour {
        Some(Detour::Provider(upstream)) => upstream.lane.view().pause_remaining().is_zero(),
        Some(Detour::LiteLlm(_)) => true,
        None => false,
    };
    if open {
        turn(ctx, STICKY);
    }
}

impl DirectWay {
    /// One session of one caller, on the lane that it would take.
    fn sticky_key(&self) -> Option<u64> {
        let session = self.fairness.session?;
        Some(passage::hash((
            self.upstream.name(),
            self.fairness.caller,
            session,
        )))
    }
}

fn turn(ctx: &mut RequestCtx, reason: &'static str) -> bool {
    let led_round = record::who(ctx).to_owned();
    let Some(admitted) = ctx.admitted.as_mut() else {
        return false;
    };
    let Way::Direct(way) = &mut admitted.way else {
        return false;
    };
    let Some(detour) = way.detour.take() else {
        return false;
    };
    way.upstream.lane_metrics.bypassed(reason);
    let (recent, now) = (ctx.snapshot.metrics.recent(), ctx.snapshot.clock.wall());
    recent.led_round(way.upstream.name(), &led_round, now);
    // Held for the lane that it was to take.
    ctx.attempt.permit = None;
    ctx.answered.bypassed = Some(reason);
    ctx.answered.memory = way.is_router().then_some("bypassed");
    match detour {
        Detour::Provider(upstream) => {
            admitted.memory = Memory::None;
            way.upstream = upstream;
            way.leave_router();
        }
        Detour::LiteLlm(original) => {
            let (bytes, mode) = original.into_body();
            if let (Some(held), Some(feed)) = (&mut admitted.held, &admitted.feed) {
                held.length = bytes.len();
                held.mode = mode;
                feed.lock().replace(bytes);
            }
            // LiteLLM translates by itself.
            admitted.translation = None;
            admitted.way = Way::litellm(&ctx.snapshot);
        }
    }
    true
}
