//! What would Anthropic refuse of a request that the simulator could very well answer?

use serde_json::{Map, Value};

const FIELDS: [&str; 22] = [
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

type Rule = fn(&Map<String, Value>) -> Option<String>;

/// The first rule that is broken, in Anthropic's manner.
pub(super) fn broken(body: &[u8]) -> Option<String> {
    let body: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let rules: [Rule; 6] = [fields, texts, turns, tools, thinking, sampling];
    rules.iter().find_map(|rule| rule(&body))
}

fn fields(body: &Map<String, Value>) -> Option<String> {
    let mut unknown = body.keys().filter(|name| !FIELDS.contains(&name.as_str()));
    let unknown = unknown.next()?;
    Some(format!("{unknown}: Extra inputs are not permitted"))
}

fn blocks(message: &Value) -> &[Value] {
    message["content"].as_array().map_or(&[], Vec::as_slice)
}

fn messages(body: &Map<String, Value>) -> &[Value] {
    let messages = body.get("messages").and_then(Value::as_array);
    messages.map_or(&[], Vec::as_slice)
}

fn texts(body: &Map<String, Value>) -> Option<String> {
    let system = body.get("system").and_then(Value::as_array);
    let all = messages(body).iter().flat_map(blocks);
    let mut all = system.into_iter().flatten().chain(all);
    let empty = |block: &Value| {
        block["type"] == "text"
            && block["text"]
                .as_str()
                .is_none_or(|text| text.trim().is_empty())
    };
    all.any(empty)
        .then(|| "messages: text content blocks must be non-empty".to_owned())
}

/// The ids of blocks of this type.
fn ids<'m>(message: &'m Value, kind: &str, field: &str) -> Vec<&'m str> {
    let of_kind = blocks(message).iter().filter(|block| block["type"] == kind);
    of_kind.filter_map(|block| block[field].as_str()).collect()
}

/// Each call has its result at the very beginning of the next turn, and no result is without a call.
fn turns(body: &Map<String, Value>) -> Option<String> {
    let messages = messages(body);
    for (at, message) in messages.iter().enumerate() {
        let called = ids(message, "tool_use", "id");
        if let Some(id) = called.iter().find(|id| !is_name(id, usize::MAX)) {
            return Some(format!(
                "messages.{at}: tool_use.id {id:?} does not match the pattern"
            ));
        }
        let Some(next) = messages.get(at + 1) else {
            break;
        };
        let answered = ids(next, "tool_result", "tool_use_id");
        let first = blocks(next).iter().take(answered.len());
        let leading = first.filter(|block| block["type"] == "tool_result").count();
        let (mut called, mut answered) = (called, answered);
        called.sort_unstable();
        answered.sort_unstable();
        if called != answered || leading < answered.len() {
            return Some(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {called:?}",
                at + 1
            ));
        }
    }
    None
}

fn is_name(name: &str, longest: usize) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    !name.is_empty() && name.len() <= longest && name.bytes().all(fits)
}

fn tools(body: &Map<String, Value>) -> Option<String> {
    let tools = body.get("tools").and_then(Value::as_array);
    let own = |tool: &&Value| tool.get("input_schema").is_some();
    for tool in tools.into_iter().flatten().filter(own) {
        if !tool["name"].as_str().is_some_and(|name| is_name(name, 128)) {
            return Some(format!(
                "tools: name {} does not match the pattern",
                tool["name"]
            ));
        }
        if tool["input_schema"]["type"] != "object" {
            return Some("tools.input_schema.type: Field required".to_owned());
        }
    }
    let without = tools.is_none_or(Vec::is_empty);
    (without && body.contains_key("tool_choice"))
        .then(|| "tool_choice may only be specified while providing tools".to_owned())
}

fn thinking(body: &Map<String, Value>) -> Option<String> {
    let thinking = body.get("thinking")?;
    let budget = thinking["budget_tokens"].as_u64();
    let limit = body.get("max_tokens").and_then(Value::as_u64);
    if thinking["type"] == "enabled" && budget.is_none_or(|budget| budget < 1024) {
        return Some(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
                .to_owned(),
        );
    }
    if budget >= limit && budget.is_some() {
        return Some("`max_tokens` must be greater than `thinking.budget_tokens`".to_owned());
    }
    let forced = body.get("tool_choice").map(|choice| &choice["type"]);
    let forced = forced.is_some_and(|kind| kind == "any" || kind == "tool");
    (forced && thinking["type"] != "disabled")
        .then(|| "Thinking may not be enabled when tool_choice forces tool use".to_owned())
}

fn sampling(body: &Map<String, Value>) -> Option<String> {
    let number = |name: &str| body.get(name).and_then(Value::as_f64);
    if let Some(name) = ["temperature", "top_p"]
        .into_iter()
        .find(|name| number(name).is_some_and(|value| !(0.0..=1.0).contains(&value)))
    {
        return Some(format!("{name}: range: 0..1"));
    }
    let stops = body.get("stop_sequences").and_then(Value::as_array);
    let blank = |stop: &Value| stop.as_str().is_none_or(|stop| stop.trim().is_empty());
    stops
        .into_iter()
        .flatten()
        .any(blank)
        .then(|| "stop_sequences: each stop sequence must contain non-whitespace".to_owned())
}
