//! Where does a request of the egress port go? Read from its path alone, and only to hosts that the configuration allows.
//!
//! `/v3/PROVIDER/…` means the first allowed host, `/HOST/v3/PROVIDER/…` another one. Its Host is not believed.

use std::sync::Arc;

use http::{HeaderMap, Uri, header};
use pingora_proxy::Session;

use super::admission::refuse_two_framings;
use super::body::{self, Unread};
use super::context::{Admitted, DirectWay, Memory, RequestCtx, Way};
use super::detour::Detour;
use super::direct::without_user;
use super::errand::{Errand, LiteLlms};
use super::head_check::inspect;
use super::parcel;
use super::passage::Fairness;
use super::upstream_head::{PRIVATE, USER_AGENT, remove_prefixed};
use crate::body::Envelope;
use crate::config::{BaseUrl, Origin};
use crate::gateway::{Rejection, Snapshot};
use crate::wire::Dialect;

/// Headers that are between LiteLLM and us. Everything else, keys included, is the provider's.
const OURS: [&str; 4] = ["x-memgate-", "x-litellm-", "cf-", "x-forwarded-"];
/// What concerns the router alone.
pub(super) const ROUTERS: [&str; 2] = ["x-supermemory-", "x-sm-"];

pub(super) async fn admit(session: &mut Session, ctx: &mut RequestCtx) -> Result<Admitted, Unread> {
    let head = session.req_header();
    ctx.dialect = dialect(head.uri.path());
    let snapshot = Arc::clone(&ctx.snapshot);
    inspect(head, &snapshot.config.limits)?;
    refuse_two_framings(session)?;
    let fairness = Fairness::of(&head.headers, head.headers.get("x-sm-user-id"));
    let way = way(&head.uri, fairness, &snapshot)?;
    let mut asked = None;
    let (feed, held) = if session.is_body_done() {
        (parcel::feed(ctx, None), None)
    } else {
        let (sent, share) = body::read(session, &snapshot.config.limits, &snapshot.bodies).await?;
        // For the record; what it cannot read is the provider's to judge.
        asked = Envelope::scan(&sent).ok();
        let (feed, held) = parcel::as_it_came(ctx, sent, share);
        (feed, Some(held))
    };
    Ok(Admitted {
        way: Way::Direct(way),
        caller: None,
        admission: None,
        memory: Memory::None,
        stream: asked.as_ref().is_some_and(|asked| asked.stream),
        model: asked.map(|asked| asked.model),
        betas: Vec::new(),
        feed: Some(feed),
        held,
        translation: None,
    })
}

fn way(uri: &Uri, fairness: Fairness, snapshot: &Snapshot) -> Result<DirectWay, Rejection> {
    let egress = snapshot.config.egress.as_ref();
    let (host, path) = egress
        .and_then(|egress| egress.host_of(uri.path()))
        .ok_or(Rejection::NotAllowed)?;
    let behind = Behind::of(path);
    let provider = behind.as_ref().map_or(host, |behind| &behind.origin.host);
    let upstream = snapshot
        .egress_of(host, provider)
        .ok_or(Rejection::NotAllowed)?;
    let past = behind.as_ref().and_then(|behind| {
        let uri = joined(behind.path, without_user(uri.query()).as_deref()).ok()?;
        Some((snapshot.egress_bypass_of(&behind.origin)?, uri))
    });
    let (detour, past_router) = past.unzip();
    Ok(DirectWay {
        upstream,
        uri: joined(path, uri.query())?,
        fairness,
        errand: Errand::LiteLlms(Box::new(LiteLlms {
            provider: provider.to_owned(),
            router: behind.is_some(),
            past_router,
        })),
        detour: detour.map(Detour::Provider),
        bypassed: false,
        attempts: 0,
    })
}

/// The provider behind the router's prefix, and the path there.
struct Behind<'p> {
    origin: Origin,
    path: &'p str,
}

impl<'p> Behind<'p> {
    fn of(path: &'p str) -> Option<Self> {
        let base = BaseUrl::behind_router(path).ok()??;
        // `/v3/documents` is a page of the memory API.
        if !base.origin.host.contains('.') {
            return None;
        }
        let url = path.strip_prefix("/v3/")?;
        let rest = url.strip_prefix("https://").unwrap_or(url);
        let at = rest.find('/').unwrap_or(rest.len());
        Some(Self {
            origin: base.origin,
            path: rest.get(at..)?,
        })
    }
}

/// The dialect in which the caller understands errors: that of the path at the provider.
fn dialect(path: &str) -> Dialect {
    if path.ends_with("/v1/messages") || path.contains("/v1/messages/") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

fn joined(path: &str, query: Option<&str>) -> Result<Uri, Rejection> {
    let path = if path.is_empty() { "/" } else { path };
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("{path}{query}")
        .parse()
        .map_err(|_unsound| Rejection::Head("the request target is not valid"))
}

/// Takes away what concerns the hop to us alone, and beside the router what concerns that one.
pub(super) fn write(headers: &mut HeaderMap, way: &DirectWay) {
    remove_prefixed(headers, &OURS);
    if way.bypassed {
        remove_prefixed(headers, &ROUTERS);
    }
    for name in PRIVATE.iter().chain(&[header::PROXY_AUTHORIZATION]) {
        headers.remove(name);
    }
    headers.insert(header::HOST, way.upstream.authority.clone());
    // The jar's cookies hold for this one only.
    headers.insert(header::USER_AGENT, USER_AGENT);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(path: &str) -> Option<(String, &str)> {
        let behind = Behind::of(path)?;
        Some((behind.origin.authority(), behind.path))
    }

    #[test]
    fn the_provider_and_the_path_there_stand_behind_the_routers_prefix() {
        let provider = |authority: &str, path| Some((authority.to_owned(), path));
        for (path, expected) in [
            (
                "/v3/api.anthropic.com/v1/messages",
                provider("api.anthropic.com", "/v1/messages"),
            ),
            (
                "/v3/https://api.anthropic.com/v1//x/",
                provider("api.anthropic.com", "/v1//x/"),
            ),
            (
                "/v3/https://API.Groq.com:8443/a",
                provider("api.groq.com:8443", "/a"),
            ),
            ("/v3/api.anthropic.com", provider("api.anthropic.com", "")),
            ("/v3/documents", None),
            ("/v3/http://api.anthropic.com/v1", None),
            ("/v3/", None),
            ("/v3", None),
            ("/v4/profile", None),
            ("/v3/user@api.anthropic.com/v1", None),
        ] {
            assert_eq!(behind(path), expected, "{path}");
        }
    }

    #[test]
    fn errors_are_said_in_the_dialect_of_the_path_at_the_provider() {
        for (path, expected) in [
            ("/v3/api.anthropic.com/v1/messages", Dialect::Anthropic),
            (
                "/v3/api.anthropic.com/v1/messages/count_tokens",
                Dialect::Anthropic,
            ),
            (
                "/v3/api.groq.com/openai/v1/chat/completions",
                Dialect::OpenAi,
            ),
        ] {
            assert_eq!(dialect(path), expected, "{path}");
        }
    }
}
