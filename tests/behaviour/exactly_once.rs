//! Never a second POST where the first may have been processed, by no way at all.

use memgate::sim::{Alpn, Answer, At, EdgeOptions, How, answer, cloudflare};
use serde_json::Value;

use crate::two_ways::*;

/// What may have been billed, and written to memory.
fn perhaps_processed() -> Vec<(&'static str, Answer)> {
    let cut = |how| answer::usual().cut(At::BeforeHead, how);
    vec![
        ("524", cloudflare::error(524)),
        ("520", cloudflare::error(520)),
        ("522", cloudflare::error(522)),
        ("1101", cloudflare::worker_crashed()),
        ("524 of the provider", cloudflare::error(524).zone(PROVIDER)),
        ("a TCP reset", cut(How::Abort)),
        ("RST_STREAM INTERNAL_ERROR", cut(How::Reset(2))),
        ("RST_STREAM CANCEL", cut(How::Reset(8))),
        ("an end without an answer", cut(How::Truncate)),
        ("GOAWAY with an error", cut(How::GoAway(2))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_processed_is_posted_once_though_there_is_a_bypass() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = two_hosts_of(EdgeOptions {
            alpn,
            ..EdgeOptions::default()
        })
        .await;
        // So many failures are no circuit's business here.
        let direct = "bypass: provider, circuit: {requests: 1000}";
        let gateway = before(&edge, direct).start().await;
        for (what, ending) in perhaps_processed() {
            edge.reset();
            edge.script([ending]);

            let answer = gateway.message("hello").await;

            let what = format!("{alpn:?} {what}");
            assert!(
                answer.status().as_u16() >= 500,
                "{what}: {}",
                answer.status()
            );
            assert_eq!(header(&answer, "x-memgate-route"), "direct", "{what}");
            assert_eq!(header(&answer, "x-memgate-attempts"), "1", "{what}");
            assert_eq!(header(&answer, "x-should-retry"), "false", "{what}");
            let error: Value = answer.json().await.unwrap();
            assert_eq!(error["type"], "error", "{what}: {error}");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.len() > 20, "{what}: {message}");
            assert_eq!(edge.stats().posts, 1, "{what}");
            assert_eq!(provider(&edge).stats().posts, 0, "{what}");
        }
        assert!(!gateway.is_paused(ROUTER_LANE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_that_nobody_proved_is_delivered_and_not_posted_again() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    for status in [500, 502, 503, 504] {
        edge.reset();
        edge.script([answer::status(status).retry_after(1)]);

        let answer = gateway.message("hello").await;

        assert_eq!(route(&answer), (status, "direct"));
        assert_eq!((edge.stats().posts, provider(&edge).stats().posts), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_after_a_slow_upload_was_whole_is_not_repeated_either() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = two_hosts_of(EdgeOptions {
            alpn,
            ..EdgeOptions::default()
        })
        .await;
        let gateway = with_bypass(&edge).await;
        edge.script([answer::usual().cut(At::BeforeHead, How::Abort)]);

        let answer = gateway.message(&"x".repeat(600_000)).await;

        assert_eq!(answer.status(), 502, "{alpn:?}");
        assert_eq!(header(&answer, "x-should-retry"), "false");
        let seen = edge.requests();
        assert_eq!(seen.len(), 1, "{alpn:?}");
        assert!(seen[0].body.complete);
        assert_eq!(provider(&edge).stats().posts, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certainly_was_not_processed_goes_round_and_costs_the_client_nothing() {
    for (what, refusal) in [
        ("521", cloudflare::error(521)),
        ("523", cloudflare::error(523)),
        ("530", cloudflare::error(530)),
        ("1016", cloudflare::error(1016)),
        ("1025", cloudflare::error(1025)),
        ("1027", cloudflare::error(1027)),
    ] {
        let edge = two_hosts().await;
        let gateway = with_bypass(&edge).await;
        edge.script([refusal]);

        let answer = gateway.message("hello").await;

        assert_eq!(route(&answer), (200, "bypass"), "{what}");
        assert_eq!(
            (edge.stats().posts, provider(&edge).stats().posts),
            (1, 1),
            "{what}"
        );
        let reason = [("lane", ROUTER_LANE), ("reason", "route_down")];
        gateway.counts("bypassed_total", &reason, 1.0).await;
    }
}
