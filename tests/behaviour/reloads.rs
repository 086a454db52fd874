//! A configuration that changes while the gateway serves: all of it is taken over, or nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use memgate::sim::cloudflare::CookieGate;
use memgate::sim::{Answer, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, VirtualKey, answer};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::*;
use crate::keys::message;
use crate::status::status;
use crate::two_ways::{ROUTER, ROUTER_LANE};

async fn edge() -> Edge {
    Edge::start(EdgeOptions::default()).await.unwrap()
}

fn slow_stream() -> Answer {
    answer::usual().between(Duration::from_millis(100))
}

/// [`MODELS`] with one model more.
fn with_model(name: &str) -> String {
    let more = format!(
        "  - model_name: {name}\n    litellm_params:\n      model: anthropic/claude-sonnet-4-5-20250929\n      api_base: https://api.supermemory.ai/v3/https://api.anthropic.com\n      api_key: sk-ant-test-provider\n      extra_headers: {{x-supermemory-api-key: sm-test-key}}\ngeneral_settings:"
    );
    MODELS.replacen("general_settings:", &more, 1)
}

async fn posted(gateway: &TestGateway, model: &str) -> u16 {
    let mut body = turn("x");
    body["model"] = model.into();
    let request = gateway.post("/v1/messages").body(body.to_string());
    soon(request.send()).await.unwrap().status().as_u16()
}

