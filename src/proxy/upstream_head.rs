//! What does the head of a request say upstream? Nothing that is the client's own business, and all that is ours.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use pingora_core::{ErrorType, OrErr, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::{Admitted, BodyMode, DirectWay, Held, Memory, RequestCtx, Way, names};
use super::direct::without_user;
use super::egress::ROUTERS;
use super::errand::{Credentials, Errand};
use super::head::edit_request;
use super::record;
use super::translation::{IDENTITY, Translation};
use super::{egress, forwarded};
use crate::config::{ProviderDialect, Secret};
use crate::cookies::Site;
use crate::limits::Admission;
use crate::routing::DirectModel;

/// One for everybody: Cloudflare binds its cookies to it.
pub(super) const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("memgate/", env!("CARGO_PKG_VERSION")));
pub(super) const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

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
pub(super) const PRIVATE: [HeaderName; 6] = [
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

/// What a client says for its own account at OpenAI, which another key does not belong to, and what only
/// Anthropic understands.
const NOT_BESIDE_OUR_KEY: [&str; 3] = ["openai-organization", "openai-project", "anthropic-"];

/// Turns the client's head into the upstream's.
pub(super) fn write(
    session: &Session,
    head: &mut RequestHeader,
    ctx: &mut RequestCtx,
) -> Result<()> {
    ctx.attempt.http2 = head.version == Version::HTTP_2;
    ctx.attempt.sent = true;
    if let (Some(feed), true) = (ctx.feed(), ctx.attempt.http2) {
        feed.lock().pace_by(None);
    }
    note_overhead(ctx);
    edit_request(head, |head| rewrite(session, head, ctx))?;
    record::audit(ctx);
    Ok(())
}

fn note_overhead(ctx: &mut RequestCtx) {
    let others = ctx.answered.queued + ctx.attempt.connect.unwrap_or_default();
    ctx.answered.overhead.get_or_insert_with(|| {
        let now = ctx.snapshot.clock.now();
        let gone = now.saturating_duration_since(ctx.started);
        gone.saturating_sub(others)
    });
}

fn rewrite(session: &Session, head: &mut Parts, ctx: &mut RequestCtx) -> Result<()> {
    remove_underscored(&mut head.headers);
    let Some(admitted) = ctx.admitted.as_ref() else {
        return Ok(());
    };
    match &admitted.way {
        Way::Direct(way) => {
            way.upstream.server.learned(ctx.attempt.http2);
            if let Some(opener) = &ctx.attempt.opener {
                opener.opened();
            }
            head.uri = way.uri.clone();
            match &way.errand {
                Errand::Model(model) => {
                    strip_private(&mut head.headers);
                    if let Some(name) = ctx.snapshot.identity.custom_header() {
                        head.headers.remove(name);
                    }
                    if admitted.translation.is_some() {
                        Translation::write(&mut head.headers);
                    }
                    // In a packed answer nobody could see what it took, nor how its stream ends.
                    head.headers.insert(header::ACCEPT_ENCODING, IDENTITY);
                    write_direct_headers(&mut head.headers, model, way)?;
                }
                Errand::LiteLlms(_) => egress::write(&mut head.headers, way),
            }
            let site = Site {
                host: way.upstream.host(),
                path: head.uri.path(),
                secure: true,
            };
            if let Some(cookies) = way.upstream.jar.header(&site, ctx.snapshot.clock.wall()) {
                head.headers.insert(header::COOKIE, cookies.value.clone());
                ctx.attempt.cookies_sent = Some(cookies);
            }
        }
        Way::LiteLlm { .. } => {
            write_for_key(head, ctx, admitted)?;
            write_litellm_head(session, head, ctx)?;
        }
    }
    let Some(admitted) = ctx.admitted.as_ref() else {
        return Ok(());
    };
    if let Memory::Of(meant) = &admitted.memory {
        head.headers.insert(names::USER_ID, meant.user.header());
    }
    add_betas(&mut head.headers, betas(admitted))?;
    if let Some(translation) = &admitted.translation {
        add_betas(&mut head.headers, &translation.betas)?;
    }
    ctx.trace.write(&mut head.headers);
    if let Some(held) = &admitted.held {
        write_framing(&mut head.headers, held);
    }
    Ok(())
}

/// What the caller's key says of how LiteLLM is to be asked.
fn write_for_key(head: &mut Parts, ctx: &RequestCtx, admitted: &Admitted) -> Result<()> {
    let admission = admitted.admission.as_ref();
    if admission.is_some_and(Admission::counts_tokens) {
        head.headers.insert(header::ACCEPT_ENCODING, IDENTITY);
    }
    let caller = admitted.caller.as_ref();
    if caller.is_some_and(|caller| !caller.may_impersonate()) {
        name_nobody(head, ctx.snapshot.identity.custom_header())?;
    }
    Ok(())
}

/// Those in the model's name; OpenAI's dialect has none.
fn betas(admitted: &Admitted) -> &[String] {
    match &admitted.way {
        Way::Direct(DirectWay {
            errand: Errand::Model(model),
            ..
        }) if model.target.dialect == ProviderDialect::OpenAi => &[],
        _ => &admitted.betas,
    }
}

fn strip_private(headers: &mut HeaderMap) {
    remove_prefixed(headers, &PRIVATE_PREFIXES);
    for name in PRIVATE.iter().chain(&CREDENTIALS) {
        headers.remove(name);
    }
}

/// `content_length` is what some servers take for `content-length`.
fn remove_underscored(headers: &mut HeaderMap) {
    remove_named(headers, |name| name.contains('_'));
}

pub(super) fn remove_prefixed(headers: &mut HeaderMap, prefixes: &[&str]) {
    remove_named(headers, |name| {
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    });
}

pub(super) fn remove_named(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let found = headers.keys().filter(|name| unwanted(name.as_str()));
    let found: Vec<HeaderName> = found.cloned().collect();
    for name in &found {
        headers.remove(name);
    }
}

fn write_direct_headers(
    headers: &mut HeaderMap,
    model: &DirectModel,
    way: &DirectWay,
) -> Result<()> {
    headers.insert(header::HOST, way.upstream.authority.clone());
    headers.insert(header::USER_AGENT, USER_AGENT);
    write_accept(headers)?;
    let target = &model.target;
    let ours = Credentials::of(model, way.bypassed);
    match target.dialect {
        ProviderDialect::Anthropic => {
            let version = headers.entry(names::ANTHROPIC_VERSION);
            version.or_insert(ANTHROPIC_VERSION);
        }
        ProviderDialect::OpenAi => remove_prefixed(headers, &NOT_BESIDE_OUR_KEY),
    }
    if let Some(key) = ours.api_key {
        match target.dialect {
            ProviderDialect::Anthropic => headers.insert(names::API_KEY, sensitive(key, "")?),
            ProviderDialect::OpenAi => {
                headers.insert(header::AUTHORIZATION, sensitive(key, "Bearer ")?)
            }
        };
    }
    for (name, value) in ours.extra_headers {
        headers.insert(name.clone(), value.clone());
    }
    Ok(())
}

/// Asks for JSON where the client takes anything or only events, so that an edge says its errors in JSON.
fn write_accept(headers: &mut HeaderMap) -> Result<()> {
    const JSON: &str = "application/json";
    let mut accepted: Vec<&str> = Vec::new();
    for field in headers.get_all(header::ACCEPT) {
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
    let accepted = value(accepted.join(", "))?;
    headers.insert(header::ACCEPT, accepted);
    Ok(())
}

fn value(text: String) -> Result<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .or_err(ErrorType::InternalError, "not a header value")
}

fn sensitive(secret: &Secret, prefix: &str) -> Result<HeaderValue> {
    let mut value = value(format!("{prefix}{}", secret.reveal()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whoever may not name a memory user does not to LiteLLM either, which may pass it on.
fn name_nobody(head: &mut Parts, custom: Option<&HeaderName>) -> Result<()> {
    remove_prefixed(&mut head.headers, &ROUTERS);
    if let Some(name) = custom {
        head.headers.remove(name);
    }
    let (path, query) = (head.uri.path(), head.uri.query());
    let kept = without_user(query);
    if kept.as_deref() != query {
        let kept = kept.map_or_else(String::new, |query| format!("?{query}"));
        let uri = format!("{path}{kept}").parse();
        head.uri = uri.or_err(ErrorType::InternalError, "leaving the user out")?;
    }
    Ok(())
}

fn write_litellm_head(session: &Session, head: &mut Parts, ctx: &RequestCtx) -> Result<()> {
    let Some(replica) = &ctx.attempt.replica else {
        return Ok(());
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') || path == "*" {
        path
    } else {
        "/"
    };
    // For LiteLLM what lies under `/openai/` is OpenAI's own, and a model that goes round its lane is not.
    let under_openai = path
        .strip_prefix("/openai")
        .filter(|_| ctx.answered.bypassed.is_some());
    let path = under_openai.unwrap_or(path);
    let moved = under_openai.is_some() || !replica.base.path.is_empty();
    if moved || head.uri.authority().is_some() {
        let uri = format!("{}{path}", replica.base.path).parse();
        head.uri = uri.or_err(ErrorType::InternalError, "joining LiteLLM's path")?;
    }
    let headers = &mut head.headers;
    let host = HeaderValue::clone(&replica.authority);
    forwarded::write(headers, host, session, &ctx.snapshot.config.trusted_proxies)?;
    headers.insert(names::REQUEST_ID, ctx.request_id.header());
    if let Some(key) = &ctx.snapshot.config.litellm.api_key {
        for name in &CREDENTIALS {
            headers.remove(name);
        }
        headers.insert(header::AUTHORIZATION, sensitive(key, "Bearer ")?);
    }
    Ok(())
}

/// Adds, never overwrites: the client's betas stay.
fn add_betas(headers: &mut HeaderMap, betas: &[String]) -> Result<()> {
    if betas.is_empty() {
        return Ok(());
    }
    let named = |list: &HeaderValue| list.to_str().map(str::to_owned).ok();
    let mut all: Vec<String> = headers
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
    headers.insert(names::ANTHROPIC_BETA, value(all.join(","))?);
    Ok(())
}

fn write_framing(headers: &mut HeaderMap, held: &Held) {
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::EXPECT);
    headers.insert(header::CONTENT_LENGTH, held.length.into());
    if matches!(held.mode, BodyMode::Decoded | BodyMode::Translated) {
        headers.remove(header::CONTENT_ENCODING);
    }
}
