//! How is an error of the provider told?

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json;

/// Of a body that is no error of Anthropic's, so many characters are told.
const CHARACTERS_TOLD: usize = 500;

/// OpenAI's envelope.
#[derive(Serialize)]
struct Envelope<'a> {
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

/// The status and body for an answer that is an error.
pub fn error(status: u16, body: &[u8]) -> (u16, Bytes) {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = match message_of(&said) {
        Some(message) => Cow::Borrowed(message),
        None => beginning(body),
    };
    let message = match message.trim() {
        "" => "the upstream gave no reason",
        message => message,
    };
    let kind = kind_of(&said).unwrap_or(kind_of_status(status));
    let status = if status == 529 { 503 } else { status };
    (status, Bytes::from(envelope(kind, message)))
}

/// The body for an answer that says an error under a good status; `None` where it says none.
pub fn error_within(body: &[u8]) -> Option<Bytes> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let message = message_of(&said).filter(|_| !said["error"].is_null())?;
    let kind = kind_of(&said).unwrap_or("api_error");
    Some(Bytes::from(envelope(kind, message)))
}

/// The last event of a stream: an error that the provider said in it.
pub(super) fn said_event(out: &mut BytesMut, error: Option<&RawValue>) {
    let said: Value = error
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let message = said.as_str().or(message_of(&said));
    event(
        out,
        kind_of(&said).unwrap_or("api_error"),
        message.unwrap_or("the upstream gave no reason"),
    );
}

/// The last event of a stream that is not whole.
pub(super) fn event(out: &mut BytesMut, kind: &str, message: &str) {
    for piece in ["data: ", &envelope(kind, message), "\n\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
}

fn envelope(kind: &str, message: &str) -> String {
    let code = match kind {
        "rate_limit_error" => Some("rate_limit_exceeded"),
        // Clients shorten the conversation when they read this.
        "invalid_request_error" if message.starts_with("prompt is too long") => {
            Some("context_length_exceeded")
        }
        _ => None,
    };
    let error = Told {
        message,
        kind,
        param: None,
        code,
    };
    json::of(&Envelope { error })
}

/// The message of Anthropic's error, with and without its envelope, or of a router in front of it.
fn message_of(said: &Value) -> Option<&str> {
    let error = &said["error"];
    error["message"]
        .as_str()
        .or(error.as_str())
        .or(said["message"].as_str())
}

/// Anthropic's word for it, with and without the envelope.
fn kind_of(said: &Value) -> Option<&str> {
    match said["error"].is_object() {
        true => said["error"]["type"].as_str(),
        false => said["type"]
            .as_str()
            .filter(|kind| kind.ends_with("_error")),
    }
}

/// The beginning of what is no error of Anthropic's.
fn beginning(body: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(body.get(..4 * CHARACTERS_TOLD).unwrap_or(body));
    match text.char_indices().nth(CHARACTERS_TOLD) {
        Some((end, _)) => Cow::Owned(text.get(..end).unwrap_or_default().to_owned()),
        None => text,
    }
}

fn kind_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
