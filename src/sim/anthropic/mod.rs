//! The provider in Anthropic's dialect: Messages and count_tokens, answers and errors.

mod ask;
mod events;
mod rules;
mod tokens;

use std::time::Instant;

use serde_json::{Value, json};

pub use self::tokens::{TokenRule, Tokens};
use super::answer::Message;
use super::head::{Asked, Head};
use super::reply::Reply;
use super::turn::{Ending, Part, Shape, Turn, id};

/// What a provider knows and demands, in either dialect.
#[derive(Clone, Debug, Default)]
pub struct Provider {
    /// The keys it takes; empty: any, or none.
    pub keys: Vec<String>,
    /// The models it has; `*` is every name, and none given means names that start with `claude`.
    pub models: Vec<String>,
    pub shape: Shape,
    /// What each key may ask of each model; clones of the provider share it.
    pub tokens: Tokens,
    /// It refuses what Anthropic does, also where it could answer: fields it does not know, calls without
    /// results, and their like.
    pub strict: bool,
}

impl Provider {
    /// One that has every model.
    pub(super) fn any() -> Self {
        Self {
            models: vec!["*".to_owned()],
            ..Self::default()
        }
    }

    pub(super) fn knows(&self, model: &str) -> bool {
        if self.models.is_empty() {
            return model.starts_with("claude");
        }
        self.models
            .iter()
            .any(|known| known == model || known == "*")
    }

    pub(super) fn admits(&self, head: &Head) -> bool {
        let presented = [head.header("x-api-key"), head.bearer()];
        self.keys.is_empty()
            || presented
                .into_iter()
                .flatten()
                .any(|key| self.keys.iter().any(|known| known == key))
    }

    /// One request off the caller's bucket for this model.
    fn charge(&self, head: &Head, model: &str) -> Result<(), Reply> {
        let key = head.header("x-api-key").or_else(|| head.bearer());
        self.tokens
            .take(key.unwrap_or_default(), model, Instant::now())
    }

    /// `…/v1/messages`, whatever stands before it.
    pub(super) fn message(&self, asked: &Asked, scripted: Option<&Message>) -> Reply {
        let understood = self.understand(asked, true);
        let charged = understood.and_then(|ask| {
            let paid = self.charge(&asked.head, &ask.model);
            paid.map(|()| ask)
        });
        let ask = match charged {
            Ok(ask) => ask,
            Err(refusal) => return refusal,
        };
        let text = scripted.and_then(|message| message.text.as_deref());
        let turn = Turn::to(&ask, text, self.shape);
        let ending = Ending::of(scripted);
        let reply = match (ask.stream, ending) {
            (true, ending) => Reply::events(events::of(&turn, ending)),
            (false, Ending::Error(kind)) => return error(500, kind, "scripted"),
            (false, _) => Reply::json(200, &whole(&turn)),
        };
        signed(reply)
    }

    /// `…/v1/messages/count_tokens`.
    pub(super) fn count_tokens(&self, asked: &Asked) -> Reply {
        match self.understand(asked, false) {
            Ok(ask) => signed(Reply::json(200, &json!({"input_tokens": ask.input_tokens}))),
            Err(refusal) => refusal,
        }
    }

    fn understand(&self, asked: &Asked, needs_max_tokens: bool) -> Result<super::turn::Ask, Reply> {
        let invalid = |message: &str| error(400, "invalid_request_error", message);
        if asked.head.method != "POST" {
            return Err(error(405, "invalid_request_error", "Method Not Allowed"));
        }
        if !self.admits(&asked.head) {
            return Err(error(401, "authentication_error", "invalid x-api-key"));
        }
        if asked.head.header("anthropic-version").is_none() {
            return Err(invalid("anthropic-version: header is required"));
        }
        let ask = ask::read(asked, needs_max_tokens).map_err(|fault| invalid(&fault))?;
        let body = asked.decoded.as_deref().filter(|_| self.strict);
        if let Some(fault) = body.and_then(rules::broken) {
            return Err(invalid(&fault));
        }
        if self.knows(&ask.model) {
            Ok(ask)
        } else {
            let message = format!("model: {}", ask.model);
            Err(error(404, "not_found_error", &message))
        }
    }
}

/// An error in Anthropic's form.
pub(super) fn error(status: u16, kind: &str, message: &str) -> Reply {
    let request_id = id("req_");
    let body = json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": request_id,
    });
    Reply::json(status, &body).with("request-id", request_id)
}

fn signed(reply: Reply) -> Reply {
    reply
        .with("request-id", id("req_"))
        .with(
            "anthropic-organization-id",
            "5f0c6ed0-0000-4000-8000-51b000000000",
        )
        .with("anthropic-ratelimit-requests-limit", "4000")
        .with("anthropic-ratelimit-requests-remaining", "3999")
}

fn whole(turn: &Turn) -> Value {
    let content: Vec<Value> = turn.parts.iter().map(block).collect();
    json!({
        "id": id("msg_01"),
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": content,
        "stop_reason": stop_reason(turn),
        "stop_sequence": null,
        "usage": {
            "input_tokens": turn.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": turn.output_tokens(),
            "service_tier": "standard",
        },
    })
}

fn block(part: &Part) -> Value {
    match part {
        Part::Thinking(thought) => {
            json!({"type": "thinking", "thinking": thought, "signature": signature(thought)})
        }
        Part::Text(pieces) => json!({"type": "text", "text": pieces.concat()}),
        Part::ToolUse { name, input } => {
            json!({"type": "tool_use", "id": id("toolu_01"), "name": name, "input": input})
        }
    }
}

fn stop_reason(turn: &Turn) -> &'static str {
    if turn.uses_tool() {
        "tool_use"
    } else {
        "end_turn"
    }
}

/// Stands for the signature that must come back unchanged: it depends on the thought alone.
fn signature(thought: &str) -> String {
    format!(
        "sim-signature-{:04}-EqQBCgIYAhIM1gbcDa9GJwZA2b3h",
        thought.len()
    )
}
