//! May this request go on, and where to? Answered once, before any upstream is touched.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{Uri, header};
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::Door;
use super::body::{self, Unread};
use super::context::{Admitted, DirectWay, RequestCtx, Way, names};
use super::detour::{self, Detour};
use super::errand::Errand;
use super::parcel::{self, Parcel};
use super::passage::Fairness;
use super::target::{Target, is_inference};
use super::{egress, local, relay, reply};
use crate::auth::{Caller, Presented};
use crate::body::Envelope;
use crate::config::{Bypass, Expose, ProviderDialect};
use crate::gateway::{Rejection, Snapshot};
use crate::identity::MemoryUser;
use crate::routing::{DirectModel, Route, qualified};
use crate::wire::Dialect;

const DOWNSTREAM_WRITE: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(5);

/// Bounds on a client's connection that Pingora leaves open.
pub(super) fn greet(session: &mut Session, ctx: &mut RequestCtx) {
    relay::unwrap(session, &ctx.custody);
    session.set_read_timeout(Some(ctx.snapshot.config.limits.body_timeout));
    session.set_write_timeout(Some(DOWNSTREAM_WRITE));
    session.set_total_drain_timeout(Some(DRAIN));
    session.set_ignore_info_resp(true);
    let head = session.req_header();
    ctx.hello(head.headers.get(names::REQUEST_ID), dialect(head));
}

/// The path's; the model list speaks both, and its callers say which.
fn dialect(head: &RequestHeader) -> Dialect {
    let path = head.uri.path();
    let models = matches!(path, "/v1/models" | "/models") || path.starts_with("/v1/models/");
    if models && head.headers.contains_key(names::ANTHROPIC_VERSION) {
        return Dialect::Anthropic;
    }
    Dialect::of_path(path)
}

/// Admits the request (`false`: Pingora goes on), or answers it here.
pub(super) async fn admit(session: &mut Session, ctx: &mut RequestCtx, door: Door) -> Result<bool> {
    let decided = match door {
        Door::Data => decide(session, ctx).await,
        Door::Egress => egress::admit(session, ctx).await.map(Some),
    };
    match decided {
        Ok(Some(admitted)) => {
            ctx.admitted = Some(admitted);
            detour::keep(ctx);
            Ok(false)
        }
        Ok(None) => Ok(true),
        Err(Unread::Rejected(rejection)) => {
            reply::reject(session, ctx, &rejection).await?;
            Ok(true)
        }
        Err(Unread::Gone(error)) => {
            ctx.answered.client_left = true;
            Err(error)
        }
    }
}

async fn decide(session: &mut Session, ctx: &mut RequestCtx) -> Result<Option<Admitted>, Unread> {
    let target = Target::of(session.req_header())?;
    refuse_two_framings(session)?;
    match &target {
        Target::Messages | Target::CountTokens | Target::ChatCompletions => {
            route(session, ctx, &target).await.map(Some)
        }
        Target::LiteLlm { model } => pass_through(session, ctx, model.as_deref()).await.map(Some),
        _ => {
            local::answer(session, ctx, &target).await?;
            Ok(None)
        }
    }
}

/// Content-Length beside Transfer-Encoding: Pingora has dropped the former by now, the raw head still shows it.
pub(super) fn refuse_two_framings(session: &Session) -> Result<(), Rejection> {
    let chunked = session
        .req_header()
        .headers
        .contains_key(header::TRANSFER_ENCODING);
    if !chunked || session.is_http2() {
        return Ok(());
    }
    let raw = session.to_h1_raw();
    let is_length = |line: &[u8]| {
        let name = line.get(..15).unwrap_or_default();
        name.eq_ignore_ascii_case(b"content-length:")
    };
    if raw.split(|byte| *byte == b'\n').any(is_length) {
        return Err(Rejection::Head(
            "Content-Length and Transfer-Encoding exclude each other",
        ));
    }
    Ok(())
}

/// A request that its body's model routes.
async fn route(
    session: &mut Session,
    ctx: &RequestCtx,
    target: &Target,
) -> Result<Admitted, Unread> {
    let snapshot = &ctx.snapshot;
    if session.req_header().headers.contains_key(names::MEMORY) {
        return Err(Rejection::MemorySwitch.into());
    }
    let (sent, share) = body::read(session, &snapshot.config.limits, &snapshot.bodies).await?;
    let parcel = Parcel::open(session, sent, share, snapshot.config.limits.body).await?;
    let envelope = Envelope::scan(parcel.plain()).map_err(Rejection::Body)?;
    let route = snapshot.routes.resolve(&envelope.model, fastrand::f64());
    let caller = match (route.direct(), &snapshot.config.litellm.api_key) {
        (None, None) => None,
        _ => Some(authenticate(session, ctx, Some(&route)).await?),
    };
    let way = direct_way(session, ctx, target, &route)?;
    let user = memory_user(session, ctx, &route, caller.as_ref())?;
    let rename = match way {
        // LiteLLM has the model under its public name.
        None if route.direct().is_some() => Some(&*route.name),
        _ => route.model.as_deref(),
    };
    let lane = way
        .as_ref()
        .map_or(&snapshot.litellm.metrics, |way| &way.upstream.metrics)
        .enter();
    let way = match way {
        Some(mut way) => {
            let headers = &session.req_header().headers;
            // A shared key is told apart by the people whose memories it means.
            let person = (
                caller.as_ref().map(Caller::name),
                user.as_ref().map(MemoryUser::as_str),
            );
            way.fairness = Fairness::of(headers, person);
            way.detour = detour(snapshot, &route, &parcel, &envelope);
            Way::Direct(way)
        }
        None => Way::LiteLlm { tried: Vec::new() },
    };
    let (feed, held) = parcel.hold(ctx, &envelope, rename);
    Ok(Admitted {
        lane,
        way,
        caller,
        user,
        feed: Some(feed),
        held: Some(held),
        stream: envelope.stream,
        model: Some(envelope.model),
        betas: route.betas,
    })
}

