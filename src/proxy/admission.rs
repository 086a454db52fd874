//! May this request go on, and where to? Answered once, before any upstream is touched.

use std::time::Duration;

use http::header;
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::Door;
use super::body::{self, Unread};
use super::context::{Admitted, Memory, RequestCtx, Way, names};
use super::detour::{self, Detour};
use super::direct::says;
use super::parcel::Parcel;
use super::passage::Fairness;
use super::target::Target;
use super::translation::Asked;
use super::{allowance, client, direct, egress, local, relay, reply, untouched};
use crate::auth::{Caller, Presented, Refusal};
use crate::body::Envelope;
use crate::gateway::Rejection;
use crate::identity::MemoryUser;
use crate::routing::{Route, qualified};
use crate::translate::Unsupported;
use crate::wire::Dialect;

const DRAIN: Duration = Duration::from_secs(5);

/// Bounds on a client's connection that Pingora leaves open.
pub(super) fn greet(session: &mut Session, ctx: &mut RequestCtx) {
    relay::unwrap(session, &ctx.custody);
    let limits = &ctx.snapshot.config.limits;
    session.set_read_timeout(Some(limits.body_timeout));
    session.set_write_timeout(Some(limits.write_timeout));
    session.set_total_drain_timeout(Some(DRAIN));
    session.set_ignore_info_resp(true);
    let head = session.req_header();
    ctx.hello(&head.headers, dialect(head));
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
            if matches!(admitted.memory, Memory::Off) {
                ctx.answered.memory = Some("off");
            }
            ctx.admitted = Some(admitted);
            if let Some(guest) = &ctx.guest {
                guest.admitted();
            }
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
    let target = Target::of(session.req_header(), &ctx.snapshot.config.limits)?;
    refuse_two_framings(session)?;
    let head = session.req_header();
    let (keys, uri) = (&ctx.snapshot.keys, &head.uri);
    if target.is_for_models(uri.path()) && keys.bars(&head.headers, uri.query()) {
        return Err(Rejection::Caller(Refusal::MasterKey).into());
    }
    if target.names_model_in_body() && uri.query().is_some_and(|query| says(query, b"model")) {
        return Err(two_models().into());
    }
    match &target {
        Target::LiteLlmOnly | Target::LiteLlm { .. } if direct::wants_no_memory(&head.headers)? => {
            Err(Rejection::MemorySwitch(direct::LITELLMS_MEMORY).into())
        }
        Target::Messages | Target::CountTokens | Target::ChatCompletions => {
            let known = recognise(session, ctx);
            route(session, ctx, &target, known).await.map(Some)
        }
        Target::LiteLlmOnly => untouched::peeked(session, ctx).await.map(Some),
        Target::LiteLlm { model } => untouched::stream(session, ctx, model.as_deref())
            .await
            .map(Some),
        _ => {
            local::answer(session, ctx, &target).await?;
            Ok(None)
        }
    }
}