/// An address that nobody listens on.
async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Whether a connection is made there.
async fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_cost_no_request_and_no_stream() {
    let edge = edge().await;
    let gateway = Arc::new(TestGateway::in_front_of(&edge).start().await);
    edge.script([slow_stream().times(8)]);
    let mut streams = Vec::new();
    for number in 0..8 {
        let request = gateway.post("/v1/messages");
        let request = request.body(streamed(MODEL, &format!("stream {number}")));
        let mut stream = soon(request.send()).await.unwrap();
        read_until(&mut stream, "message_start").await;
        streams.push(stream);
    }
    let (over, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (gateway, over, asked) = (gateway.clone(), over.clone(), asked.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(posted(&gateway, MODEL).await, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    for number in 0..100 {
        gateway.rewrite("config.yaml", &with_model(&format!("model-{number}")));
        let attempts = |number: usize| format!("retry: {{attempts: {},", 3 + number % 2);
        gateway.rewrite_own(&attempts(number), &attempts(number + 1));
        soon(gateway.reload()).await.unwrap();
    }
    assert_eq!(
        posted(&gateway, "model-99").await,
        200,
        "the last one is at work"
    );
    over.store(true, Ordering::Relaxed);

    for client in clients {
        soon(client).await.unwrap();
    }
    for mut stream in streams {
        let (rest, whole) = soon(read_out(&mut stream)).await;
        assert!(whole);
        assert!(String::from_utf8_lossy(&rest).contains("event: message_stop"));
    }
    assert!(asked.load(Ordering::Relaxed) > 0, "there was load");
    let ok = [("outcome", "ok")];
    assert_eq!(gateway.metric("config_reloads_total", &ok).await, 100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_changes_nothing_and_everybody_is_told_why() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    gateway.rewrite("config.yaml", &with_model("newcomer"));
    gateway.rewrite_own("retry: {attempts: 3,", "retry: {attempts: many,");

    let why = soon(gateway.reload()).await.unwrap_err();
    let (known, unknown) = (posted(&gateway, MODEL).await, edge.stats().posts);
    let shown = status(&gateway).await;
    gateway.rewrite_own("retry: {attempts: many,", "retry: {attempts: 3,");
    soon(gateway.reload()).await.unwrap();
    let mended = status(&gateway).await;

    assert!(
        why.contains("memgate.yaml:") && why.contains("`many`"),
        "{why}"
    );
    assert_eq!((known, unknown), (200, 1));
    assert_eq!(shown["configuration"]["failed"], 1, "{shown}");
    let failure = shown["configuration"]["failure"]["why"].as_str().unwrap();
    assert!(failure.contains("`many`"), "{failure}");
    assert_eq!(mended["configuration"]["failure"], serde_json::Value::Null);
    assert_eq!(mended["configuration"]["reloads"], 1);
    let failed = [("outcome", "failed")];
    assert_eq!(gateway.metric("config_reloads_total", &failed).await, 1.0);
    assert_eq!(posted(&gateway, "newcomer").await, 200, "now it is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_change_does_not_touch_stays_as_it_is() {
    let options = EdgeOptions {
        cookie_gate: Some(CookieGate::default()),
        ..Default::default()
    };
    let edge = Edge::start(options).await.unwrap();
    let virtual_key = VirtualKey {
        rpm_limit: Some(2),
        ..VirtualKey::new("sk-virtual-ann")
    };
    let options = LiteLlmOptions {
        keys: vec![virtual_key],
        master_key: Some(MASTER.into()),
        ..Default::default()
    };
    let litellm = LiteLlm::start(options).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = gateway.own("auth: {litellm: true}").start().await;
    let ann = [("authorization", "Bearer sk-virtual-ann")];
    assert_eq!(message(&gateway, &ann).await.0, 200);
    let connections = edge.stats().connections.accepted;

    gateway.rewrite("config.yaml", &with_model("newcomer"));
    gateway.rewrite_own("retry: {attempts: 3,", "retry: {attempts: 4,");
    soon(gateway.reload()).await.unwrap();
    let again = gateway.message("x").await;
    let second = message(&gateway, &ann).await.0;
    let third = message(&gateway, &ann).await.0;
    gateway.pause_host(ROUTER, Duration::from_secs(600));
    soon(gateway.reload()).await.unwrap();

    assert_eq!(again.headers()["x-memgate-attempts"], "1", "the jar stayed");
    assert_eq!((second, third), (200, 429), "and what keys have used");
    let questions = asked(&litellm);
    let questions = questions.iter().filter(|one| one.path() == "/key/info");
    assert_eq!(questions.count(), 1, "and what is known of them");
    assert_eq!(
        edge.stats().connections.accepted,
        connections,
        "and connections"
    );
    assert!(gateway.is_paused(ROUTER_LANE), "and pauses");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_changes_is_felt_by_the_lane_that_is_there() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    assert_eq!(gateway.lane_view(ROUTER_LANE).limit, 512);

    gateway.rewrite_own("bypass: none,", "bypass: none, max_concurrency: 7,");
    soon(gateway.reload()).await.unwrap();

    assert_eq!(gateway.lane_view(ROUTER_LANE).limit, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_by_the_configuration_that_it_began_with() {
    let edge = edge().await;
    let models = with_model("leaving");
    let gateway = TestGateway::in_front_of(&edge).models(&models);
    let gateway = gateway.start().await;
    edge.script([slow_stream()]);
    let request = gateway.post("/v1/messages").body(streamed("leaving", "x"));
    let mut stream = soon(request.send()).await.unwrap();
    read_until(&mut stream, "message_start").await;

    gateway.rewrite("config.yaml", MODELS);
    soon(gateway.reload()).await.unwrap();
    let posts = edge.stats().posts;
    let gone = posted(&gateway, "leaving").await;
    let (rest, whole) = soon(read_out(&mut stream)).await;

    assert!(whole && String::from_utf8_lossy(&rest).contains("event: message_stop"));
    assert_ne!(gone, 200, "it is LiteLLM's now, and there is none");
    assert_eq!(edge.stats().posts, posts);
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let (first, second) = (gateway.address(), free_address().await);
    edge.script([slow_stream()]);
    let request = gateway.post("/v1/messages").body(streamed(MODEL, "x"));
    let mut stream = soon(request.send()).await.unwrap();
    read_until(&mut stream, "message_start").await;

    gateway.rewrite_own("['127.0.0.1:0']", &format!("['127.0.0.1:0', '{second}']"));
    soon(gateway.reload()).await.unwrap();
    let both = (is_open(first).await, is_open(second).await);
    gateway.rewrite_own("['127.0.0.1:0', ", "[");
    soon(gateway.reload()).await.unwrap();
    let health = gateway.http().get(format!("http://{second}/health"));
    let served = soon(health.send()).await.unwrap().status();
    // The first one is closed.
    comes(async || (!is_open(first).await).then_some(())).await;
    let (rest, whole) = soon(read_out(&mut stream)).await;

    assert_eq!(both, (true, true));
    assert_eq!(served, 200);
    assert!(whole, "but what came by it goes on");
    assert!(String::from_utf8_lossy(&rest).contains("event: message_stop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_leaves_everything_as_it_was() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap();

    gateway.rewrite("config.yaml", &with_model("newcomer"));
    gateway.rewrite_own("['127.0.0.1:0']", &format!("['127.0.0.1:0', '{taken}']"));
    let why = soon(gateway.reload()).await.unwrap_err();

    assert!(why.contains(&format!("cannot listen on {taken}")), "{why}");
    assert_eq!(posted(&gateway, MODEL).await, 200);
    assert_ne!(posted(&gateway, "newcomer").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_the_rest_taken() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).start().await;

    gateway.rewrite("config.yaml", &with_model("newcomer"));
    gateway.rewrite_own(
        "admin: 127.0.0.1:0",
        "admin: 127.0.0.1:1\nserver: {threads: 7}\negress: {}",
    );
    soon(gateway.reload()).await.unwrap();

    let shown = status(&gateway).await;
    let waiting = serde_json::json!(["server.threads", "admin", "egress"]);
    assert_eq!(shown["configuration"]["needs_restart"], waiting);
    assert_eq!(posted(&gateway, "newcomer").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_files_are_watched_a_change_needs_no_signal() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).own("reload: watch");
    let gateway = gateway.start().await;
    assert_ne!(posted(&gateway, "newcomer").await, 200);

    gateway.rewrite("config.yaml", &with_model("newcomer"));
    gateway
        .counts("config_reloads_total", &[("outcome", "ok")], 1.0)
        .await;

    assert_eq!(posted(&gateway, "newcomer").await, 200);
}
