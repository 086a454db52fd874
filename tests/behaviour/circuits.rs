//! A lane that keeps failing for other reasons than fullness: left alone after a share of failures, probed, closed again.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::{Answer, Edge, Rule, cloudflare};
use memgate::upstream::lane::{Cause, GateView};

use crate::harness::*;
use crate::status::{lane, status};
use crate::two_ways::*;

const CIRCUIT: &str = "circuit: {failures: 50%, requests: 4, window: 10s, open: 5s}";

async fn on_a_clock(edge: &Edge, direct: &str) -> (TestGateway, ManualClock) {
    let clock = ManualClock::default();
    let gateway = before(edge, &format!("{direct}, {CIRCUIT}"))
        .own("retry: {attempts: 1, initial_delay: 1ms, max_delay: 1s}")
        .clock(Arc::new(clock.clone()));
    (gateway.start().await, clock)
}

fn is_down(gateway: &TestGateway) -> bool {
    let gate = gateway.lane_view(ROUTER_LANE).gate;
    matches!(
        gate,
        GateView::Paused {
            cause: Cause::Circuit,
            ..
        }
    )
}

fn failures() -> [(&'static str, Answer); 4] {
    [
        ("521", cloudflare::error(521)),
        ("523", cloudflare::error(523)),
        ("530", cloudflare::error(530)),
        ("1101", cloudflare::worker_crashed()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn it_opens_after_a_share_of_failures_refuses_at_once_is_probed_and_closes() {
    for (what, failure) in failures() {
        let edge = two_hosts().await;
        let (gateway, clock) = on_a_clock(&edge, "bypass: none").await;
        for _ in 0..2 {
            assert!(!is_down(&gateway), "{what}");
            gateway.message("works").await;
            edge.script([failure.clone()]);
            let failed = gateway.message("fails").await;
            assert!(failed.status().as_u16() >= 500, "{what}");
        }

        let refused = gateway.message("comes while it is down").await;

        assert!(is_down(&gateway), "{what}");
        assert_eq!(refused.status(), 529, "{what}");
        assert!((4..=6).contains(&retry_after(&refused)), "{what}");
        assert_eq!(header(&refused, "x-should-retry"), "true", "{what}");
        assert_eq!(
            edge.stats().posts,
            4,
            "{what}: nothing is tried while it is down"
        );
        let shown = status(&gateway).await;
        assert_eq!(lane(&shown, ROUTER_LANE)["state"], "down");
        let pauses = [("lane", ROUTER_LANE), ("cause", "circuit")];
        gateway.counts("lane_pauses_total", &pauses, 1.0).await;

        clock.advance(Duration::from_secs(6));
        let probe = gateway.message("probe").await;
        let next = gateway.message("next").await;

        assert_eq!(
            (probe.status().as_u16(), next.status().as_u16()),
            (200, 200),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_share_of_failures_opens_nothing() {
    let edge = two_hosts().await;
    let (gateway, _clock) = on_a_clock(&edge, "bypass: none").await;
    for _ in 0..6 {
        gateway.message("works").await;
        gateway.message("works").await;
        edge.script([cloudflare::error(521)]);
        gateway.message("fails").await;
        assert!(!is_down(&gateway));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_beyond_the_window_are_forgotten() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: none").await;
    for _ in 0..5 {
        edge.script([cloudflare::error(521)]);
        gateway.message("fails").await;
        clock.advance(Duration::from_secs(6));
        gateway.message("works").await;
        assert!(
            !is_down(&gateway),
            "three or four in ten seconds are too few to tell"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_failures_in_a_row_open_it_however_far_apart_they_are() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: none").await;
    for _ in 0..3 {
        assert!(!is_down(&gateway));
        edge.script([cloudflare::error(521)]);
        gateway.message("fails").await;
        clock.advance(Duration::from_secs(17));
    }

    gateway.message("would be the fourth").await;

    assert_eq!(gateway.lane_view(ROUTER_LANE).pauses.all(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_takes_no_connection_costs_a_request_one_time_out_and_the_fourth_none() {
    let edge = two_hosts().await;
    let deaf = Deaf::new().await;
    let (gone, at) = (deaf.address(), edge.addr());
    let gateway = TestGateway::in_front_of(&edge)
        .own(&format!(
            "direct: {{ca_file: ca.pem, resolve: {{'{ROUTER}:443': '{gone}', '{PROVIDER}:443': '{at}'}}}}"
        ))
        .own("limits: {connect_timeout: 1s}")
        .start()
        .await;

    let mut attempts = Vec::new();
    for _ in 0..4 {
        let answer = gateway.message("hello").await;
        assert_eq!(route(&answer), (200, "bypass"));
        attempts.push(header(&answer, "x-memgate-attempts").to_owned());
    }

    assert_eq!(attempts, ["2", "2", "2", "1"]);
    assert!(is_down(&gateway));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_fails_opens_it_for_twice_as_long() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: none").await;
    edge.rule(Rule::new(cloudflare::error(521)).method("POST"));
    for _ in 0..3 {
        gateway.message("fails").await;
    }
    let mut waits = Vec::new();
    for _ in 0..5 {
        let wait = gateway.lane_view(ROUTER_LANE).pause_remaining();
        waits.push(wait.as_secs());
        clock.advance(wait);
        let posts = edge.stats().posts;
        gateway.message("probe").await;
        assert_eq!(edge.stats().posts, posts + 1);
    }

    assert_eq!(waits, [5, 10, 20, 40, 60], "a minute at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_bypass_requests_go_round_a_lane_that_is_down() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: provider").await;
    edge.rule(Rule::new(cloudflare::error(521)).method("POST").first(3));

    for _ in 0..8 {
        assert_eq!(route(&gateway.message("hello").await), (200, "bypass"));
    }
    let posts = edge.stats().posts;
    clock.advance(Duration::from_secs(5));
    let probe = gateway.message("probe").await;

    assert_eq!(posts, 3);
    assert_eq!(route(&probe), (200, "direct"));
    for (reason, count) in [("route_down", 3.0), ("lane_down", 5.0)] {
        let labels = [("lane", ROUTER_LANE), ("reason", reason)];
        gateway.counts("bypassed_total", &labels, count).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_no_connection_opens_it_and_the_bypass_serves_everybody() {
    let edge = two_hosts().await;
    let nobody = Nobody::new();
    let (gone, at) = (nobody.address(), edge.addr());
    let gateway = TestGateway::in_front_of(&edge)
        .own(&format!(
            "direct: {{ca_file: ca.pem, {CIRCUIT}, resolve: {{'{ROUTER}:443': '{gone}', '{PROVIDER}:443': '{at}'}}}}"
        ))
        .start()
        .await;

    let mut attempts = Vec::new();
    for _ in 0..6 {
        let answer = gateway.message("hello").await;
        assert_eq!(route(&answer), (200, "bypass"));
        attempts.push(header(&answer, "x-memgate-attempts").to_owned());
    }

    assert!(is_down(&gateway));
    assert_eq!(
        attempts.last().unwrap(),
        "1",
        "{attempts:?}: nobody tries while it is down"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn those_in_line_do_not_wait_for_a_lane_that_went_down() {
    let edge = two_hosts().await;
    let (gateway, _clock) = on_a_clock(&edge, "bypass: none, max_concurrency: 4").await;
    let slow = cloudflare::error(521).delay(Duration::from_millis(300));
    gateway.message("warm").await;
    edge.rule(Rule::new(slow).method("POST"));

    let clients: Vec<_> = (0..12)
        .map(|_| {
            let request = gateway.post("/v1/messages").json(&turn("x"));
            tokio::spawn(request.send())
        })
        .collect();

    for client in clients {
        let answer = soon(client).await.unwrap().unwrap();
        assert!(
            [521, 529].contains(&answer.status().as_u16()),
            "{}",
            answer.status()
        );
    }
    assert!(is_down(&gateway));
    assert!(edge.stats().posts <= 9, "{}", edge.stats().posts);
}
