//! Connections of clients: kept while they can be, closed where a body stands unread.

use memgate::sim::answer::{self, Answer, At, How};
use memgate::sim::{Alpn, Edge, EdgeOptions, LiteLlm, LiteLlmOptions};

use crate::harness::*;
use crate::wire::{Raw, Reply};

async fn world() -> (Edge, LiteLlm, TestGateway) {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    (edge, litellm, gateway)
}

async fn edge_of(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

const EVENT: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";

async fn post(client: &mut Raw, target: &str, body: &str) -> Reply {
    client
        .post(target, &format!("content-length: {}\r\n", body.len()))
        .await;
    client.send(body.as_bytes()).await;
    client.reply().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests_of_all_kinds() {
    let (_edge, _litellm, gateway) = world().await;
    let mut client = Raw::connect(gateway.address()).await;
    let direct = turn("hello").to_string();
    let streamed = direct.replacen('{', r#"{"stream":true,"#, 1);
    let other = direct.replace(MODEL, OTHER);

    for _ in 0..10 {
        for (target, body) in [
            ("/v1/messages", &direct),
            ("/v1/messages", &streamed),
            ("/v1/chat/completions", &other),
            ("/v1/embeddings", &other),
        ] {
            let answer = post(&mut client, target, body).await;
            assert_eq!((answer.status, answer.whole), (200, true), "{target}");
        }
        client
            .send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n")
            .await;
        assert_eq!(client.reply().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_ours_keeps_the_connection_whose_body_was_read() {
    let (_edge, _litellm, gateway) = world().await;
    let mut client = Raw::connect(gateway.address()).await;
    let mut statuses = Vec::new();

    for (target, body) in [
        ("/v1/messages", "not json"),
        ("/v1/messages", "{}"),
        ("/v1/models/none", ""),
    ] {
        statuses.push(post(&mut client, target, body).await.status);
    }
    client
        .send(b"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\ncontent-length: 29\r\n\r\n")
        .await;
    client.send(br#"{"model":"claude-sonnet-4.5"}"#).await;
    statuses.push(client.reply().await.status);
    client
        .send(b"GET /ui HTTP/1.1\r\nhost: gateway\r\n\r\n")
        .await;
    statuses.push(client.reply().await.status);
    statuses.push(
        post(&mut client, "/v1/messages", &turn("hello").to_string())
            .await
            .status,
    );

    assert_eq!(statuses, [400, 400, 405, 401, 404, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstreams_error_answer_and_its_failure_keep_the_connection() {
    let (edge, litellm, gateway) = world().await;
    let message = turn("hello").to_string();
    edge.script([answer::provider_error(500, "api_error", "no")]);
    litellm.stop().await;
    let mut client = Raw::connect(gateway.address()).await;

    let error = post(&mut client, "/v1/messages", &message).await;
    let message_after = post(&mut client, "/v1/messages", &message).await;
    let unreachable = post(&mut client, "/v1/messages", &message.replace(MODEL, OTHER)).await;
    let at_last = post(&mut client, "/v1/messages", &message).await;

    assert_eq!(
        (error.status, message_after.status, unreachable.status),
        (500, 200, 502)
    );
    assert_eq!(unreachable.header("connection"), "keep-alive");
    assert_eq!(at_last.status, 200, "the connection lives on");
}

/// Ways for an upstream to fail after it has the request, and the status that says so.
fn failures() -> [(u16, Answer); 3] {
    [
        (502, answer::usual().cut(At::BeforeHead, How::Abort)),
        (504, answer::usual().cut(At::BeforeHead, How::Stall)),
        (401, {
            let error = answer::provider_error(401, "authentication_error", "no");
            error.cut(At::AfterBytes(10), How::Stall)
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_came_ends_the_request_and_not_the_connection() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge_of(alpn).await;
        let gateway = TestGateway::in_front_of(&edge)
            .own("limits: {first_byte_timeout: 1s, idle_timeout: 1s}")
            .start()
            .await;
        let mut client = Raw::connect(gateway.address()).await;
        for (status, failure) in failures() {
            edge.script([failure]);

            let failed = post(&mut client, "/v1/messages", &turn("x").to_string()).await;
            let next = post(&mut client, "/v1/messages", &turn("next").to_string()).await;

            assert_eq!((failed.status, failed.whole), (status, true), "{alpn:?}");
            assert_eq!(failed.header("connection"), "keep-alive", "{status}");
            assert_eq!(next.status, 200, "{alpn:?} after {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_or_falls_silent_leaves_the_connection_alive() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge_of(alpn).await;
        let gateway = TestGateway::in_front_of(&edge)
            .own("limits: {first_byte_timeout: 60s, idle_timeout: 1s}")
            .start()
            .await;
        let mut client = Raw::connect(gateway.address()).await;
        for how in [How::Abort, How::Reset(2), How::Truncate, How::Stall] {
            edge.script([answer::stream([EVENT, EVENT]).cut(At::AfterEvents(1), how)]);

            let broken = post(&mut client, "/v1/messages", &streamed(MODEL, "x")).await;
            let next = post(&mut client, "/v1/messages", &turn("next").to_string()).await;

            let text = String::from_utf8(broken.body).unwrap();
            assert!(broken.whole, "{alpn:?} {how:?}");
            assert!(text.contains("event: error\n"), "{alpn:?} {how:?}: {text}");
            assert_eq!(next.status, 200, "{alpn:?} {how:?}");
            assert!(
                next.json()["content"][0]["text"]
                    .to_string()
                    .contains("next")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_json_answer_that_broke_off_nothing_follows_on_the_connection() {
    let edge = edge_of(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    edge.script([answer::usual().cut(At::AfterBytes(20), How::Abort)]);
    let mut client = Raw::connect(gateway.address()).await;

    let broken = post(&mut client, "/v1/messages", &turn("x").to_string()).await;

    assert!(!broken.whole);
    assert!(client.ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_before_the_body_was_read_says_that_the_connection_ends() {
    let (_edge, _litellm, gateway) = world().await;
    let mut client = Raw::connect(gateway.address()).await;

    client.post("/ui", "content-length: 1000000\r\n").await;
    let answer = client.reply().await;

    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.header("connection"),
        "close",
        "nobody takes the rest of the body for a request"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_is_answered_without_chunks_and_let_go() {
    let (_edge, _litellm, gateway) = world().await;
    let mut client = Raw::connect(gateway.address()).await;
    let body = turn("hello").to_string();

    let head = format!(
        "POST /v1/messages HTTP/1.0\r\nhost: gateway\r\nauthorization: Bearer {MASTER}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes()).await;
    client.send(body.as_bytes()).await;
    let answer = client.reply().await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("transfer-encoding"), "");
    assert_eq!(answer.json()["type"], "message");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_reads_a_stream_until_the_connection_ends() {
    let (edge, _litellm, gateway) = world().await;
    let whole = [
        EVENT,
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    for (model, path) in [(MODEL, "/v1/messages"), (OTHER, "/v1/chat/completions")] {
        edge.script([answer::stream(whole)]);
        let body = streamed(model, "hello");
        let mut client = Raw::connect(gateway.address()).await;

        let head = format!(
            "POST {path} HTTP/1.0\r\nhost: gateway\r\nauthorization: Bearer {MASTER}\r\nconnection: keep-alive\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        client.send(head.as_bytes()).await;
        client.send(body.as_bytes()).await;
        let answer = client.reply().await;

        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("transfer-encoding"), "", "{path}");
        assert_eq!(answer.header("connection"), "close", "{path}");
        assert!(
            text.starts_with("event:") || text.starts_with("data:"),
            "{path}: {text}"
        );
        assert!(text.ends_with("\n\n"), "{path}: {text}");
    }
}
