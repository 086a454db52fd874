//! Names of upstreams: looked up beside the requests, never by them.

use std::time::{Duration, Instant};

use memgate::sim::Edge;
use serde_json::Value;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_does_not_wait_for_a_name_that_is_not_resolved() {
    let edge = Edge::answering([]).await.unwrap();
    let models = MODELS.replace("https://api.supermemory.ai/", "https://nowhere.invalid/");
    let own = "direct: {domains: [nowhere.invalid]}\nretry: {attempts: 1}";
    let gateway = TestGateway::in_front_of(&edge)
        .own(own)
        .models(&models)
        .start()
        .await;
    gateway
        .http()
        .get(gateway.url("/health"))
        .send()
        .await
        .unwrap();

    let asked = Instant::now();
    let answer = gateway.message("hello").await;
    let after = asked.elapsed();

    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()["x-should-retry"], "true");
    assert!(after < Duration::from_secs(1), "{after:?}");
    let error: Value = answer.json().await.unwrap();
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("could not be resolved"),
        "{error}"
    );
}
