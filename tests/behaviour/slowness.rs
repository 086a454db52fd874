//! Clients that send slowly, or read slowly: bounded in time, and no upstream waits for them longer.

use std::time::Duration;

use memgate::sim::{Alpn, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, Outcome, answer};
use serde_json::Value;

use crate::harness::*;
use crate::wire::{H2, Raw};

async fn world(limits: &str) -> (Edge, LiteLlm, TestGateway) {
    let options = EdgeOptions {
        alpn: Alpn::H1,
        ..EdgeOptions::default()
    };
    let edge = Edge::start(options).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .with_h2c()
        .own(&format!("limits: {{{limits}}}"))
        .start()
        .await;
    (edge, litellm, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_a_408_wherever_it_goes() {
    let (edge, litellm, gateway) = world("body_timeout: 500ms").await;
    for path in ["/v1/messages", "/v1/chat/completions", "/v1/files"] {
        for framing in ["content-length: 100000", "transfer-encoding: chunked"] {
            let mut client = Raw::connect(gateway.address()).await;
            client.post(path, &format!("{framing}\r\n")).await;
            let chunked = framing.starts_with('t');
            let piece: &[u8] = if chunked { b"1\r\nx\r\n" } else { b"x" };
            // What came in good time buys no time for the rest.
            let at_once = "x".repeat(70_000);
            let first = if chunked {
                format!("{:x}\r\n{at_once}\r\n", at_once.len())
            } else {
                at_once
            };
            client.send(first.as_bytes()).await;
            let trickle = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    client.send(piece).await;
                    if client.has_said().await {
                        return client.reply().await;
                    }
                }
            };

            let answer = soon(trickle).await;

            assert_eq!(answer.status, 408, "{path} {framing}");
            assert_eq!(answer.header("connection"), "close", "{path} {framing}");
        }
    }
    assert_eq!(asked(&edge).len(), 0, "nothing goes up before it is whole");
    assert!(
        litellm
            .wait_until(|stats| stats.in_flight == 0, PATIENCE)
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_body_that_stops_is_a_408_wherever_it_goes() {
    let (_edge, litellm, gateway) = world("body_timeout: 500ms").await;
    let mut h2 = H2::connect(gateway.address()).await;
    for path in ["/v1/messages", "/v1/files"] {
        let exchange = h2.post(path, &[]).await;

        assert_eq!(exchange.reply().await.status, 408, "{path}");
    }
    assert!(
        litellm
            .wait_until(|stats| stats.in_flight == 0, PATIENCE)
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_makes_progress_outlasts_the_limit() {
    let (_edge, litellm, gateway) = world("body_timeout: 1s").await;
    let mut client = Raw::connect(gateway.address()).await;
    let (piece, pieces) = (vec![b'x'; 70_000], 8);
    client
        .post(
            "/v1/files",
            &format!("content-length: {}\r\n", piece.len() * pieces),
        )
        .await;
    for _ in 0..pieces {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.send(&piece).await;
    }

    let answer = client.reply().await;

    assert_eq!(answer.status, 200);
    assert_eq!(asked(&litellm)[0].body.length, piece.len() * pieces);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_and_its_upstream_let_go() {
    let (edge, litellm, gateway) = world("write_timeout: 500ms").await;
    for (path, model, console) in [
        ("/v1/messages", MODEL, &*edge),
        ("/v1/chat/completions", OTHER, &*litellm),
    ] {
        for down in Down::BOTH {
            console.reset();
            // More than all the buffers on the way hold.
            let long = vec![b' '; 64 << 20];
            console.script([answer::json(200, &Value::Null).body(long)]);
            let request = down.client().post(gateway.url(path)).bearer_auth(MASTER);
            let answer = soon(request.body(streamed(model, "x")).send())
                .await
                .unwrap();

            let over = |stats: &memgate::sim::Stats| stats.posts == 1 && stats.in_flight == 0;
            assert!(console.wait_until(over, PATIENCE).await, "{down:?} {path}");

            assert_eq!(
                asked(console)[0].outcome,
                Outcome::ClientLeft,
                "{down:?} {path}"
            );
            drop(answer);
        }
    }
    gateway.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_hold_up_nobody_on_the_same_upstream_connection() {
    let edge = Edge::start(EdgeOptions {
        alpn: Alpn::H2,
        ..EdgeOptions::default()
    });
    let edge = edge.await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let long = answer::json(200, &Value::Null).body(vec![b' '; 48 << 20]);
    edge.script([long.times(4)]);
    let mut unread = Vec::new();
    for _ in 0..4 {
        let request = Down::H1.client().post(gateway.url("/v1/messages"));
        let request = request.bearer_auth(MASTER).body(turn("x").to_string());
        unread.push(soon(request.send()).await.unwrap());
    }
    assert!(edge.wait_until(|stats| stats.posts == 4, PATIENCE).await);

    for _ in 0..20 {
        let answer = soon(gateway.message("hello")).await;
        assert_eq!(answer.status(), 200);
    }

    assert_eq!(edge.stats().in_flight, 4, "they are still there");
    let connections: std::collections::BTreeSet<u64> =
        asked(&edge).iter().map(|seen| seen.connection).collect();
    assert_eq!(connections.len(), 1);
}
