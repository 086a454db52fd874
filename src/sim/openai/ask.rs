//! Reads of a chat-completions request what the simulated model needs.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::sim::head::Asked;
use crate::sim::turn::{Ask, Tool};

#[derive(Deserialize)]
struct Written<'b> {
    model: Option<String>,
    #[serde(borrow)]
    messages: Option<Vec<&'b RawValue>>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(borrow, default)]
    tools: Vec<&'b RawValue>,
}

#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct StreamOptions {
    #[serde(default)]
    pub(super) include_usage: bool,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct Offered {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    parameters: Value,
}

pub(super) fn read(asked: &Asked) -> Result<(Ask, StreamOptions), String> {
    let body = asked
        .decoded
        .as_ref()
        .ok_or("could not decode the request body")?;
    let written: Written<'_> = serde_json::from_slice(body)
        .map_err(|error| format!("We could not parse the JSON body of your request: {error}"))?;
    let model = written.model.ok_or("you must provide a model parameter")?;
    let messages = written
        .messages
        .ok_or("Missing required parameter: 'messages'.")?;
    let last = messages.last().ok_or("'messages' must not be empty.")?;
    let said: Said = serde_json::from_str(last.get()).map_err(|error| error.to_string())?;
    let ask = Ask {
        model,
        stream: written.stream,
        text: heard(&said.content),
        tool_result: said.role == "tool",
        tool: written.tools.iter().find_map(|tool| offered(tool)),
        thinking: false,
        input_tokens: body.len() / 4 + 1,
    };
    Ok((ask, written.stream_options.unwrap_or_default()))
}

fn offered(tool: &RawValue) -> Option<Tool> {
    let Offered { function } = serde_json::from_str(tool.get()).ok()?;
    Some(Tool {
        name: function.name,
        schema: function.parameters,
    })
}

fn heard(content: &Value) -> String {
    let Some(parts) = content.as_array() else {
        return content.as_str().unwrap_or_default().to_owned();
    };
    let last = parts.iter().rev().find(|part| part["type"] == "text");
    let text = last.and_then(|part| part["text"].as_str());
    text.unwrap_or_default().to_owned()
}
