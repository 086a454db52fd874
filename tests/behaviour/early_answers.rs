//! Answers that come before the body was read: how an edge refuses.

use std::time::{Duration, Instant};

use memgate::sim::{
    Alpn, Answer, EarlyAnswer, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, answer, cloudflare,
};

use crate::bodies::{renamed, sha256, turn_of};
use crate::harness::*;
use crate::wire;

const MANNERS: [EarlyAnswer; 4] = [
    EarlyAnswer::ReadOn,
    EarlyAnswer::Close,
    EarlyAnswer::NeverRead,
    EarlyAnswer::ResetNoError,
];

async fn edge(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

/// Status, how it is classified, and the answer.
fn refusals() -> [(u16, &'static str, Answer); 4] {
    [
        (
            529,
            "edge_queue_full",
            cloudflare::queue_full()
                .zone("api.anthropic.com")
                .retry_after(0),
        ),
        (
            529,
            "edge_rate_limited",
            cloudflare::rate_limited().retry_after(0),
        ),
        (403, "edge_blocked", cloudflare::denied()),
        (
            413,
            "provider_too_large",
            answer::provider_error(413, "request_too_large", "too large"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_refusal_over_http_1_is_delivered_classified_and_counts_one_post() {
    refuse_early(Alpn::H1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_refusal_over_http_2_is_delivered_classified_and_counts_one_post() {
    refuse_early(Alpn::H2).await;
}

async fn refuse_early(alpn: Alpn) {
    let edge = edge(alpn).await;
    let gateway = TestGateway::in_front_of(&edge)
        .own("retry: {attempts: 1}")
        .start()
        .await;
    for size in [200_000, 5_000_000] {
        let body = turn_of(size);
        for early in MANNERS {
            for (status, class, refusal) in refusals() {
                edge.reset();
                let token = format!("{size}-{early:?}-{class}");
                let cookie = cloudflare::set_cookie("__cf_bm", &token, None, None);
                edge.script([refusal.before_body(early).header("set-cookie", cookie)]);
                let before = counted(&gateway, class).await;

                let answer = gateway.post("/v1/messages").body(body.clone());
                let answer = answer.send().await.unwrap();

                let what = format!("{alpn:?} {token}");
                assert_eq!(answer.status(), status, "{what}");
                assert_eq!(edge.stats().posts, 1, "{what}");
                let error: serde_json::Value = answer.json().await.unwrap();
                assert_eq!(error["type"], "error", "{what}");
                let attempts = "upstream_attempts_total";
                let of_class = [("outcome", class)];
                gateway.counts(attempts, &of_class, before + 1.0).await;
                gateway.message("next").await;
                let next = edge.requests().pop().unwrap();
                assert_eq!(next.cookie("__cf_bm"), Some(&*token), "{what}");
                assert_eq!(next.status, Some(200), "{what}");
            }
        }
    }
}

/// Attempts so far with this outcome.
async fn counted(gateway: &TestGateway, outcome: &str) -> f64 {
    gateway
        .metric("upstream_attempts_total", &[("outcome", outcome)])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_two_early_refusals_the_third_attempt_sends_the_whole_body() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        for early in MANNERS {
            edge.reset();
            let refusal = answer::provider_error(429, "rate_limit_error", "slow down");
            edge.script([refusal.retry_after(0).before_body(early).times(2)]);
            let body = turn_of(300_000);

            let answer = gateway.post("/v1/messages").body(body.clone());
            let answer = answer.send().await.unwrap();

            assert_eq!(answer.status(), 200, "{alpn:?} {early:?}");
            assert_eq!(edge.stats().posts, 3, "{alpn:?} {early:?}");
            let last = edge.requests().pop().unwrap();
            let expected = sha256(renamed(&body).as_bytes());
            assert_eq!(last.body.sha256, expected, "{alpn:?} {early:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_uploads_at_once_outlive_sixty_early_refusals() {
    let edge = edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge)
        .own("retry: {attempts: 12, initial_delay: 1ms, max_delay: 1s}")
        .start()
        .await;
    let refusal = answer::provider_error(429, "rate_limit_error", "slow down");
    let refusal = refusal
        .retry_after(0)
        .before_body(EarlyAnswer::ResetNoError);
    edge.rule(memgate::sim::Rule::new(refusal).first(60));
    let body = turn_of(200_000);

    let sent = (0..60).map(|_| gateway.post("/v1/messages").body(body.clone()).send());
    let answers = futures::future::join_all(sent).await;

    let statuses: Vec<u16> = answers
        .into_iter()
        .map(|a| a.unwrap().status().as_u16())
        .collect();
    assert_eq!(statuses, vec![200; 60]);
    assert_eq!(edge.stats().posts, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_refused_early_is_told_whether_its_connection_lasts() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        for early in MANNERS {
            edge.script([cloudflare::denied().before_body(early)]);
            let body = turn_of(300_000);
            let mut raw = wire::Raw::connect(gateway.address()).await;

            raw.post("/v1/messages", "content-length: 300000\r\n").await;
            raw.send(body.as_bytes()).await;
            let refused = raw.reply().await;
            assert_eq!(refused.status, 403, "{alpn:?} {early:?}");
            if refused.header("connection") != "close" {
                raw.post("/v1/messages", "content-length: 300000\r\n").await;
                raw.send(body.as_bytes()).await;
                assert_eq!(raw.reply().await.status, 200, "{alpn:?} {early:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_refusal_by_a_server_that_never_reads_is_heard_while_the_upload_is_stuck() {
    let edge = edge(Alpn::H1).await;
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    let held = ("/v1/messages", &*edge);
    let streamed = ("/v1/files", &*litellm);
    for (path, upstream) in [held, streamed] {
        let refusal = answer::provider_error(413, "request_too_large", "too large")
            .before_body(EarlyAnswer::NeverRead);
        upstream.script([refusal.delay(Duration::from_millis(400))]);
        let asked = Instant::now();

        let answer = gateway.post(path).body(turn_of(5_000_000));
        let answer = answer.send().await.unwrap();

        assert_eq!(answer.status(), 413, "{path}");
        let waited = asked.elapsed();
        assert!(waited < Duration::from_secs(20), "{path} after {waited:?}");
        assert_eq!(upstream.stats().posts, 1, "{path}");
    }
}
