//! Which of LiteLLM's features do the requests of a direct model skip?

use super::models::DirectModel;
use super::{Node, Place, defaults};
use crate::config::yaml::Value;

/// A direct model and what LiteLLM would have done for its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub place: Place,
    pub model: String,
    /// What is configured and does not happen, such as `fallbacks (litellm_settings.fallbacks)`.
    pub features: Vec<String>,
}

/// `litellm_params` that the gateway acts on.
const HONOURED: [&str; 8] = [
    "model",
    "api_base",
    "base_url",
    "api_key",
    "extra_headers",
    "custom_llm_provider",
    "weight",
    "litellm_credential_name",
];
const LIMITS: [&str; 6] = [
    "rpm",
    "tpm",
    "itpm",
    "otpm",
    "max_parallel_requests",
    "default_api_key_rpm_limit",
];
const BUDGETS: [&str; 2] = ["max_budget", "budget_duration"];
const ROUTING: [&str; 9] = [
    "timeout",
    "stream_timeout",
    "max_retries",
    "num_retries",
    "cooldown_time",
    "tags",
    "order",
    "region_name",
    "organization",
];
const BOOKKEEPING: [&str; 6] = [
    "input_cost_per_token",
    "output_cost_per_token",
    "input_cost_per_second",
    "output_cost_per_second",
    "model_info",
    "base_model",
];

/// Features set once for all models: the section, the key, what it is called.
const SHARED: [(&str, &str, &str); 16] = [
    ("litellm_settings", "cache", "cache"),
    ("litellm_settings", "callbacks", "callbacks"),
    ("litellm_settings", "success_callback", "callbacks"),
    ("litellm_settings", "failure_callback", "callbacks"),
    ("litellm_settings", "guardrails", "guardrails"),
    ("litellm_settings", "default_fallbacks", "fallbacks"),
    ("litellm_settings", "max_budget", "budgets"),
    (
        "litellm_settings",
        "default_internal_user_params",
        "budgets",
    ),
    (
        "litellm_settings",
        "model_group_settings",
        "model group settings",
    ),
    ("router_settings", "default_fallbacks", "fallbacks"),
    ("router_settings", "provider_budget_config", "budgets"),
    (
        "router_settings",
        "optional_pre_call_checks",
        "pre-call checks",
    ),
    (
        "general_settings",
        "database_url",
        "spend log and budgets of keys",
    ),
    ("general_settings", "custom_auth", "custom authentication"),
    ("", "guardrails", "guardrails"),
    ("", "policies", "policies"),
];
const FALLBACKS: [&str; 3] = [
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
];

pub(super) fn skipped(root: &Node, models: &[DirectModel]) -> Vec<Skipped> {
    let shared: Vec<String> = SHARED
        .iter()
        .filter(|(section, key, _)| {
            let holder = if section.is_empty() {
                Some(root)
            } else {
                root.get(section)
            };
            holder.and_then(|holder| holder.get(key)).is_some_and(is_on)
        })
        .map(|(section, key, what)| match *section {
            "" => format!("{what} ({key})"),
            section => format!("{what} ({section}.{key})"),
        })
        .collect();
    models
        .iter()
        .map(|model| {
            let mut features = own_features(model);
            features.extend(fallbacks(root, model.name));
            features.extend(shared.iter().cloned());
            Skipped {
                place: model.place.clone(),
                model: model.name.to_owned(),
                features,
            }
        })
        .filter(|skipped| !skipped.features.is_empty())
        .collect()
}

fn own_features(model: &DirectModel) -> Vec<String> {
    let mut features = Vec::new();
    for key in model
        .params
        .entries()
        .iter()
        .filter(|entry| is_on(&entry.value))
        .filter_map(|entry| entry.key.as_str())
    {
        let what = match key {
            _ if HONOURED.contains(&key) => continue,
            _ if LIMITS.contains(&key) => "rate limits",
            _ if BUDGETS.contains(&key) => "budgets",
            _ if ROUTING.contains(&key) => "routing",
            _ if BOOKKEEPING.contains(&key) => "spend log",
            "guardrails" => "guardrails",
            _ if model.translated && defaults::is_honoured(key) => "body default on /v1/messages",
            _ => "body default",
        };
        features.push(format!("{what} ({key})"));
    }
    features
}

/// Fallbacks that name the model, or every model.
fn fallbacks(root: &Node, model: &str) -> Vec<String> {
    let mut found = Vec::new();
    for section in ["litellm_settings", "router_settings"] {
        for key in FALLBACKS {
            let list = root
                .get(section)
                .and_then(|section| section.get(key))
                .map(Node::items)
                .unwrap_or_default();
            let names_it = |item: &Node| item.get(model).is_some() || item.get("*").is_some();
            if list.iter().any(names_it) {
                found.push(format!("fallbacks ({section}.{key})"));
            }
        }
    }
    found
}

/// Set to something: not `null`, `false` or empty.
fn is_on(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => false,
        Value::Seq(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        _ => true,
    }
}
