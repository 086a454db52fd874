//! The access line of every request.

use memgate::sim::cloudflare::CookieGate;
use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions, VirtualKey};
use serde_json::{Value, json};

use crate::harness::*;
use crate::logs;

pub const VIRTUAL: &str = "sk-virtual-canary-5513";
pub const WRONG: &str = "sk-wrong-canary-5513";
pub const PROMPT: &str = "the prompt of the canary sings 5513";
pub const CLIENT_COOKIE: &str = "client-cookie-canary-5513";

/// A cookie gate, a LiteLLM with keys, and the gateway between them.
pub struct World {
    pub edge: Edge,
    pub litellm: LiteLlm,
    pub gateway: TestGateway,
}

pub async fn world() -> World {
    let cookie_gate = Some(CookieGate::default());
    let edge = Edge::start(EdgeOptions {
        cookie_gate,
        ..Default::default()
    })
    .await
    .unwrap();
    let keys = vec![VirtualKey::new(VIRTUAL)];
    let options = LiteLlmOptions {
        keys,
        master_key: Some(MASTER.into()),
        ..Default::default()
    };
    let litellm = LiteLlm::start(options).await.unwrap();
    let builder = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = builder.own("auth: {litellm: true}").start().await;
    World {
        edge,
        litellm,
        gateway,
    }
}

impl World {
    /// Sends it, reads all of the answer, and waits for its line.
    pub async fn ask(&self, id: &str, path: &str, key: &str, body: &str) -> (u16, String, Value) {
        // A broken stream takes its connection along.
        let client = Down::H1.client();
        let request = client.post(self.gateway.url(path)).bearer_auth(key);
        let request = request
            .header("x-request-id", id)
            .header("cookie", CLIENT_COOKIE);
        let mut answer = soon(request.body(body.to_owned()).send()).await.unwrap();
        let (body, _) = soon(read_out(&mut answer)).await;
        let line = logs::access_line(id).await;
        (
            answer.status().as_u16(),
            String::from_utf8_lossy(&body).into_owned(),
            line,
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_request_writes_one_line_with_every_fact() {
    let world = world().await;
    let body = turn(PROMPT).to_string();

    let (_, answer, line) = world
        .ask("line-direct", "/v1/messages?beta=true", VIRTUAL, &body)
        .await;

    assert_eq!(logs::access_lines("line-direct").len(), 1);
    let facts = [
        ("id", json!("line-direct")),
        ("method", json!("POST")),
        ("path", json!("/v1/messages")),
        ("protocol", json!("HTTP/1.1")),
        ("dialect", json!("anthropic")),
        ("model", json!(MODEL)),
        ("stream", json!(false)),
        ("user", json!("team")),
        ("route", json!("direct")),
        ("status", json!(200)),
        ("outcome", json!("ok")),
        ("body", json!("spliced")),
        ("upstream", json!("api.supermemory.ai → api.anthropic.com")),
        ("attempts", json!(2)),
        ("reused", json!(true)),
        ("bytes_in", json!(body.len())),
        ("bytes_out", json!(answer.len())),
    ];
    for (name, value) in facts {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    assert!(
        line["caller"].as_str().unwrap().starts_with("litellm:"),
        "{line}"
    );
    let mut cookies: Vec<&str> = line["cookies"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    cookies.sort_unstable();
    assert_eq!(cookies, ["__cf_bm", "_cfuvid"], "names only");
    for time in ["total_ms", "first_byte_ms", "overhead_ms"] {
        assert!(line[time].as_f64().unwrap() > 0.0, "{time} in {line}");
    }
    assert!(
        line["total_ms"].as_f64() >= line["first_byte_ms"].as_f64(),
        "{line}"
    );
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
}

/// Request id, key, body, path; then route, status and outcome in its line.
const CASES: &str = "
    line-litellm    virtual  other   /v1/chat/completions  litellm  200  ok
    line-passed     virtual  other   /v1/embeddings        litellm  200  ok
    line-not-json   virtual  broken  /v1/messages          local    400  refused
    line-wrong-key  wrong    direct  /v1/messages          local    401  refused
    line-not-open   virtual  other   /key/generate         local    404  refused
";

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_every_route_write_one_line_each() {
    let world = world().await;
    let direct = turn(PROMPT).to_string();
    for case in CASES.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = case.split_whitespace().collect();
        let (id, path) = (words[0], words[3]);
        let key = if words[1] == "virtual" {
            VIRTUAL
        } else {
            WRONG
        };
        let body = match words[2] {
            "other" => direct.replace(MODEL, OTHER),
            "broken" => direct.replace('}', ""),
            _ => direct.clone(),
        };

        let (status, _, line) = world.ask(id, path, key, &body).await;

        assert_eq!(status.to_string(), words[5], "{line}");
        assert_eq!(logs::access_lines(id).len(), 1, "{id}");
        assert_eq!(line["route"], words[4], "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["outcome"], words[6], "{line}");
        assert_eq!(line["path"], path, "{line}");
        for always in ["time", "attempts", "bytes_in", "bytes_out", "total_ms"] {
            assert!(!line[always].is_null(), "{always} in {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_is_in_a_line_for_it_may_hold_keys() {
    let world = world().await;
    let url = world.gateway.url("/health?token=query-canary-5513");

    let request = world.gateway.http().get(url);
    let request = request.header("x-request-id", "line-local");
    request.send().await.unwrap();
    let line = logs::access_line("line-local").await;

    assert_eq!(line["path"], "/health");
    assert_eq!(line["route"], "local");
    assert!(!line.to_string().contains("query-canary"), "{line}");
}
