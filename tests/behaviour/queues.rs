//! In front of a lane's limit: who goes first, who is told at once, and what a client that leaves costs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::{Answer, At, Edge, How, Rule, answer};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::harness::*;
use crate::status::{lane, status};
use crate::two_ways::*;

type Asking = JoinHandle<reqwest::Result<reqwest::Response>>;

/// One request in flight at a time, and it is there: a stream that does not end.
struct Narrow {
    edge: Edge,
    gateway: TestGateway,
    held: Option<reqwest::Response>,
}

fn endless() -> Answer {
    answer::usual().cut(At::AfterEvents(1), How::Stall)
}

impl Narrow {
    async fn start(direct: &str) -> Self {
        let edge = two_hosts().await;
        let direct = format!("bypass: none, max_concurrency: 1, {direct}");
        let gateway = before(&edge, &direct).with_h2c().start().await;
        edge.script([endless()]);
        let request = gateway.post("/v1/messages").body(streamed(MODEL, "held"));
        let mut held = request.send().await.unwrap();
        read_until(&mut held, "message_start").await;
        Self {
            edge,
            gateway,
            held: Some(held),
        }
    }

    /// Stands in line with these headers, and is known there by `text`.
    async fn joins(&self, text: &str, headers: &[(&str, &str)]) -> Asking {
        let queued = self.gateway.lane_view(ROUTER_LANE).queued;
        let mut request = self
            .gateway
            .post("/v1/messages")
            .body(turn(text).to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let asking = tokio::spawn(request.send());
        self.queued(queued + 1).await;
        asking
    }

    async fn queued(&self, count: usize) {
        self.gateway
            .until_lane(ROUTER_LANE, |view| view.queued == count)
            .await;
    }

    /// Lets them all pass, and tells in which order they went.
    async fn order(mut self, clients: Vec<Asking>) -> Vec<String> {
        self.held = None;
        for client in clients {
            assert_eq!(soon(client).await.unwrap().unwrap().status(), 200);
        }
        let mut seen = self.edge.requests();
        seen.sort_by_key(|seen| seen.arrived);
        let text =
            |body: serde_json::Value| body["messages"][0]["content"].as_str().map(str::to_owned);
        seen.iter()
            .skip(1)
            .filter_map(|seen| text(seen.json()))
            .collect()
    }
}

fn of(user: &str) -> [(&'static str, &str); 1] {
    [("x-memory-user-id", user)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hog_does_not_make_the_others_wait_behind_it() {
    let world = Narrow::start("queue: {timeout: 90s}").await;
    let mut clients = Vec::new();
    for n in 0..20 {
        clients.push(world.joins(&format!("hog-{n}"), &of("hog")).await);
    }
    for user in ["ann", "ben", "cat"] {
        clients.push(world.joins(user, &of(user)).await);
    }

    let order = world.order(clients).await;

    let place = |text: &str| order.iter().position(|seen| seen == text).unwrap();
    for user in ["ann", "ben", "cat"] {
        assert!(place(user) <= 3, "{user} is one of four: {order:?}");
    }
    assert!(place("hog-3") < place("hog-4"), "in its own order");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_one_caller_take_turns_and_so_do_the_agents_in_them() {
    let world = Narrow::start("queue: {timeout: 90s}").await;
    let session = ("x-claude-code-session-id", "s-1");
    let mut clients = Vec::new();
    for n in 0..4 {
        clients.push(world.joins(&format!("main-{n}"), &[session]).await);
    }
    let agent = [session, ("x-claude-code-agent-id", "a-1")];
    clients.push(world.joins("agent", &agent).await);
    clients.push(
        world
            .joins("other", &[("x-claude-code-session-id", "s-2")])
            .await,
    );

    let order = world.order(clients).await;

    assert_eq!(order[..3], ["main-0", "agent", "other"], "{order:?}");
    assert_eq!(order[3..], ["main-1", "main-2", "main-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn interactive_requests_go_before_background_ones_whoever_sent_them() {
    let world = Narrow::start("queue: {timeout: 90s}").await;
    let mut clients = Vec::new();
    for n in 0..3 {
        clients.push(
            world
                .joins(&format!("background-{n}"), &[("x-app", "cli-bg")])
                .await,
        );
    }
    clients.push(world.joins("interactive", &[("x-app", "cli")]).await);
    clients.push(world.joins("of another", &of("ann")).await);

    let order = world.order(clients).await;

    assert_eq!(order[..2], ["interactive", "of another"], "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_the_line_frees_its_place_at_once_and_costs_no_post() {
    let world = Narrow::start("queue: {timeout: 90s, max: 1}").await;
    for down in Down::BOTH {
        let client = down.client();
        let id = format!("leaves-the-line-{down:?}");
        let request = client
            .post(world.gateway.url("/v1/messages"))
            .bearer_auth(MASTER);
        let request = request
            .header("x-request-id", &id)
            .body(streamed(MODEL, "gone"));
        let asking = tokio::spawn(request.send());
        world.queued(1).await;

        asking.abort();
        drop(client);
        world.queued(0).await;

        let line = crate::logs::access_line(&id).await;
        assert_eq!(line["outcome"], "client_left", "{line}");
        let next = world.joins("takes the place", &[]).await;
        next.abort();
        world.queued(0).await;
    }
    assert_eq!(world.edge.stats().posts, 1, "the held one");
    assert_eq!(world.gateway.lane_view(ROUTER_LANE).in_flight, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_its_lane_pauses_costs_nothing_either() {
    let edge = two_hosts().await;
    let clock = ManualClock::default();
    let gateway = before(&edge, "bypass: none, queue: {timeout: 90s}").with_h2c();
    let gateway = gateway.clock(Arc::new(clock.clone())).start().await;
    gateway.pause_host(ROUTER, Duration::from_secs(60));
    for down in Down::BOTH {
        let client = down.client();
        let request = client.post(gateway.url("/v1/messages")).bearer_auth(MASTER);
        let asking = tokio::spawn(request.body(streamed(MODEL, "gone")).send());
        gateway
            .until_lane(ROUTER_LANE, |view| view.queued == 1)
            .await;

        asking.abort();
        drop(client);

        gateway
            .until_lane(ROUTER_LANE, |view| view.queued == 0)
            .await;
    }

    clock.advance(Duration::from_secs(61));
    let next = gateway.message("stays").await;

    assert_eq!(next.status(), 200);
    assert_eq!(edge.stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_in_the_dialect() {
    let world = Narrow::start("queue: {timeout: 90s, max: 2}").await;
    let first = world.joins("1", &[]).await;
    let second = world.joins("2", &[]).await;

    let third = soon(world.gateway.message("3")).await;

    assert_eq!(third.status(), 529);
    assert_eq!(header(&third, "x-should-retry"), "true");
    let told = retry_after(&third);
    assert!(
        (90..=95).contains(&told),
        "nothing moves that would tell a pace: {told}"
    );
    let error: serde_json::Value = third.json().await.unwrap();
    assert_eq!(error["error"]["type"], "overloaded_error");
    let shown = status(&world.gateway).await;
    assert_eq!(lane(&shown, ROUTER_LANE)["queued"], 2);
    let depth = world
        .gateway
        .metric("queue_depth", &[("lane", ROUTER_LANE)])
        .await;
    assert_eq!(depth, 2.0);
    let order = world.order(vec![first, second]).await;
    assert_eq!(order, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_longer_than_the_queue_allows() {
    let world = Narrow::start("queue: {timeout: 1100ms}").await;

    let answer = soon(world.gateway.message("waits in vain")).await;

    assert_eq!(answer.status(), 529);
    assert_eq!(header(&answer, "x-should-retry"), "true", "it never left");
    assert_eq!(retry_after(&answer), 2, "no less than it waited");
    assert_eq!(world.edge.stats().posts, 1);
    let waits = "queue_wait_seconds_count";
    world.gateway.counts(waits, &[], 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_wait_beyond_the_queues_time_is_decided_at_once() {
    let edge = two_hosts().await;
    let clock = ManualClock::default();
    let gateway = before(
        &edge,
        "bypass: none, max_concurrency: 1, queue: {timeout: 100s}",
    );
    let gateway = gateway.clock(Arc::new(clock.clone())).start().await;
    edge.rule(Rule::new(endless()).method("POST"));
    let join = async |line: &mut VecDeque<Asking>| {
        let stands = gateway.lane_view(ROUTER_LANE);
        let request = gateway.post("/v1/messages").body(streamed(MODEL, "x"));
        let asking = tokio::spawn(request.send());
        let came = stands.queued + stands.in_flight + 1;
        gateway
            .until_lane(ROUTER_LANE, |view| view.queued + view.in_flight == came)
            .await;
        line.push_back(asking);
    };
    // Streams of twenty seconds each, and somebody in line all the time.
    let mut waiting = VecDeque::new();
    join(&mut waiting).await;
    for _ in 0..8 {
        join(&mut waiting).await;
        let mut stream = soon(waiting.pop_front().unwrap()).await.unwrap().unwrap();
        read_until(&mut stream, "message_start").await;
        clock.advance(Duration::from_secs(20));
        drop(stream);
        gateway
            .until_lane(ROUTER_LANE, |view| view.queued == 0 && view.in_flight == 1)
            .await;
    }
    // Five times as long is just what the queue allows.
    for _ in 0..5 {
        join(&mut waiting).await;
    }

    let late = soon(gateway.message("too late")).await;

    assert_eq!(late.status(), 529);
    assert!(
        (120..=125).contains(&retry_after(&late)),
        "{}",
        retry_after(&late)
    );
    assert_eq!(gateway.lane_view(ROUTER_LANE).queued, 5);
    for client in waiting {
        client.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_openais_dialect_a_refusal_is_a_503() {
    let edge = two_hosts().await;
    let gateway = before(&edge, "bypass: none, queue: {timeout: 1s}");
    let gateway = gateway
        .own("egress: {listen: '127.0.0.1:0'}")
        .clock(Arc::new(ManualClock::default()))
        .start()
        .await;
    let ask = async || {
        let url = gateway.egress_url("/v3/api.anthropic.com/v1/chat/completions");
        let body = json!({"model": "m", "messages": []});
        gateway.http().post(url).json(&body).send().await.unwrap()
    };
    let pause = Duration::from_secs(60);
    gateway.pause_host(ROUTER, pause);

    let answer = ask().await;

    assert_eq!(answer.status(), 503);
    assert_eq!(header(&answer, "x-should-retry"), "true");
    assert!((60..=65).contains(&retry_after(&answer)));
    let error: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(error["error"]["code"], "upstream_overloaded", "{error}");
}
