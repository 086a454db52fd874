//! Which of LiteLLM's features do the requests of a direct model skip?

use super::models::DirectModel;
use super::{Node, Notes, Place, defaults, shared};
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

const FALLBACKS: [&str; 3] = [
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
];

/// What the requests of each direct model do without. What LiteLLM forbids and nobody forbids here is also warned of.
pub(super) fn skipped(root: &Node, models: &[DirectModel], notes: &mut Notes) -> Vec<Skipped> {
    if models.is_empty() {
        return Vec::new();
    }
    let shared = shared::unheeded(root);
    for setting in shared.iter().filter(|setting| setting.is_access_control) {
        notes.warn(
            setting.place,
            format!(
                "{} does not hold for direct models, whose requests do not pass LiteLLM",
                setting.feature
            ),
        );
    }
    report_fallbacks_to(root, models, notes);
    models
        .iter()
        .map(|model| {
            let mut features = own_features(model);
            features.extend(fallbacks(root, model.name));
            features.extend(shared.iter().map(|setting| setting.feature.clone()));
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

/// Warns of fallbacks of LiteLLM's own models to direct ones, which it then calls by itself.
fn report_fallbacks_to(root: &Node, models: &[DirectModel], notes: &mut Notes) {
    let is_direct = |name: &str| models.iter().any(|model| model.name == name);
    let sections = ["litellm_settings", "router_settings"].map(|section| root.get(section));
    for section in sections.into_iter().flatten() {
        let list = |key: &str| section.get(key).map(Node::items).unwrap_or_default();
        let entries = FALLBACKS
            .iter()
            .flat_map(|key| list(key))
            .flat_map(Node::entries);
        let of_litellms = entries.filter(|entry| !entry.key.as_str().is_some_and(is_direct));
        let named = of_litellms.flat_map(|entry| entry.value.items());
        for target in named.chain(list("default_fallbacks")) {
            if let Some(name) = target.as_str().filter(|name| is_direct(name)) {
                notes.warn(
                    &target.place,
                    format!("LiteLLM falls back to `{name}` by calling its `api_base` itself, beside this gateway's limit and with Cloudflare's pages passed on; name a model here that leads through `egress`"),
                );
            }
        }
    }
}

/// Set to something: not `null`, `false` or empty.
pub(super) fn is_on(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => false,
        Value::Seq(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        _ => true,
    }
}
