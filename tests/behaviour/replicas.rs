//! Several LiteLLM replicas: shared work, probes, and a death that costs no request.

use std::time::{Duration, Instant};

use memgate::sim::{Console, Edge, LiteLlm, LiteLlmOptions, SeenRequest};
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::*;

async fn litellm() -> LiteLlm {
    LiteLlm::start(LiteLlmOptions::default()).await.unwrap()
}

async fn gateway_before(urls: &[String], own: &str) -> TestGateway {
    let edge = Edge::answering([]).await.unwrap();
    let urls: Vec<String> = urls.iter().map(|url| format!("'{url}'")).collect();
    let litellm = format!("litellm: {{urls: [{}]}}", urls.join(", "));
    TestGateway::in_front_of(&edge)
        .own(&litellm)
        .own(own)
        .start()
        .await
}

const NONE: [u16; 0] = [];

/// This many requests, held and streamed bodies in turn: the statuses that were not 200.
async fn failures(gateway: &TestGateway, requests: usize) -> Vec<u16> {
    let mut failed = Vec::new();
    for number in 0..requests {
        let path = ["/v1/chat/completions", "/v1/embeddings"][number % 2];
        let body = json!({"model": OTHER, "input": "x", "messages": [{"role": "user", "content": number.to_string()}]});
        let status = gateway
            .post(path)
            .body(body.to_string())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16();
        failed.extend((status != 200).then_some(status));
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_replicas_share_the_requests() {
    let replicas = [litellm().await, litellm().await, litellm().await];
    let gateway = gateway_before(&replicas.each_ref().map(LiteLlm::url), "").await;

    let failed = failures(&gateway, 30).await;

    assert_eq!(failed, NONE);
    assert_eq!(
        replicas.each_ref().map(|replica| asked(replica).len()),
        [10, 10, 10]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_and_comes_back_costs_no_request() {
    let replicas = [litellm().await, litellm().await];
    let gateway = gateway_before(&replicas.each_ref().map(LiteLlm::url), "").await;
    let mut failed = failures(&gateway, 8).await;

    replicas[0].stop().await;
    failed.extend(failures(&gateway, 20).await);
    let while_dead = asked(&replicas[1]).len();
    replicas[0].restart().await.unwrap();
    let before = asked(&replicas[0]).len();
    failed.extend(failures(&gateway, 20).await);

    assert_eq!(failed, NONE);
    assert!(while_dead >= 20);
    assert!(asked(&replicas[0]).len() > before, "it serves again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_stopped_takes_no_connection_any_more() {
    let replica = litellm().await;
    for _ in 0..200 {
        replica.stop().await;

        let connected = std::net::TcpStream::connect(replica.addr());

        assert!(connected.is_err(), "its port is closed");
        replica.restart().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_replicas_are_passed_over_at_once_and_however_few_attempts_are_allowed() {
    let replicas = [litellm().await, litellm().await, litellm().await];
    let urls = replicas.each_ref().map(LiteLlm::url);
    let gateway = gateway_before(
        &urls,
        "retry: {attempts: 1, initial_delay: 1h, max_delay: 1h}",
    )
    .await;
    replicas[0].stop().await;
    replicas[1].stop().await;

    let failed = tokio::time::timeout(PATIENCE, failures(&gateway, 12)).await;

    assert_eq!(failed.unwrap(), NONE);
    assert_eq!(asked(&replicas[2]).len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_replica_is_dead_the_client_is_told_and_may_come_again() {
    let replicas = [litellm().await, litellm().await];
    let gateway = gateway_before(&replicas.each_ref().map(LiteLlm::url), "").await;
    replicas[0].stop().await;
    replicas[1].stop().await;

    let answer = gateway
        .post("/v1/embeddings")
        .body("{}")
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()["x-should-retry"], "true");
    assert!(!answer.text().await.unwrap().contains("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_replica_is_reached_and_probed_below_the_path_of_its_own_url() {
    let replicas = [litellm().await, litellm().await];
    let urls = [replicas[0].url(), format!("{}/team/llm", replicas[1].url())];
    let gateway = gateway_before(&urls, "").await;
    let probe = |path: &'static str| move |seen: &SeenRequest| seen.path() == path;

    let plain = replicas[0]
        .wait_for(probe("/health/liveliness"), PATIENCE)
        .await;
    let below = replicas[1]
        .wait_for(probe("/team/llm/health/liveliness"), PATIENCE)
        .await;
    gateway
        .post("/v1/embeddings?a=b")
        .body("{}")
        .send()
        .await
        .unwrap();
    gateway
        .post("/v1/embeddings?a=b")
        .body("{}")
        .send()
        .await
        .unwrap();

    assert!(plain.is_some() && below.is_some());
    let posts = |console: &Console| -> Vec<String> {
        let seen = console
            .requests()
            .into_iter()
            .filter(|seen| seen.method == "POST");
        seen.map(|seen| seen.target).collect()
    };
    assert_eq!(posts(&replicas[0]), ["/v1/embeddings?a=b"]);
    assert_eq!(posts(&replicas[1]), ["/team/llm/v1/embeddings?a=b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_urls_of_one_address_are_two_replicas() {
    let ingress = litellm().await;
    let urls = ["blue", "green"].map(|path| format!("{}/{path}", ingress.url()));
    let gateway = gateway_before(&urls, "").await;

    for _ in 0..10 {
        let post = gateway.post("/v1/embeddings").body("{}");
        post.send().await.unwrap();
    }

    let posts = |path: &str| {
        let seen = ingress.requests().into_iter();
        seen.filter(|seen| seen.method == "POST" && seen.path().starts_with(path))
            .count()
    };
    assert_eq!((posts("/blue/"), posts("/green/")), (5, 5));
    for path in ["/blue/health/liveliness", "/green/health/liveliness"] {
        let probed = ingress.wait_for(move |seen: &SeenRequest| seen.path() == path, PATIENCE);
        assert!(probed.await.is_some(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_connections_and_never_answers_is_left_alone_after_two_probes() {
    let alive = litellm().await;
    let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", hung.local_addr().unwrap());
    let began = Instant::now();
    let gateway = gateway_before(&[url, alive.url()], "").await;
    // Every connection is kept open, and nothing is ever said on it.
    let silence = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = hung.accept().await {
            kept.push(connection);
        }
    });

    // One in two goes there, as long as it is thought alive.
    let missed = || async {
        let both = (0..2).map(|_| gateway.post("/v1/embeddings").body("{}").send());
        let both = futures::future::join_all(both);
        tokio::time::timeout(Duration::from_millis(500), both)
            .await
            .is_err()
    };
    while missed().await {
        assert!(began.elapsed() < PATIENCE, "it is never left alone");
    }
    let taken = began.elapsed();
    let failed = failures(&gateway, 20).await;

    assert_eq!(failed, NONE);
    assert!(taken < Duration::from_secs(12), "two probes: {taken:?}");
    silence.abort();
}
