//! How is JSON put together of pieces that are JSON already?

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::translate::ToolNames;

use super::Unreadable;
use super::received::part;

/// A JSON string without its quotes, as it stands in its document; nothing for `null` and for what is not there.
pub(super) fn inner(raw: Option<&RawValue>) -> Result<&str, Unreadable> {
    let Some(raw) = raw else { return Ok("") };
    raw.get()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or(Unreadable("something else stands where a text belongs"))
}

/// A value of our own; none of them can fail.
pub(super) fn of(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The client's name of a tool that is called.
pub(super) fn tool_name(raw: Option<&RawValue>, names: &ToolNames) -> Result<String, Unreadable> {
    let sent: Cow<'_, str> = part(raw)?;
    Ok(of(names.original(&sent)))
}

/// A tool's input as it stands in a JSON string: without the blanks between tokens, and with its numbers' digits.
pub(super) fn arguments(input: Option<&RawValue>) -> String {
    let json = input.map_or("{}", RawValue::get);
    let mut quoted = String::with_capacity(json.len() + json.len() / 4);
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if !in_string && c.is_ascii_whitespace() {
            continue;
        }
        in_string ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// Signed thinking as LiteLLM tells it, to be sent back with the conversation: an object without its braces.
pub(super) fn thinking(thought: &str, signature: &str) -> String {
    format!(r#""type":"thinking","thinking":"{thought}","signature":"{signature}""#)
}

pub(super) fn redacted(data: &str) -> String {
    format!(r#""type":"redacted_thinking","data":"{data}""#)
}
