//! A turn as OpenAI streams it: chunks, the usage if it was asked for, and `[DONE]`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{calls, finish_reason, now, usage};
use crate::sim::turn::{Ending, Part, Turn, id};

/// The stream's chunks, to whichever end it comes.
pub(super) fn of(turn: &Turn, include_usage: bool, ending: Ending<'_>) -> Vec<Bytes> {
    let (id, created) = (id("chatcmpl-"), now());
    let chunk = |choices: Value| {
        let mut chunk = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": turn.model,
            "choices": choices,
        });
        if include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let choice = |delta: Value, finish: Option<&str>| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]))
    };

    let mut pieces = vec![data(&choice(
        json!({"role": "assistant", "content": ""}),
        None,
    ))];
    for part in &turn.parts {
        if let Part::Text(words) = part {
            pieces.extend(
                words
                    .iter()
                    .map(|word| data(&choice(json!({"content": word}), None))),
            );
        }
    }
    if let Ending::Error(kind) = ending {
        let error =
            json!({"error": {"message": "scripted", "type": kind, "param": null, "code": null}});
        pieces.push(data(&error));
        return pieces;
    }
    for (index, mut call) in calls(turn).enumerate() {
        let arguments = call["function"]["arguments"].take();
        call["index"] = json!(index);
        call["function"]["arguments"] = json!("");
        pieces.push(data(&choice(json!({"tool_calls": [call]}), None)));
        let rest = json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]});
        pieces.push(data(&choice(rest, None)));
    }
    if ending == Ending::Missing {
        return pieces;
    }
    pieces.push(data(&choice(json!({}), Some(finish_reason(turn)))));
    if include_usage {
        let mut last = chunk(json!([]));
        last["usage"] = usage(turn);
        pieces.push(data(&last));
    }
    pieces.push(Bytes::from_static(b"data: [DONE]\n\n"));
    pieces
}

fn data(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}
