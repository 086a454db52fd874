//! Round the router's lane while it is closed: to the provider itself or to LiteLLM, without memory, said and counted.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::cloudflare::{self, Form};
use memgate::sim::{Answer, At, Encoding, Hold, How, LiteLlm, Rule, answer};
use serde_json::Value;

use crate::harness::*;
use crate::logs;
use crate::two_ways::*;

/// As it was met while calling the router, word for word.
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en-US"><head><title>Rate Limited</title><meta charset="UTF-8" /></head>
<body><div id="cf-wrapper"><div id="cf-error-details">
<h1><span class="cf-error-type">Error</span> <span class="cf-error-code">1200</span></h1>
<h2>This website has been temporarily rate limited</h2>
<p>Too many requests for api.anthropic.com. Try again later.</p>
<p>Cloudflare Ray ID: <strong>99798f8c4cb7ecbe</strong></p>
</div></div></body></html>"#;

fn page_in_the_wild() -> Answer {
    answer::status(503)
        .header("content-type", "text/html; charset=UTF-8")
        .header("server", "cloudflare")
        .header("cf-ray", "99798f8c4cb7ecbe-WAW")
        .body(PAGE)
}

fn assert_bypassed(answer: &reqwest::Response) {
    assert_eq!(route(answer), (200, "bypass"));
    assert_eq!(header(answer, "x-memgate-memory"), "bypassed");
    for theirs in ["retry-after", "set-cookie"] {
        assert_eq!(answer.headers().get(theirs), None, "{theirs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_that_started_it_all_costs_no_client_anything() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([page_in_the_wild()]);

    let same = gateway.message("met it").await;
    let next = gateway.message("came after").await;

    assert_bypassed(&same);
    assert_bypassed(&next);
    assert_eq!(header(&same, "x-memgate-attempts"), "2");
    assert_eq!(header(&next, "x-memgate-attempts"), "1");
    for answer in [same, next] {
        let turn: Value = answer.json().await.unwrap();
        assert_eq!(turn["type"], "message", "a model's turn and no page");
    }
    assert_eq!(edge.stats().posts, 1, "the router is asked no second time");
    assert_eq!(provider(&edge).stats().posts, 2);
    let view = gateway.lane_view(ROUTER_LANE);
    let pause = view.pause_remaining();
    assert!((50..=60).contains(&pause.as_secs()), "{pause:?}");
    assert!(
        !gateway.is_paused(PROVIDER_LANE),
        "what lies behind the router is no word about the way past it"
    );
    for reason in ["edge_refused", "lane_paused"] {
        let labels = [("lane", ROUTER_LANE), ("reason", reason)];
        gateway.counts("bypassed_total", &labels, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_the_provider_itself_carries_its_own_key_and_nothing_of_the_routers() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([page_in_the_wild()]);

    let request = gateway
        .post("/v1/messages?beta=true")
        .body(turn("hello").to_string());
    let answer = request
        .header("anthropic-beta", "b1")
        .header("x-custom", "kept")
        .header("x-memory-user-id", "alice")
        .send()
        .await
        .unwrap();

    assert_bypassed(&answer);
    let seen = provider(&edge).requests().pop().unwrap();
    assert_eq!(
        (seen.target.as_str(), seen.authority.as_str()),
        ("/v1/messages?beta=true", PROVIDER)
    );
    for (name, value) in [
        ("x-api-key", PROVIDER_KEY),
        ("anthropic-beta", "b1"),
        ("anthropic-version", "2023-06-01"),
        ("x-custom", "kept"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    for (name, value) in &seen.headers {
        let routers = ["x-sm-", "x-supermemory-", "x-memory-user-id"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        assert!(!routers, "{name}");
        for word in [MASTER, SUPERMEMORY_KEY, "supermemory"] {
            assert!(!value.contains(word), "{name}: {value}");
        }
    }
    assert_eq!(seen.json()["model"], UPSTREAM_MODEL);
    let sent_before = edge.requests().pop().unwrap();
    assert_eq!(seen.body.sha256, sent_before.body.sha256, "the same bytes");
    assert_eq!(provider(&edge).stats().leaks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_line_of_a_bypassed_request_says_so_and_why() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([page_in_the_wild()]);

    for (id, reason, attempts) in [
        ("bypass-line-met", "edge_refused", 2),
        ("bypass-line-next", "lane_paused", 1),
    ] {
        let request = gateway.post("/v1/messages").header("x-request-id", id);
        let request = request.body(turn("hello").to_string());
        assert_bypassed(&request.send().await.unwrap());
        let line = logs::access_line(id).await;

        for (name, value) in [
            ("route", "bypass"),
            ("bypassed", reason),
            ("memory", "bypassed"),
            ("upstream", PROVIDER_LANE),
            ("outcome", "ok"),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
        assert_eq!(line["attempts"], attempts, "{line}");
    }
    let bypassed = [("state", "bypassed")];
    gateway.counts("memory_total", &bypassed, 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_1200_reaches_a_client_by_whichever_edge_it_was_made() {
    let edge = two_hosts().await;
    let clock = ManualClock::default();
    let gateway = before(&edge, "bypass: provider");
    let gateway = gateway.clock(Arc::new(clock.clone())).start().await;
    for zone in [ROUTER, "supermemory.ai", PROVIDER] {
        for form in [Form::Html, Form::Json, Form::Markdown, Form::Plain] {
            for encoding in [None, Some(Encoding::Gzip), Some(Encoding::Br)] {
                let refusal = cloudflare::queue_full().zone(zone).form(form);
                edge.script([match encoding {
                    Some(encoding) => refusal.compressed(encoding),
                    None => refusal,
                }]);

                let answer = gateway.message("hello").await;

                assert_bypassed(&answer);
                assert_eq!(edge.script_waiting(), 0, "{zone} {form:?} {encoding:?}");
                clock.advance(Duration::from_secs(61));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_bypassed_as_any_other_request_and_arrives_whole() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([page_in_the_wild()]);

    let request = gateway.post("/v1/messages").body(streamed(MODEL, "hello"));
    let mut answer = request.send().await.unwrap();
    let (events, whole) = read_out(&mut answer).await;

    assert_bypassed(&answer);
    assert!(whole && String::from_utf8_lossy(&events).contains("event: message_stop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_both_ways_are_refused_the_client_hears_an_overload_and_when_to_come_back() {
    let edge = two_hosts().await;
    let gateway = before(&edge, "bypass: provider, queue: {timeout: 200ms}")
        .start()
        .await;
    edge.script([full().retry_after(30)]);
    provider(&edge).script([cloudflare::queue_full().zone(PROVIDER).retry_after(40)]);

    let answer = gateway.message("hello").await;

    assert_eq!(route(&answer), (529, "bypass"));
    assert!(
        (30..=48).contains(&retry_after(&answer)),
        "{:?}",
        answer.headers()
    );
    assert_eq!(
        header(&answer, "x-should-retry"),
        "true",
        "neither host let it in"
    );
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["error"]["type"], "overloaded_error");
    assert!(gateway.is_paused(ROUTER_LANE) && gateway.is_paused(PROVIDER_LANE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_turned_stays_past_the_router_for_a_while() {
    let edge = two_hosts().await;
    let gateway = before(&edge, "bypass: provider, bypass_sticky: 1h")
        .start()
        .await;
    edge.script([full().retry_after(1)]);

    let turned = gateway.message_of("s-1", "one").await;
    gateway
        .until_lane(ROUTER_LANE, |view| view.pause_remaining().is_zero())
        .await;
    let later = gateway.message_of("s-1", "two").await;
    let other = gateway.message_of("s-2", "three").await;
    let without = gateway.message("four").await;

    assert_bypassed(&turned);
    assert_bypassed(&later);
    assert_eq!(route(&other), (200, "direct"), "a session of its own");
    assert_eq!(route(&without), (200, "direct"), "of no session");
    let sticky = [("lane", ROUTER_LANE), ("reason", "sticky")];
    gateway.counts("bypassed_total", &sticky, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_comes_back_to_its_memory_when_its_while_is_over() {
    let edge = two_hosts().await;
    let clock = ManualClock::default();
    let gateway = before(&edge, "bypass: provider, bypass_sticky: 5m");
    let gateway = gateway.clock(Arc::new(clock.clone())).start().await;
    edge.script([full().retry_after(60)]);
    gateway.message_of("s-1", "one").await;

    clock.advance(Duration::from_secs(299));
    let within = gateway.message_of("s-1", "two").await;
    clock.advance(Duration::from_secs(1));
    let after = gateway.message_of("s-1", "three").await;

    assert_eq!(route(&within), (200, "bypass"));
    assert_eq!(
        route(&after),
        (200, "direct"),
        "what is sticky is not prolonged"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_session_come_back_as_soon_as_the_lane_is_open() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.script([full().retry_after(1)]);

    let turned = gateway.message("one").await;
    gateway
        .until_lane(ROUTER_LANE, |view| view.pause_remaining().is_zero())
        .await;
    let later = gateway.message("two").await;

    assert_bypassed(&turned);
    assert_eq!(route(&later), (200, "direct"));
    assert_eq!(header(&later, "x-memgate-memory"), "on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bypass_by_litellm_goes_under_the_name_that_litellm_knows() {
    let edge = two_hosts().await;
    let litellm = LiteLlm::start(Default::default()).await.unwrap();
    let gateway = before(&edge, "bypass: litellm").with_litellm(&litellm);
    let gateway = gateway.start().await;
    edge.script([page_in_the_wild()]);
    let body = turn("hello").to_string();

    // The one that met it, and the next.
    for posts in [1, 2] {
        let request = gateway.post("/v1/messages").body(body.clone());
        let request = request.header("anthropic-version", "2023-06-01");
        let answer = request.send().await.unwrap();

        assert_bypassed(&answer);
        assert_eq!(header(&answer, "x-memgate-body"), "identical");
        assert_eq!(litellm.stats().posts, posts);
    }
    for seen in asked(&litellm) {
        assert_eq!(seen.path(), "/v1/messages");
        assert_eq!(seen.body.kept, body.as_bytes(), "as the client wrote it");
        let key = format!("Bearer {MASTER}");
        assert_eq!(seen.header("authorization"), Some(&*key));
        assert_eq!(
            seen.header("x-api-key"),
            None,
            "LiteLLM has a key of its own"
        );
        assert_eq!(seen.header("x-supermemory-api-key"), None);
    }
    assert_eq!((edge.stats().posts, provider(&edge).stats().posts), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bypass_the_request_waits_for_the_lane() {
    let edge = two_hosts().await;
    let gateway = without_bypass(&edge, "queue: {timeout: 9s}").await;
    edge.script([full().retry_after(1)]);

    let answer = gateway.message("hello").await;

    assert_eq!(route(&answer), (200, "direct"));
    assert_eq!(header(&answer, "x-memgate-memory"), "on");
    let seen = edge.requests();
    assert!(seen[1].arrived - seen[0].arrived >= Duration::from_secs(1));
    assert_eq!(provider(&edge).stats().posts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_is_waited_for_a_moment_and_then_bypassed() {
    let edge = two_hosts().await;
    let direct = "bypass: provider, max_concurrency: 1, queue: {timeout: 9s, before_bypass: 50ms}";
    let gateway = before(&edge, direct).start().await;
    edge.script([answer::usual().cut(At::AfterEvents(1), How::Stall)]);
    let request = gateway.post("/v1/messages").body(streamed(MODEL, "long"));
    let mut long = request.send().await.unwrap();
    read_until(&mut long, "message_start").await;

    let answer = gateway.message("hello").await;

    assert_bypassed(&answer);
    assert_eq!(edge.stats().posts, 1);
    let full = [("lane", ROUTER_LANE), ("reason", "lane_full")];
    gateway.counts("bypassed_total", &full, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_the_provider_itself_leaves_the_router_alone() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;

    gateway.pause_host(PROVIDER, Duration::from_secs(60));

    assert_eq!(route(&gateway.message("hello").await), (200, "direct"));
    assert!(!gateway.is_paused(ROUTER_LANE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_a_bypass_that_was_reached_at_the_start_waits_a_quarter_of_a_second_for_the_first()
 {
    let edge = two_hosts().await;
    let clock = ManualClock::default();
    let gateway = before(&edge, "bypass: provider").clock(Arc::new(clock.clone()));
    let gateway = gateway.start().await;
    let bypass = gateway.lane(PROVIDER_LANE);
    assert!(becomes_true(|| *bypass.reachable.lock() == Some(true)).await);
    let hold = Hold::default();
    provider(&edge).rule(Rule::new(answer::usual().held(&hold)).method("POST"));
    gateway.pause_host(ROUTER, Duration::from_secs(60));

    let clients = gateway.at_once(100);

    let stands = |in_flight, queued| {
        gateway.until_lane(PROVIDER_LANE, move |view| {
            (view.in_flight, view.queued) == (in_flight, queued)
        })
    };
    stands(1, 99).await;
    assert!(becomes_true(|| provider(&edge).stats().in_flight == 1).await);
    clock.advance(Duration::from_millis(250));
    stands(33, 67).await;
    hold.release();
    for client in clients {
        assert_eq!(
            route(&soon(client).await.unwrap().unwrap()),
            (200, "bypass")
        );
    }
}
