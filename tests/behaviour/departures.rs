//! A client that leaves ends its upstream request, wherever it was.

use std::time::Duration;

use memgate::sim::answer::{self, At, How};
use memgate::sim::{Alpn, Console, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, Outcome};

use crate::harness::*;
use crate::logs;

/// Well before any time limit would end it; a machine with other things to do takes its time.
const AT_ONCE: Duration = Duration::from_secs(3);
const EVENT: &str = "event: ping\ndata: {}\n\n";

async fn edge(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

/// How long the upstream took to notice that the client of its newest request had left.
async fn noticed(upstream: &Console, left_at: Duration) -> Duration {
    let newest = asked(upstream).pop().unwrap().id;
    let ended = |seen: &memgate::sim::SeenRequest| seen.id == newest && seen.ended.is_some();
    let seen = upstream
        .wait_for(ended, PATIENCE)
        .await
        .expect("the upstream request ends");
    assert_eq!(seen.outcome, Outcome::ClientLeft);
    seen.ended.unwrap().saturating_sub(left_at)
}

/// The quickest of three: a busy machine may delay one of them.
async fn quickest(mut departure: impl AsyncFnMut(u32) -> Duration) -> Duration {
    let mut quickest = Duration::MAX;
    for number in 0..3 {
        quickest = quickest.min(departure(number).await);
    }
    quickest
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_in_mid_stream_ends_the_upstream_request_at_once() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            let client = down.client();
            let took = quickest(async |_| {
                edge.script([answer::stream([EVENT, EVENT]).cut(At::AfterEvents(1), How::Stall)]);
                let request = client.post(gateway.url("/v1/messages")).bearer_auth(MASTER);
                let mut answer = soon(request.body(streamed(MODEL, "x")).send())
                    .await
                    .unwrap();
                soon(read_until(&mut answer, EVENT)).await;

                let left_at = edge.clock();
                drop(answer);
                noticed(&edge, left_at).await
            })
            .await;

            assert!(
                took < AT_ONCE,
                "{alpn:?} upstream, {down:?} client: {took:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_before_the_first_byte_ends_the_upstream_request_at_once() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            let client = down.client();
            let took = quickest(async |_| {
                edge.reset();
                edge.script([answer::usual().cut(At::BeforeHead, How::Stall)]);
                let request = client.post(gateway.url("/v1/messages")).bearer_auth(MASTER);
                let asking = tokio::spawn(request.body(streamed(MODEL, "x")).send());
                assert!(edge.wait_until(|stats| stats.posts == 1, PATIENCE).await);
                let read = |seen: &memgate::sim::SeenRequest| seen.body.complete;
                edge.wait_for(read, PATIENCE)
                    .await
                    .expect("the body arrives");

                let left_at = edge.clock();
                asking.abort();
                noticed(&edge, left_at).await
            })
            .await;

            assert!(
                took < AT_ONCE,
                "{alpn:?} upstream, {down:?} client: {took:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_ends_a_request_to_litellm_at_once() {
    let edge = edge(Alpn::Both).await;
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .with_h2c()
        .start()
        .await;

    for down in Down::BOTH {
        for path in ["/v1/chat/completions", "/v1/responses"] {
            let client = down.client();
            let took = quickest(async |_| {
                let stall = answer::stream([EVENT, EVENT]).cut(At::AfterEvents(1), How::Stall);
                litellm.script([stall]);
                let request = client.post(gateway.url(path)).bearer_auth(MASTER);
                let mut answer = soon(request.body(streamed(OTHER, "x")).send())
                    .await
                    .unwrap();
                soon(read_until(&mut answer, EVENT)).await;

                let left_at = litellm.clock();
                drop(answer);
                noticed(&litellm, left_at).await
            })
            .await;

            assert!(took < AT_ONCE, "{down:?} {path}: {took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_during_the_wait_for_another_attempt_ends_the_request() {
    let edge = edge(Alpn::Both).await;
    edge.script([answer::provider_error(529, "overloaded_error", "busy").retry_after(60)]);
    let gateway = TestGateway::in_front_of(&edge)
        .with_h2c()
        .own("retry: {attempts: 3, initial_delay: 1ms, max_delay: 90s}")
        .start()
        .await;

    for down in Down::BOTH {
        edge.reset();
        edge.script([answer::provider_error(529, "overloaded_error", "busy").retry_after(60)]);
        let id = format!("leaves-while-waiting-{down:?}");
        let request = down
            .client()
            .post(gateway.url("/v1/messages"))
            .bearer_auth(MASTER);
        let request = request
            .header("x-request-id", &id)
            .body(streamed(MODEL, "x"));
        let asking = tokio::spawn(request.send());
        let refused = |stats: &memgate::sim::Stats| stats.by_status.contains_key(&529);
        assert!(edge.wait_until(refused, PATIENCE).await);
        assert!(
            edge.wait_until(|stats| stats.in_flight == 0, PATIENCE)
                .await
        );

        asking.abort();
        let line = logs::access_line(&id).await;

        assert_eq!(line["outcome"], "client_left", "{down:?}: {line}");
        assert_eq!(
            edge.stats().posts,
            1,
            "{down:?}: nobody is there for a second attempt"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_counted_and_logged_as_such() {
    let edge = edge(Alpn::Both).await;
    edge.script([answer::stream([EVENT, EVENT]).cut(At::AfterEvents(1), How::Stall)]);
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let request = gateway
        .post("/v1/messages")
        .header("x-request-id", "leaves-and-is-counted");
    let mut answer = request.body(streamed(MODEL, "x")).send().await.unwrap();
    soon(read_until(&mut answer, EVENT)).await;

    drop(answer);
    let line = logs::access_line("leaves-and-is-counted").await;

    assert_eq!(line["outcome"], "client_left", "{line}");
    assert_eq!(line["status"], 200);
    assert_eq!(gateway.metric("client_disconnects_total", &[]).await, 1.0);
    assert_eq!(gateway.metric("stream_errors_total", &[]).await, 0.0);
}
