//! Reads of a Messages request what the simulated model needs; the rest is never parsed into a tree.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::sim::head::Asked;
use crate::sim::turn::{Ask, Tool};

#[derive(Deserialize)]
struct Written<'b> {
    #[serde(borrow)]
    model: Option<Cow<'b, str>>,
    max_tokens: Option<u64>,
    #[serde(default)]
    stream: bool,
    #[serde(borrow)]
    messages: Option<Vec<&'b RawValue>>,
    #[serde(borrow, default)]
    tools: Vec<&'b RawValue>,
    thinking: Option<Thinking>,
}

#[derive(Deserialize)]
struct Thinking {
    r#type: String,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: Value,
}

#[derive(Deserialize)]
struct OfferedTool {
    name: String,
    #[serde(default)]
    input_schema: Value,
}

/// The request's ask, or what Anthropic would say is wrong with it.
pub(super) fn read(asked: &Asked, needs_max_tokens: bool) -> Result<Ask, String> {
    let Some(body) = &asked.decoded else {
        return Err("could not decode the request body".to_owned());
    };
    let written: Written<'_> = serde_json::from_slice(body)
        .map_err(|error| format!("The request body is not valid JSON: {error}"))?;
    let model = written.model.ok_or("model: Field required")?;
    if needs_max_tokens && written.max_tokens.is_none() {
        return Err("max_tokens: Field required".to_owned());
    }
    let messages = written.messages.ok_or("messages: Field required")?;
    let last = messages
        .last()
        .ok_or("messages: at least one message is required")?;
    let said: Said = serde_json::from_str(last.get())
        .map_err(|error| format!("messages.{}: {error}", messages.len() - 1))?;
    if !matches!(said.role.as_str(), "user" | "assistant" | "system") {
        return Err(format!(
            "messages.{}.role: unexpected value",
            messages.len() - 1
        ));
    }
    let (text, tool_result) = heard(&said.content);
    Ok(Ask {
        model: model.into_owned(),
        stream: written.stream,
        text,
        tool_result,
        tool: written.tools.iter().find_map(|tool| offered(tool)),
        thinking: written
            .thinking
            .is_some_and(|thinking| thinking.r#type != "disabled"),
        input_tokens: body.len() / 4 + 1,
    })
}

fn offered(tool: &RawValue) -> Option<Tool> {
    let tool: OfferedTool = serde_json::from_str(tool.get()).ok()?;
    Some(Tool {
        name: tool.name,
        schema: tool.input_schema,
    })
}

/// The last text of a message's content, and whether it brings a tool's result.
fn heard(content: &Value) -> (String, bool) {
    let Some(blocks) = content.as_array() else {
        return (content.as_str().unwrap_or_default().to_owned(), false);
    };
    let of_type = |kind: &'static str| blocks.iter().rev().find(move |block| block["type"] == kind);
    if let Some(result) = of_type("tool_result") {
        let (text, _) = heard(&result["content"]);
        return (text, true);
    }
    let text = of_type("text").and_then(|block| block["text"].as_str());
    (text.unwrap_or_default().to_owned(), false)
}
