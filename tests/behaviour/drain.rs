//! Stopping with work in hand: what has time ends well, and what has none is told so.

use std::time::Duration;

use memgate::sim::answer::{self, Answer, At, How};
use memgate::sim::{Edge, EdgeOptions, Hold, LiteLlm, LiteLlmOptions};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::harness::*;
use crate::logs;
use crate::two_ways::{ROUTER_LANE, without_bypass};
use crate::wire::Raw;

/// So short a drain that nothing in flight outlasts it.
const NO_TIME: &str = "drain: {timeout: 1ms}";

/// A stream that goes on for ever after its first event.
fn endless() -> Answer {
    answer::usual().cut(At::AfterEvents(1), How::Stall)
}

async fn edge() -> Edge {
    Edge::start(EdgeOptions::default()).await.unwrap()
}

/// Stops as SIGTERM does.
fn stopping(gateway: TestGateway) -> JoinHandle<()> {
    tokio::task::spawn_blocking(|| gateway.stop())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_outlasts_the_drain_ends_with_its_dialects_error_event() {
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    for down in Down::BOTH {
        for (path, model, begins) in [
            ("/v1/messages", MODEL, "message_start"),
            ("/v1/chat/completions", MODEL, "chat.completion.chunk"),
            ("/v1/chat/completions", OTHER, "chat.completion.chunk"),
        ] {
            let edge = edge().await;
            let gateway = TestGateway::in_front_of(&edge).with_litellm(&litellm);
            let gateway = gateway.with_h2c().own(NO_TIME).start().await;
            edge.script([endless()]);
            litellm.script([endless()]);
            let id = format!("outlasts-{down:?}-{model}-{}", path.len());
            let request = down.client().post(gateway.url(path)).bearer_auth(MASTER);
            let request = request.header("x-request-id", &id);
            let request = request.body(streamed(model, "x"));
            let mut answer = soon(request.send()).await.unwrap();
            read_until(&mut answer, begins).await;

            let stopped = stopping(gateway);
            let (rest, whole) = soon(read_out(&mut answer)).await;
            soon(stopped).await.unwrap();

            assert!(whole, "{id}: it ends as a stream does");
            let rest = String::from_utf8(rest).unwrap();
            let data = rest.lines().rfind(|line| line.starts_with("data: "));
            let data: Value = serde_json::from_str(&data.unwrap()[6..]).unwrap();
            assert!(data["error"]["message"].is_string(), "{id}: {rest}");
            let line = logs::access_line(&id).await;
            assert_eq!(line["reason"], "stopping", "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_in_time_is_whole_and_then_the_gateway_is_gone() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge);
    let gateway = gateway.own("drain: {timeout: 10m}").start().await;
    edge.script([answer::usual().between(Duration::from_millis(40))]);
    let request = gateway.post("/v1/messages").body(streamed(MODEL, "x"));
    let mut answer = soon(request.send()).await.unwrap();
    read_until(&mut answer, "message_start").await;

    let stopped = stopping(gateway);
    let (rest, whole) = soon(read_out(&mut answer)).await;
    soon(stopped).await.unwrap();

    assert!(whole);
    assert!(String::from_utf8_lossy(&rest).contains("event: message_stop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_begins_while_the_gateway_drains_is_the_last_of_its_connection() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let hold = Hold::default();
    edge.script([answer::usual().held(&hold)]);
    let asked = gateway.post("/v1/messages").body(turn("x").to_string());
    let asked = tokio::spawn(asked.send());
    assert!(becomes_true(|| edge.stats().posts == 1).await);

    gateway.gateway().traffic.begin_drain();
    hold.release();
    let answer = soon(asked).await.unwrap().unwrap();

    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["connection"], "close");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_had_a_long_answer_gets_no_other_one_by_that_connection() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge);
    let gateway = gateway.own("drain: {timeout: 10m}").start().await;
    edge.script([answer::usual().between(Duration::from_millis(40))]);
    let mut client = Raw::connect(gateway.address()).await;
    let body = streamed(MODEL, "x");
    let length = format!("content-length: {}\r\n", body.len());
    client.post("/v1/messages", &length).await;
    client.send(body.as_bytes()).await;
    soon(async { while !client.has_said().await {} }).await;

    let stopped = stopping(gateway);
    let answer = client.reply().await;
    // Sooner than whoever had no answer would have to go.
    let ended = timeout(Duration::from_millis(800), client.ended()).await;
    soon(stopped).await.unwrap();

    assert_ne!(
        answer.header("connection"),
        "close",
        "it was not known then"
    );
    assert!(String::from_utf8_lossy(&answer.body).contains("event: message_stop"));
    assert_eq!(ended, Ok(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_head_hears_that_the_request_may_have_been_processed() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).own(NO_TIME).start().await;
    let hold = Hold::default();
    edge.script([answer::usual().held(&hold)]);
    let asked = tokio::spawn(
        gateway
            .post("/v1/messages")
            .body(turn("x").to_string())
            .send(),
    );
    assert!(becomes_true(|| edge.stats().posts == 1).await);

    soon(stopping(gateway)).await.unwrap();
    let answer = soon(asked).await.unwrap().unwrap();

    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["x-should-retry"], "false");
    let said: Value = answer.json().await.unwrap();
    assert!(
        said["error"]["message"]
            .as_str()
            .unwrap()
            .contains("may have been processed"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_in_line_hears_that_it_may_ask_again() {
    let edge = crate::two_ways::two_hosts().await;
    let gateway = without_bypass(&edge, "max_concurrency: 1").await;
    edge.script([endless()]);
    let held = gateway.post("/v1/messages").body(streamed(MODEL, "held"));
    let mut held = soon(held.send()).await.unwrap();
    read_until(&mut held, "message_start").await;
    let waiting = tokio::spawn(
        gateway
            .post("/v1/messages")
            .body(turn("x").to_string())
            .send(),
    );
    gateway
        .until_lane(ROUTER_LANE, |view| view.queued == 1)
        .await;

    gateway.gateway().traffic.end_all();
    let answer = soon(waiting).await.unwrap().unwrap();

    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["x-should-retry"], "true");
    assert_eq!(edge.stats().posts, 1, "it was never sent");
}
