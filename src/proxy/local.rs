//! What does the gateway answer by itself? Health, the memory user's origin, the model list, the probe.

use bytes::Bytes;
use pingora_proxy::Session;
use serde_json::json;

use super::admission::{identify, presented};
use super::body::Unread;
use super::context::{RequestCtx, names};
use super::target::Target;
use super::{client, direct, reply};
use crate::auth::{Caller, Refusal};
use crate::gateway::Rejection;
use crate::routing::{Model, ModelList, Page, qualified};

/// Answers one of the gateway's own paths.
pub(super) async fn answer(
    session: &mut Session,
    ctx: &RequestCtx,
    target: &Target,
) -> Result<(), Unread> {
    let body = match target {
        Target::Health => health(session, ctx).to_string(),
        Target::MemoryRouting => memory_routing(session, ctx).await?,
        Target::Server => {
            let said = reply::methods(session, ctx).await;
            return said.map_err(Unread::Gone);
        }
        Target::Models => models(session, ctx, None).await?,
        Target::Model(id) => models(session, ctx, Some(id)).await?,
        _ => String::new(),
    };
    reply::json(session, ctx, Bytes::from(body))
        .await
        .map_err(Unread::Gone)
}

/// The predecessor's words; LiteLLM's address is shown to those who sit beside it or hold the admin key.
fn health(session: &Session, ctx: &RequestCtx) -> serde_json::Value {
    let config = &ctx.snapshot.config;
    let trusted = client::peer(session).is_some_and(|ip| ip.is_loopback())
        && !is_forwarded(session)
        || config.admin_key.is_some() && is_operators(session, ctx);
    let url = config.litellm.urls.first().map(ToString::to_string);
    let shown = if trusted {
        url
    } else {
        url.map(|_| "configured".to_owned())
    };
    json!({"status": "healthy", "memory_router": true, "litellm_base_url": shown})
}

fn is_operators(session: &Session, ctx: &RequestCtx) -> bool {
    let config = &ctx.snapshot.config;
    let from = client::address(session, &config.trusted_proxies);
    let presented = presented(session).at(from);
    let keys = config.admin_key.iter();
    ctx.snapshot.keys.admit_operator(&presented, keys).is_ok()
}

/// For the caller's key and headers. Whom the configuration maps what to is no stranger's business.
async fn memory_routing(session: &Session, ctx: &RequestCtx) -> Result<String, Rejection> {
    let caller = identify(session, ctx).await.map_err(Rejection::Caller)?;
    let standing = direct::standing(Some(&caller));
    let headers = &session.req_header().headers;
    let info = ctx.snapshot.identity.info(headers, standing);
    serde_json::to_string(&info)
        .map_err(|_unserialisable| Rejection::Upstream(crate::gateway::Failure::Internal))
}

/// LiteLLM's list and the direct models that the caller may use; what we know when LiteLLM cannot be asked.
async fn models(
    session: &Session,
    ctx: &RequestCtx,
    id: Option<&str>,
) -> Result<String, Rejection> {
    let head = session.req_header();
    let caller = identify(session, ctx).await;
    let theirs = litellm_models(session, ctx, &caller).await?;
    let caller = caller.ok();
    let known = ctx
        .snapshot
        .routes
        .models()
        .iter()
        .filter(|model| match &caller {
            Some(caller) => caller
                .may_use(&[&model.name], qualified(&model.name).as_deref())
                .is_ok(),
            None => theirs.is_none(),
        });
    let list = ModelList::merge(known, theirs.as_deref());
    let anthropic = head.headers.contains_key(names::ANTHROPIC_VERSION);
    let shown = match (id, anthropic) {
        (None, true) => Some(list.anthropic(&Page::of_query(head.uri.query()))),
        (None, false) => Some(list.openai()),
        (Some(id), true) => list.one(id).map(Model::anthropic),
        (Some(id), false) => list.one(id).map(Model::openai),
    };
    shown
        .map(|json| json.to_string())
        .ok_or_else(|| Rejection::UnknownModel(id.unwrap_or_default().to_owned()))
}

/// LiteLLM's list as the caller may see it; `None` when it cannot be had.
async fn litellm_models(
    session: &Session,
    ctx: &RequestCtx,
    caller: &Result<Caller, Refusal>,
) -> Result<Option<Bytes>, Rejection> {
    let key = match (&ctx.snapshot.config.litellm.api_key, caller) {
        (_, Err(refusal @ (Refusal::Missing | Refusal::TooManyFailures { .. })))
        | (Some(_), Err(refusal)) => return Err(Rejection::Caller(*refusal)),
        (Some(ours), Ok(_)) => Some(ours.clone()),
        // A key that LiteLLM has never heard of.
        (None, Ok(caller)) if caller.is_listed() => None,
        (None, _) => presented(session).first(),
    };
    let Some(key) = key else {
        return Ok(None);
    };
    match ctx.snapshot.litellm.api.get("/v1/models", &key).await {
        Ok(reply) if reply.status == 401 || reply.status == 403 => {
            Err(Rejection::Caller(Refusal::Unknown))
        }
        Ok(reply) => Ok((reply.status == 200).then_some(reply.body)),
        Err(_unreachable) => Ok(None),
    }
}

/// Somebody on this machine speaks for a client elsewhere.
fn is_forwarded(session: &Session) -> bool {
    let headers = &session.req_header().headers;
    ["x-forwarded-for", "forwarded", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name))
}
