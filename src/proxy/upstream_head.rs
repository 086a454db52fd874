//! What does the head of a request say upstream? Nothing that is the client's own business, and all that is ours.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderName, HeaderValue, Version, header};
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::{Admitted, DirectWay, Held, RequestCtx, Way, names};
use crate::config::{ProviderDialect, Secret};
use crate::cookies::Site;

/// One for everybody: Cloudflare binds its cookies to it.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("memgate/", env!("CARGO_PKG_VERSION")));
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What carries a credential; none of it is ever passed to a provider.
pub(super) const CREDENTIALS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-litellm-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// Client headers that never go to a provider, beside [`CREDENTIALS`].
const PRIVATE: [HeaderName; 6] = [
    header::COOKIE,
    header::FORWARDED,
    header::VIA,
    REAL_IP,
    HeaderName::from_static("true-client-ip"),
    header::EXPECT,
];
const PRIVATE_PREFIXES: [&str; 6] = [
    "x-memgate-",
    "x-litellm-",
    "x-supermemory-",
    "x-sm-",
    "cf-",
    "x-forwarded-",
];

/// Turns the client's head into the upstream's.
pub(super) fn write(
    session: &Session,
    head: &mut RequestHeader,
    ctx: &mut RequestCtx,
) -> Result<()> {
    ctx.attempt.http2 = head.version == Version::HTTP_2;
    ctx.answered
        .sent_at
        .get_or_insert_with(|| ctx.snapshot.clock.now());
    let wall = ctx.snapshot.clock.wall();
    let Some(admitted) = ctx.admitted.as_ref() else {
        return Ok(());
    };
    match &admitted.way {
        Way::Direct(way) => {
            way.upstream.server.gate.learned(ctx.attempt.http2);
            if let Some(opener) = &ctx.attempt.opener {
                opener.opened();
            }
            strip_private(head);
            write_direct_head(head, admitted, way)?;
            let site = Site {
                host: way.upstream.host(),
                path: head.uri.path(),
                secure: true,
            };
            if let Some(cookies) = way.upstream.jar.header(&site, wall) {
                head.insert_header(header::COOKIE, cookies.value.clone())?;
                ctx.attempt.cookies_sent = Some(cookies);
            }
        }
        Way::LiteLlm { .. } => write_litellm_head(session, head, ctx)?,
    }
    let Some(admitted) = ctx.admitted.as_ref() else {
        return Ok(());
    };
    if let Some(user) = &admitted.user {
        head.insert_header(names::USER_ID, user.header())?;
    }
    add_betas(head, &admitted.betas)?;
    if let Some(held) = &admitted.held {
        write_framing(head, held)?;
    }
    Ok(())
}

fn strip_private(head: &mut RequestHeader) {
    remove_prefixed(head, &PRIVATE_PREFIXES);
    for name in PRIVATE.iter().chain(&CREDENTIALS) {
        head.remove_header(name);
    }
}

fn remove_prefixed(head: &mut RequestHeader, prefixes: &[&str]) {
    let prefixed = |name: &&HeaderName| {
        prefixes
            .iter()
            .any(|prefix| name.as_str().starts_with(prefix))
    };
    let found: Vec<HeaderName> = head.headers.keys().filter(prefixed).cloned().collect();
    for name in &found {
        head.remove_header(name);
    }
}

