//! The probes that ask the model something: plain, streamed, with tools and thinking, in both dialects, and left early.

use std::time::{Duration, Instant};

use futures::FutureExt;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use super::probes::{Probe, good, way};
use super::{Found, Patient};

/// Enough for a word or two.
const SHORT: u32 = 64;

pub(super) const ALL: &[(&str, Probe)] = &[
    ("message, plain", |patient| plain(patient).boxed()),
    ("message, streamed", |patient| streamed(patient).boxed()),
    ("message, with a tool", |patient| tool(patient).boxed()),
    ("message, with thinking", |patient| {
        thinking(patient).boxed()
    }),
    ("stream left after its first event", |patient| {
        left(patient).boxed()
    }),
    ("chat completion, plain", |patient| chat(patient).boxed()),
    ("chat completion, streamed", |patient| {
        chat_stream(patient).boxed()
    }),
];

/// The body of a turn with these fields beside the usual.
fn turn(patient: &Patient, text: &str, more: Value) -> String {
    let mut body = json!({
        "model": patient.model,
        "max_tokens": SHORT,
        "messages": [{"role": "user", "content": text}],
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body.to_string()
}

fn message(patient: &Patient, text: &str, more: Value) -> RequestBuilder {
    // As Claude Code writes it.
    let request = patient.post("/v1/messages?beta=true");
    request.body(turn(patient, text, more))
}

async fn plain(patient: &Patient) -> Found {
    let request = message(patient, "Say hello in one word.", json!({}));
    told(good(request).await, |answer| {
        let usage = &answer["usage"];
        let text = answer.pointer("/content/0/text")?.as_str()?;
        let tokens = usage["output_tokens"].as_u64()?;
        Some(format!("{:?}, {tokens} tokens", first_words(text)))
    })
    .await
}

async fn tool(patient: &Patient) -> Found {
    let tool = json!({
        "name": "weather",
        "description": "The weather in a city.",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    });
    let more = json!({"tools": [tool], "max_tokens": 4 * SHORT});
    let text = "Use the tool to tell the weather in Porto.";
    told(good(message(patient, text, more)).await, |answer| {
        let blocks = answer["content"].as_array()?;
        let used = blocks.iter().any(|block| block["type"] == "tool_use");
        let said = if used {
            "it called the tool"
        } else {
            "it answered without the tool"
        };
        Some(said.to_owned())
    })
    .await
}

async fn thinking(patient: &Patient) -> Found {
    let more = json!({"max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}});
    let text = "What is 27 times 43?";
    told(good(message(patient, text, more)).await, |answer| {
        let blocks = answer["content"].as_array()?;
        let thought = blocks.iter().any(|block| block["type"] == "thinking");
        let said = if thought {
            "it thought first"
        } else {
            "it answered without thinking"
        };
        Some(said.to_owned())
    })
    .await
}

async fn chat(patient: &Patient) -> Found {
    let request = patient.post("/v1/chat/completions");
    let request = request.body(turn(patient, "Say hello in one word.", json!({})));
    told(good(request).await, |answer| {
        let text = answer.pointer("/choices/0/message/content")?.as_str()?;
        Some(format!("{:?}", first_words(text)))
    })
    .await
}

async fn streamed(patient: &Patient) -> Found {
    let request = message(patient, "Count to five.", json!({"stream": true}));
    whole_stream(request, "event: message_stop").await
}

async fn chat_stream(patient: &Patient) -> Found {
    let request = patient.post("/v1/chat/completions");
    let body = turn(patient, "Count to five.", json!({"stream": true}));
    whole_stream(request.body(body), "data: [DONE]").await
}

/// A stream whose client goes; then all must be as before.
async fn left(patient: &Patient) -> Found {
    let more = json!({"stream": true, "max_tokens": 16 * SHORT});
    match good(message(patient, "Count to a hundred.", more)).await {
        Ok(mut answer) => {
            if let Err(error) = answer.chunk().await {
                return Found::Bad(error.to_string());
            }
        }
        Err(found) => return found,
    }
    match plain(patient).await {
        Found::Good(_) => Found::Good("and the next request is answered".to_owned()),
        found => found,
    }
}

/// A plain answer that must hold what `read` looks for.
async fn told(answer: Result<Response, Found>, read: impl Fn(&Value) -> Option<String>) -> Found {
    let answer = match answer {
        Ok(answer) => answer,
        Err(found) => return found,
    };
    let way = way(&answer);
    let body: Value = answer.json().await.unwrap_or_default();
    match read(&body) {
        Some(said) => Found::Good(format!("{said}; {way}")),
        None => Found::Bad("the answer is not one of a model".to_owned()),
    }
}

/// A stream must come piece by piece and end as a whole one does.
async fn whole_stream(request: RequestBuilder, end: &str) -> Found {
    let began = Instant::now();
    let mut answer = match good(request).await {
        Ok(answer) => answer,
        Err(found) => return found,
    };
    let way = way(&answer);
    let (mut text, mut first) = (Vec::new(), None);
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) => {
                first.get_or_insert_with(|| began.elapsed());
                text.extend_from_slice(&piece);
            }
            Ok(None) => break,
            Err(error) => return Found::Bad(format!("it broke off: {error}")),
        }
    }
    let text = String::from_utf8_lossy(&text);
    let events = text
        .lines()
        .filter(|line| line.starts_with("data:"))
        .count();
    if !text.lines().any(|line| line.trim_end() == end) {
        return Found::Bad(format!("it ended without `{end}` after {events} events"));
    }
    let first = first.unwrap_or(Duration::ZERO).as_millis();
    Found::Good(format!(
        "{events} events, the first after {first} ms; {way}"
    ))
}

fn first_words(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = text.chars().take(30).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
