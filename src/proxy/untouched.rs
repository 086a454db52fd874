//! What passes to LiteLLM as it is, and does it really have to?

use pingora_proxy::Session;

use super::admission::authenticate;
use super::body::{self, Unread};
use super::context::{Admitted, RequestCtx, Way};
use super::direct;
use super::parcel::{self, Parcel};
use super::target::is_inference;
use crate::auth::Caller;
use crate::body::Envelope;
use crate::config::Expose;
use crate::gateway::Rejection;
use crate::routing::{DirectModel, Route};

/// A request of any path, its body streamed. `model`: the one that the path names.
pub(super) async fn stream(
    session: &mut Session,
    ctx: &RequestCtx,
    model: Option<&str>,
) -> Result<Admitted, Unread> {
    let path = session.req_header().uri.path();
    if ctx.snapshot.config.litellm.expose == Expose::Inference && !is_inference(path) {
        return Err(Rejection::NotExposed.into());
    }
    let embeds = path.ends_with("/embeddings");
    let route = model.map(|model| ctx.snapshot.routes.resolve(model, 0.0));
    if let Some((route, direct)) = route.as_ref().and_then(with_direct) {
        if embeds {
            authenticate(session, ctx, Some(route)).await?;
            return Err(direct::no_endpoint(route, direct).into());
        }
        ctx.snapshot.note_direct_elsewhere(direct);
    }
    let caller = caller(session, ctx).await?;
    body::invite(session).await?;
    Ok(Admitted {
        model: model.map(str::to_owned),
        feed: Some(parcel::feed(ctx, None)),
        ..to_litellm(ctx, caller)
    })
}

/// A request for inference that direct models do not do. Its body is held: the model stands in it. One that
/// cannot be read is LiteLLM's to judge.
pub(super) async fn held(session: &mut Session, ctx: &RequestCtx) -> Result<Admitted, Unread> {
    let snapshot = &ctx.snapshot;
    let limits = &snapshot.config.limits;
    let (sent, share) = body::read(session, limits, &snapshot.bodies).await?;
    let parcel = Parcel::open(session, sent, share, limits.body).await?;
    let envelope = Envelope::scan(parcel.plain()).ok();
    let route = envelope
        .as_ref()
        .map(|envelope| snapshot.routes.resolve(&envelope.model, 0.0));
    if let Some((route, direct)) = route.as_ref().and_then(with_direct) {
        authenticate(session, ctx, Some(route)).await?;
        return Err(direct::no_endpoint(route, direct).into());
    }
    let caller = caller(session, ctx).await?;
    let (feed, held) = parcel.unchanged(ctx);
    Ok(Admitted {
        stream: envelope.as_ref().is_some_and(|envelope| envelope.stream),
        model: envelope.map(|envelope| envelope.model),
        feed: Some(feed),
        held: Some(held),
        ..to_litellm(ctx, caller)
    })
}

fn with_direct(route: &Route) -> Option<(&Route, &DirectModel)> {
    Some((route, route.direct()?))
}

/// LiteLLM knows its callers itself, unless our key takes the place of theirs.
async fn caller(session: &Session, ctx: &RequestCtx) -> Result<Option<Caller>, Rejection> {
    match &ctx.snapshot.config.litellm.api_key {
        Some(_) => authenticate(session, ctx, None).await.map(Some),
        None => Ok(None),
    }
}

fn to_litellm(ctx: &RequestCtx, caller: Option<Caller>) -> Admitted {
    Admitted {
        way: Way::litellm(&ctx.snapshot),
        caller,
        user: None,
        model: None,
        stream: false,
        betas: Vec::new(),
        feed: None,
        held: None,
        translation: None,
    }
}
