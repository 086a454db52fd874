//! How long is an upstream waited for? To its first byte, and between two of its bytes.

use std::time::Duration;

use memgate::sim::answer::{self, At, How};
use memgate::sim::{
    Alpn, Console, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, Outcome, SeenRequest, Stats,
};
use serde_json::Value;

use crate::harness::*;

const EVENT: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
/// The request that LiteLLM serves without its body being held.
const PASSED: &str = "/v1/files";

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

impl World {
    async fn start(alpn: Alpn, limits: &str) -> Self {
        let options = EdgeOptions {
            alpn,
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let builder = TestGateway::in_front_of(&edge)
            .with_litellm(&litellm)
            .with_h2c();
        let gateway = builder.own(&format!("limits: {{{limits}}}")).start().await;
        Self {
            edge,
            litellm,
            gateway,
        }
    }

    /// Every way a request may go: its path, its model, and who serves it.
    fn ways(&self) -> [(&'static str, &'static str, &Console); 4] {
        [
            ("/v1/messages", MODEL, &self.edge),
            ("/v1/messages", OTHER, &self.litellm),
            ("/v1/chat/completions", OTHER, &self.litellm),
            (PASSED, OTHER, &self.litellm),
        ]
    }

    async fn ask(&self, down: Down, path: &str, model: &str) -> reqwest::Response {
        let request = down
            .client()
            .post(self.gateway.url(path))
            .bearer_auth(MASTER);
        soon(request.body(streamed(model, "x")).send())
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_answer_in_time_is_a_504_in_the_callers_dialect() {
    let silent = async |alpn| {
        let world = World::start(alpn, "first_byte_timeout: 500ms, idle_timeout: 100ms").await;
        for (path, model, upstream) in world.ways() {
            for down in Down::BOTH {
                upstream.reset();
                upstream.script([answer::usual().cut(At::BeforeHead, How::Stall)]);

                let answer = world.ask(down, path, model).await;

                let what = format!("{alpn:?} {down:?} {path} {model}");
                assert_eq!(answer.status(), 504, "{what}");
                assert_eq!(answer.headers()["x-should-retry"], "false", "{what}");
                let error: Value = soon(answer.json()).await.unwrap();
                if path == "/v1/messages" {
                    assert_eq!(error["error"]["type"], "timeout_error", "{what}");
                } else {
                    assert_eq!(error["error"]["code"], "upstream_timeout", "{what}");
                }
                let over = |stats: &Stats| stats.posts > 0 && stats.in_flight == 0;
                assert!(
                    upstream.wait_until(over, PATIENCE).await,
                    "{what}: it is let go of"
                );
                assert_eq!(asked(upstream)[0].outcome, Outcome::ClientLeft, "{what}");
                assert_eq!(
                    upstream.stats().posts,
                    1,
                    "{what}: it may have been processed"
                );
            }
        }
    };
    futures::future::join(silent(Alpn::H1), silent(Alpn::H2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn informational_answers_do_not_put_off_the_first_byte() {
    let world = World::start(Alpn::Both, "first_byte_timeout: 200ms, idle_timeout: 5s").await;
    let early_hints = answer::usual().informational(103).informational(103);
    world
        .edge
        .script([early_hints.cut(At::BeforeHead, How::Stall)]);

    let answer = world.ask(Down::H1, "/v1/messages", MODEL).await;

    assert_eq!(answer.status(), 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_ends_with_an_error_event() {
    let silent = async |alpn| {
        // The first byte may take longer than a silence.
        let world = World::start(alpn, "first_byte_timeout: 60s, idle_timeout: 600ms").await;
        let mut broken = 0.0;
        for (path, model, upstream) in world.ways() {
            for down in Down::BOTH {
                upstream.reset();
                let stalled = answer::stream([EVENT, EVENT]).cut(At::AfterEvents(1), How::Stall);
                upstream.script([stalled]);

                let mut answer = world.ask(down, path, model).await;
                let (body, whole) = soon(read_out(&mut answer)).await;

                let what = format!("{alpn:?} {down:?} {path} {model}");
                assert!(whole, "{what}");
                let text = String::from_utf8(body).unwrap();
                let rest = text.strip_prefix(EVENT).unwrap();
                assert!(rest.contains("\"error\""), "{what}: {rest}");
                let over = |stats: &Stats| stats.in_flight == 0;
                assert!(upstream.wait_until(over, PATIENCE).await, "{what}");
                broken += 1.0;
                let kind = [("kind", "idle_timeout")];
                let counter = "stream_errors_total";
                world.gateway.counts(counter, &kind, broken).await;
            }
        }
    };
    futures::future::join(silent(Alpn::H1), silent(Alpn::H2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_answer_that_falls_silent_ends_uncleanly() {
    let world = World::start(Alpn::Both, "first_byte_timeout: 60s, idle_timeout: 150ms").await;
    for down in Down::BOTH {
        world
            .edge
            .script([answer::usual().cut(At::AfterBytes(20), How::Stall)]);
        let request = down
            .client()
            .post(world.gateway.url("/v1/messages"))
            .bearer_auth(MASTER);

        let mut answer = soon(request.body(turn("x").to_string()).send())
            .await
            .unwrap();
        let (body, whole) = soon(read_out(&mut answer)).await;

        assert!(!whole, "{down:?}: {:?}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_answer_that_falls_silent_keeps_its_status() {
    let world = World::start(Alpn::Both, "first_byte_timeout: 60s, idle_timeout: 150ms").await;
    let error = answer::provider_error(401, "authentication_error", "invalid x-api-key");
    world
        .edge
        .script([error.cut(At::AfterBytes(10), How::Stall)]);

    let answer = world.ask(Down::H1, "/v1/messages", MODEL).await;

    assert_eq!(answer.status(), 401, "what the upstream said is known");
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["type"], "error");
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_that_keep_a_stream_alive_count_as_life() {
    let limits = "first_byte_timeout: 1500ms, idle_timeout: 1500ms";
    let world = World::start(Alpn::Both, limits).await;
    let keep_alive = ": keep-alive\n\n";
    let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let mut pieces = [keep_alive; 13];
    pieces[12] = end;
    let slow = || answer::stream(pieces).between(Duration::from_millis(150));

    let asking = world.ways().map(async |(path, model, upstream)| {
        upstream.script([slow()]);

        let mut answer = world.ask(Down::H1, path, model).await;
        let (body, whole) = soon(read_out(&mut answer)).await;

        assert!(whole, "{path} {model}");
        assert_eq!(
            body,
            pieces.concat().as_bytes(),
            "{path} {model}: longer than either limit"
        );
    });
    futures::future::join_all(asking).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pauses_is_not_taken_for_an_upstream_that_fell_silent() {
    let paused = async |alpn| {
        let world = World::start(alpn, "idle_timeout: 1s").await;
        for (path, model, upstream) in world.ways().into_iter().take(2) {
            upstream.reset();
            // More than all the buffers on the way hold.
            let long = vec![b' '; 32 << 20];
            upstream.script([answer::json(200, &Value::Null).body(long)]);

            let mut answer = world.ask(Down::H1, path, model).await;
            // LiteLLM is probed, too.
            let ended = |seen: &SeenRequest| seen.path().ends_with(path) && seen.ended.is_some();
            let what = format!("{alpn:?} {path} {model}");
            let early = upstream.wait_for(ended, Duration::from_secs(2)).await;
            assert!(early.is_none(), "{what}: nobody waited for anybody");

            let (body, whole) = soon(read_out(&mut answer)).await;
            assert_eq!((body.len(), whole), (32 << 20, true), "{what}");
        }
    };
    futures::future::join(paused(Alpn::H1), paused(Alpn::H2)).await;
}
