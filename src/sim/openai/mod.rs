//! The provider in OpenAI's dialect: chat completions as JSON and as chunks, and OpenAI's errors.

mod ask;
mod chunks;

use serde_json::{Value, json};

use super::answer::Message;
use super::anthropic::Provider;
use super::head::Asked;
use super::reply::Reply;
use super::turn::{Ending, Part, Turn, id};

/// `…/chat/completions`, whatever stands before it.
pub(super) fn completion(asked: &Asked, provider: &Provider, scripted: Option<&Message>) -> Reply {
    let refused = |status, code: &str, message: &str| error(status, code, message);
    if !provider.admits(&asked.head) {
        return refused(401, "invalid_api_key", "Incorrect API key provided.");
    }
    let (ask, options) = match ask::read(asked) {
        Ok(understood) => understood,
        Err(fault) => return refused(400, "invalid_request", &fault),
    };
    let any = provider.models.is_empty();
    if !any && !provider.knows(&ask.model) {
        let message = format!("The model `{}` does not exist.", ask.model);
        return refused(404, "model_not_found", &message);
    }
    let text = scripted.and_then(|message| message.text.as_deref());
    let turn = Turn::to(&ask, text, provider.shape);
    let reply = match (ask.stream, Ending::of(scripted)) {
        (true, ending) => Reply::events(chunks::of(&turn, options.include_usage, ending)),
        (false, Ending::Error(kind)) => return refused(500, kind, "scripted"),
        (false, _) => Reply::json(200, &whole(&turn)),
    };
    reply.with("x-request-id", id("req_"))
}

/// An error in OpenAI's form.
pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
    let kind = match status {
        401 | 403 => "authentication_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    Reply::json(status, &body)
}

fn whole(turn: &Turn) -> Value {
    json!({
        "id": id("chatcmpl-"),
        "object": "chat.completion",
        "created": now(),
        "model": turn.model,
        "choices": [{
            "index": 0,
            "message": spoken(turn),
            "finish_reason": finish_reason(turn),
            "logprobs": null,
        }],
        "usage": usage(turn),
    })
}

fn spoken(turn: &Turn) -> Value {
    let mut message = json!({"role": "assistant", "content": turn.text()});
    let calls: Vec<Value> = calls(turn).collect();
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    message
}

fn calls(turn: &Turn) -> impl Iterator<Item = Value> {
    turn.parts.iter().filter_map(|part| match part {
        Part::ToolUse { name, input } => Some(json!({
            "id": id("call_"),
            "type": "function",
            "function": {"name": name, "arguments": input.to_string()},
        })),
        _ => None,
    })
}

fn finish_reason(turn: &Turn) -> &'static str {
    if turn.uses_tool() {
        "tool_calls"
    } else {
        "stop"
    }
}

fn usage(turn: &Turn) -> Value {
    let (prompt, completion) = (turn.input_tokens, turn.output_tokens());
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    })
}

pub(super) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
