//! What is sent again is a share of the traffic, whoever sends it again.

use std::time::Duration;

use memgate::sim::cloudflare::CapacityGate;
use memgate::sim::{Edge, EdgeOptions, Rule, answer};

use crate::harness::*;
use crate::two_ways::*;

async fn repeat(gateway: &TestGateway, count: &str) -> reqwest::Response {
    let request = gateway.post("/v1/messages").body(streamed(MODEL, "again"));
    let request = request.header("x-stainless-retry-count", count);
    soon(request.send()).await.unwrap()
}

/// A gateway with an open lane whose streams do not end.
async fn with_endless_streams(edge: &Edge, direct: &str) -> TestGateway {
    let gateway = without_bypass(edge, direct).await;
    gateway.message("the lane is open").await;
    edge.rule(Rule::new(answer::usual().between(PATIENCE)).method("POST"));
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_sends_again_is_charged_to_it_and_fresh_requests_overtake() {
    let edge = two_hosts().await;
    let gateway = with_endless_streams(&edge, "queue: {timeout: 90s}").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(repeat(&gateway, "1").await);
    }

    let fourth = gateway.post("/v1/messages").body(streamed(MODEL, "again"));
    let fourth = fourth.header("x-stainless-retry-count", "2").send();
    let fourth = tokio::spawn(fourth);
    gateway
        .until_lane(ROUTER_LANE, |view| view.queued == 1)
        .await;
    let fresh = gateway
        .post("/v1/messages")
        .body(streamed(MODEL, "fresh"))
        .send();
    let fresh = soon(fresh).await.unwrap();
    let first_time = repeat(&gateway, "0").await;

    assert_eq!(
        (route(&fresh), route(&first_time)),
        ((200, "direct"), (200, "direct"))
    );
    let view = gateway.lane_view(ROUTER_LANE);
    assert_eq!((view.queued, view.in_flight), (1, 5));
    assert_eq!((view.retries.in_flight, view.retries.allowed), (3, 3));
    gateway
        .counts("retry_budget_exhausted_total", &[], 1.0)
        .await;
    held.pop();
    assert_eq!(
        soon(fourth).await.unwrap().unwrap().status(),
        200,
        "its share is free"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_grows_with_the_traffic() {
    let edge = two_hosts().await;
    let gateway = with_endless_streams(&edge, "queue: {timeout: 90s}").await;
    let mut held = Vec::new();
    for n in 0..30 {
        let request = gateway
            .post("/v1/messages")
            .body(streamed(MODEL, &n.to_string()));
        held.push(soon(request.send()).await.unwrap());
    }

    for _ in 0..6 {
        held.push(repeat(&gateway, "1").await);
    }

    let view = gateway.lane_view(ROUTER_LANE);
    assert_eq!(
        (view.retries.in_flight, view.retries.allowed),
        (6, 7),
        "a fifth of 36"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_before_a_narrow_edge_is_served_whole_with_few_pauses_and_few_retries_at_a_time() {
    let edge = two_hosts_of(EdgeOptions {
        capacity: Some(CapacityGate::of(8).refusing(full().retry_after(1))),
        stream_time: Some(Duration::from_millis(150)),
        ..EdgeOptions::default()
    })
    .await;
    let (gateway, _time) = in_its_own_time(&edge, "bypass: none, queue: {timeout: 60s}").await;
    let ask = |n: usize| {
        let request = gateway
            .post("/v1/messages")
            .body(streamed(MODEL, &n.to_string()));
        tokio::spawn(async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            (
                status,
                answer.text().await.unwrap().contains("message_stop"),
            )
        })
    };
    let clients: Vec<_> = (0..60).map(ask).collect();

    let mut retries = 0;
    let all = async {
        for client in clients {
            while !client.is_finished() {
                retries = retries.max(gateway.lane_view(ROUTER_LANE).retries.in_flight);
                tokio::time::sleep(LOOK).await;
            }
            assert_eq!(client.await.unwrap(), (200, true));
        }
    };
    soon(all).await;

    let (stats, view) = (edge.stats(), gateway.lane_view(ROUTER_LANE));
    assert_eq!(stats.posts, 60 + stats.refused.capacity);
    assert!(view.pauses.all() <= 3, "{view:?}");
    assert!(retries <= 12, "a fifth of sixty: {retries}");
    assert!(view.limit <= 10, "{view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_used_up_are_an_overload_in_words_of_the_dialect() {
    let edge = two_hosts().await;
    let gateway = before(&edge, "bypass: none, queue: {timeout: 9s}")
        .own("retry: {attempts: 2, initial_delay: 1ms, max_delay: 1s}")
        .start()
        .await;
    for (refusal, should_retry) in [(full(), "true"), (full_behind(), "false")] {
        edge.reset();
        edge.script([refusal.retry_after(1).times(2)]);

        let answer = gateway.message("hello").await;

        assert_eq!(answer.status(), 529);
        assert_eq!(header(&answer, "x-memgate-attempts"), "2");
        assert!((1..=2).contains(&retry_after(&answer)));
        assert_eq!(header(&answer, "x-should-retry"), should_retry);
        assert_eq!(edge.stats().posts, 2);
    }
}
