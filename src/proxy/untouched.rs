//! What passes to LiteLLM as it is, and does it really have to?
//!
//! Nothing of it is held, whatever its size and coding. On the few paths whose body names a model that may be direct,
//! up to a mebibyte of a body that is not packed is looked at first, as far as `limits.bodies_in_flight` has room at
//! once; what was read goes up ahead of the rest. A model that stands further back, or in a packed body, is not seen:
//! LiteLLM judges it then. Only where a key of ours stands in for one that may not use or spend everything, the whole
//! body is read, as strictly as on the gateway's own route.

use http::{HeaderMap, Method, header};
use pingora_proxy::Session;

use super::admission::{authenticate, may_use, recognise};
use super::allowance;
use super::body::{self, Unread};
use super::context::{Admitted, Memory, RequestCtx, Way};
use super::direct;
use super::parcel::{self, Parcel};
use super::target::is_inference;
use crate::auth::{Caller, Refusal};
use crate::body::{Encoding, Envelope, Glance, ScanError};
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
    if asks_a_model(session) {
        confine(caller.as_ref(), route.as_ref())?;
    }
    let admission = allowance::ask(session, ctx, caller.as_ref(), route.as_ref())?;
    body::invite(session).await?;
    Ok(Admitted {
        model: model.map(str::to_owned),
        feed: Some(parcel::feed(ctx, None)),
        admission,
        ..to_litellm(ctx, caller)
    })
}

/// A request for inference that direct models do not do. Its model stands in the body, of which the beginning is
/// looked at; what cannot be read there is LiteLLM's to judge.
pub(super) async fn peeked(session: &mut Session, ctx: &RequestCtx) -> Result<Admitted, Unread> {
    let snapshot = &ctx.snapshot;
    let caller = caller(session, ctx).await?;
    let caller = match caller {
        Some(caller) if must_see_model(&caller) => return whole(session, ctx, caller).await,
        caller => caller,
    };
    body::invite(session).await?;
    let headers = &session.req_header().headers;
    let peeked = if matches!(Encoding::of(headers), Ok(Encoding::Identity)) {
        body::peek(session, &snapshot.config.limits, ctx.bodies()).await?
    } else {
        None
    };
    let seen = peeked.as_ref().map(|(beginning, _)| Glance::at(beginning));
    let Glance { model, stream } = seen.unwrap_or_default();
    let route = model
        .as_deref()
        .map(|model| snapshot.routes.resolve(model, 0.0));
    if let Some((route, direct)) = route.as_ref().and_then(with_direct) {
        authenticate(session, ctx, Some(route)).await?;
        return Err(direct::no_endpoint(route, direct).into());
    }
    let admission = allowance::ask(session, ctx, caller.as_ref(), route.as_ref())?;
    let feed = parcel::feed(ctx, None);
    if let Some((beginning, share)) = peeked {
        feed.lock().begin_with(beginning, share);
    }
    Ok(Admitted {
        stream,
        model,
        feed: Some(feed),
        admission,
        ..to_litellm(ctx, caller)
    })
}

/// The same for a caller whose model must be seen.
async fn whole(
    session: &mut Session,
    ctx: &RequestCtx,
    caller: Caller,
) -> Result<Admitted, Unread> {
    let (snapshot, limit) = (&ctx.snapshot, ctx.snapshot.config.limits.body);
    let (sent, share) = body::read(session, &snapshot.config.limits, ctx.bodies()).await?;
    let parcel = Parcel::open(session, sent, share, limit).await?;
    let envelope = match Envelope::scan(parcel.plain()) {
        Err(ScanError::NoModel) => None,
        scanned => Some(scanned.map_err(Rejection::Body)?),
    };
    let model = envelope.as_ref().map(|envelope| &*envelope.model);
    let route = model.map(|model| snapshot.routes.resolve(model, 0.0));
    confine(Some(&caller), route.as_ref())?;
    if let Some((route, direct)) = route.as_ref().and_then(with_direct) {
        return Err(direct::no_endpoint(route, direct).into());
    }
    if let Some(envelope) = &envelope {
        refuse_other_models(&session.req_header().headers, envelope, Some(&caller))?;
    }
    let admission = allowance::ask(session, ctx, Some(&caller), route.as_ref())?;
    let (feed, held) = parcel.hold_as_it_came(ctx);
    Ok(Admitted {
        stream: envelope.as_ref().is_some_and(|envelope| envelope.stream),
        model: envelope.map(|envelope| envelope.model),
        feed: Some(feed),
        held: Some(held),
        admission,
        ..to_litellm(ctx, Some(caller))
    })
}

/// LiteLLM serves our key whatever it asks for: nobody but us knows what this caller may.
fn must_see_model(caller: &Caller) -> bool {
    caller.is_confined() || caller.limits().usd_per_day.is_some()
}

/// Refuses a body that LiteLLM would read otherwise than we did, or in which it would find further models.
pub(super) fn refuse_other_models(
    headers: &HeaderMap,
    envelope: &Envelope,
    caller: Option<&Caller>,
) -> Result<(), Rejection> {
    let Some(caller) = caller.filter(|caller| must_see_model(caller)) else {
        return Ok(());
    };
    // LiteLLM looks for the word, where ever it stands.
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    if kinds.any(|kind| {
        kind.as_bytes()
            .to_ascii_lowercase()
            .windows(4)
            .any(|at| at == b"form")
    }) {
        return Err(Rejection::Form);
    }
    if envelope.other_models && caller.is_confined() {
        return Err(Rejection::Caller(Refusal::ModelNotAllowed));
    }
    Ok(())
}

fn with_direct(route: &Route) -> Option<(&Route, &DirectModel)> {
    Some((route, route.direct()?))
}

/// Reading and deleting name no model; a connection that is upgraded may.
fn asks_a_model(session: &Session) -> bool {
    let head = session.req_header();
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE];
    !reads.contains(&head.method) || head.headers.contains_key(header::UPGRADE)
}

/// Whom we let in with our own key at LiteLLM gets no model beyond its own list: none that is not seen.
fn confine(caller: Option<&Caller>, route: Option<&Route>) -> Result<(), Rejection> {
    match (caller, route) {
        // A list of models, for LiteLLM, where we see the betas of one.
        (Some(caller), Some(route)) if caller.is_confined() && !route.betas.is_empty() => {
            Err(Rejection::Caller(Refusal::ModelNotAllowed))
        }
        (Some(caller), Some(route)) => may_use(caller, route),
        (Some(caller), None) if caller.is_confined() => {
            Err(Rejection::Caller(Refusal::ModelNotAllowed))
        }
        _ => Ok(()),
    }
}

/// LiteLLM knows its callers itself, unless our key takes the place of theirs.
async fn caller(session: &Session, ctx: &RequestCtx) -> Result<Option<Caller>, Rejection> {
    let known = recognise(session, ctx);
    match (&ctx.snapshot.config.litellm.api_key, known) {
        (None, _) => Ok(None),
        (Some(_), Some(caller)) => Ok(Some(caller)),
        (Some(_), None) => authenticate(session, ctx, None).await.map(Some),
    }
}

fn to_litellm(ctx: &RequestCtx, caller: Option<Caller>) -> Admitted {
    Admitted {
        way: Way::litellm(&ctx.snapshot),
        caller,
        admission: None,
        memory: Memory::None,
        model: None,
        stream: false,
        betas: Vec::new(),
        feed: None,
        held: None,
        translation: None,
    }
}
