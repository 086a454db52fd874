//! The access line of every request, and what no line, metric, page or error ever holds.

use memgate::sim::answer::{self, Answer, At, How};
use memgate::sim::cloudflare::{self, CookieGate};
use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions, VirtualKey};
use serde_json::{Value, json};

use crate::harness::*;
use crate::logs;

const VIRTUAL: &str = "sk-virtual-canary-5513";
const WRONG: &str = "sk-wrong-canary-5513";
const PROMPT: &str = "the prompt of the canary sings 5513";
const CLIENT_COOKIE: &str = "client-cookie-canary-5513";

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

async fn world() -> World {
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
    async fn ask(&self, id: &str, path: &str, key: &str, body: &str) -> (u16, String, Value) {
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

fn keys_of(line: &Value) -> Vec<&str> {
    line.as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
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

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_every_route_write_one_line_each() {
    let world = world().await;
    let other =
        json!({"model": OTHER, "messages": [{"role": "user", "content": PROMPT}]}).to_string();
    let cases = [
        (
            "line-litellm",
            "/v1/chat/completions",
            VIRTUAL,
            other.as_str(),
            "litellm",
            200,
            "ok",
        ),
        (
            "line-passed",
            "/v1/embeddings",
            VIRTUAL,
            &other,
            "litellm",
            200,
            "ok",
        ),
        (
            "line-not-json",
            "/v1/messages",
            VIRTUAL,
            "{",
            "local",
            400,
            "refused",
        ),
        (
            "line-wrong-key",
            "/v1/messages",
            WRONG,
            &other.replace(OTHER, MODEL),
            "local",
            401,
            "refused",
        ),
        (
            "line-not-open",
            "/key/generate",
            VIRTUAL,
            "{}",
            "local",
            404,
            "refused",
        ),
    ];
    for (id, path, key, body, route, status, outcome) in cases {
        let (answered, _, line) = world.ask(id, path, key, body).await;

        assert_eq!(answered, status, "{line}");
        assert_eq!(logs::access_lines(id).len(), 1, "{id}");
        assert_eq!(line["route"], route, "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(line["path"], path, "{line}");
        for always in [
            "time",
            "id",
            "attempts",
            "bytes_in",
            "bytes_out",
            "total_ms",
        ] {
            assert!(keys_of(&line).contains(&always), "{always} in {line}");
        }
    }
    let request = world
        .gateway
        .http()
        .get(world.gateway.url("/health?token=query-canary-5513"));
    request
        .header("x-request-id", "line-local")
        .send()
        .await
        .unwrap();
    let line = logs::access_line("line-local").await;
    assert_eq!(
        (&line["route"], &line["path"]),
        (&json!("local"), &json!("/health"))
    );
    assert!(
        !line.to_string().contains("query-canary"),
        "a query may hold keys"
    );
}

/// Everything that goes wrong in its own way, so that every line that can be written is.
fn mishaps() -> Vec<Answer> {
    let event = format!("data: {{\"text\":\"{PROMPT}\"}}\n\n");
    let stream = || answer::stream([event.clone(), event.clone()]);
    vec![
        answer::message(PROMPT),
        answer::provider_error(400, "invalid_request_error", "no"),
        answer::provider_error(529, "overloaded_error", "no"),
        cloudflare::queue_full().zone("api.anthropic.com"),
        cloudflare::challenge(),
        answer::status(503),
        stream(),
        stream().cut(At::AfterEvents(1), How::Abort),
        stream().cut(At::AfterBytes(9), How::Truncate),
        answer::usual().cut(At::AfterBytes(20), How::Truncate),
        answer::usual().cut(At::BeforeHead, How::Abort),
        answer::usual().cut(At::BeforeHead, How::Reset(2)),
        answer::usual().header("set-cookie", "__cf_bm=bad\u{1}value; Secure"),
        answer::raw(format!("HTTP/1.1 200 OK\r\nbad header {PROMPT}\r\n\r\n")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_no_cookie_and_no_prompt_is_in_any_line_metric_page_or_error() {
    let world = world().await;
    let mut bodies = Vec::new();
    let direct = turn(PROMPT).to_string();
    let other = direct.replace(MODEL, OTHER);
    let mut ids = 0..;
    let mut ask = async |path: &str, key: &str, body: &str| {
        let id = format!("canary-{}", ids.next().unwrap());
        let (status, body, _) = world.ask(&id, path, key, body).await;
        if status >= 400 {
            bodies.push(body);
        }
    };

    for key in [MASTER, VIRTUAL, WRONG] {
        ask("/v1/messages", key, &direct).await;
        ask("/v1/chat/completions", key, &other).await;
        ask("/v1/embeddings", key, &other).await;
        ask(
            "/v1/messages",
            key,
            &format!("{{\"model\": \"{MODEL}\" \"{PROMPT}\""),
        )
        .await;
        ask(
            "/openai/deployments/claude-sonnet-4.5/chat/completions",
            key,
            &other,
        )
        .await;
    }
    for mishap in mishaps() {
        world.edge.script([mishap.clone()]);
        ask("/v1/messages", MASTER, &direct).await;
        world.litellm.script([mishap]);
        ask("/v1/chat/completions", MASTER, &other).await;
    }
    world.litellm.stop().await;
    ask("/v1/messages", "sk-unasked-canary-5513", &direct).await;
    ask("/v1/chat/completions", VIRTUAL, &other).await;

    let status = world
        .gateway
        .http()
        .get(world.gateway.admin_url("/status"))
        .send()
        .await;
    let mut told = logs::lines()
        .into_iter()
        .map(|line| (line.target, line.text))
        .collect::<Vec<_>>();
    told.push(("/status".into(), status.unwrap().text().await.unwrap()));
    told.push(("/metrics".into(), world.gateway.metrics().await));
    told.extend(
        bodies
            .into_iter()
            .map(|body| ("error body".to_owned(), body)),
    );
    let cookies: Vec<String> = world
        .edge
        .requests()
        .into_iter()
        .flat_map(|request| request.cookies)
        .map(|(_, value)| value)
        .collect();
    assert!(cookies.len() > 4, "cookies were sent");
    let secrets = [
        MASTER,
        PROVIDER_KEY,
        SUPERMEMORY_KEY,
        VIRTUAL,
        WRONG,
        PROMPT,
        CLIENT_COOKIE,
    ];
    let secrets = secrets.into_iter().chain(["sk-unasked-canary-5513"]);
    for secret in secrets.chain(cookies.iter().map(String::as_str)) {
        for (place, text) in &told {
            assert!(!text.contains(secret), "{secret:?} in {place}: {text}");
        }
    }
}
