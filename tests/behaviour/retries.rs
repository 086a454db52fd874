//! The first retry: which answers are tried again, how often, and what the client sees of it.

use memgate::sim::{Alpn, Answer, At, Edge, EdgeOptions, How, answer, cloudflare};
use serde_json::{Value, json};

use crate::harness::*;

/// A direct model without a router in front: the edge's zone is the host called.
const PLAIN: &str = r#"model_list:
  - model_name: claude-sonnet-4.5
    litellm_params: {model: anthropic/claude-sonnet-4-5-20250929, api_key: sk-ant-test-provider, api_base: 'https://api.supermemory.ai'}
general_settings: {master_key: sk-test-master-0001}
"#;

fn limited() -> Answer {
    answer::provider_error(429, "rate_limit_error", "slow down")
}

fn spent() -> Answer {
    let error = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "spent", "details": {"error_code": "enforced_spend_limit_reached"}}});
    answer::json(429, &error)
}

fn of_provider(code: u16) -> Answer {
    cloudflare::error(code)
        .zone("api.anthropic.com")
        .retry_after(0)
}

fn of_host(code: u16) -> Answer {
    cloudflare::error(code)
        .zone("api.supermemory.ai")
        .retry_after(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_safe_is_sent_once_more_and_answered_as_if_nothing_had_been() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = Edge::start(EdgeOptions {
            alpn,
            ..Default::default()
        })
        .await
        .unwrap();
        let gateway = TestGateway::in_front_of(&edge).start().await;
        for (what, refusal) in [
            ("429 with retry-after", limited().retry_after(0)),
            (
                "529",
                answer::provider_error(529, "overloaded_error", "busy"),
            ),
            ("1200 of the host called", of_host(1200)),
            (
                "1200 of its domain",
                cloudflare::queue_full()
                    .zone("supermemory.ai")
                    .retry_after(0),
            ),
            ("1200 as a page", of_host(1200).form(cloudflare::Form::Html)),
            (
                "1200 in Markdown",
                of_host(1200).form(cloudflare::Form::Markdown),
            ),
            ("1015 of the host called", of_host(1015)),
            ("521", cloudflare::error(521)),
            ("523", cloudflare::error(523)),
        ] {
            edge.reset();
            edge.script([refusal]);

            let answered = gateway.message("hi").await;

            assert_eq!(answered.status(), 200, "{alpn:?} {what}");
            assert_eq!(answered.headers()["x-memgate-attempts"], "2", "{what}");
            assert!(answered.headers().get("retry-after").is_none(), "{what}");
            assert_eq!(edge.stats().posts, 2, "{alpn:?} {what}");
        }
    }
}

