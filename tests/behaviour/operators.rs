//! The admin port: liveness, readiness, and counters that move with what happens.

use memgate::sim::answer::{self, At, How};
use memgate::sim::cloudflare::CookieGate;
use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions, cloudflare};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::*;
use crate::logs;

const LANE: &str = "api.supermemory.ai → api.anthropic.com";
const HOST: &str = "api.supermemory.ai";

async fn readiness(gateway: &TestGateway) -> (u16, Value) {
    let answer = gateway
        .http()
        .get(gateway.admin_url("/readyz"))
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn is_alive(gateway: &TestGateway) -> bool {
    let answer = gateway
        .http()
        .get(gateway.admin_url("/healthz"))
        .send()
        .await
        .unwrap();
    answer.status() == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_ends_the_moment_a_drain_begins_and_life_goes_on() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let before = readiness(&gateway).await;

    gateway.gateway().traffic.begin_drain();
    let after = readiness(&gateway).await;

    assert_eq!(before.0, 200);
    assert_eq!(after.0, 503);
    assert_eq!(after.1["reasons"], json!(["draining"]));
    assert!(is_alive(&gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_when_no_route_can_serve() {
    // A LiteLLM that hangs up on whoever calls.
    let dying = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = format!(
        "litellm: {{urls: ['http://{}']}}",
        dying.local_addr().unwrap()
    );
    let only_litellm = "model_list: []\ngeneral_settings: {master_key: sk-test-master-0001}\n";
    let builder = TestGateway::in_front_of(&edge)
        .own(&litellm)
        .models(only_litellm);
    let gateway = builder.start().await;
    let (at_first, _) = readiness(&gateway).await;

    for _probe in 0..2 {
        drop(soon(dying.accept()).await.unwrap());
    }
    let body = comes(async || {
        let (status, body) = readiness(&gateway).await;
        (status == 503).then_some(body)
    })
    .await;

    assert_eq!(at_first, 200, "one missed probe proves nothing");
    assert_eq!(body["reasons"], json!(["no route can serve"]));
    assert!(is_alive(&gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_exchange_moves_its_counters_and_no_other() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    for number in 0..3 {
        let id = format!("counted-healthy-{number}");
        let request = gateway.post("/v1/messages").header("x-request-id", &id);
        let answer = request.body(turn("x").to_string()).send().await.unwrap();
        answer.text().await.unwrap();
        logs::access_line(&id).await;
    }
    gateway.settled().await;

    let ok = [
        ("route", "direct"),
        ("dialect", "anthropic"),
        ("status", "200"),
    ];
    assert_eq!(gateway.metric("requests_total", &ok).await, 3.0);
    let attempts = [("upstream", HOST), ("outcome", "ok")];
    assert_eq!(
        gateway.metric("upstream_attempts_total", &attempts).await,
        3.0
    );
    let fresh = [("upstream", HOST), ("reused", "false")];
    let reused = [("upstream", HOST), ("reused", "true")];
    assert_eq!(
        gateway.metric("upstream_connections_total", &fresh).await,
        1.0
    );
    assert_eq!(
        gateway.metric("upstream_connections_total", &reused).await,
        2.0
    );
    assert_eq!(gateway.metric("in_flight", &[("lane", LANE)]).await, 0.0);
    for histogram in ["request_seconds", "first_byte_seconds", "overhead_seconds"] {
        assert_eq!(
            gateway.metric(&format!("{histogram}_count"), &[]).await,
            3.0,
            "{histogram}"
        );
    }
    for quiet in ["retries_total", "edge_errors_total", "stream_errors_total"] {
        assert_eq!(gateway.metric(quiet, &[]).await, 0.0, "{quiet}");
    }
    assert_eq!(gateway.metric("bodies_in_flight_bytes", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_through_the_cookie_gate_is_counted() {
    let options = EdgeOptions {
        cookie_gate: Some(CookieGate::default()),
        ..Default::default()
    };
    let edge = Edge::start(options).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let answer = gateway.message("x").await;
    assert_eq!(answer.status(), 200);
    gateway.settled().await;

    assert_eq!(gateway.metric("cookies", &[("upstream", HOST)]).await, 2.0);
    for name in ["__cf_bm", "_cfuvid"] {
        assert_eq!(
            gateway
                .metric("cookies_captured_total", &[("name", name)])
                .await,
            1.0
        );
    }
    let reason = [("reason", "fresh_cookies")];
    assert_eq!(gateway.metric("retries_total", &reason).await, 1.0);
    let queue = [("zone", HOST), ("code", "1200")];
    assert_eq!(gateway.metric("edge_errors_total", &queue).await, 1.0);
    for outcome in ["edge_queue_full", "ok"] {
        let labels = [("upstream", HOST), ("outcome", outcome)];
        assert_eq!(
            gateway.metric("upstream_attempts_total", &labels).await,
            1.0,
            "{outcome}"
        );
    }
    let answered = [("route", "direct"), ("status", "200")];
    assert_eq!(gateway.metric("requests_total", &answered).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_shown_while_it_is() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    let event = "data: {}\n\n";
    let stall = || answer::stream([event, event]).cut(At::AfterEvents(1), How::Stall);
    edge.script([stall()]);
    litellm.script([stall()]);

    let request = gateway
        .post("/v1/messages")
        .header("x-request-id", "under-way-direct");
    let mut direct = request.body(streamed(MODEL, "x")).send().await.unwrap();
    let request = gateway
        .post("/v1/responses")
        .header("x-request-id", "under-way-litellm");
    let mut passed = request.body(streamed(OTHER, "x")).send().await.unwrap();
    soon(read_until(&mut direct, event)).await;
    soon(read_until(&mut passed, event)).await;
    let during = [
        gateway.metric("in_flight", &[("lane", LANE)]).await,
        gateway.metric("in_flight", &[("lane", "litellm")]).await,
        gateway.metric("bodies_in_flight_bytes", &[]).await,
    ];
    drop((direct, passed));
    logs::access_line("under-way-direct").await;
    logs::access_line("under-way-litellm").await;

    assert_eq!(
        during,
        [1.0, 1.0, 0.0],
        "a body is let go of when its answer begins"
    );
    assert_eq!(gateway.metric("client_disconnects_total", &[]).await, 2.0);
    for lane in [LANE, "litellm"] {
        gateway.counts("in_flight", &[("lane", lane)], 0.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_each_kind_are_told_apart() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("retry: {attempts: 1}")
        .start()
        .await;
    let cases = [
        (
            answer::provider_error(400, "invalid_request_error", "no"),
            "provider_invalid_request",
        ),
        (
            answer::provider_error(529, "overloaded_error", "no"),
            "provider_overloaded",
        ),
        (answer::status(503), "unproved_error"),
        (cloudflare::denied(), "edge_blocked"),
        (
            answer::usual().cut(At::BeforeHead, How::Abort),
            "connection_lost",
        ),
    ];
    for (number, (scripted, outcome)) in cases.into_iter().enumerate() {
        edge.script([scripted]);
        let id = format!("told-apart-{number}");
        let request = gateway.post("/v1/messages").header("x-request-id", &id);

        let answer = request.body(turn("x").to_string()).send().await.unwrap();
        answer.text().await.unwrap();
        let line = logs::access_line(&id).await;

        let labels = [("upstream", HOST), ("outcome", outcome)];
        let count = gateway.metric("upstream_attempts_total", &labels).await;
        assert_eq!(count, 1.0, "{outcome}: {line}");
        assert_eq!(line["outcome"], "failed", "{line}");
    }
}
