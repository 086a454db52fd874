//! How does an attempt go up? Chooses the server, waits where a retry must, and writes the request's head.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Version, header};
use pingora_core::protocols::Digest;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::{Admitted, DirectWay, Held, RequestCtx, Way, names};
use super::relay;
use crate::config::{ProviderDialect, Secret};
use crate::cookies::Site;
use crate::gateway::Failure;
use crate::upstream::peer::litellm_peer;

/// One for everybody: Cloudflare binds its cookies to it.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("memgate/", env!("CARGO_PKG_VERSION")));
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
/// How long an upload waits for an early answer beyond the round trip, and at most.
const EARLY_ANSWER_SLACK: Duration = Duration::from_millis(20);
const EARLY_ANSWER_MAX: Duration = Duration::from_millis(60);

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
    HeaderName::from_static("x-real-ip"),
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

/// The peer of the next attempt, after the wait that the last one earned.
pub(super) async fn next_attempt(
    session: &mut Session,
    ctx: &mut RequestCtx,
) -> Result<Box<HttpPeer>> {
    if let Some(wait) = ctx.answered.wait.take() {
        if let Some(feed) = ctx.feed() {
            // The upstream owes nothing meanwhile.
            let over = ctx.snapshot.clock.now() + wait;
            feed.lock().rewind(Duration::ZERO, over);
        }
        let stayed = wait_or_leave(session, ctx, wait).await;
        ctx.answered.client_left = stayed.is_err();
        stayed?;
    }
    ctx.attempt = super::context::Attempt {
        number: ctx.attempt.number + 1,
        looks: ctx.attempt.looks,
        ..Default::default()
    };
    ctx.answered.head_at = None;
    let peer = choose_peer(ctx).await?;
    ctx.attempt.address = peer._address.as_inet().copied();
    if let Some(feed) = ctx.feed() {
        feed.lock().rewind(Duration::ZERO, ctx.snapshot.clock.now());
        if !session.downstream_session.is_custom() {
            relay::wrap(session, feed);
        }
    }
    Ok(Box::new(peer))
}

/// Nothing is held during the wait; a client that leaves ends it.
async fn wait_or_leave(session: &mut Session, ctx: &RequestCtx, wait: Duration) -> Result<()> {
    tokio::select! {
        () = ctx.snapshot.clock.sleep(wait) => Ok(()),
        left = session.downstream_session.read_body_or_idle(true) => match left {
            Err(error) => Err(error.into_down()),
            Ok(_) => Error::e_explain(ErrorType::ConnectionClosed, "the client spoke out of turn").map_err(|e| e.into_down()),
        },
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
            ctx.attempt.opener = (looks < LOOKS).then(|| server.opener(looks));
            server
                .peer(ctx.attempt.opener.clone())
                .ok_or(Failure::Unresolved)
        }
        Way::LiteLlm { tried } => match snapshot.litellm.backends.choose(tried) {
            Some(replica) => {
                tried.push(replica.address);
                let peer = litellm_peer(
                    &replica.base.origin,
                    replica.address,
                    &snapshot.config.limits,
                );
                ctx.attempt.replica = Some(replica);
                Ok(peer)
            }
            None => Err(Failure::LiteLlmDown),
        },
    };
    chosen.map_err(|failure| {
        ctx.answered.failure = Some(failure);
        Error::explain(ErrorType::ConnectError, failure.as_str())
    })
}

/// Called when a connection is there.
pub(super) fn connected(ctx: &mut RequestCtx, reused: bool, digest: Option<&Digest>) {
    ctx.attempt.reused = Some(reused);
    if let Some(metrics) = ctx.upstream_metrics() {
        metrics.connected(reused);
    }
    let needs_pause = ctx.direct().is_some();
    if let (Some(feed), true) = (ctx.feed(), needs_pause) {
        let pause = (round_trip(digest) + EARLY_ANSWER_SLACK).min(EARLY_ANSWER_MAX);
        feed.lock().rewind(pause, ctx.snapshot.clock.now());
    }
}

fn round_trip(digest: Option<&Digest>) -> Duration {
    let micros = digest
        .and_then(|digest| digest.socket_digest.as_ref())
        .and_then(|socket| socket.tcp_info())
        .map_or(0, |info| info.tcpi_rtt);
    Duration::from_micros(u64::from(micros))
}

/// Turns the client's head into the upstream's.
pub(super) fn write_head(
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
        Way::LiteLlm { .. } => write_litellm_head(session, head, admitted, ctx)?,
    }
    let Some(admitted) = ctx.admitted.as_ref() else {
        return Ok(());
    };
    add_betas(head, &admitted.betas)?;
    if let Some(held) = &admitted.held {
        write_framing(head, held)?;
    }
    Ok(())
}

fn strip_private(head: &mut RequestHeader) {
    let private: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| {
            PRIVATE_PREFIXES
                .iter()
                .any(|prefix| name.as_str().starts_with(prefix))
        })
        .cloned()
        .collect();
    for name in private.iter().chain(&PRIVATE).chain(&CREDENTIALS) {
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
    if let Some(user) = &way.user {
        head.insert_header(names::USER_ID, user.header())?;
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
        accepted.extend(field.split(',').map(str::trim).filter(|kind| !kind.is_empty()));
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

fn write_litellm_head(
    session: &Session,
    head: &mut RequestHeader,
    admitted: &Admitted,
    ctx: &RequestCtx,
) -> Result<()> {
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
    let ours: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| {
            name.as_str().starts_with("x-memgate-") || name.as_str().starts_with("x-forwarded-")
        })
        .cloned()
        .collect();
    for name in ours
        .iter()
        .chain(&[header::FORWARDED, PRIVATE[3].clone(), header::EXPECT])
    {
        head.remove_header(name);
    }
    if let Some(host) = head.remove_header(&header::HOST) {
        head.insert_header("x-forwarded-host", host)?;
    }
    head.insert_header("x-forwarded-proto", proto)?;
    if let Some(clients) = forwarded_for {
        head.insert_header("x-forwarded-for", clients)?;
    }
    head.insert_header(header::HOST, replica.base.origin.authority())?;
    head.insert_header(names::REQUEST_ID, ctx.request_id.header())?;
    if let Some(key) = &ctx.snapshot.config.litellm.api_key {
        for name in &CREDENTIALS {
            head.remove_header(name);
        }
        head.insert_header(header::AUTHORIZATION, sensitive(key, "Bearer ")?)?;
    }
    let _ = admitted;
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
