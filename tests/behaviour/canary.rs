//! What a client must not be able to say to a provider: a mark in every such header, and none arrives.

use memgate::sim::{Alpn, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, SeenRequest};

use crate::bodies::sha256;
use crate::harness::*;
use crate::wire::{H2, Raw};

/// In every value that must stay here.
const MARK: &str = "canary-7c1f";

/// The client's headers of which nothing goes up, beside its credentials.
const SILENCED: &[&str] = &[
    "cookie",
    "proxy-authorization",
    "api-key",
    "x-goog-api-key",
    "x-memgate-note",
    "x-memgate-route",
    "x-litellm-tags",
    "x-litellm-timeout",
    "x-sm-user-id",
    "x-sm-conversation-id",
    "x-sm-container",
    "x-supermemory-api-key",
    "x-supermemory-user",
    "cf-connecting-ip",
    "cf-ipcountry",
    "cf-ray",
    "cf-visitor",
    "true-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
    "forwarded",
    "via",
    "user-agent",
];

/// Of one connection only (RFC 9110 7.6.1); HTTP/2 cannot even say them.
const OF_THE_HOP: &[&str] = &["keep-alive", "proxy-connection", "te", "trailer"];

/// What a provider does get of the client's.
const PASSED: &[(&str, &str)] = &[
    ("anthropic-beta", "fine-grained-1,canary-ok"),
    ("anthropic-version", "2099-01-01"),
    ("anthropic-dangerous-direct-browser-access", "true"),
    ("x-claude-code-session-id", "session-1"),
    ("x-app", "cli"),
    ("x-unknown-thing", "kept"),
    ("x-stainless-retry-count", "0"),
];

