//! A client that sends its next request before it has the answer to the last.

use std::time::Duration;

use memgate::sim::{Alpn, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, answer};

use crate::harness::*;
use crate::wire::Raw;

async fn edge() -> Edge {
    let options = EdgeOptions {
        alpn: Alpn::H2,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

fn request(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {MASTER}\r\nanthropic-version: 2023-06-01\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn text(reply: &crate::wire::Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_while_the_last_one_waits_ends_neither() {
    let edge = edge().await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    edge.script([answer::usual().delay(Duration::from_millis(200))]);
    let mut raw = Raw::connect(gateway.address()).await;

    raw.send(request(&turn("first").to_string()).as_bytes())
        .await;
    assert!(edge.wait_until(|stats| stats.posts == 1, PATIENCE).await);
    raw.send(request(&turn("second").to_string()).as_bytes())
        .await;

    for said in ["first", "second"] {
        let reply = raw.reply().await;
        assert_eq!(reply.status, 200, "{said}");
        assert!(text(&reply).contains(&format!("echo: {said}")), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_in_one_go_are_answered_in_order() {
    let edge = edge().await;
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    let long = turn(&"x".repeat(100_000)).to_string();
    let other = turn("third").to_string().replace(MODEL, OTHER);
    let mut raw = Raw::connect(gateway.address()).await;

    let first = request(&turn("first").to_string());
    let requests = [first, request(&long), request(&other), request("{}")];
    raw.send(requests.concat().as_bytes()).await;

    for said in ["first", "xxxx", "third"] {
        let answer = text(&raw.reply().await);
        assert!(answer.contains(&format!("echo: {said}")), "{answer}");
    }
    assert_eq!(raw.reply().await.status, 400);
}
