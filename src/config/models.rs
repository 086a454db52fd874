//! What LiteLLM's file says of its models, and of whose memory is meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use regex::Regex;

use super::{BaseUrl, Place, Secret};

/// LiteLLM's model list, resolved as LiteLLM resolves it.
#[derive(Clone, Default)]
pub struct Models {
    /// Groups of exact and wildcard names, in file order; repeated names are one group.
    pub groups: Vec<ModelGroup>,
    /// `router_settings.model_group_alias`.
    pub aliases: Vec<ModelAlias>,
}

#[derive(Clone)]
pub struct ModelAlias {
    pub name: String,
    pub target: String,
    /// Not shown in `/v1/models`.
    pub hidden: bool,
}

#[derive(Clone)]
pub struct ModelGroup {
    /// `model_name` as written; may hold `*`.
    pub name: String,
    pub deployments: Vec<Arc<Deployment>>,
}

#[derive(Clone)]
pub struct Deployment {
    /// `model_info.id`.
    pub id: Option<String>,
    /// `litellm_params.model` without a `provider/` prefix; may hold `*` for what the group's `*` captured.
    pub model: String,
    /// Share of the group's requests, by `litellm_params.weight`, else `rpm`, else `tpm`; where any
    /// deployment of the group sets one of them, those that do not have 0 and get no request.
    pub weight: u32,
    /// `None`: LiteLLM serves it.
    pub direct: Option<DirectTarget>,
}

/// How the gateway itself calls a deployment.
#[derive(Clone)]
pub struct DirectTarget {
    /// `api_base` without a trailing `/v1` or `/v1/messages`; in OpenAI's dialect without `/chat/completions`
    /// alone, as LiteLLM has it.
    pub base: BaseUrl,
    /// Host of the provider behind the router (`/v3/<provider URL>`), else the host called.
    pub provider_host: String,
    pub dialect: ProviderDialect,
    pub api_key: Option<Secret>,
    /// `extra_headers`, values marked sensitive.
    pub extra_headers: Vec<(HeaderName, HeaderValue)>,
    /// The base's path starts with the router's `/v3/` prefix: such requests need a memory user.
    pub router: bool,
    /// The same provider without the router; `None` where there is no router to go past.
    pub bypass: Option<BypassTarget>,
    /// `litellm_params` that stand in a translated body where the client is silent.
    pub defaults: serde_json::Map<String, serde_json::Value>,
    /// Where each of them is set.
    pub defaults_at: BTreeMap<String, Place>,
}

/// How the provider behind the router is called itself: without anything that is Supermemory's.
#[derive(Clone)]
pub struct BypassTarget {
    /// The `api_base` without the router's prefix.
    pub base: BaseUrl,
    pub api_key: Option<Secret>,
    /// The model's, but for `x-supermemory-*` and `x-sm-*`.
    pub extra_headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderDialect {
    Anthropic,
    OpenAi,
}

/// `user_id_mappings`: whose memory a request means.
#[derive(Clone, Default)]
pub struct Identity {
    /// A header whose value is the user id; read first.
    pub custom_header: Option<HeaderName>,
    /// In order; the first pattern found in its header wins.
    pub header_patterns: Vec<HeaderPattern>,
    pub default_user_id: Option<String>,
}

#[derive(Clone)]
pub struct HeaderPattern {
    pub header: HeaderName,
    pub pattern: Regex,
    pub user_id: String,
}
