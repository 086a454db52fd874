//! What is seen of a lane's states: a line in the log for each change and none for each request, numbers, and ray ids.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::{Edge, Hold, Stats};

use crate::harness::*;
use crate::logs;
use crate::status::{lane, status};
use crate::two_ways::*;

/// A gateway whose lane nobody else in this process has.
fn with_lane_to(edge: &Edge, provider: &str, direct: &str) -> Builder {
    let models = MODELS.replace("api.anthropic.com", provider);
    before(edge, &format!("{direct}, queue: {{timeout: 9s}}")).models(&models)
}

fn lines_of(lane: &str) -> Vec<String> {
    let all = logs::lines().into_iter();
    let of_lanes = all.filter(|line| line.target == "memgate::lane");
    of_lanes
        .map(|line| line.text)
        .filter(|text| text.starts_with(lane))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_its_state_is_one_line_however_many_requests_meet_it() {
    let edge = two_hosts().await;
    let name = "api.supermemory.ai → one-line.example.com";
    let clock = ManualClock::default();
    let gateway = with_lane_to(&edge, "one-line.example.com", "bypass: none").own(LITTLE_JITTER);
    let gateway = gateway.clock(Arc::new(clock.clone())).start().await;
    gateway.message("warm").await;
    let hold = Hold::default();
    edge.script([full().retry_after(1).held(&hold).times(5)]);

    let clients = gateway.at_once(20);
    let all = |stats: &Stats| stats.posts == 21;
    assert!(edge.wait_until(all, PATIENCE).await, "before any refusal");
    hold.release();
    gateway.until_in_line(name, &clock, 5).await;
    clock.advance(Duration::from_secs(1));
    for client in clients {
        assert_eq!(soon(client).await.unwrap().unwrap().status(), 200);
    }

    let lines = lines_of(name);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("paused for 1.0s (refused)"), "{lines:?}");
    assert!(lines[1].contains("open again"), "{lines:?}");
    let pauses = [("lane", name), ("cause", "refused")];
    gateway.counts("lane_pauses_total", &pauses, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gauges_and_the_status_page_follow_a_lane_through_its_pause() {
    let edge = two_hosts().await;
    let gateway = without_bypass(&edge, "queue: {timeout: 90s}").await;
    gateway.message("warm").await;
    edge.script([full().retry_after(60).ray("8f0123456789abcd-FRA")]);

    let asking = tokio::spawn(gateway.post("/v1/messages").json(&turn("x")).send());
    gateway
        .until_lane(ROUTER_LANE, |view| view.queued == 1)
        .await;

    let labels = [("lane", ROUTER_LANE)];
    let limit = gateway.metric("concurrency_limit", &labels).await;
    assert_eq!(limit, 1.0, "below what was in flight, and never below one");
    assert_eq!(gateway.metric("queue_depth", &labels).await, 1.0);
    assert_eq!(
        gateway.metric("in_flight", &labels).await,
        0.0,
        "who stands in line is not under way"
    );
    let remaining = gateway.metric("pause_remaining_seconds", &labels).await;
    assert!((50.0..=60.0).contains(&remaining), "{remaining}");
    let errors = [("zone", ROUTER), ("code", "1200")];
    assert_eq!(gateway.metric("edge_errors_total", &errors).await, 1.0);
    assert_eq!(
        gateway
            .metric("retries_total", &[("reason", "edge_refused")])
            .await,
        1.0
    );
    let shown = status(&gateway).await;
    let shown_lane = lane(&shown, ROUTER_LANE);
    assert_eq!(
        (&shown_lane["state"], &shown_lane["limit"]),
        (&"paused".into(), &1.into())
    );
    assert_eq!(
        (&shown_lane["queued"], &shown_lane["in_flight"]),
        (&1.into(), &0.into())
    );
    assert_eq!(shown["in_flight"]["lanes"][ROUTER_LANE], 0);
    assert_eq!(shown["edge_errors"][0]["ray_id"], "8f0123456789abcd-FRA");
    assert_eq!(shown["edge_errors"][0]["code"], 1200);
    assert_eq!(shown["edge_errors"][0]["lane"], ROUTER_LANE);
    asking.abort();
}