/// Refusals that must be sent no second time: the status the client sees, and whether it may do so itself.
fn unsafe_to_repeat() -> Vec<(&'static str, Answer, u16)> {
    let error = |status, kind| answer::provider_error(status, kind, "no");
    let status = |status| answer::status(status).body("upstream says no");
    vec![
        ("spend limit", spent(), 429),
        ("429 without retry-after", limited(), 429),
        (
            "usage limit",
            answer::provider_error(
                400,
                "invalid_request_error",
                "You have reached your specified API usage limits.",
            )
            .retry_after(0),
            400,
        ),
        ("402", error(402, "billing_error").retry_after(0), 402),
        ("403", error(403, "permission_error").retry_after(0), 403),
        ("1010", cloudflare::error(1010), 403),
        ("1020", cloudflare::denied(), 403),
        ("challenge", cloudflare::challenge(), 403),
        ("1025", cloudflare::error(1025).retry_after(0), 429),
        ("503 unproved", status(503).retry_after(0), 503),
        (
            "503 of the provider",
            error(503, "api_error").retry_after(0),
            503,
        ),
        ("500", error(500, "api_error"), 500),
        ("500 unproved", status(500), 500),
        ("502", status(502), 502),
        ("504", status(504), 504),
        ("504 of the provider", error(504, "timeout_error"), 504),
        ("1101", cloudflare::worker_crashed(), 500),
        ("1102", cloudflare::error(1102), 503),
        ("520", cloudflare::error(520), 520),
        ("522", cloudflare::error(522), 522),
        ("524", cloudflare::error(524), 524),
        ("525", cloudflare::error(525), 525),
        ("526", cloudflare::error(526), 526),
        ("530", cloudflare::error(530), 530),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_billed_or_will_not_help_is_sent_exactly_once() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = Edge::start(EdgeOptions {
            alpn,
            ..Default::default()
        })
        .await
        .unwrap();
        let gateway = TestGateway::in_front_of(&edge).start().await;
        for (what, refusal, status) in unsafe_to_repeat() {
            edge.reset();
            edge.script([refusal]);

            let answered = gateway.message("hi").await;

            assert_eq!(answered.status(), status, "{alpn:?} {what}");
            assert_eq!(answered.headers()["x-memgate-attempts"], "1", "{what}");
            assert_eq!(edge.stats().posts, 1, "{alpn:?} {what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_from_behind_the_router_is_repeated_and_counted_as_a_possible_duplicate() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    for (counted, refusal) in [
        (1.0, of_provider(1200)),
        (2.0, of_provider(1015)),
        (2.0, of_host(1200)),
    ] {
        edge.reset();
        edge.script([refusal]);

        let answered = gateway.message("hi").await;

        assert_eq!(answered.status(), 200);
        assert_eq!(edge.stats().posts, 2);
        gateway.settled().await;
        let duplicates = gateway.metric("possible_duplicates_total", &[]).await;
        assert_eq!(duplicates, counted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_edge_that_is_not_waited_out_is_said_as_overload() {
    for (what, refusal, pause, should_retry) in [
        ("the host called", of_host(1200).retry_after(45), 45, "true"),
        ("the host's limit", of_host(1015).retry_after(9), 9, "true"),
        (
            "the zone behind",
            of_provider(1200).retry_after(45),
            45,
            "false",
        ),
        (
            "as met in the wild",
            cloudflare::rate_limited_page(),
            60,
            "false",
        ),
        (
            "no zone at all, behind which there is a router",
            cloudflare::queue_full()
                .form(cloudflare::Form::Plain)
                .retry_after(45),
            45,
            "false",
        ),
        ("at the last attempt", of_host(1200).times(3), 1, "true"),
    ] {
        let edge = Edge::answering([]).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge).queue_timeout("1s");
        let gateway = gateway.start().await;
        edge.script([refusal]);

        let answered = gateway.message("hi").await;

        assert_eq!(answered.status(), 529, "{what}");
        let headers = answered.headers().clone();
        let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
        // Spread a little, so that not everybody comes back at once.
        assert!((pause..=pause + 5).contains(&wait), "{what}: {wait}");
        assert_eq!(headers["x-should-retry"], should_retry, "{what}");
        assert_eq!(headers["x-memgate-route"], "direct", "{what}");
        for theirs in ["cf-ray", "server", "cf-cache-status"] {
            assert_eq!(headers.get(theirs), None, "{what}");
        }
        let error: Value = answered.json().await.unwrap();
        assert_eq!(error["error"]["type"], "overloaded_error", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_not_to_repeat_what_may_have_been_processed() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    for (refusal, told) in [
        (cloudflare::error(520), Some("false")),
        (cloudflare::error(524), Some("false")),
        (cloudflare::worker_crashed(), Some("false")),
        (
            answer::status(502).body("<html>bad gateway</html>"),
            Some("false"),
        ),
        (limited(), None),
    ] {
        edge.script([refusal]);

        let answered = gateway.message("hi").await;

        let header = answered.headers().get("x-should-retry").cloned();
        let header = header.map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(
            header.as_deref(),
            told,
            "{}",
            answered.text().await.unwrap()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_never_more_attempts_than_allowed() {
    for attempts in [1_u32, 2, 5] {
        let edge = Edge::answering([]).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge)
            .own(&format!(
                "retry: {{attempts: {attempts}, initial_delay: 1ms, max_delay: 1s}}"
            ))
            .start()
            .await;
        edge.script([limited().retry_after(0).times(20)]);

        let answered = gateway.message("hi").await;

        assert_eq!(answered.status(), 429);
        assert_eq!(
            answered.headers()["x-memgate-attempts"],
            attempts.to_string()
        );
        assert_eq!(
            answered.headers()["retry-after"],
            "0",
            "the provider's answer, untouched"
        );
        let body: Value = answered.json().await.unwrap();
        assert_eq!(body["error"]["message"], "slow down");
        assert_eq!(edge.stats().posts, u64::from(attempts));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_names_no_zone_is_the_hosts_own_where_nothing_is_behind_it() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).models(PLAIN).start().await;
    edge.script([cloudflare::queue_full()
        .form(cloudflare::Form::Plain)
        .retry_after(0)]);

    let answered = gateway.message("hi").await;

    assert_eq!((answered.status().as_u16(), edge.stats().posts), (200, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn litellms_errors_pass_untouched_and_are_not_repeated() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = memgate::sim::LiteLlm::start(Default::default())
        .await
        .unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    for status in [429, 500, 503, 529] {
        litellm.reset();
        litellm.script([
            answer::json(status, &json!({"error": {"message": "LiteLLM's"}})).retry_after(0),
        ]);

        let body = turn("hi").to_string().replace(MODEL, OTHER);
        let answered = gateway
            .post("/v1/messages")
            .body(body)
            .send()
            .await
            .unwrap();

        assert_eq!(answered.status(), status);
        assert_eq!(
            answered.text().await.unwrap(),
            r#"{"error":{"message":"LiteLLM's"}}"#
        );
        assert_eq!(litellm.stats().posts, 1, "LiteLLM has retries of its own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_repeated_once_a_byte_has_reached_the_client() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = Edge::start(EdgeOptions {
            alpn,
            ..Default::default()
        })
        .await
        .unwrap();
        let gateway = TestGateway::in_front_of(&edge).start().await;
        // REFUSED_STREAM and a disowning GOAWAY say that nothing was done; the answer that began says otherwise.
        for how in [How::Abort, How::Reset(7), How::Disown, How::Truncate] {
            for at in [At::AfterHead, At::AfterEvents(1), At::AfterEvents(3)] {
                edge.reset();
                edge.script([answer::usual().cut(at, how)]);

                // The connection may be closed after it.
                let asking = Down::H1.client().post(gateway.url("/v1/messages"));
                let asking = asking.bearer_auth(MASTER).body(streamed(MODEL, "hi"));
                let answered = asking.send().await.unwrap();
                let status = answered.status().as_u16();
                let _ = answered.bytes().await;

                assert_eq!(edge.stats().posts, 1, "{alpn:?} {at:?} {how:?}");
                // A TCP reset may overtake the head.
                let begun = status == 200 || how == How::Abort || alpn == Alpn::H1;
                assert!(begun, "{status} {alpn:?} {at:?} {how:?}");
            }
        }
    }
}
