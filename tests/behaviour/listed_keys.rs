//! Keys of the gateway's own, from a file that holds their digests alone.

use std::sync::Arc;
use std::time::Duration;

use memgate::auth::Fingerprint;
use memgate::clock::ManualClock;
use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::*;
use crate::keys::message;
use crate::logs;
use crate::wire::Raw;

pub const ANNA: &str = "sk-mg-of-anna-0001";
pub const BOB: &str = "sk-mg-of-bob-0001";

/// An entry for the keys file; `more`: what else stands in it.
pub fn entry(name: &str, key: &str, more: &str) -> String {
    let digest = Fingerprint::of(key);
    format!("  - {{name: {name}, sha256: \"{digest}\"{more}}}\n")
}

pub fn keys(entries: &[String]) -> String {
    format!("keys:\n{}", entries.concat())
}

pub const AUTH: &str = "auth: {keys_file: keys.yaml, litellm: false}";

/// Where a key of the gateway's own takes the callers' place towards LiteLLM.
pub async fn with_our_key(edge: &Edge, litellm: &LiteLlm, entries: &[String]) -> TestGateway {
    let url = litellm.url();
    TestGateway::in_front_of(edge)
        .own(&format!(
            "litellm: {{urls: ['{url}'], api_key: sk-of-the-gateway}}"
        ))
        .own(AUTH)
        .file("keys.yaml", &keys(entries))
        .start()
        .await
}

