//! Whose key does LiteLLM see? The client's own, untouched, or one of ours and no other.

use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions, SeenRequest};
use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::*;

const OURS: &str = "sk-of-the-gateway";
const CREDENTIALS: [(&str, &str); 5] = [
    ("authorization", "Bearer sk-of-the-client"),
    ("x-api-key", "sk-of-the-client"),
    ("api-key", "sk-of-the-client"),
    ("x-litellm-api-key", "Bearer sk-of-the-client"),
    ("x-goog-api-key", "sk-of-the-client"),
];
/// LiteLLM's paths: held bodies, streamed bodies, none.
const PATHS: [(Method, &str); 6] = [
    (Method::POST, "/v1/messages"),
    (Method::POST, "/v1/chat/completions"),
    (Method::POST, "/chat/completions"),
    (Method::POST, "/v1/embeddings"),
    (Method::GET, "/v1/files"),
    (Method::DELETE, "/v1/files/f-1"),
];

async fn worlds(own: &str) -> (Edge, LiteLlm, TestGateway) {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let url = litellm.url();
    let settings = format!("litellm: {{urls: ['{url}'], {own}}}");
    let gateway = TestGateway::in_front_of(&edge).own(&settings).start().await;
    (edge, litellm, gateway)
}

async fn ask(
    gateway: &TestGateway,
    (method, path): &(Method, &str),
    headers: &[(&str, &str)],
) -> u16 {
    let request = gateway.http().request(method.clone(), gateway.url(path));
    let request = headers
        .iter()
        .fold(request, |r, (name, value)| r.header(*name, *value));
    let request = request.header("anthropic-version", "2023-06-01");
    let body =
        json!({"model": OTHER, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    let request = if *method == Method::POST {
        request.body(body.to_string())
    } else {
        request
    };
    soon(request.send()).await.unwrap().status().as_u16()
}

fn newest(litellm: &LiteLlm) -> SeenRequest {
    asked(litellm).pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_credential_passes_through_untouched() {
    let (_edge, litellm, gateway) = worlds("").await;
    for target in &PATHS {
        for (name, value) in CREDENTIALS {
            let status = ask(&gateway, target, &[(name, value)]).await;

            assert_eq!(status, 200, "{target:?} {name}");
            let seen = newest(&litellm);
            assert_eq!(seen.header(name), Some(value), "{target:?}");
            let others = CREDENTIALS.iter().filter(|(other, _)| *other != name);
            for (other, _) in others {
                assert_eq!(seen.header(other), None, "{target:?}: nothing was added");
            }
        }
        assert_eq!(
            ask(&gateway, target, &[]).await,
            200,
            "LiteLLM judges, not we"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_our_key_replaces_the_clients_litellm_sees_only_ours() {
    let (_edge, litellm, gateway) = worlds(&format!("api_key: {OURS}")).await;
    let proof = ("x-api-key", MASTER);
    for target in &PATHS {
        let mut headers = vec![proof];
        headers.extend(CREDENTIALS.iter().filter(|(name, _)| *name != "x-api-key"));

        let status = ask(&gateway, target, &headers).await;

        assert_eq!(status, 200, "{target:?}");
        let seen = newest(&litellm);
        assert_eq!(
            seen.header("authorization"),
            Some("Bearer sk-of-the-gateway")
        );
        let sent = format!("{:?}", seen.headers);
        for secret in [MASTER, "sk-of-the-client"] {
            assert!(!sent.contains(secret), "{target:?}: {sent}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_our_key_replaces_the_clients_every_path_needs_a_verified_key() {
    let (_edge, litellm, gateway) = worlds(&format!("api_key: {OURS}, expose: all")).await;
    let more = [
        (Method::GET, "/"),
        (Method::GET, "/ui"),
        (Method::POST, "/key/generate"),
    ];
    let more = more.into_iter().chain([
        (Method::GET, "/v1/models"),
        (Method::GET, "/v1/models/x"),
        (Method::OPTIONS, "/v1/files"),
        (Method::HEAD, "/v1/files"),
        (Method::GET, "/health/liveliness"),
    ]);
    for target in PATHS.into_iter().chain(more) {
        for headers in [
            vec![],
            vec![CREDENTIALS[0]],
            vec![("authorization", "Bearer sk-of-the-gateway")],
        ] {
            let status = ask(&gateway, &target, &headers).await;

            assert_eq!(status, 401, "{target:?} {headers:?}");
        }
    }
    assert_eq!(asked(&litellm).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_too_needs_a_verified_key_where_ours_replaces_it() {
    let (_edge, litellm, gateway) = worlds(&format!("api_key: {OURS}")).await;
    let url = format!("ws://{}/v1/realtime?model={OTHER}", gateway.address());
    let request = |key: &str| {
        let mut request = url.as_str().into_client_request().unwrap();
        let bearer = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        request
    };

    let stranger = tokio_tungstenite::connect_async(request("sk-of-the-client")).await;
    let (mut socket, _) = tokio_tungstenite::connect_async(request(MASTER))
        .await
        .unwrap();
    socket.close(None).await.unwrap();

    assert!(stranger.is_err());
    let seen = asked(&litellm);
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].header("authorization"),
        Some("Bearer sk-of-the-gateway")
    );
}
