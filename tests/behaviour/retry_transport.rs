//! Connections that fail: what was never looked at is sent again, what may have been is not.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::{Alpn, At, Ca, EarlyAnswer, Edge, EdgeOptions, H2Limits, How, answer};

use crate::bodies::{renamed, sha256, turn_of};
use crate::harness::*;

const REFUSED_STREAM: u32 = 7;

async fn edge(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_tried_again_and_the_request_is_sent_once() {
    let ca = Arc::new(Ca::generate().unwrap());
    let options = |listen| EdgeOptions {
        listen,
        ca: Some(Arc::clone(&ca)),
        ..Default::default()
    };
    let away = Edge::start(options("127.0.0.1:0".parse().unwrap()))
        .await
        .unwrap();
    let (address, clock) = (away.addr(), ManualClock::default());
    let gateway = TestGateway::in_front_of(&away)
        .clock(Arc::new(clock.clone()))
        .start()
        .await;
    let others = clock.sleepers();
    away.stop().await;

    let asking = gateway.message("hi");
    let (answered, edge) = tokio::join!(asking, async {
        let refused = becomes_true(|| clock.sleepers() > others).await;
        assert!(refused, "it waits after the first refusal");
        let back = Edge::start(options(address)).await.unwrap();
        clock.advance(Duration::from_secs(1));
        back
    });

    assert_eq!(answered.status(), 200);
    assert_eq!(answered.headers()["x-memgate-attempts"], "2");
    assert_eq!(edge.stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_stays_away_is_a_502_after_the_last_attempt() {
    let edge = edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let address = edge.addr().to_string();
    edge.stop().await;

    let answered = gateway.message("hi").await;

    assert_eq!(answered.status(), 502);
    assert_eq!(answered.headers()["x-memgate-attempts"], "3");
    assert_eq!(
        answered.headers()["x-should-retry"],
        "true",
        "nothing was sent"
    );
    let said = answered.text().await.unwrap();
    assert!(said.contains("no connection to the upstream"), "{said}");
    assert!(!said.contains(&address), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http_2_says_was_not_looked_at_is_sent_again() {
    let edge = edge(Alpn::H2).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    for how in [How::Reset(REFUSED_STREAM), How::Disown] {
        // On a fresh connection and on one that has served before.
        for size in [1_000, 1_000, 300_000] {
            edge.reset();
            edge.script([answer::usual().cut(At::BeforeHead, how)]);
            let body = turn_of(size);

            let answered = gateway.post("/v1/messages").body(body.clone());
            let answered = answered.send().await.unwrap();

            assert_eq!(answered.status(), 200, "{how:?} {size}");
            let seen = edge.requests();
            assert_eq!(seen.len(), 2, "{how:?} {size}");
            assert_eq!(seen[1].body.sha256, sha256(renamed(&body).as_bytes()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_refused_before_its_body_was_read_is_sent_again() {
    let edge = edge(Alpn::H2).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let refused = answer::usual().cut(At::BeforeHead, How::Reset(REFUSED_STREAM));
    edge.script([refused.before_body(EarlyAnswer::NeverRead)]);
    let body = turn_of(300_000);

    let answered = gateway.post("/v1/messages").body(body.clone());
    let answered = answered.send().await.unwrap();

    assert_eq!(answered.status(), 200);
    let seen = edge.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].body.sha256, sha256(renamed(&body).as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_a_stream_count_as_attempts() {
    let edge = edge(Alpn::H2).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let refused = answer::usual().cut(At::BeforeHead, How::Reset(REFUSED_STREAM));
    edge.script([refused.times(20)]);

    let answered = gateway.message("hi").await;

    assert_eq!(answered.status(), 502);
    assert_eq!(
        answered.headers()["x-should-retry"],
        "true",
        "it was not looked at"
    );
    assert_eq!(edge.stats().posts, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_broke_after_it_was_sent_is_not_sent_again() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        let ways = [
            How::Abort,
            How::Truncate,
            How::Reset(0),
            How::Reset(2),
            How::Reset(8),
            How::GoAway(0),
            How::GoAway(11),
        ];
        for how in ways {
            // On a fresh connection, then on a used one: a stale connection is no excuse for a POST.
            for used in [false, true] {
                edge.reset();
                if used {
                    assert_eq!(gateway.message("warm").await.status(), 200);
                    edge.reset();
                }
                edge.script([answer::usual().cut(At::BeforeHead, how)]);

                let answered = gateway.message("hi").await;

                let what = format!("{alpn:?} {how:?} used: {used}");
                assert_eq!(answered.status(), 502, "{what}");
                assert_eq!(answered.headers()["x-should-retry"], "false", "{what}");
                assert_eq!(edge.stats().posts, 1, "{what}");
                let error: serde_json::Value = answered.json().await.unwrap();
                let said = error["error"]["message"].as_str().unwrap();
                assert!(
                    said.contains("broke off before it answered"),
                    "{what}: {said}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_off_is_not_sent_again() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        for how in [How::Abort, How::Reset(8)] {
            edge.reset();
            let cut = answer::usual().cut(At::BeforeHead, how);
            edge.script([cut.before_body(EarlyAnswer::Close)]);

            let answered = gateway.post("/v1/messages").body(turn_of(2_000_000));
            let answered = answered.send().await.unwrap();

            assert_eq!(answered.status(), 502, "{alpn:?} {how:?}");
            assert_eq!(answered.headers()["x-should-retry"], "false");
            assert_eq!(edge.stats().posts, 1, "{alpn:?} {how:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_goaway_costs_nobody_anything() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let options = EdgeOptions {
            alpn,
            h2: H2Limits {
                goaway_after: Some(3),
                ..Default::default()
            },
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        // Connections that end after three streams turn a request away more often than real ones.
        let gateway = TestGateway::in_front_of(&edge)
            .own("retry: {attempts: 16, initial_delay: 5ms, max_delay: 1s}")
            .start()
            .await;

        for round in 0..20 {
            if round % 5 == 0 {
                edge.script([answer::usual().goaway()]);
            }
            let answered = gateway.message("hi").await;
            assert_eq!(answered.status(), 200, "{alpn:?} {round}");
        }
        let answers = futures::future::join_all((0..40).map(|_| gateway.message("hi"))).await;

        for answer in answers {
            let (status, attempts) = (
                answer.status(),
                answer.headers().get("x-memgate-attempts").cloned(),
            );
            let said = answer.text().await.unwrap();
            assert_eq!(status, 200, "{alpn:?} after {attempts:?} attempts: {said}");
        }
        let answered = edge
            .requests()
            .into_iter()
            .filter(|seen| seen.status == Some(200));
        assert_eq!(answered.count(), 60, "{alpn:?}: each was answered once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_whose_body_never_ends_is_still_delivered_as_what_it_is() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge)
            .own("limits: {idle_timeout: 1s, first_byte_timeout: 60s}")
            .start()
            .await;
        for how in [How::Stall, How::Truncate, How::Abort] {
            edge.reset();
            let refusal = answer::provider_error(500, "api_error", "half of it");
            edge.script([refusal.cut(At::AfterBytes(10), how)]);

            let answered = gateway.message("hi").await;

            let what = format!("{alpn:?} {how:?}");
            let status = answered.status().as_u16();
            assert!(status == 500 || how == How::Abort, "{what}: {status}");
            assert_eq!(answered.headers()["x-should-retry"], "false", "{what}");
            let error: serde_json::Value = answered.json().await.unwrap();
            assert_eq!(error["type"], "error", "{what}");
            let ended = edge
                .wait_until(|stats| stats.in_flight == 0, PATIENCE)
                .await;
            assert!(ended && edge.stats().posts == 1, "{what}");
        }
    }
}