fn bearer(key: &str) -> [(&'static str, String); 1] {
    [("authorization", format!("Bearer {key}"))]
}

async fn status(gateway: &TestGateway, key: &str) -> (u16, String) {
    let [(name, value)] = bearer(key);
    message(gateway, &[(name, &value)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_key_opens_the_direct_route_within_its_own_bounds() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let entries = [
        entry("anna", ANNA, ", models: [\"claude-*\"]"),
        entry("bob", BOB, ", models: [gpt-test]"),
        entry("carl", "sk-mg-carl", ", disabled: true"),
        entry("dora", "sk-mg-dora", ", expires: 2020-01-01"),
    ];
    let builder = TestGateway::in_front_of(&edge).own(AUTH);
    let gateway = builder.file("keys.yaml", &keys(&entries)).start().await;

    for (key, expected) in [
        (ANNA, 200),
        (BOB, 403),
        ("sk-mg-carl", 401),
        ("sk-mg-dora", 401),
        ("sk-mg-unknown", 401),
        (MASTER, 200),
    ] {
        let (answered, says) = status(&gateway, key).await;
        assert_eq!(answered, expected, "{key}: {says}");
        assert!(!says.contains(key), "{says}");
    }
    assert_eq!(edge.stats().posts, 2);
    let seen = format!("{:?}", edge.requests());
    assert!(!seen.contains("sk-mg-"), "no key of ours goes up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_over_and_a_bad_or_missing_one_changes_nothing() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let only = |name: &str, key: &str| keys(&[entry(name, key, "")]);
    let builder = TestGateway::in_front_of(&edge).own(AUTH);
    let gateway = builder.file("keys.yaml", &only("anna", ANNA)).start().await;
    let loads = [("outcome", "ok")];
    let failures = [("outcome", "failed")];
    let name = "keys_file_loads_total";

    gateway.rewrite("keys.yaml", &only("bob", BOB));
    gateway.counts(name, &loads, 1.0).await;
    let of_bob = [
        status(&gateway, ANNA).await.0,
        status(&gateway, BOB).await.0,
    ];
    gateway.rewrite("keys.yaml", "keys: [{name: bob}]\n");
    gateway.counts(name, &failures, 1.0).await;
    let of_a_bad_file = status(&gateway, BOB).await.0;
    gateway.remove("keys.yaml");
    gateway.counts(name, &failures, 2.0).await;
    let of_none = status(&gateway, BOB).await.0;
    gateway.rewrite("keys.yaml", &only("anna", ANNA));
    gateway.counts(name, &loads, 2.0).await;
    let of_anna = [
        status(&gateway, ANNA).await.0,
        status(&gateway, BOB).await.0,
    ];

    assert_eq!(of_bob, [401, 200]);
    assert_eq!((of_a_bad_file, of_none), (200, 200));
    assert_eq!(of_anna, [200, 401]);
    let told = logs::lines().into_iter().any(|line| {
        line.target == "memgate::auth"
            && line.text.contains("keys.yaml:1:8: a key without `sha256`")
    });
    assert!(told, "where the file is wrong stands in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_held_to_what_holds_at_the_start() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let anna = entry("anna", ANNA, "");
    let file = keys(std::slice::from_ref(&anna));
    let builder = TestGateway::in_front_of(&edge).own(AUTH);
    let gateway = builder.file("keys.yaml", &file).start().await;

    gateway.rewrite("keys.yaml", &keys(&[anna, entry("all", MASTER, "")]));
    let failed = [("outcome", "failed")];
    gateway.counts("keys_file_loads_total", &failed, 1.0).await;

    assert_eq!(status(&gateway, ANNA).await.0, 200, "as it was");
    let why = gateway.reload().await.unwrap_err();
    assert!(why.contains("`all` is the master key"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_slowed_down_and_good_keys_are_not() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let clock = ManualClock::default();
    let builder = TestGateway::in_front_of(&edge)
        .own("auth: {keys_file: keys.yaml, litellm: false, failed_attempts_per_minute: 2}")
        .file("keys.yaml", &keys(&[entry("anna", ANNA, "")]))
        .clock(Arc::new(clock.clone()));
    let gateway = builder.start().await;
    let guess = async || {
        let request = gateway.http().post(gateway.url("/v1/messages"));
        let request = request
            .bearer_auth("sk-mg-guess")
            .body(turn("x").to_string());
        soon(request.send()).await.unwrap()
    };

    let first = [guess().await.status(), guess().await.status()];
    let slowed = guess().await;
    let anna = status(&gateway, ANNA).await.0;
    clock.advance(Duration::from_secs(30));
    let later = guess().await.status();

    assert_eq!(first.map(|status| status.as_u16()), [401, 401]);
    assert_eq!(slowed.status(), 429);
    assert_eq!(slowed.headers()["retry-after"], "30");
    let says: Value = slowed.json().await.unwrap();
    assert_eq!(says["error"]["type"], "rate_limit_error");
    assert_eq!((anna, later.as_u16()), (200, 401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barred_master_key_serves_operators_alone() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let options = LiteLlmOptions {
        master_key: Some(MASTER.into()),
        ..Default::default()
    };
    let litellm = LiteLlm::start(options).await.unwrap();
    let url = litellm.url();
    let gateway = TestGateway::in_front_of(&edge)
        .own(&format!("litellm: {{urls: ['{url}'], expose: all}}"))
        .own("auth: {keys_file: keys.yaml, litellm: false, accept_master_key: false}")
        .file("keys.yaml", &keys(&[entry("anna", ANNA, "")]))
        .start()
        .await;
    let other = json!({"model": OTHER, "messages": []}).to_string();
    let ask = async |method: Method, path: &str, body: &str| {
        let request = gateway.http().request(method, gateway.url(path));
        let request = request.bearer_auth(MASTER).body(body.to_owned());
        soon(request.send()).await.unwrap().status().as_u16()
    };

    let direct = status(&gateway, MASTER).await;
    let elsewhere = [
        ask(Method::POST, "/v1/chat/completions", &other).await,
        ask(Method::POST, "/v1/embeddings", &other).await,
        ask(Method::GET, "/v1/models", "").await,
        ask(Method::GET, "/v1/files", "").await,
        ask(Method::POST, "/openrouter/v1/chat/completions", &other).await,
        ask(Method::POST, "/health/test_connection", &other).await,
    ];
    let administration = ask(Method::GET, "/key/info?key=x", "").await;

    assert_eq!(direct.0, 403, "{}", direct.1);
    assert!(direct.1.contains("master key"), "{}", direct.1);
    assert_eq!(elsewhere, [403; 6]);
    assert_ne!(administration, 403, "LiteLLM judges it");
    assert_eq!(status(&gateway, ANNA).await.0, 200);
    assert_eq!(edge.stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_our_key_stands_in_a_listed_key_gets_no_model_beyond_its_list() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let entries = [
        entry("anna", ANNA, ", models: [\"claude-*\"]"),
        entry("bob", BOB, ""),
    ];
    let gateway = with_our_key(&edge, &litellm, &entries).await;
    let named = json!({"model": OTHER, "messages": [], "input": "x"}).to_string();
    let unnamed = json!({"input": "x"}).to_string();
    let ask = async |key: &str, method: Method, path: &str, body: &str| {
        let request = gateway.http().request(method, gateway.url(path));
        let request = request.bearer_auth(key).body(body.to_owned());
        soon(request.send()).await.unwrap().status().as_u16()
    };
    let asked = [
        (Method::POST, "/v1/chat/completions", &named),
        (Method::POST, "/v1/embeddings", &named),
        (Method::POST, "/v1/embeddings", &unnamed),
        (Method::POST, "/v1/completions", &named),
        (
            Method::POST,
            "/openai/deployments/gpt-test/completions",
            &unnamed,
        ),
    ];

    for (method, path, body) in asked {
        let anna = ask(ANNA, method.clone(), path, body).await;
        let bob = ask(BOB, method, path, body).await;
        assert_eq!(anna, 403, "{path}");
        assert_ne!(bob, 403, "{path}: every model is his");
    }
    assert_eq!(
        ask(ANNA, Method::GET, "/v1/files", "").await,
        200,
        "no model is asked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_list_of_a_listed_key_is_what_it_may_use() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let entries = [
        entry("anna", ANNA, ""),
        entry("bob", BOB, ", models: [gpt-test]"),
    ];
    let builder = TestGateway::in_front_of(&edge).own(AUTH);
    let gateway = builder.file("keys.yaml", &keys(&entries)).start().await;
    let models = async |key: &str| {
        let request = gateway.http().get(gateway.url("/v1/models"));
        let list: Value = soon(request.bearer_auth(key).send())
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let models = list["data"].as_array().unwrap().clone();
        let ids = models.iter().map(|model| model["id"].as_str().unwrap());
        ids.map(str::to_owned).collect::<Vec<_>>()
    };

    assert_eq!(models(ANNA).await, [MODEL, OTHER]);
    assert_eq!(models(BOB).await, [OTHER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_key_is_needed_anyway_no_body_is_awaited_of_who_has_none() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let url = litellm.url();
    let gateway = TestGateway::in_front_of(&edge)
        .own(&format!(
            "litellm: {{urls: ['{url}'], api_key: sk-of-the-gateway}}"
        ))
        .start()
        .await;
    for path in ["/v1/messages", "/v1/chat/completions", "/v1/embeddings"] {
        for key in ["", "authorization: Bearer sk-wrong\r\n"] {
            let mut client = Raw::connect(gateway.address()).await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: gateway\r\n{key}content-length: 30000000\r\n\r\n"
            );
            client.send(head.as_bytes()).await;

            assert_eq!(client.reply().await.status, 401, "{path} {key}");
        }
    }
    assert_eq!(gateway.gateway().snapshot().bodies.in_use(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_a_good_key_is_no_stranger_while_its_body_comes() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("limits: {connections_per_address: 1}")
        .start()
        .await;
    let mut uploads = Raw::connect(gateway.address()).await;

    uploads
        .post("/v1/messages", "content-length: 100000\r\n")
        .await;

    let another = async {
        loop {
            let mut client = Raw::connect(gateway.address()).await;
            client
                .send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n")
                .await;
            if client.reply_or_end().await.is_some() {
                return;
            }
        }
    };
    soon(another).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_admin_key_are_answered_as_often_as_an_address_may_fail() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let clock = ManualClock::default();
    let gateway = TestGateway::in_front_of(&edge)
        .own("admin_key: sk-operator-0001")
        .own("auth: {litellm: false, failed_attempts_per_minute: 2}")
        .clock(Arc::new(clock.clone()))
        .start()
        .await;
    let shows_url = async |key: &str| {
        let request = gateway.http().get(gateway.url("/health"));
        let request = request.bearer_auth(key).header("x-real-ip", "203.0.113.7");
        let health: Value = soon(request.send()).await.unwrap().json().await.unwrap();
        health["litellm_base_url"] != "configured"
    };

    for _ in 0..5 {
        assert!(!shows_url(MASTER).await, "good elsewhere, and no guess");
    }
    let before = shows_url("sk-operator-0001").await;
    for n in 0..2 {
        assert!(!shows_url(&format!("sk-guess-{n}")).await);
    }
    let slowed = shows_url("sk-operator-0001").await;
    clock.advance(Duration::from_secs(30));
    let later = shows_url("sk-operator-0001").await;

    assert_eq!((before, slowed, later), (true, false, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_bodies_together_leave_half_of_the_room_to_others() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("limits: {body: 250KiB, bodies_in_flight: 500KiB}")
        .start()
        .await;
    let mut strangers = Vec::new();
    for _ in 0..3 {
        let mut stranger = Raw::connect(gateway.address()).await;
        stranger
            .send(b"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\ncontent-length: 240000\r\n\r\n")
            .await;
        stranger.send(&[b'x'; 200_000]).await;
        strangers.push(stranger);
    }
    let held = || gateway.gateway().snapshot().bodies.in_use();
    assert!(becomes_true(|| held() >= 200_000).await, "{}", held());

    let body = turn(&"x".repeat(200_000)).to_string();
    let known = soon(gateway.post("/v1/messages").body(body).send()).await;

    assert_eq!(known.unwrap().status(), 200);
    assert!(held() <= 250 * 1024, "{}", held());
}
