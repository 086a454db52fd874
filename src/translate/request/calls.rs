//! How is told which tools the assistant called, and what they gave?

use serde_json::value::RawValue;

use super::super::Unsupported;
use super::super::anthropic::Block;
use super::super::openai::{Message, StringOr, Text, ToolCall};
use super::parts::{self, mark_last};
use super::{Names, Place};

/// Thoughts first, then what was said, then what was called.
pub(super) fn assistant<'a>(
    message: Message<'a>,
    names: &Names,
    place: Place,
) -> Result<Vec<Block<'a>>, Unsupported> {
    if message.function_call.is_some() {
        return Err(place.field("function_call", "it is not supported, use `tool_calls`"));
    }
    if message.audio.is_some() {
        return Err(place.field("audio", "this model does not hear, send the text"));
    }
    let thoughts = message.thinking_blocks.unwrap_or_default();
    let mut blocks: Vec<Block<'a>> = thoughts.into_iter().filter_map(parts::thought).collect();
    let told = !blocks.is_empty();
    let content = message
        .content
        .or_else(|| message.refusal.map(StringOr::Text));
    for block in parts::content(content, place, parts::said)? {
        // The same thoughts may stand in both places.
        if !(told && block.is_thought()) {
            blocks.push(block);
        }
    }
    // A client may put them anywhere; they come first.
    blocks.sort_by_key(|block| !block.is_thought());
    for (at, call) in message.tool_calls.into_iter().flatten().enumerate() {
        blocks.push(tool_use(call, names, place, at)?);
    }
    mark_last(&mut blocks, message.cache_control);
    Ok(blocks)
}

fn tool_use<'a>(
    call: ToolCall<'a>,
    names: &Names,
    place: Place,
    at: usize,
) -> Result<Block<'a>, Unsupported> {
    let fault =
        |field: &str, message: &str| Err(place.field(&format!("tool_calls[{at}]{field}"), message));
    let Some(id) = call.id.filter(|id| !id.is_empty()) else {
        return fault(".id", "a tool call needs an id, its result refers to it");
    };
    let Some(function) = call.function else {
        return fault(
            "",
            "the call is of no function, other tools are not supported",
        );
    };
    if function.name.is_empty() {
        return fault(".function.name", "the called function needs a name");
    }
    let Some(input) = input(function.arguments) else {
        return Err(place.field(
            &format!("tool_calls[{at}].function.arguments"),
            format!("the arguments of call `{}` are not a JSON object", &*id),
        ));
    };
    Ok(Block::ToolUse {
        id: names.calls.sent(id),
        name: names.tools.sent(function.name),
        input,
        cache_control: call.cache_control,
    })
}

/// The arguments byte for byte; none are an empty object.
fn input(arguments: Option<Text<'_>>) -> Option<Box<RawValue>> {
    let arguments = arguments.map(|text| text.0.into_owned());
    let arguments = arguments.filter(|text| !text.trim_start().is_empty());
    let input = RawValue::from_string(arguments.unwrap_or_else(|| "{}".to_owned())).ok()?;
    input.get().starts_with('{').then_some(input)
}

pub(super) fn result<'a>(
    message: Message<'a>,
    names: &Names,
    place: Place,
) -> Result<Block<'a>, Unsupported> {
    let Some(id) = message.tool_call_id.filter(|id| !id.is_empty()) else {
        return Err(place.field("tool_call_id", "a tool's result names its call"));
    };
    let mut content = parts::content(message.content, place, parts::shown)?;
    // Within a result Anthropic takes no breakpoint, on the result it does.
    let inner = content.iter_mut().rev().filter_map(Block::cache_control);
    let inner = inner.filter_map(Option::take).next_back();
    Ok(Block::ToolResult {
        tool_use_id: names.calls.sent(id),
        content,
        is_error: message.is_error,
        cache_control: message.cache_control.or(inner),
    })
}
