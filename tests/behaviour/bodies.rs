//! Bodies: only the model's bytes change, and an early answer is not lost.

use memgate::sim::{Alpn, EarlyAnswer, Edge, EdgeOptions, cloudflare};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::*;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_bytes_of_the_model_value_change() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let body = format!(
        r#"{{ "messages":[{{"role":"user","content":"\u00e9\n 1e-7 \"model\":\"x\""}}],"temperature":1.0,
 "n":12345678901234567890 ,"metadata":{{"model":"inner"}}, "model" : "{MODEL}","max_tokens":16}}"#
    );

    let answer = gateway
        .post("/v1/messages?beta=true")
        .body(body.clone())
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    assert_eq!(answer.headers()["x-memgate-body"], "spliced");
    assert_eq!(answer.headers()["x-memgate-route"], "direct");
    let seen = &edge.requests()[0];
    assert_eq!(
        seen.body.sha256,
        sha256(body.replace(MODEL, UPSTREAM_MODEL).as_bytes())
    );
    assert_eq!(
        seen.target,
        "/v3/https://api.anthropic.com/v1/messages?beta=true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_refusal_is_delivered_and_counts_one_post() {
    for alpn in [Alpn::H1, Alpn::H2] {
        for size in [200_000, 5_000_000] {
            for early in [
                EarlyAnswer::ReadOn,
                EarlyAnswer::Close,
                EarlyAnswer::NeverRead,
                EarlyAnswer::ResetNoError,
            ] {
                let edge = Edge::start(EdgeOptions {
                    alpn,
                    ..Default::default()
                })
                .await
                .unwrap();
                edge.script([cloudflare::queue_full()
                    .zone("api.anthropic.com")
                    .retry_after(60)
                    .before_body(early)]);
                let gateway = TestGateway::in_front_of(&edge)
                    .own("retry: {attempts: 1}")
                    .start()
                    .await;
                let text = "x".repeat(size);

                let answer = gateway.message(&text).await;

                let what = format!("{alpn:?} {size} {early:?}");
                assert_eq!(answer.status(), 503, "{what}");
                assert_eq!(edge.stats().posts, 1, "{what}");
                let body: serde_json::Value = answer.json().await.unwrap();
                assert_eq!(body["type"], "error", "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_trickles_in_is_cut_at_the_deadline() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("limits: {header_timeout: 200ms}")
        .start()
        .await;
    let mut client = tokio::net::TcpStream::connect(gateway.address())
        .await
        .unwrap();
    let started = std::time::Instant::now();

    let mut left = 0;
    client.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    while client.write_all(b"x: y\r\n").await.is_ok() && left < 100 {
        left += 1;
        if tokio::time::timeout(Duration::from_millis(50), client.read_u8())
            .await
            .is_ok()
        {
            break;
        }
    }

    let took = started.elapsed();
    assert!(
        (150..2000).contains(&took.as_millis()),
        "each line came in time, the head did not: {took:?}"
    );
}