async fn edge(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

fn assert_silent(seen: &SeenRequest, what: &str) {
    let shown = format!(
        "{} {} {:?} {:?}",
        seen.target, seen.authority, seen.headers, seen.cookies
    );
    assert!(!shown.contains(MARK), "{what}: {shown}");
    assert!(
        !shown.contains(MASTER),
        "{what}: the gateway's own key went up"
    );
    let body = String::from_utf8_lossy(&seen.body.kept);
    assert!(!body.contains(MARK), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_marked_header_of_an_http_1_client_reaches_the_provider() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        let mut raw = Raw::connect(gateway.address()).await;
        let body = turn("hi").to_string();
        let mut head = format!("content-length: {}\r\n", body.len());
        // Both credentials of Claude Code: one verifies, neither goes up.
        head += &format!("x-api-key: {MARK}\r\nx-litellm-api-key: Bearer {MARK}\r\n");
        head += "connection: keep-alive, x-nominated\r\nx-nominated: canary-7c1f\r\n";
        for name in SILENCED.iter().chain(OF_THE_HOP) {
            head += &format!("{name}: {MARK}\r\n");
        }
        for (name, value) in PASSED {
            head += &format!("{name}: {value}\r\n");
        }

        raw.post(&format!("/v1/messages?userId={MARK}&beta=true"), &head)
            .await;
        raw.send(body.as_bytes()).await;
        let reply = raw.reply().await;

        assert_eq!(
            reply.status,
            200,
            "{:?}",
            String::from_utf8_lossy(&reply.body)
        );
        let seen = &edge.requests()[0];
        assert_silent(seen, &format!("{alpn:?}"));
        assert!(
            seen.target.ends_with("/v1/messages?beta=true"),
            "{}",
            seen.target
        );
        for (name, value) in PASSED {
            assert_eq!(seen.header(name), Some(*value), "{name}");
        }
        assert_eq!(seen.header("x-api-key"), Some(PROVIDER_KEY));
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("x-supermemory-api-key"), Some(SUPERMEMORY_KEY));
        assert_eq!(
            seen.header("x-sm-user-id"),
            Some("team"),
            "ours, not the client's"
        );
        let agent = seen.header("user-agent").unwrap();
        assert!(agent.starts_with("memgate/"), "{agent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_marked_header_of_an_http_2_client_reaches_the_provider() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge)
            .own("listen: ['127.0.0.1:0', {address: '127.0.0.1:0', h2c: true}]")
            .start()
            .await;
        let mut h2 = H2::connect(gateway.address_of(1)).await;
        let body = turn("hi").to_string();
        let mut head: Vec<(&str, &str)> = SILENCED.iter().map(|name| (*name, MARK)).collect();
        // HTTP/2 may cut a cookie into crumbs.
        head.extend([("cookie", "a=canary-7c1f"), ("cookie", "b=canary-7c1f")]);
        head.extend([("x-api-key", MARK), ("te", "trailers")]);
        head.extend(PASSED);

        let mut exchange = h2.post(&format!("/v1/messages?userId={MARK}"), &head).await;
        exchange.send(body.as_bytes(), 100).await;
        let reply = exchange.reply().await;

        assert_eq!(
            reply.status,
            200,
            "{:?}",
            String::from_utf8_lossy(&reply.body)
        );
        let seen = &edge.requests()[0];
        assert_silent(seen, &format!("{alpn:?}"));
        for (name, value) in PASSED {
            assert_eq!(seen.header(name), Some(*value), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_user_in_the_query_goes_however_it_is_spelt() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    for (number, (asked, sent)) in [
        ("?userId=canary-7c1f", ""),
        ("?a=1&userId=canary-7c1f&b=2", "?a=1&b=2"),
        ("?userId=canary-7c1f&userId=canary-7c1f&a=%7e&&", "?a=%7e&&"),
        ("?user%49d=canary-7c1f&a=1", "?a=1"),
        ("?%75%73%65%72%49%64=canary-7c1f", ""),
        ("?userId", ""),
        ("?userIdx=1&xuserId=2", "?userIdx=1&xuserId=2"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = gateway.post(&format!("/v1/messages{asked}"));
        let answer = answer.body(turn("hi").to_string()).send().await.unwrap();

        assert_eq!(answer.status(), 200, "{asked}");
        let target = &edge.requests()[number].target;
        let expected = format!("/v3/https://api.anthropic.com/v1/messages{sent}");
        assert_eq!(target, &expected, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_sets_wins_over_what_the_client_sends() {
    let edge = Edge::answering([]).await.unwrap();
    let extra = "extra_headers: {x-supermemory-api-key: sm-test-key, X-Team: ours, anthropic-beta: model-beta}";
    let models = MODELS.replace("extra_headers: {x-supermemory-api-key: sm-test-key}", extra);
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models)
        .start()
        .await;

    let asking = gateway.post("/v1/messages").header("x-team", MARK);
    let asking = asking.header("x-team", MARK).header("anthropic-beta", MARK);
    let answer = asking.body(turn("hi").to_string()).send().await.unwrap();

    assert_eq!(answer.status(), 200);
    let seen = &edge.requests()[0];
    assert_silent(seen, "extra_headers");
    assert_eq!(seen.header("x-team"), Some("ours"));
    assert_eq!(seen.header("anthropic-beta"), Some("model-beta"));
}

#[tokio::test(flavor = "multi_thread")]
async fn litellm_gets_the_clients_credential_but_nothing_that_is_ours() {
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;

    let asking = gateway
        .post("/v1/embeddings")
        .header("x-memgate-note", MARK);
    let asking = asking.header("forwarded", format!("for={MARK}"));
    let asking = asking
        .header("x-forwarded-for", "10.9.8.7")
        .header("x-kept", "yes");
    let answer = asking
        .body(r#"{"model":"gpt-test","input":"x"}"#)
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 200);
    let seen = litellm
        .requests()
        .into_iter()
        .find(|seen| seen.method == "POST")
        .unwrap();
    let shown = format!("{:?}", seen.headers);
    assert!(
        !shown.contains(MARK) && !shown.contains("10.9.8.7"),
        "{shown}"
    );
    assert_eq!(
        seen.header("authorization"),
        Some(&*format!("Bearer {MASTER}"))
    );
    assert_eq!(seen.header("x-kept"), Some("yes"));
    assert_eq!(
        seen.header("x-forwarded-for"),
        Some("127.0.0.1"),
        "no proxy is trusted here"
    );
    assert_eq!(
        seen.body.sha256,
        sha256(br#"{"model":"gpt-test","input":"x"}"#)
    );
    assert_eq!(edge.stats().requests, 0);
}
