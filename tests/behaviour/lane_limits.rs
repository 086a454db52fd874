//! How many at once? No ceiling is felt before the first loss; what is lost lowers it; growing again costs nobody a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::cloudflare::CapacityGate;
use memgate::sim::{At, EdgeOptions, How, Rule, answer};
use memgate::upstream::lane::GateView;

use crate::harness::*;
use crate::two_ways::*;

#[tokio::test(flavor = "multi_thread")]
async fn no_ceiling_is_felt_before_the_first_loss() {
    let edge = two_hosts().await;
    let gateway = without_bypass(&edge, "queue: {timeout: 90s}").await;
    gateway.message("the lane is open").await;
    edge.rule(Rule::new(answer::usual().between(PATIENCE)).method("POST"));

    let clients: Vec<_> = (0..150)
        .map(|n| {
            let request = gateway
                .post("/v1/messages")
                .body(streamed(MODEL, &n.to_string()));
            tokio::spawn(request.send())
        })
        .collect();
    let mut held = Vec::new();
    for client in clients {
        held.push(soon(client).await.unwrap().unwrap());
    }

    let view = gateway.lane_view(ROUTER_LANE);
    assert_eq!((view.in_flight, view.queued, view.limit), (150, 0, 512));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_sets_it_below_what_was_in_flight_and_a_stream_holds_its_place_to_its_end() {
    let edge = two_hosts().await;
    let clock = ManualClock::default();
    let gateway = before(&edge, "bypass: none, queue: {timeout: 90s}").own(LITTLE_JITTER);
    let gateway = gateway.clock(Arc::new(clock.clone())).start().await;
    let endless = answer::usual().cut(At::AfterEvents(1), How::Stall);
    edge.rule(Rule::new(endless).method("POST").body("held"));
    let mut held = Vec::new();
    for _ in 0..6 {
        let request = gateway.post("/v1/messages").body(streamed(MODEL, "held"));
        let mut stream = request.send().await.unwrap();
        read_until(&mut stream, "message_start").await;
        held.push(stream);
    }
    edge.script([full().retry_after(60)]);

    let seventh = tokio::spawn(gateway.post("/v1/messages").json(&turn("seventh")).send());
    gateway
        .until_lane(ROUTER_LANE, |view| view.limit < 512)
        .await;
    gateway.until_in_line(ROUTER_LANE, &clock, 1).await;
    let lowered = gateway.lane_view(ROUTER_LANE);
    clock.advance(Duration::from_secs(60));
    gateway
        .until_lane(ROUTER_LANE, |view| view.gate == GateView::Opening)
        .await;
    let after = gateway.lane_view(ROUTER_LANE);
    held.pop();

    assert_eq!((lowered.limit, lowered.in_flight), (6, 6));
    assert_eq!(
        (after.queued, after.in_flight),
        (1, 6),
        "six streams are six places"
    );
    assert_eq!(soon(seventh).await.unwrap().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_never_falls_below_one() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    gateway.message("the lane is open").await;
    edge.script([full().retry_after(60)]);

    gateway.message("alone").await;

    assert_eq!(gateway.lane_view(ROUTER_LANE).limit, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_grows_again_with_the_edge_and_that_pauses_nobody() {
    let edge = two_hosts_of(EdgeOptions {
        capacity: Some(CapacityGate::of(4).refusing(full().retry_after(1))),
        stream_time: Some(Duration::from_millis(60)),
        ..EdgeOptions::default()
    })
    .await;
    let (gateway, _time) = in_its_own_time(&edge, "bypass: none, queue: {timeout: 90s}").await;
    let stop = Arc::new(AtomicBool::new(false));
    let client = |n: usize| {
        let stop = Arc::clone(&stop);
        let request = gateway
            .post("/v1/messages")
            .body(streamed(MODEL, &n.to_string()));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = request.try_clone().unwrap().send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
            }
        })
    };
    let clients: Vec<_> = (0..16).map(client).collect();
    gateway
        .until_lane(ROUTER_LANE, |view| {
            view.limit <= 5 && view.gate == GateView::Open
        })
        .await;
    edge.set_capacity(Some(12));
    // What was refused before may still be on its way.
    let refused = edge.stats().refused.capacity as f64;
    let errors = [("zone", ROUTER), ("code", "1200")];
    gateway.counts("edge_errors_total", &errors, refused).await;
    gateway
        .until_lane(ROUTER_LANE, |view| view.gate == GateView::Open)
        .await;
    let before = gateway.lane_view(ROUTER_LANE).pauses.all();
    gateway
        .until_lane(ROUTER_LANE, |view| view.limit >= 8)
        .await;
    let pauses = gateway.lane_view(ROUTER_LANE).pauses.all();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        soon(client).await.unwrap();
    }

    assert!(before >= 1, "it had to learn");
    assert_eq!(
        pauses, before,
        "what was proven by probing cost nobody a pause"
    );
}
