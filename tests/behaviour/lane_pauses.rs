//! A lane's pause: how long it lasts, what it leaves alone, how it ends, and what clients hear meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memgate::clock::{Clock, ManualClock};
use memgate::sim::{Answer, Edge, Hold, answer, cloudflare};
use memgate::upstream::lane::{GateView, LaneView};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::harness::*;
use crate::two_ways::*;

/// A gateway on a clock that the test moves.
async fn on_a_clock(edge: &Edge, direct: &str) -> (TestGateway, ManualClock) {
    let clock = ManualClock::default();
    let gateway = before(edge, direct)
        .own(LITTLE_JITTER)
        .clock(Arc::new(clock.clone()));
    (gateway.start().await, clock)
}

fn pause_of(gateway: &TestGateway) -> u64 {
    gateway.lane_view(ROUTER_LANE).pause_remaining().as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lasts_as_long_as_retry_after_says_and_else_as_the_error_is_known_for() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: provider").await;
    let plain = |code: u16, status| {
        let answer = answer::status(status).header("content-type", "text/plain");
        answer.body(format!("error code: {code}"))
    };
    let cases: [(&str, Answer, u64); 5] = [
        ("seconds", full().retry_after(7), 7),
        (
            "seconds of 1015",
            cloudflare::rate_limited().zone(ROUTER).retry_after(9),
            9,
        ),
        ("1200 without", plain(1200, 503), 60),
        ("1015 without", plain(1015, 429), 30),
        ("the page in the wild", cloudflare::rate_limited_page(), 60),
    ];
    for (what, refusal, seconds) in cases {
        // Beside one that is about to end it would be a probe for growth, which pauses nobody.
        gateway
            .until_lane(ROUTER_LANE, |view| view.in_flight == 0)
            .await;
        edge.script([refusal]);

        let answer = gateway.message("hello").await;

        assert_eq!(route(&answer), (200, "bypass"), "{what}");
        assert_eq!(pause_of(&gateway), seconds, "{what}");
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(
            route(&gateway.message("probe").await),
            (200, "direct"),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_in_retry_after_is_as_good_as_seconds() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: provider").await;
    let date = httpdate::fmt_http_date(clock.wall() + Duration::from_secs(45));
    let page = answer::status(503).header("content-type", "text/plain");
    edge.script([page.header("retry-after", date).body("error code: 1200")]);

    gateway.message("hello").await;

    assert_eq!(pause_of(&gateway), 45);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_seconds_are_waited_out_to_the_last_and_then_one_goes() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: none, queue: {timeout: 90s}").await;
    let hold = Hold::default();
    edge.script([full().retry_after(60), answer::usual().held(&hold)]);
    let clients = gateway.at_once(10);
    gateway.until_in_line(ROUTER_LANE, &clock, 10).await;

    let left = gateway.lane_view(ROUTER_LANE).pause_remaining();
    clock.advance(left - Duration::from_millis(1));
    let still = gateway.is_paused(ROUTER_LANE);
    let before = edge.stats().posts;
    clock.advance(Duration::from_millis(1));
    let probe = edge
        .wait_until(|stats| stats.posts == before + 1, PATIENCE)
        .await;
    let probing = gateway.lane_view(ROUTER_LANE);
    hold.release();

    assert!(left > Duration::from_secs(55), "{left:?}");
    assert!(still && probe);
    assert_eq!(before, 1, "the scout of a lane that nobody had tried");
    assert_eq!(
        (probing.queued, probing.in_flight),
        (9, 1),
        "one probe, the others wait"
    );
    assert_eq!(probing.gate, GateView::Opening);
    for client in clients {
        assert_eq!(soon(client).await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(edge.stats().posts, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_opens_gradually_and_by_heads_not_by_streams_that_end() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: none, queue: {timeout: 90s}").await;
    gateway.message("the lane is open").await;
    let ask = || {
        let request = gateway.post("/v1/messages").body(streamed(MODEL, "x"));
        tokio::spawn(request.send())
    };
    let stand = async |in_flight, queued| {
        let stands = |view: &LaneView| (view.in_flight, view.queued) == (in_flight, queued);
        gateway.until_lane(ROUTER_LANE, stands).await;
    };
    // Heads come when the test says so, and streams do not end.
    let held = |hold: &Hold| answer::usual().between(PATIENCE).held(hold);
    let (probe, two, rest) = (Hold::default(), Hold::default(), Hold::default());
    edge.script([answer::usual().between(PATIENCE).times(20)]);
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(soon(ask()).await.unwrap().unwrap());
    }

    // The edge refuses at once, so whoever waits long for a head has passed, if that were enough.
    edge.script([full().retry_after(60), held(&probe), held(&two).times(2)]);
    edge.script([held(&rest).times(100)]);
    let mut clients = vec![ask()];
    gateway.until_in_line(ROUTER_LANE, &clock, 1).await;
    drop(streams);
    clients.extend((0..19).map(|_| ask()));
    stand(0, 20).await;
    clock.advance(gateway.lane_view(ROUTER_LANE).pause_remaining());
    stand(1, 19).await;
    // Who comes looks at the time.
    clock.advance(Duration::from_secs(9));
    clients.push(ask());
    stand(1, 20).await;
    probe.release();
    stand(3, 18).await;
    clock.advance(Duration::from_millis(900));
    clients.push(ask());
    stand(3, 19).await;
    two.release();
    stand(7, 15).await;

    clients.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_in_flight_go_on_while_it_lasts() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([
        answer::usual().between(Duration::from_millis(60)),
        full().retry_after(60),
    ]);
    let request = gateway.post("/v1/messages").body(streamed(MODEL, "long"));
    let mut long = request.send().await.unwrap();
    read_until(&mut long, "message_start").await;

    let refused = gateway.message("met it").await;
    let (rest, whole) = soon(read_out(&mut long)).await;

    assert_eq!(route(&refused), (200, "bypass"));
    assert!(gateway.is_paused(ROUTER_LANE));
    assert!(whole && String::from_utf8_lossy(&rest).contains("event: message_stop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_one_extends_it_and_a_shorter_one_never_cuts_it() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: provider").await;
    gateway.message("the lane is open").await;
    // All go before the first of them is refused; the refusals come one after the other.
    let refusals = [20, 50, 5].map(|seconds| (Hold::default(), full().retry_after(seconds)));
    for (hold, refusal) in &refusals {
        edge.script([refusal.clone().held(hold)]);
    }
    let clients: Vec<_> = (0..3)
        .map(|_| tokio::spawn(gateway.post("/v1/messages").json(&turn("x")).send()))
        .collect();
    gateway
        .until_lane(ROUTER_LANE, |view| view.in_flight == 3)
        .await;
    let mut pauses = Vec::new();
    for (left, (hold, _)) in [2, 1, 0].into_iter().zip(&refusals) {
        hold.release();
        gateway
            .until_lane(ROUTER_LANE, |view| view.in_flight == left)
            .await;
        pauses.push(pause_of(&gateway));
    }

    assert_eq!(pauses, [20, 50, 50]);
    assert_eq!(
        gateway.lane_view(ROUTER_LANE).pauses.all(),
        1,
        "one burst, one pause"
    );
    for client in clients {
        assert_eq!(soon(client).await.unwrap().unwrap().status(), 200);
    }
    clock.advance(Duration::from_secs(49));
    assert!(gateway.is_paused(ROUTER_LANE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_is_refused_pauses_the_lane_anew() {
    let edge = two_hosts().await;
    let (gateway, clock) = on_a_clock(&edge, "bypass: provider").await;
    edge.script([full().retry_after(10), full().retry_after(25)]);
    gateway.message("met it").await;

    clock.advance(Duration::from_secs(10));
    let probe = gateway.message("probe").await;
    let next = gateway.message("next").await;

    assert_eq!(route(&probe), (200, "bypass"));
    assert_eq!(route(&next), (200, "bypass"));
    assert_eq!(edge.stats().posts, 2);
    assert_eq!(pause_of(&gateway), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_outlasts_the_queue_is_told_at_once_in_the_dialect_with_what_remains_of_it() {
    let edge = two_hosts().await;
    let gateway = without_bypass(&edge, "queue: {timeout: 40s}").await;
    edge.script([full().retry_after(60)]);

    let asking = Instant::now();
    let first = gateway.message("met it").await;
    let next = gateway.message("came after").await;
    let took = asking.elapsed();

    assert!(took < Duration::from_secs(20), "{took:?}");
    for answer in [first, next] {
        assert_eq!(answer.status(), 529);
        assert!(
            (45..=65).contains(&retry_after(&answer)),
            "{:?}",
            answer.headers()
        );
        assert_eq!(header(&answer, "x-should-retry"), "true");
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["type"], "error");
        assert_eq!(error["error"]["type"], "overloaded_error");
    }
    assert_eq!(edge.stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_told_to_come_back_are_told_different_times() {
    let edge = two_hosts().await;
    let (gateway, _clock) = on_a_clock(&edge, "bypass: none, queue: {timeout: 1s}").await;
    gateway.pause_host(ROUTER, Duration::from_secs(60));

    let mut said = Vec::new();
    for _ in 0..24 {
        said.push(retry_after(&gateway.message("x").await));
    }

    assert!(said.iter().all(|wait| (60..=65).contains(wait)), "{said:?}");
    said.sort_unstable();
    said.dedup();
    assert!(said.len() > 1, "all at the same second: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_have_been_written_to_memory_is_told_not_to_come_back_by_itself() {
    let edge = two_hosts().await;
    let gateway = without_bypass(&edge, "queue: {timeout: 1s}").await;
    edge.script([full_behind().retry_after(60)]);

    let met = gateway.message("met it").await;
    let after = gateway.message("came after").await;

    assert_eq!(
        (met.status().as_u16(), header(&met, "x-should-retry")),
        (529, "false")
    );
    assert_eq!(
        (after.status().as_u16(), header(&after, "x-should-retry")),
        (529, "true")
    );
}