fn write_direct_head(head: &mut RequestHeader, admitted: &Admitted, way: &DirectWay) -> Result<()> {
    if let Some(uri) = &admitted.uri {
        head.set_uri(uri.clone());
    }
    head.insert_header(header::HOST, way.upstream.authority.clone())?;
    head.insert_header(header::USER_AGENT, USER_AGENT)?;
    write_accept(head)?;
    let target = &way.model.target;
    if target.dialect == ProviderDialect::Anthropic
        && !head.headers.contains_key(names::ANTHROPIC_VERSION)
    {
        head.insert_header(names::ANTHROPIC_VERSION, ANTHROPIC_VERSION)?;
    }
    if let Some(key) = &target.api_key {
        match target.dialect {
            ProviderDialect::Anthropic => {
                head.insert_header(names::API_KEY, sensitive(key, "")?)?
            }
            ProviderDialect::OpenAi => {
                head.insert_header(header::AUTHORIZATION, sensitive(key, "Bearer ")?)?
            }
        }
    }
    for (name, value) in &target.extra_headers {
        head.insert_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// Asks for JSON where the client takes anything or only events, so that an edge says its errors in JSON.
fn write_accept(head: &mut RequestHeader) -> Result<()> {
    const JSON: &str = "application/json";
    let mut accepted: Vec<&str> = Vec::new();
    for field in head.headers.get_all(header::ACCEPT) {
        let Ok(field) = field.to_str() else {
            return Ok(());
        };
        accepted.extend(
            field
                .split(',')
                .map(str::trim)
                .filter(|kind| !kind.is_empty()),
        );
    }
    let is_vague = |accepted: &&str| {
        let kind = accepted.split(';').next().unwrap_or_default().trim_end();
        kind == "*/*" || kind.eq_ignore_ascii_case("text/event-stream")
    };
    if !accepted.iter().all(is_vague) {
        return Ok(());
    }
    for any in accepted.iter_mut().filter(|accepted| **accepted == "*/*") {
        *any = "*/*;q=0.9";
    }
    accepted.insert(0, JSON);
    head.insert_header(header::ACCEPT, accepted.join(", "))
}

fn sensitive(secret: &Secret, prefix: &str) -> Result<HeaderValue> {
    let text = format!("{prefix}{}", secret.reveal());
    let Ok(mut value) = HeaderValue::from_str(&text) else {
        return Error::e_explain(
            ErrorType::InternalError,
            "a configured key is not a header value",
        );
    };
    value.set_sensitive(true);
    Ok(value)
}

fn write_litellm_head(session: &Session, head: &mut RequestHeader, ctx: &RequestCtx) -> Result<()> {
    let Some(replica) = &ctx.attempt.replica else {
        return Ok(());
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') || path == "*" {
        path
    } else {
        "/"
    };
    if !replica.base.path.is_empty() || head.uri.authority().is_some() {
        let uri = format!("{}{path}", replica.base.path).parse();
        head.set_uri(
            uri.map_err(|e| Error::because(ErrorType::InternalError, "joining LiteLLM's path", e))?,
        );
    }
    let forwarded_for = forwarded_for(session, head, &ctx.snapshot.config.trusted_proxies);
    let proto = if is_tls(session) { "https" } else { "http" };
    // LiteLLM may pass the last two on to the router, where they would name a memory.
    let ours = ["x-memgate-", "x-forwarded-", "x-supermemory-", "x-sm-"];
    remove_prefixed(head, &ours);
    for name in [header::FORWARDED, REAL_IP, header::EXPECT] {
        head.remove_header(&name);
    }
    if let Some(host) = head.remove_header(&header::HOST) {
        head.insert_header(FORWARDED_HOST, host)?;
    }
    head.insert_header(FORWARDED_PROTO, HeaderValue::from_static(proto))?;
    if let Some(clients) = forwarded_for {
        head.insert_header(FORWARDED_FOR, clients)?;
    }
    head.insert_header(header::HOST, replica.authority.clone())?;
    head.insert_header(names::REQUEST_ID, ctx.request_id.header())?;
    if let Some(key) = &ctx.snapshot.config.litellm.api_key {
        for name in &CREDENTIALS {
            head.remove_header(name);
        }
        head.insert_header(header::AUTHORIZATION, sensitive(key, "Bearer ")?)?;
    }
    Ok(())
}

/// The chain of clients: what a trusted proxy said, and who spoke to us.
fn forwarded_for(
    session: &Session,
    head: &RequestHeader,
    trusted: &[ipnet::IpNet],
) -> Option<String> {
    let peer = peer_ip(session)?;
    let said = head
        .headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok());
    match said {
        Some(said) if trusted.iter().any(|network| network.contains(&peer)) => {
            Some(format!("{said}, {peer}"))
        }
        _ => Some(peer.to_string()),
    }
}

fn peer_ip(session: &Session) -> Option<IpAddr> {
    match session.client_addr()? {
        PeerAddr::Inet(address) => Some(SocketAddr::ip(address)),
        PeerAddr::Unix(_) => None,
    }
}

fn is_tls(session: &Session) -> bool {
    session
        .digest()
        .is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Adds, never overwrites: the client's betas stay.
fn add_betas(head: &mut RequestHeader, betas: &[String]) -> Result<()> {
    if betas.is_empty() {
        return Ok(());
    }
    let named = |list: &HeaderValue| list.to_str().map(str::to_owned).ok();
    let mut all: Vec<String> = head
        .headers
        .get_all(names::ANTHROPIC_BETA)
        .iter()
        .filter_map(named)
        .collect();
    let present = all.join(",");
    let known: Vec<&str> = present.split(',').map(str::trim).collect();
    all.extend(
        betas
            .iter()
            .filter(|beta| !known.contains(&beta.as_str()))
            .cloned(),
    );
    head.insert_header(names::ANTHROPIC_BETA, all.join(","))
}

fn write_framing(head: &mut RequestHeader, held: &Held) -> Result<()> {
    head.remove_header(&header::TRANSFER_ENCODING);
    head.remove_header(&header::EXPECT);
    head.insert_header(header::CONTENT_LENGTH, held.length)?;
    if held.mode == super::context::BodyMode::Decoded {
        head.remove_header(&header::CONTENT_ENCODING);
    }
    Ok(())
}
