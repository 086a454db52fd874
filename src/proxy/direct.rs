//! How is a direct model called for this request: whom, at which path, in which dialect, for whose memory?

use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;
use pingora_proxy::Session;

use super::context::{DirectWay, RequestCtx};
use super::errand::Errand;
use super::passage::Fairness;
use super::target::Target;
use crate::auth::Caller;
use crate::config::ProviderDialect;
use crate::gateway::{Failure, Rejection};
use crate::identity::MemoryUser;
use crate::routing::{DirectModel, Route};

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
    Ok(Some(DirectWay {
        errand: Errand::Model(Arc::clone(model)),
        upstream: Arc::clone(upstream.ok_or(Rejection::Upstream(Failure::Internal))?),
        uri,
        fairness: Fairness::default(),
        detour: None,
        bypassed: false,
        attempts: 0,
    }))
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
pub(super) fn memory_user(
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
