//! Bodies: only the model's bytes change, and an early answer is not lost.

use memgate::sim::{Alpn, EarlyAnswer, Edge, EdgeOptions, cloudflare};
use sha2::{Digest, Sha256};

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
