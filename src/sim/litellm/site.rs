//! What LiteLLM's stand-in answers on each path.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::keys::{Holder, Ring};
use crate::sim::answer::Message;
use crate::sim::anthropic::{Provider, Tokens};
use crate::sim::head::{Asked, Head};
use crate::sim::openai;
use crate::sim::reply::{Body, Reply};
use crate::sim::server::Site;
use crate::sim::turn::id;

pub(super) struct Proxy {
    pub(super) models: Vec<String>,
    pub(super) keys: Ring,
    pub(super) provider: Provider,
}

impl Site for Proxy {
    fn reply(&self, asked: &Asked, scripted: Option<&Message>) -> Reply {
        match (asked.head.method.as_str(), asked.head.path()) {
            ("GET", "/health/liveliness" | "/health/liveness") => {
                Reply::json(200, &json!("I'm alive!"))
            }
            ("GET", "/key/info") => self.keys.info(&asked.head),
            _ => match self.keys.holder(&asked.head) {
                Err(refusal) => refusal,
                Ok(holder) => self
                    .refuse_model(&holder, asked)
                    .unwrap_or_else(|| self.inference(asked, scripted)),
            },
        }
    }

    fn tokens(&self) -> &Tokens {
        &self.provider.tokens
    }

    fn dress(&self, _: &Head, reply: &mut Reply) {
        reply.default_header("server", || "uvicorn".to_owned());
        reply.default_header("x-litellm-call-id", || id(""));
        reply.default_header("x-litellm-version", || "1.109.1".to_owned());
        reply.default_header("x-litellm-model-api-base", || {
            "https://internal.example/v1".to_owned()
        });
    }
}

impl Proxy {
    fn inference(&self, asked: &Asked, scripted: Option<&Message>) -> Reply {
        match (asked.head.method.as_str(), asked.head.path()) {
            ("POST", "/v1/messages") => self.provider.message(asked, scripted),
            ("POST", "/v1/messages/count_tokens") => self.provider.count_tokens(asked),
            ("POST", "/v1/chat/completions" | "/chat/completions") => {
                openai::completion(asked, &self.provider, scripted)
            }
            ("POST", "/v1/embeddings" | "/embeddings") => embeddings(asked),
            ("POST", "/v1/responses" | "/responses") => response(asked),
            ("GET", "/v1/models" | "/models") => self.list(),
            ("GET", _) if asked.head.header("sec-websocket-key").is_some() => upgrade(&asked.head),
            _ => echo(asked),
        }
    }

    fn refuse_model(&self, holder: &Holder<'_>, asked: &Asked) -> Option<Reply> {
        let Holder::Key(key) = holder else {
            return None;
        };
        let model = named_model(asked)?;
        let allowed = key.models.is_empty() || key.models.contains(&model);
        (!allowed).then(|| {
            let message = format!("key not allowed to access model. This key can only access models={:?}. Tried to access {model}", key.models);
            let error = json!({"message": message, "type": "key_model_access_denied", "param": "model", "code": "401"});
            Reply::json(401, &json!({"error": error}))
        })
    }

    fn list(&self) -> Reply {
        let data: Vec<Value> = self
            .models
            .iter()
            .map(|name| {
                json!({"id": name, "object": "model", "created": 1_677_610_602, "owned_by": "openai"})
            })
            .collect();
        Reply::json(200, &json!({"object": "list", "data": data}))
    }
}

fn named_model(asked: &Asked) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        model: String,
    }
    let named = serde_json::from_slice::<Named>(asked.decoded.as_deref()?).ok()?;
    Some(named.model)
}

fn embeddings(asked: &Asked) -> Reply {
    let model = named_model(asked);
    let vector = json!({"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]});
    let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
    Reply::json(
        200,
        &json!({"object": "list", "data": [vector], "model": model, "usage": usage}),
    )
}

fn response(asked: &Asked) -> Reply {
    let text = json!({"type": "output_text", "text": "echo: a response", "annotations": []});
    let message = json!({
        "id": id("msg_"),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    });
    Reply::json(
        200,
        &json!({
            "id": id("resp_"),
            "object": "response",
            "created_at": openai::now(),
            "status": "completed",
            "model": named_model(asked),
            "output": [message],
            "usage": {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4},
        }),
    )
}

fn upgrade(head: &Head) -> Reply {
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
    let key = head.header("sec-websocket-key").unwrap_or_default();
    let mut reply = Reply::new(101)
        .with("connection", "upgrade")
        .with("upgrade", "websocket")
        .with("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    reply.body = Body::WebSocketEcho;
    reply
}

/// Everything else comes back described, so that a test sees what arrived.
fn echo(asked: &Asked) -> Reply {
    let digest = Sha256::digest(&asked.body);
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Reply::json(
        200,
        &json!({
            "method": asked.head.method,
            "path": asked.head.path(),
            "query": asked.head.target.split_once('?').map(|(_, query)| query),
            "body_length": asked.body.len(),
            "body_sha256": sha256,
        }),
    )
}
