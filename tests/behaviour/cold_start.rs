//! When an edge demands cookies: one request goes first, and the others wait for what it brings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memgate::sim::cloudflare::{self, CookieGate, Gates};
use memgate::sim::{Alpn, Answer, Edge, EdgeOptions, SeenRequest, Stats, answer};
use tokio::task::JoinHandle;

use crate::harness::*;
use crate::two_ways::*;

const FEW: u64 = 3;

/// Both hosts demand cookies.
async fn gated(lifetime: Duration) -> Edge {
    let gate = CookieGate {
        lifetime,
        ..CookieGate::default()
    };
    let gates = Gates {
        cookies: Some(gate.clone()),
        ..Gates::default()
    };
    two_hosts_of(EdgeOptions {
        alpn: Alpn::H2,
        cookie_gate: Some(gate),
        direct: provider_host(gates),
        ..EdgeOptions::default()
    })
    .await
}

const LONG: Duration = Duration::from_secs(1800);

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_who_come_at_once_meet_three_refusals_at_most_and_are_all_served() {
    for bypass in ["none", "provider"] {
        let edge = gated(LONG).await;
        let queue = "queue: {timeout: 90s, before_bypass: 9s}";
        let (gateway, _time) = in_its_own_time(&edge, &format!("bypass: {bypass}, {queue}")).await;

        let clients = gateway.at_once(300);
        for client in clients {
            let answer = client.await.unwrap().unwrap();
            assert_eq!(route(&answer), (200, "direct"), "{bypass}");
        }

        let stats = edge.stats();
        assert!(
            stats.refused.cookies <= FEW,
            "{bypass}: {:?}",
            stats.refused
        );
        assert_eq!(stats.posts, 300 + stats.refused.cookies);
        assert_eq!(
            gateway.lane_view(ROUTER_LANE).pauses.all(),
            0,
            "no pause for want of cookies"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_past_the_router_fetches_cookies_of_its_own() {
    let edge = gated(LONG).await;
    let (gateway, _time) = in_its_own_time(&edge, "bypass: provider").await;
    gateway.message("the lane is open").await;
    gateway.pause_host(ROUTER, Duration::from_secs(60));

    let clients = gateway.at_once(100);
    for client in clients {
        assert_eq!(route(&client.await.unwrap().unwrap()), (200, "bypass"));
    }

    let refused = provider(&edge).stats().refused.cookies;
    assert!(
        (1..=32).contains(&refused),
        "it was reached at the start, so a first window goes at once: {refused}"
    );
}

/// Clients that ask one after the other until they are told to stop; each ends with what was not a 200.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(u64, Vec<u16>)>>,
}

impl Load {
    fn begin(gateway: &TestGateway, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = |_| {
            let (stop, request) = (
                Arc::clone(&stop),
                gateway.post("/v1/messages").json(&turn("x")),
            );
            tokio::spawn(async move {
                let (mut served, mut failed) = (0, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    let answer = request.try_clone().unwrap().send().await.unwrap();
                    let status = answer.status().as_u16();
                    answer.bytes().await.unwrap();
                    if status == 200 {
                        served += 1;
                    } else {
                        failed.push(status);
                    }
                }
                (served, failed)
            })
        };
        let clients = (0..clients).map(ask).collect();
        Self { stop, clients }
    }

    async fn end(self) -> (u64, Vec<u16>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut served, mut failed) = (0, Vec::new());
        for client in self.clients {
            let (more, errors) = soon(client).await.unwrap();
            served += more;
            failed.extend(errors);
        }
        (served, failed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_expire_under_load_cost_three_refusals_at_most_and_no_client_anything() {
    let edge = gated(LONG).await;
    let (gateway, time) = in_its_own_time(&edge, "bypass: none, queue: {timeout: 90s}").await;
    gateway.message("fetches cookies").await;
    let cookie = edge.requests().pop().unwrap();
    let cookie = cookie.cookie("__cf_bm").unwrap();
    let half_a_minute = Some(Duration::from_secs(30));
    let domain = format!(".{ROUTER}");
    let line = cloudflare::set_cookie("__cf_bm", cookie, Some(&domain), half_a_minute);
    edge.script([answer::usual().header("set-cookie", line)]);
    gateway.message("hears that they are short-lived").await;
    let load = Load::begin(&gateway, 40);
    let warm = |stats: &Stats| stats.served_whole > 100;
    assert!(edge.wait_until(warm, PATIENCE).await);
    let before = edge.stats();

    time.clock.advance(Duration::from_secs(60));
    let more = |stats: &Stats| stats.served_whole > before.served_whole + 100;
    let more = edge.wait_until(more, PATIENCE).await;
    let (_, failed) = load.end().await;

    assert!(more && failed.is_empty(), "{failed:?}");
    let refused = edge.stats().refused.cookies - before.refused.cookies;
    assert!((1..=FEW).contains(&refused), "{refused}");
    assert_eq!(gateway.lane_view(ROUTER_LANE).pauses.all(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_the_edge_withdraws_cost_those_who_are_on_their_way_one_more_try_and_nobody_else()
 {
    let edge = gated(LONG).await;
    let gateway = without_bypass(&edge, "queue: {timeout: 90s}").await;
    let load = Load::begin(&gateway, 40);
    let warm = |stats: &Stats| stats.served_whole > 100;
    assert!(edge.wait_until(warm, PATIENCE).await);
    let before = edge.stats();
    let old = edge.requests().pop().unwrap();

    edge.expire_cookies();
    let more = |stats: &Stats| stats.served_whole > before.served_whole + 100;
    let more = edge.wait_until(more, PATIENCE).await;
    let (_, failed) = load.end().await;

    assert!(more && failed.is_empty(), "{failed:?}");
    assert!(edge.stats().refused.cookies > before.refused.cookies);
    assert_eq!(gateway.lane_view(ROUTER_LANE).pauses.all(), 0);
    // Streams are numbered as they are begun.
    let mut seen = edge.requests();
    seen.retain(|seen| seen.connection == old.connection);
    let is_old = |seen: &&SeenRequest| seen.cookie("__cf_bm") == old.cookie("__cf_bm");
    let last_old = seen.iter().filter(is_old).map(|seen| seen.stream).max();
    let newer = seen
        .iter()
        .filter(|seen| !is_old(seen) && seen.stream > old.stream);
    let first_new = newer.map(|seen| seen.stream).min();
    assert!(
        last_old < first_new,
        "{last_old:?} {first_new:?}: nobody goes without a cookie that is there"
    );
}

/// 1200 of the router's own edge that sets this cookie.
fn with_cookie(value: &str) -> Answer {
    let line = cloudflare::set_cookie("__cf_bm", value, Some(".supermemory.ai"), Some(LONG));
    full().retry_after(60).header("set-cookie", line)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_again_for_its_cookies_once_and_no_more() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([with_cookie("first"), with_cookie("second")]);

    let answer = gateway.message("hello").await;

    assert_eq!(
        route(&answer),
        (200, "bypass"),
        "the second one is a refusal as any other"
    );
    let seen = edge.requests();
    let cookies: Vec<_> = seen.iter().map(|seen| seen.cookie("__cf_bm")).collect();
    assert_eq!(cookies, [None, Some("first")]);
    assert!(gateway.is_paused(ROUTER_LANE));
    let fresh = [("reason", "fresh_cookies")];
    gateway.counts("retries_total", &fresh, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_sets_what_was_sent_already_is_no_demand_for_cookies() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    let line = cloudflare::set_cookie("__cf_bm", "known", Some(".supermemory.ai"), Some(LONG));
    edge.script([
        answer::usual().header("set-cookie", line),
        with_cookie("known"),
    ]);

    let warm = gateway.message("brings the cookie").await;
    let refused = gateway.message("sends it").await;

    assert_eq!(route(&warm), (200, "direct"));
    assert_eq!(route(&refused), (200, "bypass"));
    assert_eq!(
        edge.stats().posts,
        2,
        "no second try with the very same cookie"
    );
}
