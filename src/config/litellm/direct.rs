//! How does the gateway itself call a model whose `api_base` is on a direct domain?

use http::{HeaderName, HeaderValue};

use super::deployment::Params;
use super::values::Values;
use super::{Node, Secret, defaults};
use crate::config::address::{is_within, split_port};
use crate::config::audit;
use crate::config::models::{BypassTarget, DirectTarget, ProviderDialect};
use crate::config::settings::BaseUrl;
use crate::config::yaml::Value;

/// A fault was reported that leaves nothing to call.
pub(super) struct Unusable;

/// `None` where LiteLLM serves the model.
pub(super) fn target(
    params: Params,
    provider: Option<&str>,
    model: &str,
    domains: &[String],
    values: &mut Values,
) -> Result<Option<DirectTarget>, Unusable> {
    let Some(node) = params.base() else {
        return Ok(None);
    };
    let Some(text) = values.text(node, "api_base") else {
        return Ok(None);
    };
    let base = BaseUrl::parse(&text);
    let named = base.as_ref().map(|base| base.origin.host.clone());
    let host = named.unwrap_or_else(|_| likely_host(&text));
    if !domains.iter().any(|domain| is_within(&host, domain)) {
        return Ok(None);
    }
    let fault = |values: &mut Values, problem| {
        values.notes.fault(&node.place, problem);
        Unusable
    };
    let mut base = base
        .and_then(|base| usable(base, &text))
        .map_err(|problem| {
            fault(
                values,
                format!("the `api_base` of a direct model {problem}"),
            )
        })?;
    let mut behind =
        BaseUrl::behind_router(&base.path).map_err(|problem| fault(values, problem))?;
    let provider_host = behind.as_ref().unwrap_or(&base).origin.host.clone();
    let Some(dialect) = dialect(provider, &provider_host, model, &base.path) else {
        values.notes.warn(
            &node.place,
            "this provider speaks neither Anthropic's dialect nor OpenAI's, so LiteLLM serves the model, without the gateway's cookies and limits",
        );
        return Ok(None);
    };
    for url in [Some(&mut base), behind.as_mut()].into_iter().flatten() {
        url.path = without_endpoint(&url.path, dialect).to_owned();
    }
    let api_key = api_key(params, provider, dialect, node, values);
    let extra_headers = extra_headers(params.get("extra_headers"), values);
    report_keys(params, behind.is_some(), api_key.is_some(), values);
    let defaults = match dialect {
        ProviderDialect::Anthropic => defaults::read(params.own(), values),
        ProviderDialect::OpenAi => defaults::Read::default(),
    };
    Ok(Some(DirectTarget {
        router: behind.is_some(),
        bypass: behind.map(|base| BypassTarget {
            base,
            api_key: api_key.clone(),
            extra_headers: past_the_router(&extra_headers, api_key.is_some()),
        }),
        base,
        provider_host,
        dialect,
        api_key,
        extra_headers,
        defaults: defaults.values,
        defaults_at: defaults.places,
    }))
}

/// The host of what is no URL, so that a slip in a direct `api_base` is not taken for a model of LiteLLM's.
fn likely_host(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    split_port(host.trim())
        .map(|(host, _)| host)
        .unwrap_or_default()
}

fn usable(base: BaseUrl, text: &str) -> Result<BaseUrl, String> {
    if !base.origin.tls {
        return Err("is plain HTTP, keys and cookies go over `https://` only".to_owned());
    }
    if text.contains(['\\']) {
        return Err("holds a backslash, write `/`".to_owned());
    }
    Ok(base)
}

/// Without what the gateway appends itself: `/v1/messages`, of which LiteLLM lets either part be there, or
/// `/chat/completions`.
fn without_endpoint(path: &str, dialect: ProviderDialect) -> &str {
    let path = match dialect {
        ProviderDialect::Anthropic => path
            .strip_suffix("/v1/messages")
            .or_else(|| path.strip_suffix("/v1")),
        ProviderDialect::OpenAi => path.strip_suffix("/chat/completions"),
    }
    .unwrap_or(path);
    path.trim_end_matches('/')
}

/// What of a model's headers concerns its provider alone. Whose a key among them is nobody can tell, so where
/// there is an `api_key` that is the only one.
fn past_the_router(
    headers: &[(HeaderName, HeaderValue)],
    has_key: bool,
) -> Vec<(HeaderName, HeaderValue)> {
    let leaves = |name: &str| is_routers(name) || has_key && audit::is_secret_name(name);
    let others = headers.iter().filter(|(name, _)| !leaves(name.as_str()));
    others.cloned().collect()
}

fn is_routers(name: &str) -> bool {
    name.starts_with("x-supermemory-") || name.starts_with("x-sm-")
}

