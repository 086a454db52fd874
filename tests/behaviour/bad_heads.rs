//! Request heads that are no HTTP, or not for a gateway: refused in the dialect that their path shows.

use memgate::sim::{Edge, LiteLlm, LiteLlmOptions};

use crate::harness::*;
use crate::logs;
use crate::wire::{Raw, Reply};

async fn gateway() -> (LiteLlm, TestGateway) {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    (litellm, gateway)
}

async fn sent(gateway: &TestGateway, head: &str) -> (Reply, bool) {
    let mut client = Raw::connect(gateway.address()).await;
    client.send(head.as_bytes()).await;
    let reply = client.reply().await;
    let ended = client.ended().await;
    (reply, ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_parsed_is_a_400_of_ours() {
    let (litellm, gateway) = gateway().await;
    for head in [
        "garbage\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
        "GET / HTTP/1.2\r\nhost: gateway\r\n\r\n",
        "GET / HTTP/2.0\r\nhost: gateway\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : gateway\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: gateway\r\nx: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: gateway\r\nx: a\u{0}b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@gateway\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: gateway\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: gateway\r\ncontent-length: +2\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let (reply, ended) = sent(&gateway, head).await;

        assert_eq!(reply.status, 400, "{head:?}");
        assert_eq!(reply.json()["error"]["code"], "bad_request", "{head:?}");
        assert_eq!(reply.header("server"), "", "{head:?}");
        assert_eq!(reply.header("connection"), "close", "{head:?}");
        assert!(
            ended,
            "{head:?}: nobody knows where the next request begins"
        );
    }
    assert!(asked(&litellm).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dialect_is_that_of_the_path_as_far_as_it_was_read() {
    let (_litellm, gateway) = gateway().await;
    for head in [
        "POST /v1/messages HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /v1/messages?beta=true HTTP/1.1\r\nhost : a\r\n\r\n",
        "POST /v1/messages HTTP/1.1\r\nhost: a\r\nx: \u{0}\r\n\r\n",
    ] {
        let (reply, _) = sent(&gateway, head).await;

        assert_eq!(reply.status, 400, "{head:?}");
        let error = reply.json();
        assert_eq!(error["type"], "error", "{head:?}: {error}");
        assert_eq!(error["error"]["type"], "invalid_request_error", "{head:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_measure_is_a_431() {
    let (_litellm, gateway) = gateway().await;
    let many: String = (0..300).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(1_100_000));
    for headers in [many, large] {
        let head = format!("POST /v1/messages HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n");

        let (reply, _) = sent(&gateway, &head).await;

        assert_eq!(reply.status, 431);
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_is_a_405_like_any_other_method_that_is_not_taken() {
    let (_litellm, gateway) = gateway().await;

    let head = "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n";
    let mut client = Raw::connect(gateway.address()).await;
    client.send(head.as_bytes()).await;
    let reply = client.reply().await;

    assert_eq!(reply.status, 405);
    assert!(reply.header("allow").contains("POST"));
    assert_eq!(reply.json()["error"]["code"], "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_head_is_logged_and_counted_once() {
    let (_litellm, gateway) = gateway().await;

    let (reply, _) = sent(&gateway, "nonsense with sk-secret\r\n\r\n").await;

    let line = logs::access_line(reply.header("x-request-id")).await;
    assert_eq!(line["outcome"], "refused", "{line}");
    assert_eq!(line["reason"], "bad_request", "{line}");
    assert_eq!(line["path"], "-", "what was not understood is not quoted");
}
