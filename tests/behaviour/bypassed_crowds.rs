//! Many at once round a lane that has just closed: nobody waits for the retries of another lane.

use std::time::Duration;

use futures::future::join_all;
use memgate::sim::cloudflare::CapacityGate;
use memgate::sim::{Answer, At, Edge, EdgeOptions, Hold, How, Rule, answer};

use crate::harness::*;
use crate::patience::becomes_true;
use crate::two_ways::*;

const CROWD: usize = 60;
const CAPACITY: usize = 8;

fn endless() -> Answer {
    answer::usual().cut(At::AfterEvents(1), How::Stall)
}

/// A lane that is open wide, before an edge that from now on takes few of streams that last, and refuses the others when
/// the hold is released.
async fn narrowed() -> (Edge, TestGateway, Hold) {
    let hold = Hold::default();
    let edge = two_hosts_of(EdgeOptions {
        capacity: Some(CapacityGate::of(1000).refusing(full().retry_after(60).held(&hold))),
        stream_time: Some(Duration::from_secs(600)),
        ..EdgeOptions::default()
    })
    .await;
    let gateway = with_bypass(&edge).await;
    for _ in 0..10 {
        join_all((0..CROWD).map(|_| gateway.message("warm"))).await;
    }
    assert!(becomes_true(|| edge.stats().in_flight == 0).await);
    edge.set_capacity(Some(CAPACITY));
    provider(&edge).rule(Rule::new(endless()).method("POST"));
    (edge, gateway, hold)
}

/// The routes of a crowd that asks at once, and keeps its streams.
async fn routes(gateway: &TestGateway, retries: &str) -> Vec<(u16, String)> {
    let ask = |n: usize| {
        let request = gateway
            .post("/v1/messages")
            .header("x-stainless-retry-count", retries)
            .body(streamed(MODEL, &n.to_string()));
        async move {
            let answer = request.send().await.unwrap();
            let (status, route) = route(&answer);
            ((status, route.to_owned()), answer)
        }
    };
    let answers = soon(join_all((0..CROWD).map(ask))).await;
    answers.into_iter().map(|(route, _open)| route).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_warm_lane_refuses_goes_round_at_once_however_many_they_are() {
    let (edge, gateway, refusals) = narrowed().await;
    let all = 11 * CROWD as u64;

    let all_are_there = async {
        assert!(becomes_true(|| edge.stats().posts == all).await);
        refusals.release();
    };
    let (routes, ()) = tokio::join!(routes(&gateway, "0"), all_are_there);

    assert!(
        routes.iter().all(|(status, _)| *status == 200),
        "{routes:?}"
    );
    let bypassed = routes.iter().filter(|(_, route)| route == "bypass");
    assert_eq!(bypassed.count(), CROWD - CAPACITY);
    assert_eq!(edge.stats().posts, all, "one try by each way");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_send_again_is_no_retry_of_a_lane_that_never_had_it() {
    let (_edge, gateway, refusals) = narrowed().await;
    refusals.release();
    gateway.pause_host(ROUTER, Duration::from_secs(60));

    let routes = routes(&gateway, "1").await;

    let all_round = routes
        .iter()
        .all(|(status, route)| (*status, route.as_str()) == (200, "bypass"));
    assert!(all_round, "{routes:?}");
}