/// LiteLLM would take the query's.
fn two_models() -> Rejection {
    Rejection::Parameter(Unsupported {
        param: Some("model".to_owned()),
        message: "the model stands in the body, and none may stand in the query".to_owned(),
    })
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
    known: Option<Caller>,
) -> Result<Admitted, Unread> {
    let snapshot = &ctx.snapshot;
    // Where LiteLLM gets a key of ours nobody gets further without one, and no stranger's body is read.
    let known = match (known, &snapshot.config.litellm.api_key) {
        (None, Some(_)) => Some(authenticate(session, ctx, None).await?),
        (known, _) => known,
    };
    let (sent, share) = body::read(session, &snapshot.config.limits, ctx.bodies()).await?;
    let mut parcel = Parcel::open(session, sent, share, snapshot.config.limits.body).await?;
    let envelope = Envelope::scan(parcel.plain()).map_err(Rejection::Body)?;
    let route = snapshot.routes.resolve(&envelope.model, fastrand::f64());
    let caller = caller(session, ctx, &route, known).await?;
    let admission = allowance::ask(session, ctx, caller.as_ref(), Some(&route))?;
    let way = direct::way(session, ctx, target, &route)?;
    let headers = &session.req_header().headers;
    let memory = direct::memory(headers, ctx, &route, caller.as_ref())?;
    let way = match way {
        Some(mut way) => {
            // A shared key is told apart by the people whose memories it means.
            let person = (
                caller.as_ref().map(Caller::name),
                memory.user().map(MemoryUser::as_str),
            );
            way.fairness = Fairness::of(headers, person);
            if !matches!(memory, Memory::Off) {
                way.detour = Detour::of(snapshot, &route, caller.as_ref(), &parcel, &envelope);
            }
            if route.renames(&envelope.model) && !direct::translates(&route, target) {
                parcel.make_room_for(&mut way.detour).await;
            }
            Way::Direct(way)
        }
        None => {
            untouched::refuse_other_models(headers, &envelope, caller.as_ref())?;
            Way::litellm(snapshot)
        }
    };
    let ((feed, held), translation) = match (route.direct(), &way) {
        (Some(model), Way::Direct(way)) if direct::is_translated(model, target) => {
            let asked = Asked::new(&route, model, &envelope);
            let (held, translation) = asked.translate(ctx, parcel, way.detour.as_ref()).await?;
            (held, Some(translation))
        }
        _ => (parcel.hold(ctx, &envelope, route.model.as_deref()), None),
    };
    Ok(Admitted {
        way,
        caller,
        admission,
        memory,
        feed: Some(feed),
        held: Some(held),
        stream: envelope.stream,
        model: Some(envelope.model),
        betas: route.betas,
        translation,
    })
}

/// Who calls for this model; nobody where LiteLLM is to judge that itself.
async fn caller(
    session: &Session,
    ctx: &RequestCtx,
    route: &Route,
    known: Option<Caller>,
) -> Result<Option<Caller>, Rejection> {
    match known {
        _ if route.direct().is_none() && ctx.snapshot.config.litellm.api_key.is_none() => Ok(None),
        Some(caller) => may_use(&caller, route).map(|()| Some(caller)),
        None => authenticate(session, ctx, Some(route)).await.map(Some),
    }
}

/// Who is known by the head alone. No stranger any more while the body comes.
pub(super) fn recognise(session: &Session, ctx: &RequestCtx) -> Option<Caller> {
    if !ctx.is_strangers() {
        return None;
    }
    let caller = ctx.snapshot.keys.recognise(&presented(session))?;
    if is_disabled(ctx, &caller) {
        return None;
    }
    ctx.vouch();
    Some(caller)
}

/// Whoever calls, and whether he may use the model that is meant.
pub(super) async fn authenticate(
    session: &Session,
    ctx: &RequestCtx,
    route: Option<&Route>,
) -> Result<Caller, Rejection> {
    let caller = identify(session, ctx).await.map_err(Rejection::Caller)?;
    if let Some(route) = route {
        may_use(&caller, route)?;
    }
    Ok(caller)
}

/// Whoever calls, whatever he may do.
pub(super) async fn identify(session: &Session, ctx: &RequestCtx) -> Result<Caller, Refusal> {
    let snapshot = &ctx.snapshot;
    let address = client::address(session, &snapshot.config.trusted_proxies);
    let presented = presented(session).at(address);
    let caller = snapshot.keys.authenticate(&presented).await?;
    if is_disabled(ctx, &caller) {
        return Err(Refusal::Blocked);
    }
    ctx.vouch();
    Ok(caller)
}

/// By an operator's hand.
fn is_disabled(ctx: &RequestCtx, caller: &Caller) -> bool {
    let snapshot = &ctx.snapshot;
    snapshot.valve.disables(caller.name(), snapshot.clock.now())
}

pub(super) fn may_use(caller: &Caller, route: &Route) -> Result<(), Rejection> {
    let names: Vec<&str> = route.names().collect();
    let qualified = names.iter().find_map(|name| qualified(name));
    let may = caller.may_use(&names, qualified.as_deref());
    may.map_err(Rejection::Caller)
}

pub(super) fn presented(session: &Session) -> Presented<'_> {
    let head = session.req_header();
    Presented::of(
        &head.headers,
        head.uri.authority().map(http::uri::Authority::as_str),
    )
}
