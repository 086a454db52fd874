//! Names of upstreams: looked up beside the requests, never by them.

use std::time::{Duration, Instant};

use memgate::sim::{Edge, LiteLlm, LiteLlmOptions, VirtualKey};
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
    // Less than a resolver waits for its server.
    assert!(after < Duration::from_secs(4), "{after:?}");
    let error: Value = answer.json().await.unwrap();
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("could not be resolved"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_litellm_is_asked_on_the_way_finds_it_without_a_look_up_too() {
    let edge = Edge::answering([]).await.unwrap();
    let key = "sk-virtual-000000001";
    let options = LiteLlmOptions {
        keys: vec![VirtualKey::new(key)],
        ..LiteLlmOptions::default()
    };
    let litellm = LiteLlm::start(options).await.unwrap();
    let port = litellm.addr().port();
    let own = format!(
        "litellm: {{urls: ['http://litellm.invalid:{port}']}}\nauth: {{litellm: true}}\n\
         direct: {{bypass: none, ca_file: ca.pem, resolve: {{'litellm.invalid:{port}': '127.0.0.1:{port}', 'api.supermemory.ai:443': '{}'}}}}",
        edge.addr()
    );
    let gateway = TestGateway::in_front_of(&edge).own(&own).start().await;
    let url = gateway.url("/v1/messages");

    let post = gateway
        .http()
        .post(url)
        .bearer_auth(key)
        .body(turn("hello").to_string());
    let answer = post.send().await.unwrap();

    assert_eq!(
        answer.status(),
        200,
        "a virtual key, which LiteLLM was asked about"
    );
    assert_eq!(answer.headers()["x-memgate-route"], "direct");
}
