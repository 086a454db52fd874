//! What does `litellm_params` say of a request's body, where the client is silent?

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::values::Values;
use super::{Node, Place};
use crate::config::yaml::{Entry, Value};

/// What is honoured of it where a request is translated.
const HONOURED: [&str; 23] = [
    "anthropic_beta",
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_completion_tokens",
    "max_tokens",
    "mcp_servers",
    "output_config",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "service_tier",
    "speed",
    "stop",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user",
];

pub(super) fn is_honoured(key: &str) -> bool {
    key == "extra_body" || HONOURED.contains(&key)
}

/// The defaults, and where each is set.
#[derive(Default)]
pub(super) struct Read {
    pub values: Map<String, Json>,
    pub places: BTreeMap<String, Place>,
}

/// `extra_body` is no parameter of its own: what is in it stands beside the others, and wins.
pub(super) fn read(params: &Node, values: &mut Values) -> Read {
    let mut defaults = Read::default();
    let extra = params.present("extra_body").map(Node::entries);
    for entry in params.entries().iter().chain(extra.unwrap_or_default()) {
        let key = entry.key.as_str().filter(|key| HONOURED.contains(key));
        let (Some(key), false) = (key, entry.value.is_null()) else {
            continue;
        };
        if let Some(value) = resolved(&entry.value, key, values) {
            defaults.values.insert(key.to_owned(), value);
            let place = entry.value.place.clone();
            defaults.places.insert(key.to_owned(), place);
        }
    }
    defaults
}

/// In JSON, each `os.environ/NAME` in it replaced.
fn resolved(node: &Node, what: &str, values: &mut Values) -> Option<Json> {
    match &node.value {
        Value::Str(text) if !text.is_empty() => values.text(node, what).map(Json::String),
        Value::Seq(items) => items
            .iter()
            .map(|item| resolved(item, what, values))
            .collect(),
        Value::Map(entries) => {
            let pair = |entry: &Entry| {
                let key = entry.key.as_str()?.to_owned();
                Some((key, resolved(&entry.value, what, values)?))
            };
            entries
                .iter()
                .map(pair)
                .collect::<Option<Map<_, _>>>()
                .map(Json::Object)
        }
        _ => Some(node.to_json()),
    }
}
