//! How is a direct model called for this request: whom, at which path, in which dialect, for whose memory?

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Uri};
use pingora_proxy::Session;

use super::context::{DirectWay, Memory, RequestCtx, names};
use super::errand::Errand;
use super::passage::Fairness;
use super::target::Target;
use crate::auth::Caller;
use crate::config::ProviderDialect;
use crate::gateway::{Failure, Rejection};
use crate::identity::Standing;
use crate::routing::{DirectModel, Route};

const ONLY_OFF: &str = "x-memgate-memory takes `off` and nothing else";
pub(super) const LITELLMS_MEMORY: &str = "LiteLLM serves this, and whether that uses a memory is not for x-memgate-memory to say: send the request without it";
const NO_WAY_PAST: &str = "the way past the memory router is not open here (`direct.bypass: provider` opens it): send the request without x-memgate-memory";

/// Whether the client wants no memory.
pub(super) fn wants_no_memory(headers: &HeaderMap) -> Result<bool, Rejection> {
    let mut said = headers.get_all(names::MEMORY).iter().peekable();
    let wants = said.peek().is_some();
    if said.all(|word| word.as_bytes().eq_ignore_ascii_case(b"off")) {
        Ok(wants)
    } else {
        Err(Rejection::MemorySwitch(ONLY_OFF))
    }
}

/// Whether it goes without memory: because the client wants it so, or because an operator does and there is a way.
fn goes_without_memory(
    headers: &HeaderMap,
    ctx: &RequestCtx,
    model: &DirectModel,
) -> Result<bool, Rejection> {
    let snapshot = &ctx.snapshot;
    let off = || snapshot.valve.memory_is_off(snapshot.clock.now());
    let may = || model.target.router && snapshot.bypass_of(model).is_some();
    Ok(wants_no_memory(headers)? || off() && may())
}

/// The way to a direct model; `None` where LiteLLM serves the route.
pub(super) fn way(
    session: &Session,
    ctx: &RequestCtx,
    target: &Target,
    route: &Route,
) -> Result<Option<DirectWay>, Rejection> {
    let Some(model) = route.direct() else {
        return Ok(None);
    };
    let asked = &session.req_header().uri;
    let uri = match (model.target.dialect, target) {
        (ProviderDialect::Anthropic, Target::Messages | Target::CountTokens) => {
            uri(model, asked.path(), asked.query())?
        }
        // The query was meant for the other dialect.
        (ProviderDialect::Anthropic, Target::ChatCompletions) => uri(model, "/v1/messages", None)?,
        (ProviderDialect::OpenAi, Target::ChatCompletions) => {
            uri(model, "/chat/completions", asked.query())?
        }
        _ => return Err(no_endpoint(route, model)),
    };
    let upstream = ctx.snapshot.upstream_of(model);
    let mut way = DirectWay {
        errand: Errand::Model(Arc::clone(model)),
        upstream: Arc::clone(upstream.ok_or(Rejection::Upstream(Failure::Internal))?),
        uri,
        fairness: Fairness::default(),
        detour: None,
        bypassed: false,
        attempts: 0,
    };
    let headers = &session.req_header().headers;
    if model.target.router && goes_without_memory(headers, ctx, model)? {
        let past = ctx.snapshot.bypass_of(model);
        way.upstream = Arc::clone(past.ok_or(Rejection::MemorySwitch(NO_WAY_PAST))?);
        way.leave_router();
    }
    Ok(Some(way))
}

/// The model's provider is to be asked in another dialect than the client speaks.
pub(super) fn is_translated(model: &DirectModel, target: &Target) -> bool {
    model.target.dialect == ProviderDialect::Anthropic && *target == Target::ChatCompletions
}

/// The way of this route is to be asked in another dialect than the client speaks.
pub(super) fn translates(route: &Route, target: &Target) -> bool {
    let model = route.direct();
    model.is_some_and(|model| is_translated(model, target))
}

/// The gateway itself does not speak to this model in the dialect of this path.
pub(super) fn no_endpoint(route: &Route, model: &DirectModel) -> Rejection {
    Rejection::Endpoint {
        model: route.name.to_string(),
        speaks: model.target.dialect,
    }
}

/// Whose memory is meant: the router is never asked without a name that we set, whoever speaks to it.
pub(super) fn memory(
    headers: &HeaderMap,
    ctx: &RequestCtx,
    route: &Route,
    caller: Option<&Caller>,
) -> Result<Memory, Rejection> {
    let Some(model) = route.direct() else {
        return match wants_no_memory(headers)? {
            true => Err(Rejection::MemorySwitch(LITELLMS_MEMORY)),
            false => Ok(Memory::None),
        };
    };
    if goes_without_memory(headers, ctx, model)? {
        return Ok(Memory::Off);
    }
    if !model.target.router {
        return Ok(Memory::None);
    }
    let meant = ctx.snapshot.identity.resolve(headers, standing(caller));
    meant.map(Memory::Of).ok_or(Rejection::NoMemoryUser)
}

/// What a caller's key says of whose memory may be meant.
pub(super) fn standing(caller: Option<&Caller>) -> Standing<'_> {
    caller.map_or(Standing::ANYBODY, |caller| Standing {
        user: caller.user(),
        impersonates: caller.may_impersonate(),
        shared: caller.is_shared(),
    })
}

/// The configured path in front of the endpoint, and the query, byte for byte; a memory user in the query goes.
fn uri(model: &DirectModel, endpoint: &str, query: Option<&str>) -> Result<Uri, Rejection> {
    let query = without_user(query).map_or_else(String::new, |query| format!("?{query}"));
    let uri = format!("{}{endpoint}{query}", model.target.base.path);
    uri.parse()
        .map_err(|_unsound| Rejection::Head("the query is not valid"))
}

/// A query without those pairs that name a memory user.
pub(super) fn without_user(query: Option<&str>) -> Option<Cow<'_, str>> {
    let query = query?;
    if !says(query, b"userId") {
        return Some(Cow::Borrowed(query));
    }
    let pairs = query.split('&');
    let others: Vec<&str> = pairs.filter(|pair| !says(pair, b"userId")).collect();
    (!others.is_empty()).then(|| Cow::Owned(others.join("&")))
}

/// Whether a query has such a name, also where it is spelt with escapes: a server decodes it before it looks.
pub(super) fn says(query: &str, name: &[u8]) -> bool {
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    names
        .map(percent_encoding::percent_decode_str)
        .any(|said| said.eq(name.iter().copied()))
}
