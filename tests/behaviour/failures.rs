//! Upstreams that fail before they answer, and a gateway that is full.

use memgate::sim::answer::{self, At, How};
use memgate::sim::{Alpn, Edge, EdgeOptions, LiteLlm, LiteLlmOptions};
use serde_json::json;

use crate::errors::{BOTH, CHAT, MESSAGES, check, tells_nothing_internal, world};
use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_finds_no_room_for_its_body_is_a_503_to_be_sent_again() {
    let world = world("limits: {body: 64KiB, bodies_in_flight: 64KiB}").await;
    let held = json!({"model": OTHER, "messages": ["x".repeat(60_000)]}).to_string();
    world
        .litellm
        .script([answer::usual().cut(At::BeforeHead, How::Stall)]);
    let holder = tokio::spawn(world.gateway.post(CHAT).body(held.clone()).send());
    assert!(
        world
            .litellm
            .wait_until(|stats| stats.posts == 1, PATIENCE)
            .await
    );

    for path in BOTH {
        let answer = soon(world.gateway.post(path).body(held.clone()).send())
            .await
            .unwrap();

        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(answer.headers()["x-should-retry"], "true");
        check(answer, path, 503, "overloaded_error", "bodies_in_flight").await;
    }
    holder.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_there_is_a_502() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let nobody = Nobody::new();
    let resolve = format!(
        "direct: {{bypass: none, ca_file: ca.pem, resolve: {{'api.supermemory.ai:443': '{}'}}}}",
        nobody.address()
    );
    let builder = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .own(&resolve);
    let gateway = builder.start().await;
    litellm.stop().await;

    let direct = soon(gateway.message("x")).await;
    let body = json!({"model": OTHER}).to_string();
    let by_litellm = soon(gateway.post(CHAT).body(body).send()).await.unwrap();

    assert_eq!(direct.headers()["x-memgate-attempts"], "3");
    assert_eq!(direct.headers()["x-should-retry"], "true");
    check(direct, MESSAGES, 502, "api_error", "upstream_connect").await;
    check(by_litellm, CHAT, 502, "server_error", "upstream_connect").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_with_another_certificate_is_a_502_and_gets_nothing() {
    let (edge, stranger) = (
        Edge::answering([]).await.unwrap(),
        Edge::answering([]).await.unwrap(),
    );
    let resolve = format!(
        "direct: {{bypass: none, ca_file: ca.pem, resolve: {{'api.supermemory.ai:443': '{}'}}}}",
        stranger.addr()
    );
    let gateway = TestGateway::in_front_of(&edge).own(&resolve).start().await;

    let answer = soon(gateway.message("x")).await;

    assert_eq!(answer.headers()["x-should-retry"], "true");
    check(answer, MESSAGES, 502, "api_error", "upstream_tls").await;
    assert_eq!(stranger.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_whose_name_is_unknown_is_a_502() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let models = MODELS.replace("api.supermemory.ai", "nobody.invalid");
    let builder = TestGateway::in_front_of(&edge).models(&models);
    let own = "direct: {domains: [invalid], ca_file: ca.pem}";
    let gateway = builder.own(own).start().await;

    let answer = soon(gateway.message("x")).await;

    assert!(answer.headers().contains_key("retry-after"));
    check(answer, MESSAGES, 502, "api_error", "upstream_unresolved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_or_speaks_nonsense_is_a_502_not_to_be_sent_again() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let options = EdgeOptions {
            alpn,
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge).start().await;
        let ends = [
            answer::usual().cut(At::BeforeHead, How::Abort),
            answer::usual().cut(At::BeforeHead, How::Truncate),
            answer::usual().cut(At::BeforeHead, How::Reset(2)),
            answer::usual().cut(At::BeforeHead, How::GoAway(2)),
            answer::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            answer::usual()
                .informational(100)
                .times(1)
                .cut(At::BeforeHead, How::Abort),
        ];
        for (number, end) in ends.into_iter().enumerate() {
            edge.reset();
            edge.script([end]);

            let answer = soon(gateway.message("x")).await;

            assert_eq!(
                answer.headers()["x-should-retry"],
                "false",
                "{alpn:?} {number}"
            );
            assert_eq!(answer.status(), 502, "{alpn:?} {number}");
            assert_eq!(
                edge.stats().posts,
                1,
                "{alpn:?} {number}: it may have been processed"
            );
            let text = answer.text().await.unwrap();
            assert!(text.contains("api_error"), "{text}");
            tells_nothing_internal(&text);
        }
    }
}