/// The other way that the configuration has for a model behind the router.
fn detour(
    snapshot: &Snapshot,
    route: &Route,
    parcel: &Parcel,
    envelope: &Envelope,
) -> Option<Detour> {
    let model = route.direct()?;
    match snapshot.config.direct.bypass {
        Bypass::Provider => snapshot
            .bypass_of(model)
            .filter(|upstream| !upstream.is_out_of_reach())
            .map(|upstream| Detour::Provider(Arc::clone(upstream))),
        Bypass::LiteLlm if model.target.router && !snapshot.config.litellm.urls.is_empty() => {
            Some(Detour::LiteLlm(parcel.original(envelope, &route.name)))
        }
        Bypass::LiteLlm | Bypass::None => None,
    }
}

/// A request that goes to LiteLLM as it is, its body streamed.
async fn pass_through(
    session: &mut Session,
    ctx: &RequestCtx,
    model: Option<&str>,
) -> Result<Admitted, Unread> {
    let config = &ctx.snapshot.config;
    if config.litellm.expose == Expose::Inference && !is_inference(session.req_header().uri.path())
    {
        return Err(Rejection::NotExposed.into());
    }
    let caller = match &config.litellm.api_key {
        Some(_) => Some(authenticate(session, ctx, None).await?),
        None => None,
    };
    let route = model.map(|model| ctx.snapshot.routes.resolve(model, 0.0));
    if let Some(direct) = route.as_ref().and_then(Route::direct) {
        ctx.snapshot.note_direct_elsewhere(direct);
    }
    body::invite(session).await?;
    Ok(Admitted {
        lane: ctx.snapshot.litellm.metrics.enter(),
        way: Way::LiteLlm { tried: Vec::new() },
        caller,
        user: None,
        model: model.map(str::to_owned),
        stream: false,
        betas: Vec::new(),
        feed: Some(parcel::feed(ctx, None)),
        held: None,
    })
}

/// Whoever calls, and whether he may use the model that is meant.
pub(super) async fn authenticate(
    session: &Session,
    ctx: &RequestCtx,
    route: Option<&Route>,
) -> Result<Caller, Rejection> {
    let caller = ctx
        .snapshot
        .keys
        .authenticate(&presented(session))
        .await
        .map_err(Rejection::Caller)?;
    if let Some(route) = route {
        let names: Vec<&str> = route.names().collect();
        let qualified = names.iter().find_map(|name| qualified(name));
        caller
            .may_use(&names, qualified.as_deref())
            .map_err(Rejection::Caller)?;
    }
    Ok(caller)
}

pub(super) fn presented(session: &Session) -> Presented<'_> {
    let head = session.req_header();
    Presented::of(
        &head.headers,
        head.uri.authority().map(http::uri::Authority::as_str),
    )
}

/// The direct way, where the gateway itself speaks the request's dialect to this model.
fn direct_way(
    session: &Session,
    ctx: &RequestCtx,
    target: &Target,
    route: &Route,
) -> Result<Option<DirectWay>, Rejection> {
    let Some(model) = route.direct() else {
        return Ok(None);
    };
    if *target == Target::ChatCompletions || model.target.dialect != ProviderDialect::Anthropic {
        return Ok(None);
    }
    let Some(upstream) = ctx.snapshot.upstream_of(model) else {
        return Ok(None);
    };
    Ok(Some(DirectWay {
        errand: Errand::Model(Arc::clone(model)),
        upstream: Arc::clone(upstream),
        uri: direct_uri(session, model)?,
        fairness: Fairness::default(),
        detour: None,
        bypassed: false,
    }))
}

/// Whose memory is meant: the router is never asked without a name that we set, whoever speaks to it.
fn memory_user(
    session: &Session,
    ctx: &RequestCtx,
    route: &Route,
    caller: Option<&Caller>,
) -> Result<Option<MemoryUser>, Rejection> {
    if !route.direct().is_some_and(|model| model.target.router) {
        return Ok(None);
    }
    let of_key = caller.and_then(Caller::user).and_then(MemoryUser::new);
    let headers = &session.req_header().headers;
    let user = of_key.or_else(|| Some(ctx.snapshot.identity.resolve(headers)?.user));
    user.map(Some).ok_or(Rejection::NoMemoryUser)
}

/// The configured path in front of the request's, path and query byte for byte; a memory user in the
/// query goes.
fn direct_uri(session: &Session, model: &DirectModel) -> Result<Uri, Rejection> {
    let asked = &session.req_header().uri;
    let query = without_user(asked.query()).map_or_else(String::new, |query| format!("?{query}"));
    let uri = format!("{}{}{query}", model.target.base.path, asked.path());
    uri.parse()
        .map_err(|_unsound| Rejection::Head("the query is not valid"))
}

/// A query without those pairs that name a memory user.
pub(super) fn without_user(query: Option<&str>) -> Option<Cow<'_, str>> {
    let query = query?;
    if !query.split('&').any(names_user) {
        return Some(Cow::Borrowed(query));
    }
    let others: Vec<&str> = query.split('&').filter(|pair| !names_user(pair)).collect();
    (!others.is_empty()).then(|| Cow::Owned(others.join("&")))
}

/// `userId`, also where it is spelt with escapes: a server decodes it before it looks.
fn names_user(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    percent_encoding::percent_decode_str(name).eq(*b"userId")
}
