//! Supermemory's router in front of a provider: what it checks, and what it says it did.

use serde::Deserialize;
use serde_json::{Value, json};

use super::head::{Asked, Head};
use super::reply::Reply;
use super::turn::id;

/// What the router reports of each call it lets through.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// `x-supermemory-error`: the answer carries no memory.
    pub error: Option<String>,
    /// `x-supermemory-context-modified: false` on every answer.
    pub unchanged: bool,
}

/// The router's paths stand before the provider's URL.
pub(super) fn owns(path: &str) -> bool {
    path.starts_with("/v3/")
}

/// Fields that are meant for the router alone.
pub(super) fn means(field: &str) -> bool {
    let field = field.to_ascii_lowercase();
    field.starts_with("x-sm-") || field.starts_with("x-supermemory-")
}

/// The refusal of a request that lacks what the router needs.
pub(super) fn refuse(asked: &Asked) -> Option<Reply> {
    let head = &asked.head;
    if head
        .header("x-supermemory-api-key")
        .unwrap_or_default()
        .is_empty()
    {
        let body = json!({"error": "Unauthorized", "details": "x-supermemory-api-key is missing or not valid"});
        return Some(Reply::json(401, &body));
    }
    if user(asked).is_none() {
        let body = json!({
            "error": "[SUPERMEMORY] No user ID found. Send x-sm-user-id, or user in the body, or userId in the query.",
        });
        return Some(Reply::json(400, &body));
    }
    None
}

fn user(asked: &Asked) -> Option<String> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if let Some(user) = asked.head.header("x-sm-user-id").and_then(given) {
        return Some(user);
    }
    #[derive(Deserialize)]
    struct Named {
        user: Option<Value>,
    }
    let body = asked.decoded.as_deref().unwrap_or_default();
    let named = serde_json::from_slice::<Named>(body).ok();
    let named = named.and_then(|named| named.user?.as_str().and_then(given));
    named.or_else(|| asked.head.query("userId").and_then(given))
}

impl Memory {
    pub(super) fn report(&self, head: &Head, asked_bytes: usize, reply: &mut Reply) {
        let conversation = head.header("x-sm-conversation-id");
        let modified = !self.unchanged && self.error.is_none();
        let mut says = |name: &str, value: String| {
            reply.headers.push((format!("x-supermemory-{name}"), value));
        };
        says(
            "conversation-id",
            conversation.map_or_else(|| id("conv_"), str::to_owned),
        );
        says("context-modified", modified.to_string());
        says("tokens-processed", (asked_bytes / 4).to_string());
        says("chunks-created", u8::from(modified).to_string());
        says("chunks-retrieved", (u8::from(modified) * 3).to_string());
        if let Some(error) = &self.error {
            says("error", error.clone());
        }
    }
}