/// Warns of keys in the headers of a model behind the router, which has a name of its own for its key.
fn report_keys(params: Params, routed: bool, has_key: bool, values: &mut Values) {
    let headers = params.get("extra_headers").filter(|_| routed);
    let entries = headers.map(Node::entries).unwrap_or_default();
    for key in entries.iter().map(|entry| &entry.key) {
        let name = key.as_str().unwrap_or_default().to_ascii_lowercase();
        if is_routers(&name) || !audit::is_secret_name(&name) {
            continue;
        }
        let where_to = match has_key {
            true => {
                "goes to the router beside `api_key` or instead of it, and past the router it is left out"
            }
            false => "goes to the router, and past it to the provider itself",
        };
        values.notes.warn(
            &key.place,
            format!("`extra_headers.{name}` {where_to}; set the provider's key as `api_key`, the router's as `x-supermemory-api-key`"),
        );
    }
}

/// Providers that LiteLLM calls in a dialect of their own. Gemini has OpenAI's too, at a path that says so.
const OTHERS: [&str; 19] = [
    "azure",
    "azure_ai",
    "azure_text",
    "bedrock",
    "cohere",
    "cohere_chat",
    "gemini",
    "huggingface",
    "oci",
    "ollama",
    "ollama_chat",
    "replicate",
    "sagemaker",
    "sagemaker_chat",
    "snowflake",
    "vertex_ai",
    "vertex_ai_beta",
    "watsonx",
    "watsonx_text",
];

/// A provider that is named decides, else its host, else the model's name. `None`: neither of ours.
fn dialect(
    provider: Option<&str>,
    provider_host: &str,
    model: &str,
    path: &str,
) -> Option<ProviderDialect> {
    let anthropic = match provider {
        Some(provider) => matches!(provider, "anthropic" | "anthropic_text"),
        None => is_within(provider_host, "anthropic.com") || model.starts_with("claude"),
    };
    let other = provider.is_some_and(|provider| OTHERS.contains(&provider));
    match (anthropic, other) {
        (true, _) => Some(ProviderDialect::Anthropic),
        (false, true) if !path.ends_with("/openai") => None,
        (false, _) => Some(ProviderDialect::OpenAi),
    }
}

/// `api_key`, else the variable that LiteLLM reads for this provider.
fn api_key(
    params: Params,
    provider: Option<&str>,
    dialect: ProviderDialect,
    base: &Node,
    values: &mut Values,
) -> Option<Secret> {
    if let Some(node) = params.get("api_key") {
        return values.secret(node, "api_key");
    }
    let variable = match (dialect, provider) {
        (ProviderDialect::Anthropic, _) => Some("ANTHROPIC_API_KEY"),
        (ProviderDialect::OpenAi, Some("openai")) => Some("OPENAI_API_KEY"),
        _ => None,
    };
    let key = variable
        .and_then(|name| values.running_var(name))
        .map(Secret::new);
    if key.is_none() {
        let hint = variable
            .map(|name| format!(" or the variable {name}"))
            .unwrap_or_default();
        values.notes.warn(
            &base.place,
            format!(
                "a direct model without a key, the provider will refuse it; set `api_key`{hint}"
            ),
        );
    }
    key
}

fn extra_headers(node: Option<&Node>, values: &mut Values) -> Vec<(HeaderName, HeaderValue)> {
    let Some(node) = node else { return Vec::new() };
    if !matches!(node.value, Value::Map(_)) {
        values.notes.fault(
            &node.place,
            format!(
                "`extra_headers` is {}, it takes a mapping of names to values",
                node.kind()
            ),
        );
    }
    let mut headers = Vec::new();
    for entry in node.entries() {
        let name = entry
            .key
            .as_str()
            .and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        let Some(name) = name else {
            values.notes.fault(
                &entry.key.place,
                "this is no header name, use letters, digits and `-`",
            );
            continue;
        };
        if let Some(reason) = forbidden(name.as_str()) {
            values.notes.fault(
                &entry.key.place,
                format!("`extra_headers` sets `{name}`, {reason}"),
            );
            continue;
        }
        let Some(text) = values.text(&entry.value, &format!("extra_headers.{name}")) else {
            continue;
        };
        match HeaderValue::from_str(&text) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            Err(_) => values.notes.fault(
                &entry.value.place,
                format!(
                    "`extra_headers.{name}` holds a line break or a control character, remove it"
                ),
            ),
        }
    }
    headers
}

/// Why a model may not set this header, if it may not.
fn forbidden(name: &str) -> Option<&'static str> {
    let prefixed = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    match name {
        "host" | "content-length" | "content-encoding" | "expect" | "accept-encoding"
        | "user-agent" => Some("which memgate sets itself; remove it"),
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "proxy-authenticate"
        | "proxy-authorization"
        | "te"
        | "trailer"
        | "transfer-encoding"
        | "upgrade" => Some("which belongs to one connection; remove it"),
        "cookie" => Some("which holds what the provider's edge set; remove it"),
        "x-sm-user-id" => {
            Some("which names one memory for everybody; set `user_id_mappings.default_user_id`")
        }
        "forwarded" | "via" | "x-real-ip" => Some("which the provider's edge refuses; remove it"),
        _ if prefixed(&["cf-", "x-forwarded-"]) => {
            Some("which the provider's edge refuses; remove it")
        }
        _ => None,
    }
}
