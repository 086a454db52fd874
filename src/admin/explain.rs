//! How would a described request go, whose memory would it mean, and why? Nothing is sent.

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Value, json};

use super::lanes::state;
use crate::auth::Caller;
use crate::config::ProviderDialect;
use crate::cookies::Site;
use crate::gateway::{DirectUpstream, Snapshot};
use crate::identity::{By, Standing};
use crate::routing::{Description, DirectModel, Way, qualified};
use crate::wire::Dialect;

const PATHS: [&str; 3] = [
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/chat/completions",
];

/// A request as the query describes it.
struct Asked {
    model: String,
    path: &'static str,
    headers: HeaderMap,
    /// By its name.
    key: Option<String>,
}

/// One way that the request may go.
#[derive(Serialize)]
struct WayTold {
    #[serde(flatten)]
    way: Way,
    lane: Option<String>,
    state: Option<&'static str>,
    /// Names of the cookies that would go with it.
    cookies: Vec<String>,
    /// Of what the client sends: `identical`, `spliced` (the model's name), `translated`, or refused.
    body: &'static str,
    memory: bool,
}

pub(super) fn explain(snapshot: &Snapshot, query: &str) -> Result<Value, String> {
    let asked = Asked::parse(query)?;
    let caller = asked.key.as_deref().map(|name| named(snapshot, name));
    let caller = caller.transpose()?;
    let route = snapshot
        .routes
        .describe(&asked.model, snapshot.config.direct.bypass);
    let ways: Vec<WayTold> = route
        .ways
        .iter()
        .map(|way| told(snapshot, &asked, &route, way))
        .collect();
    let standing = caller.as_ref().map_or(Standing::ANYBODY, standing);
    let meant = snapshot.identity.resolve(&asked.headers, standing);
    let needs_user = ways.iter().any(|way| way.memory);
    let names: Vec<&str> = std::iter::once(route.name.as_str())
        .chain(route.alias_of.as_deref())
        .collect();
    let qualified = names.iter().find_map(|name| qualified(name));
    let allowed = caller
        .as_ref()
        .map(|caller| caller.may_use(&names, qualified.as_deref()));
    let mut text = format!("{} on {}: {}\n", route.requested, asked.path, rule(&route));
    if let (Some(name), Some(allowed)) = (&asked.key, &allowed) {
        let may = if allowed.is_ok() { "may" } else { "may not" };
        let _ = writeln!(text, "the key {name} {may} use it");
    }
    for way in &ways {
        write_way(&mut text, way, ways.len() > 1);
    }
    match (needs_user, &meant) {
        (true, Some(meant)) => {
            let _ = writeln!(
                text,
                "memory of {}, told by {}",
                meant.user.as_str(),
                by(meant.by)
            );
        }
        (true, None) => {
            text.push_str("refused with 400 no_memory_user: nothing tells whose memory is meant\n")
        }
        (false, _) => text.push_str("no memory: the router is not on its way\n"),
    }
    let meant = meant.filter(|_| needs_user);
    Ok(json!({
        "requested": route.requested,
        "path": asked.path,
        "dialect": Dialect::of_path(asked.path).as_str(),
        "rule": route.rule,
        "name": route.name,
        "alias_of": route.alias_of,
        "betas": route.betas,
        "key_may_use_it": allowed.map(|allowed| allowed.is_ok()),
        "ways": ways,
        "memory_user": meant.as_ref().map(|meant| meant.user.as_str()),
        "told_by": meant.as_ref().map(|meant| meant.by.as_str()),
        "text": text,
    }))
}

