//! A turn as Anthropic streams it: the events in their order, each a piece of its own.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{block, signature, stop_reason, whole};
use crate::sim::turn::{Ending, Part, Turn};

/// The stream's events, to whichever end it comes.
pub(super) fn of(turn: &Turn, ending: Ending<'_>) -> Vec<Bytes> {
    let mut events = vec![start(turn)];
    for (index, part) in turn.parts.iter().enumerate() {
        events.push(opening(index, part));
        if index == 0 {
            events.push(event(&json!({"type": "ping"})));
        }
        deltas(part, |delta| {
            events.push(event(
                &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        });
        if let Ending::Error(kind) = ending {
            events.push(event(
                &json!({"type": "error", "error": {"type": kind, "message": "scripted"}}),
            ));
            return events;
        }
        events.push(event(
            &json!({"type": "content_block_stop", "index": index}),
        ));
    }
    if ending == Ending::Missing {
        return events;
    }
    events.push(event(&json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(turn), "stop_sequence": null},
        "usage": {"output_tokens": turn.output_tokens()},
    })));
    events.push(event(&json!({"type": "message_stop"})));
    events
}

fn start(turn: &Turn) -> Bytes {
    let mut message = whole(turn);
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["usage"]["output_tokens"] = json!(1);
    event(&json!({"type": "message_start", "message": message}))
}

fn opening(index: usize, part: &Part) -> Bytes {
    let mut empty = block(part);
    match part {
        Part::Thinking(_) => {
            empty["thinking"] = json!("");
            empty["signature"] = json!("");
        }
        Part::Text(_) => empty["text"] = json!(""),
        Part::ToolUse { .. } => empty["input"] = json!({}),
    }
    event(&json!({"type": "content_block_start", "index": index, "content_block": empty}))
}

fn deltas(part: &Part, mut emit: impl FnMut(Value)) {
    match part {
        Part::Thinking(thought) => {
            for piece in thought.split_inclusive(';') {
                emit(json!({"type": "thinking_delta", "thinking": piece}));
            }
            emit(json!({"type": "signature_delta", "signature": signature(thought)}));
        }
        Part::Text(pieces) => {
            for piece in pieces {
                emit(json!({"type": "text_delta", "text": piece}));
            }
        }
        Part::ToolUse { input, .. } => {
            emit(json!({"type": "input_json_delta", "partial_json": ""}));
            for piece in input.to_string().split_inclusive(',') {
                emit(json!({"type": "input_json_delta", "partial_json": piece}));
            }
        }
    }
}

fn event(data: &Value) -> Bytes {
    let name = data["type"].as_str().unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
