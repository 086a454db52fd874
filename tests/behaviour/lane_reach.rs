//! How far does an edge's refusal reach? As far as the zone that it names.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::{Answer, Edge, Rule, cloudflare};

use crate::harness::*;
use crate::status::{lane, status};
use crate::two_ways::*;

/// Two models with different providers behind the one router.
const TWO_PROVIDERS: &str = r#"model_list:
  - model_name: claude-sonnet-4.5
    litellm_params: {model: anthropic/claude-sonnet-4-5-20250929, api_key: sk-ant-test-provider, api_base: 'https://api.supermemory.ai/v3/https://api.anthropic.com', extra_headers: {x-supermemory-api-key: sm-test-key}}
  - model_name: other
    litellm_params: {model: anthropic/claude-sonnet-4-5-20250929, api_key: sk-ant-test-provider, api_base: 'https://api.supermemory.ai/v3/https://other.example.com', extra_headers: {x-supermemory-api-key: sm-test-key}}
general_settings: {master_key: sk-test-master-0001}
user_id_mappings: {default_user_id: team}
"#;
const OTHER_LANE: &str = "api.supermemory.ai → other.example.com";

async fn two_providers(edge: &Edge) -> TestGateway {
    let gateway = before(edge, "bypass: none, queue: {timeout: 200ms}");
    gateway.models(TWO_PROVIDERS).start().await
}

async fn ask(gateway: &TestGateway, model: &str) -> u16 {
    let mut body = turn("hello");
    body["model"] = model.into();
    let request = gateway.post("/v1/messages").body(body.to_string());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_called_means_every_lane_through_it() {
    for refusal in [
        cloudflare::queue_full().zone(ROUTER),
        cloudflare::queue_full().zone("supermemory.ai"),
        cloudflare::rate_limited().zone(ROUTER),
    ] {
        let edge = two_hosts().await;
        let gateway = two_providers(&edge).await;
        edge.script([refusal.retry_after(60)]);

        let first = ask(&gateway, MODEL).await;
        let other = ask(&gateway, "other").await;

        assert_eq!((first, other), (529, 529));
        assert_eq!(
            edge.stats().posts,
            1,
            "the other model's request waits it out"
        );
        assert!(gateway.is_paused(ROUTER_LANE) && gateway.is_paused(OTHER_LANE));
        let status = status(&gateway).await;
        assert_eq!(lane(&status, ROUTER_LANE)["pause"]["cause"], "refused");
        assert_eq!(lane(&status, OTHER_LANE)["pause"]["cause"], "host");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_behind_the_host_means_its_own_lane_alone() {
    for refusal in [
        cloudflare::queue_full().zone(PROVIDER),
        cloudflare::queue_full().zone("anthropic.com"),
        cloudflare::rate_limited().zone(PROVIDER),
        cloudflare::rate_limited_page(),
    ] {
        let edge = two_hosts().await;
        let gateway = two_providers(&edge).await;
        edge.script([refusal.retry_after(60)]);

        let first = ask(&gateway, MODEL).await;
        let other = ask(&gateway, "other").await;

        assert_eq!((first, other), (529, 200));
        assert!(gateway.is_paused(ROUTER_LANE) && !gateway.is_paused(OTHER_LANE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_provider_itself_is_judged_by_its_own_answers() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([full_behind().retry_after(60)]);

    let bypassed = gateway.message("one").await;
    let free = gateway.lane_view(PROVIDER_LANE);
    provider(&edge).script([full_behind().retry_after(40)]);
    let refused = tokio::spawn(gateway.post("/v1/messages").json(&turn("two")).send());
    gateway
        .until_lane(PROVIDER_LANE, |view| !view.pause_remaining().is_zero())
        .await;
    refused.abort();

    assert_eq!(route(&bypassed), (200, "bypass"));
    assert!(free.pause_remaining().is_zero() && free.pauses.all() == 0);
    let router = gateway.lane_view(ROUTER_LANE);
    assert_eq!(
        router.pauses.all(),
        1,
        "nor does it pause the router's lane again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_names_nothing_reaches_every_lane_through_the_host() {
    let edge = two_hosts().await;
    let gateway = two_providers(&edge).await;
    let silent = cloudflare::queue_full().form(cloudflare::Form::Plain);
    edge.script([silent.retry_after(60)]);

    let first = ask(&gateway, MODEL).await;
    let other = ask(&gateway, "other").await;

    assert_eq!((first, other), (529, 529));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_own_limit_pauses_nobody() {
    let edge = two_hosts().await;
    let gateway = two_providers(&edge).await;
    let of_key: [Answer; 2] = [
        memgate::sim::answer::provider_error(429, "rate_limit_error", "slow down").retry_after(60),
        memgate::sim::answer::provider_error(529, "overloaded_error", "busy").retry_after(60),
    ];
    for refusal in of_key {
        edge.script([refusal]);

        let refused = ask(&gateway, MODEL).await;
        let next = ask(&gateway, MODEL).await;

        assert!([429, 529].contains(&refused));
        assert_eq!(next, 200, "they are of one key and one model");
        assert!(!gateway.is_paused(ROUTER_LANE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_call_is_refused_behind_the_router_there_is_one_probe_a_pause() {
    let edge = two_hosts().await;
    let clock = ManualClock::default();
    let gateway = before(&edge, "bypass: provider").clock(Arc::new(clock.clone()));
    let gateway = gateway.start().await;
    edge.rule(Rule::new(full_behind().retry_after(1)).method("POST"));

    for pauses in 1..=3 {
        for _ in 0..5 {
            let answer = gateway.message("again").await;
            assert_eq!(route(&answer), (200, "bypass"));
        }
        assert_eq!(edge.stats().posts, pauses, "one probe a pause");
        clock.advance(Duration::from_secs(1));
    }

    assert_eq!(provider(&edge).stats().posts, 15);
}
