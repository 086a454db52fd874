//! The wait before another attempt: how long, what it holds, and what ends it.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::{Clock, ManualClock};
use memgate::sim::{Answer, Edge, Stats, answer, cloudflare};

use crate::bodies::turn_of;
use crate::harness::*;
use crate::wire::{H2, Raw};

fn limited() -> Answer {
    answer::provider_error(429, "rate_limit_error", "slow down")
}

const STEP: Duration = Duration::from_millis(1);

/// A gateway whose waits pass when the test says so.
struct World {
    edge: Edge,
    gateway: TestGateway,
    clock: ManualClock,
    /// Sleepers that have nothing to do with requests.
    others: usize,
}

impl World {
    async fn new(own: &str) -> Self {
        let edge = Edge::answering([]).await.unwrap();
        let clock = ManualClock::default();
        let gateway = TestGateway::in_front_of(&edge)
            .own(&format!(
                "listen: ['127.0.0.1:0', {{address: '127.0.0.1:0', h2c: true}}]\n{own}"
            ))
            .clock(Arc::new(clock.clone()))
            .start()
            .await;
        let others = clock.sleepers();
        Self {
            edge,
            gateway,
            clock,
            others,
        }
    }

    async fn waiting(&self, requests: usize) {
        let there = || self.clock.sleepers() == self.others + requests;
        assert!(becomes_true(there).await, "{requests} in their wait");
    }

    async fn posts(&self, count: u64) {
        let came = self
            .edge
            .wait_until(|stats| stats.posts == count, PATIENCE)
            .await;
        assert!(came, "{} POSTs instead of {count}", self.edge.stats().posts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_a_floor_and_jitter_comes_on_top() {
    let world = World::new("retry: {attempts: 2, initial_delay: 500ms, max_delay: 30s}").await;
    let refusals: [fn(String) -> Answer; 2] = [
        |_| limited().retry_after(20),
        |date| limited().header("retry-after", date),
    ];
    for refusal in refusals {
        world.edge.reset();
        let date = httpdate::fmt_http_date(world.clock.wall() + Duration::from_secs(20));
        world.edge.script([refusal(date)]);
        let (asking, steps) = (world.gateway.message("hi"), async {
            world.waiting(1).await;
            let over = |stats: &Stats| stats.in_flight == 0;
            let over = world.edge.wait_until(over, PATIENCE).await;
            assert!(over, "nothing is held upstream");
            // A date is a whole second, and the clock may stand within one.
            world.clock.advance(Duration::from_secs(19) - STEP);
            world.waiting(1).await;
            assert_eq!(world.edge.stats().posts, 1);
            world.clock.advance(Duration::from_millis(1_500) + STEP);
            world.posts(2).await;
        });

        let (answered, ()) = tokio::join!(asking, steps);

        assert_eq!(answered.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_floor_the_waits_double_and_stay_below_their_caps() {
    let world = World::new("retry: {attempts: 4, initial_delay: 1s, max_delay: 2s}").await;
    // Failures of the lane itself would open its circuit.
    let busy = answer::provider_error(529, "overloaded_error", "busy");
    world.edge.script([busy.times(3)]);
    let (asking, steps) = (world.gateway.message("hi"), async {
        for (posts, cap) in [(1, 1), (2, 2), (3, 2)] {
            world.posts(posts).await;
            world.waiting(1).await;
            world.clock.advance(Duration::from_secs(cap));
        }
        world.posts(4).await;
    });

    let (answered, ()) = tokio::join!(asking, steps);

    assert_eq!(answered.headers()["x-memgate-attempts"], "4");
    assert_eq!(answered.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_longer_than_allowed_is_answered_at_once_with_its_retry_after() {
    let world = World::new("retry: {attempts: 3, initial_delay: 1s, max_delay: 20s}").await;
    for (refusal, status, said) in [
        (limited().retry_after(21), 429, "21"),
        (
            answer::provider_error(529, "overloaded_error", "busy").retry_after(3600),
            529,
            "3600",
        ),
    ] {
        world.edge.reset();
        world.edge.script([refusal]);

        let answered = world.gateway.message("hi").await;

        assert_eq!(answered.status(), status);
        assert_eq!(answered.headers()["retry-after"], said);
        assert_eq!(world.edge.stats().posts, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_wait() {
    let world = World::new("retry: {attempts: 3, initial_delay: 1s, max_delay: 30s}").await;
    let body = turn_of(100_000);
    let head = "content-length: 100000\r\n";
    // In the first wait and in the second, over either version.
    for (round, refusals) in [1, 2, 1, 2].into_iter().enumerate() {
        world.edge.reset();
        world
            .edge
            .script([limited().retry_after(10).times(refusals)]);
        let mut raw = Raw::connect(world.gateway.address()).await;
        let mut h2 = H2::connect(world.gateway.address_of(1)).await;
        let mut exchange = None;
        if round < 2 {
            raw.post("/v1/messages", head).await;
            raw.send(body.as_bytes()).await;
        } else {
            let mut begun = h2.post("/v1/messages", &[]).await;
            begun.send(body.as_bytes(), 16_000).await;
            exchange = Some(begun);
        }
        world.posts(1).await;
        for posts in 2..=u64::from(refusals) {
            world.waiting(1).await;
            world.clock.advance(Duration::from_secs(12));
            world.posts(posts).await;
        }
        world.waiting(1).await;

        drop(raw);
        if let Some(mut exchange) = exchange {
            exchange.upload.send_reset(h2::Reason::CANCEL);
        }

        world.waiting(0).await;
        world.gateway.settled().await;
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(world.gateway.gateway().snapshot().bodies.in_use(), 0);
        let left = world.gateway.metric("client_disconnects_total", &[]);
        assert_eq!(left.await, round as f64 + 1.0);
        assert_eq!(
            world.edge.stats().posts,
            u64::from(refusals),
            "no other POST"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_may_outlast_the_limits_on_an_upstreams_silence() {
    let full = cloudflare::queue_full().zone("api.supermemory.ai");
    let waits = [limited(), full].map(async |refusal| {
        let edge = Edge::answering([refusal.retry_after(3)]).await.unwrap();
        let own = "limits: {first_byte_timeout: 2s, idle_timeout: 2s}\n\
            retry: {attempts: 3, initial_delay: 5ms, max_delay: 9s}";
        let gateway = TestGateway::in_front_of(&edge).own(own).start().await;

        let answered = gateway.message("hi").await;

        assert_eq!(
            answered.status(),
            200,
            "the wait was ours, not the upstream's"
        );
        let seen = edge.requests();
        let apart = seen[1].arrived - seen[0].arrived;
        assert!(apart >= Duration::from_secs(3), "{apart:?}");
    });
    futures::future::join_all(waits).await;
}