impl Asked {
    fn parse(query: &str) -> Result<Self, String> {
        let mut asked = Self {
            model: String::new(),
            path: PATHS[0],
            headers: HeaderMap::new(),
            key: None,
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        for (name, value) in pairs.filter_map(|pair| pair.split_once('=')) {
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy();
            match name {
                "model" => asked.model = value.into_owned(),
                "key" => asked.key = Some(value.into_owned()),
                "header" => {
                    let (name, value) = header(&value)?;
                    asked.headers.append(name, value);
                }
                "path" => {
                    let mut known = PATHS.into_iter();
                    asked.path = known
                        .find(|path| *path == value)
                        .ok_or_else(|| format!("`path` is one of {}", PATHS.join(", ")))?;
                }
                _ => {
                    return Err(format!(
                        "`{name}` is not known: ask with model, path, header (name: value) and key (its name)"
                    ));
                }
            }
        }
        if asked.model.is_empty() {
            return Err("say which `model` the request would name".to_owned());
        }
        Ok(asked)
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || "a `header` is written `name: value`".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = HeaderName::try_from(name.trim()).ok().ok_or_else(wrong)?;
    let value = HeaderValue::try_from(value.trim()).ok().ok_or_else(wrong)?;
    Ok((name, value))
}

fn named(snapshot: &Snapshot, name: &str) -> Result<Caller, String> {
    match snapshot.keys.named(name) {
        Some(Ok(caller)) => Ok(caller),
        Some(Err(_expired)) => Err("this key has expired".to_owned()),
        // A key itself may stand where its name belongs.
        None => Err("no key of the keys file is called so, or it is disabled".to_owned()),
    }
}

fn standing(caller: &Caller) -> Standing<'_> {
    Standing {
        user: caller.user(),
        impersonates: caller.may_impersonate(),
        shared: caller.is_shared(),
    }
}

fn told(snapshot: &Snapshot, asked: &Asked, route: &Description, way: &Way) -> WayTold {
    let Some(model) = model_of(snapshot, route, way) else {
        return WayTold {
            way: way.clone(),
            lane: None,
            state: None,
            cookies: Vec::new(),
            body: body_of(route, way),
            memory: false,
        };
    };
    let upstream = snapshot.upstream_of(model);
    WayTold {
        way: way.clone(),
        lane: upstream.map(|upstream| upstream.name().to_owned()),
        state: upstream.map(|upstream| state(&upstream.lane.view())),
        cookies: upstream
            .map(|upstream| cookies(snapshot, upstream, model))
            .unwrap_or_default(),
        body: match (model.target.dialect, asked.path) {
            (ProviderDialect::Anthropic, "/v1/chat/completions") => "translated",
            (ProviderDialect::OpenAi, path) if path != "/v1/chat/completions" => "refused",
            _ => body_of(route, way),
        },
        memory: model.target.router,
    }
}

fn body_of(route: &Description, way: &Way) -> &'static str {
    if way.model == route.requested {
        "identical"
    } else {
        "spliced"
    }
}

fn model_of<'s>(snapshot: &'s Snapshot, route: &Description, way: &Way) -> Option<&'s DirectModel> {
    let url = way.url.as_ref()?;
    let group = route.alias_of.as_ref().unwrap_or(&route.name);
    let models = snapshot.routes.direct().iter().map(|model| &**model);
    let at = |model: &&DirectModel| model.target.base.to_string() == *url;
    let mut of_group = models.clone().filter(|model| *model.group == **group);
    of_group.find(at).or_else(|| models.clone().find(at))
}

fn cookies(snapshot: &Snapshot, upstream: &DirectUpstream, model: &DirectModel) -> Vec<String> {
    let site = Site {
        host: upstream.host(),
        path: &model.target.base.path,
        secure: true,
    };
    let header = upstream.jar.header(&site, snapshot.clock.wall());
    header
        .map(|header| header.names.to_vec())
        .unwrap_or_default()
}

fn rule(route: &Description) -> String {
    let mut text = route.rule.to_owned();
    if route.name != route.requested {
        let _ = write!(text, " {}", route.name);
    }
    if let Some(target) = &route.alias_of {
        let _ = write!(text, ", alias of {target}");
    }
    if !route.betas.is_empty() {
        let _ = write!(text, ", adds {} to anthropic-beta", route.betas.join(","));
    }
    text
}

fn write_way(text: &mut String, told: &WayTold, one_of_many: bool) {
    let way = &told.way;
    if one_of_many {
        let _ = write!(text, "{:.0} % ", way.share * 100.0);
    }
    let _ = match &way.url {
        Some(url) => writeln!(text, "to {url} as {}", way.model),
        None => writeln!(text, "to LiteLLM as {}", way.model),
    };
    let body = match told.body {
        "identical" => "the body stays as it is, byte for byte",
        "spliced" => "of the body only the model's name is changed",
        "translated" => "the body is translated for the provider, and its answer back",
        _ => "refused with 400 unsupported_endpoint: the model is not served on this path",
    };
    let _ = writeln!(text, "  {body}");
    if let (Some(lane), Some(state)) = (&told.lane, told.state) {
        let _ = writeln!(text, "  by the lane {lane}, which is {state}");
    }
    if !told.cookies.is_empty() {
        let _ = writeln!(text, "  with the cookies {}", told.cookies.join(", "));
    }
    match &way.bypass {
        Some(bypass) => {
            let _ = writeln!(
                text,
                "  while the lane is closed: to {bypass}, without memory"
            );
        }
        None if told.lane.is_some() => {
            text.push_str("  while the lane is closed: it waits in line\n")
        }
        None => {}
    }
}

fn by(by: By) -> &'static str {
    match by {
        By::CustomHeader => "the custom header",
        By::Key => "the key",
        By::Pattern => "a header pattern",
        By::Default => "default_user_id",
    }
}
