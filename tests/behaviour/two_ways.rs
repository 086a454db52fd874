//! A world with two ways to the provider: by the router, and past it to the provider's own host.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::gateway::DirectUpstream;
use memgate::sim::{Answer, Console, DirectHost, Edge, EdgeOptions, cloudflare};
use memgate::upstream::lane::{GateView, LaneView};
use tokio::task::JoinHandle;

use crate::harness::*;

pub const ROUTER: &str = "api.supermemory.ai";
pub const PROVIDER: &str = "api.anthropic.com";
pub const ROUTER_LANE: &str = "api.supermemory.ai → api.anthropic.com";
/// The lane past the router.
pub const PROVIDER_LANE: &str = PROVIDER;

/// The least: on a clock that stands, each wait needs a push.
pub const LITTLE_JITTER: &str = "retry: {attempts: 3, initial_delay: 1ms, max_delay: 1s}";

/// Both hosts at one address, each behind an edge of its own.
pub async fn two_hosts() -> Edge {
    two_hosts_of(EdgeOptions::default()).await
}

pub async fn two_hosts_of(options: EdgeOptions) -> Edge {
    let direct = Some(options.direct.unwrap_or_default());
    Edge::start(EdgeOptions { direct, ..options })
        .await
        .unwrap()
}

/// A provider's host of its own with these gates.
pub fn provider_host(gates: cloudflare::Gates) -> Option<DirectHost> {
    Some(DirectHost {
        gates,
        ..DirectHost::default()
    })
}

/// A gateway that finds both hosts there. `direct`: settings of that section.
pub fn before(edge: &Edge, direct: &str) -> Builder {
    let at = edge.addr();
    TestGateway::in_front_of(edge).own(&format!(
        "direct: {{ca_file: ca.pem, {direct}, resolve: {{'{ROUTER}:443': '{at}', '{PROVIDER}:443': '{at}'}}}}"
    ))
}

/// One with the bypass that is usual.
pub async fn with_bypass(edge: &Edge) -> TestGateway {
    before(edge, "bypass: provider").start().await
}

/// One without another way.
pub async fn without_bypass(edge: &Edge, direct: &str) -> TestGateway {
    before(edge, &format!("bypass: none, {direct}"))
        .start()
        .await
}

/// 1200 for every host through which it is called.
pub fn full() -> Answer {
    cloudflare::queue_full().zone(ROUTER)
}

/// 1200 of the provider's edge, met behind the router.
pub fn full_behind() -> Answer {
    cloudflare::queue_full().zone(PROVIDER)
}

pub fn provider(edge: &Edge) -> &Console {
    edge.host(PROVIDER)
}

pub fn header<'a>(answer: &'a reqwest::Response, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

pub fn route(answer: &reqwest::Response) -> (u16, &str) {
    (answer.status().as_u16(), header(answer, "x-memgate-route"))
}

/// Seconds of Retry-After.
pub fn retry_after(answer: &reqwest::Response) -> u64 {
    header(answer, "retry-after").parse().unwrap()
}

impl TestGateway {
    pub fn lane(&self, name: &str) -> Arc<DirectUpstream> {
        let lanes = self.gateway().snapshot().lanes();
        let named = lanes.into_iter().find(|lane| lane.name() == name);
        named.unwrap()
    }

    pub fn lane_view(&self, name: &str) -> LaneView {
        self.lane(name).lane.view()
    }

    pub fn is_paused(&self, lane: &str) -> bool {
        matches!(self.lane_view(lane).gate, GateView::Paused { .. })
    }

    /// Comes back when the lane stands like this.
    pub async fn until_lane(&self, name: &str, stands: impl Fn(&LaneView) -> bool) {
        let lane = self.lane(name);
        if !becomes_true(|| stands(&lane.lane.view())).await {
            panic!("{name} stands otherwise: {:?}", lane.lane.view());
        }
    }

    /// Moves the clock until the jitter of those who were refused is over and so many stand in line.
    pub async fn until_in_line(&self, lane: &str, clock: &ManualClock, queued: usize) {
        const LOOK: Duration = Duration::from_millis(20);
        let stand = || self.until_lane(lane, |view| view.queued == queued);
        let pushed = async {
            while tokio::time::timeout(LOOK, stand()).await.is_err() {
                clock.advance(Duration::from_millis(1));
            }
        };
        soon(pushed).await;
    }

    /// So many turns in the same moment, each with a text of its own.
    pub fn at_once(&self, turns: usize) -> Vec<JoinHandle<reqwest::Result<reqwest::Response>>> {
        let asked = (0..turns).map(|n| {
            let request = self.post("/v1/messages").json(&turn(&n.to_string()));
            tokio::spawn(request.send())
        });
        asked.collect()
    }

    /// A turn of one of Claude Code's sessions.
    pub async fn message_of(&self, session: &str, text: &str) -> reqwest::Response {
        let request = self.post("/v1/messages").body(turn(text).to_string());
        let request = request.header("x-claude-code-session-id", session);
        soon(request.send()).await.unwrap()
    }
}
