//! The small probes: is it there, which models has it, whose memory would it be, how many tokens is that?

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::super::client::{self, Client};
use super::{Found, Patient};

pub(super) type Probe = fn(&Patient) -> BoxFuture<'_, Found>;

const ALIVE: &str = "HEAD /";
const MODELS: &str = "GET /v1/models, OpenAI's shape";
const MODELS_ANTHROPIC: &str = "GET /v1/models, Anthropic's shape";
const USER: &str = "whose memory is meant";
/// A conversation of this size is more than most, and less than any limit by default.
const LARGE: usize = 5 * 1024 * 1024;
/// Of what somebody says.
const SHOWN: usize = 140;

pub(super) const ALL: &[(&str, Probe)] = &[
    (ALIVE, |patient| alive(patient).boxed()),
    (MODELS, |patient| listed(patient, false).boxed()),
    (MODELS_ANTHROPIC, |patient| listed(patient, true).boxed()),
    (USER, |patient| user(patient).boxed()),
    ("count_tokens", |patient| counted(patient, 0).boxed()),
    ("count_tokens, gzip body", |patient| packed(patient).boxed()),
    ("count_tokens, 5 MB body", |patient| {
        counted(patient, LARGE).boxed()
    }),
];

pub(super) fn needs_no_model(name: &str) -> bool {
    [ALIVE, MODELS, MODELS_ANTHROPIC, USER].contains(&name)
}

/// The names that the gateway lists; `None` where it does not.
pub(super) async fn models(client: &Client) -> Option<Vec<String>> {
    let answer = client.get("/v1/models?limit=1000").send().await.ok()?;
    let list: Value = answer.json().await.ok()?;
    let ids = list.get("data")?.as_array()?.iter();
    let ids = ids.filter_map(|model| Some(model.get("id")?.as_str()?.to_owned()));
    Some(ids.collect())
}

/// Claude first, for most of the probes are in its dialect. What is no whole name is none to ask for.
pub(super) fn choose(names: &[String]) -> Option<String> {
    let whole = || names.iter().filter(|name| !name.contains('*'));
    let claude = whole().find(|name| name.contains("claude"));
    claude.or_else(|| whole().next()).cloned()
}

impl Patient {
    /// In Anthropic's dialect.
    pub fn post(&self, path: &str) -> RequestBuilder {
        let request = self.client.request(Method::POST, path);
        request
            .header("anthropic-version", "2023-06-01")
            .header("content-type", "application/json")
    }
}

/// Sends it; the answer if it is a good one, else what came instead.
pub(super) async fn good(request: RequestBuilder) -> Result<Response, Found> {
    let answer = request.send().await;
    let answer = answer.map_err(|error| Found::Bad(client::reason(&error)))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    Err(refused(answer).await)
}

/// A provider's own no has come through the gateway as it should.
async fn refused(answer: Response) -> Found {
    let status = answer.status();
    let passed = answer.headers().contains_key("request-id")
        && matches!(status.as_u16(), 400 | 404 | 413 | 429 | 529);
    let id = header(&answer, "x-request-id");
    let body = answer.text().await.unwrap_or_default();
    let said: Value = serde_json::from_str(&body).unwrap_or_default();
    let said = said.pointer("/error/message").and_then(Value::as_str);
    let said: String = said.unwrap_or(&body).chars().take(SHOWN).collect();
    if passed {
        return Found::Odd(format!(
            "came through; the provider answers {status}: {said}"
        ));
    }
    let id = id.map_or_else(String::new, |id| format!(" (request {id})"));
    Found::Bad(format!("{status}: {said}{id}"))
}

pub(super) fn header(answer: &Response, name: &str) -> Option<String> {
    let value = answer.headers().get(name)?;
    Some(value.to_str().ok()?.to_owned())
}

/// What the gateway says of the way that an answer took.
pub(super) fn way(answer: &Response) -> String {
    let of = |name: &str, before: &str, after: &str| {
        let value = header(answer, name)?;
        Some(format!("{before}{value}{after}"))
    };
    let attempts = of("x-memgate-attempts", "attempt ", "").filter(|said| said != "attempt 1");
    let parts = [
        of("x-memgate-route", "", ""),
        attempts,
        of("x-memgate-memory", "memory ", ""),
        of("x-memgate-body", "body ", ""),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "answered, but not by memgate: there is no x-memgate-route".to_owned()
    } else {
        parts.join(", ")
    }
}

async fn alive(patient: &Patient) -> Found {
    match good(patient.client.request(Method::HEAD, "/")).await {
        Ok(_) => Found::Good("it answers".to_owned()),
        Err(found) => found,
    }
}

async fn listed(patient: &Patient, anthropic: bool) -> Found {
    let mut request = patient.client.get("/v1/models?limit=1000");
    if anthropic {
        request = request.header("anthropic-version", "2023-06-01");
    }
    let answer = match good(request).await {
        Ok(answer) => answer,
        Err(found) => return found,
    };
    let list: Value = answer.json().await.unwrap_or_default();
    let shape = if anthropic { "has_more" } else { "object" };
    match list.get("data").and_then(Value::as_array) {
        Some(models) if list.get(shape).is_some() => Found::Good(format!(
            "{} models; asked below is {}",
            models.len(),
            patient.model
        )),
        _ => Found::Bad("the answer is no list of models".to_owned()),
    }
}

async fn user(patient: &Patient) -> Found {
    let answer = match good(patient.client.get("/memory-routing/info")).await {
        Ok(answer) => answer,
        Err(found) => return found,
    };
    let info: Value = answer.json().await.unwrap_or_default();
    match info.get("user_id").and_then(Value::as_str) {
        Some(user) if info["is_default"] == true => {
            Found::Good(format!("{user}, because nothing names another one"))
        }
        Some(user) => Found::Good(user.to_owned()),
        None => Found::Odd(
            "nobody's: models behind the memory router refuse requests like this one".to_owned(),
        ),
    }
}

fn question(patient: &Patient, padding: usize) -> Value {
    let text = format!("Say hello.{}", " hello".repeat(padding / 6));
    json!({"model": patient.model, "messages": [{"role": "user", "content": text}]})
}

async fn counted(patient: &Patient, padding: usize) -> Found {
    let request = patient.post("/v1/messages/count_tokens?beta=true");
    tokens_in(good(request.body(question(patient, padding).to_string())).await).await
}

async fn packed(patient: &Patient) -> Found {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let text = question(patient, 4096).to_string();
    let body = packer
        .write_all(text.as_bytes())
        .and_then(|()| packer.finish());
    let Ok(body) = body else {
        return Found::Bad("the body could not be packed".to_owned());
    };
    let request = patient.post("/v1/messages/count_tokens");
    tokens_in(good(request.header("content-encoding", "gzip").body(body)).await).await
}

async fn tokens_in(answer: Result<Response, Found>) -> Found {
    let answer = match answer {
        Ok(answer) => answer,
        Err(found) => return found,
    };
    let way = way(&answer);
    let body: Value = answer.json().await.unwrap_or_default();
    match body.get("input_tokens").and_then(Value::as_u64) {
        Some(tokens) => Found::Good(format!("{tokens} tokens; {way}")),
        None => Found::Bad("the answer holds no `input_tokens`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_whole_name_of_claudes_is_chosen_before_others() {
        let choose = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            super::choose(&names)
        };

        assert_eq!(
            choose(&["gpt", "claude-*", "claude-x"]).as_deref(),
            Some("claude-x")
        );
        assert_eq!(choose(&["claude-*", "gpt"]).as_deref(), Some("gpt"));
        assert_eq!(choose(&[]), None);
    }
}
