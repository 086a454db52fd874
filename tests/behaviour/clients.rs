//! Connections of clients: kept while they can be, closed where a body stands unread.

use memgate::sim::{Edge, LiteLlm, LiteLlmOptions};

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
async fn an_upstreams_error_answer_keeps_the_connection_and_its_failure_says_that_it_ends() {
    let (edge, litellm, gateway) = world().await;
    let message = turn("hello").to_string();
    edge.script([memgate::sim::answer::provider_error(500, "api_error", "no")]);
    litellm.stop().await;
    let mut client = Raw::connect(gateway.address()).await;

    let error = post(&mut client, "/v1/messages", &message).await;
    let message_after = post(&mut client, "/v1/messages", &message).await;
    let unreachable = post(&mut client, "/v1/messages", &message.replace(MODEL, OTHER)).await;

    assert_eq!(
        (error.status, message_after.status, unreachable.status),
        (500, 200, 502)
    );
    assert_eq!(unreachable.header("connection"), "close");
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
async fn a_pipelined_request_is_not_mixed_into_the_one_before() {
    let (edge, _litellm, gateway) = world().await;
    let mut client = Raw::connect(gateway.address()).await;
    let (first, second) = (turn("first").to_string(), turn("second").to_string());

    client
        .post(
            "/v1/messages",
            &format!("content-length: {}\r\n", first.len()),
        )
        .await;
    client.send(first.as_bytes()).await;
    client
        .post(
            "/v1/messages",
            &format!("content-length: {}\r\n", second.len()),
        )
        .await;
    client.send(second.as_bytes()).await;
    let answers = [client.reply().await, client.reply().await];

    assert!(
        answers
            .iter()
            .all(|answer| (answer.status, answer.whole) == (200, true))
    );
    let texts: Vec<_> = edge
        .requests()
        .iter()
        .map(|seen| seen.json()["messages"][0]["content"].clone())
        .collect();
    assert_eq!(texts, ["first", "second"]);
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
