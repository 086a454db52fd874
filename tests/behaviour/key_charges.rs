//! What a key is charged that nobody said, or that nobody saw the model of; and what is free.

use std::time::Duration;

use memgate::sim::answer::{self, At, How};
use memgate::sim::{Edge, Hold, LiteLlm, LiteLlmOptions, cloudflare};
use serde_json::json;

use crate::harness::*;
use crate::key_limits::*;
use crate::status::status;
use crate::wire::Raw;

const LIMIT: &str = "{tokens_per_minute: 600}";

async fn litellm() -> LiteLlm {
    LiteLlm::start(LiteLlmOptions::default()).await.unwrap()
}

/// A body of a thousand tokens, by the rule of thumb.
fn long(stream: bool) -> String {
    let mut body = turn(&"x".repeat(4000));
    body["stream"] = json!(stream);
    body.to_string()
}

/// Anna asks and leaves before the upstream, which has the request, says anything.
async fn leave(world: &World, edge: &Edge, path: &str, body: String) {
    let hold = Hold::default();
    // A lane opens with its first answer.
    assert_eq!(world.message(BEN).await.status(), 200);
    edge.script([answer::message("late").held(&hold)]);
    tokio::select! {
        answer = world.ask(ANNA, path, body) => panic!("{answer:?} although it is held"),
        came = becomes_true(|| edge.requests().len() == 2) => assert!(came),
    }
    world.gateway.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_charged_though_nobody_saw_its_model() {
    let usage = json!({"input_tokens": 300, "output_tokens": 300});
    let bedrocks = json!({"inputTokens": 300, "outputTokens": 300});
    let geminis = json!({"promptTokenCount": 300, "candidatesTokenCount": 300});
    for (path, encoding, answer) in [
        (
            "/anthropic/v1/messages",
            "identity",
            json!({"usage": usage}),
        ),
        ("/v1/completions", "identity", json!({"usage": usage})),
        (
            "/v1/images/generations",
            "identity",
            json!({"data": [], "usage": usage}),
        ),
        ("/v1/responses", "gzip", json!({"usage": usage})),
        (
            "/bedrock/model/m/converse",
            "identity",
            json!({"usage": bedrocks}),
        ),
        (
            "/gemini/v1beta/models/m:generateContent",
            "identity",
            json!({"usageMetadata": geminis}),
        ),
    ] {
        let edge = Edge::answering([]).await.unwrap();
        let litellm = litellm().await;
        let world = World::before(&edge, &litellm, LIMIT).await;
        litellm.script([answer::json(200, &answer)]);

        let url = world.gateway.url(path);
        let request = world.gateway.http().post(url).bearer_auth(ANNA).body("{}");
        let mut answer = soon(request.header("content-encoding", encoding).send())
            .await
            .unwrap();
        soon(read_out(&mut answer)).await;
        world.gateway.settled().await;

        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(world.message(ANNA).await.status(), 429, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_looked_up_again_is_free() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = litellm().await;
    let world = World::before(&edge, &litellm, LIMIT).await;
    litellm.script([answer::json(
        200,
        &json!({"id": "resp_1", "usage": {"input_tokens": 900, "output_tokens": 900}}),
    )]);

    let url = world.gateway.url("/v1/responses/resp_1");
    let request = world.gateway.http().get(url).bearer_auth(ANNA);
    let mut answer = soon(request.send()).await.unwrap();
    soon(read_out(&mut answer)).await;
    world.gateway.settled().await;

    assert_eq!(world.message(ANNA).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_first_byte_pays_for_what_it_asked() {
    for (path, body) in [
        (MESSAGES, long(false)),
        (MESSAGES, long(true)),
        (CHAT, long(false)),
    ] {
        let edge = Edge::answering([]).await.unwrap();
        let world = World::start(&edge, LIMIT).await;

        leave(&world, &edge, path, body.clone()).await;

        let refused = world.message(ANNA).await;
        assert_eq!(refused.status(), 429, "{path} {}", &body[..40]);
        let wait: u32 = header(&refused, "retry-after").unwrap().parse().unwrap();
        assert!((40..60).contains(&wait), "about 1,000 of 600: {wait} s");
        let said_by_none = world.gateway.metric("tokens_total", &[("user", "anna")]);
        assert_eq!(said_by_none.await, 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_costs_nothing_where_no_model_was_at_it() {
    let edge = Edge::answering([]).await.unwrap();
    let world = World::start(&edge, LIMIT).await;
    leave(&world, &edge, "/v1/messages/count_tokens", long(false)).await;
    assert_eq!(world.message(ANNA).await.status(), 200, "counting is free");

    let edge = Edge::answering([]).await.unwrap();
    let world = World::start(&edge, LIMIT).await;
    edge.script([cloudflare::queue_full().retry_after(2)]);
    tokio::select! {
        answer = world.ask(ANNA, MESSAGES, long(false)) => panic!("{answer:?} although it waits"),
        told = becomes_true(|| world.gateway.gateway().snapshot().lanes().iter().any(|lane| !lane.lane.view().pause_remaining().is_zero())) => assert!(told),
    }
    world.gateway.settled().await;
    world.clock.advance(Duration::from_secs(3));
    assert_eq!(
        world.message(ANNA).await.status(),
        200,
        "the edge had turned it away"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_all_but_the_usage_pays_for_what_was_read() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = litellm().await;
    let world = World::before(&edge, &litellm, "{tokens_per_minute: 200}").await;
    let said = json!({"choices": [{"message": {"content": "x".repeat(12_000)}}], "usage": {"prompt_tokens": 5}});
    litellm.script([answer::json(200, &said).cut(At::AfterBytes(8000), How::Stall)]);
    let body = json!({"model": OTHER, "messages": []}).to_string();

    let mut answer = world.ask(ANNA, CHAT, body).await;
    let mut read = 0;
    while read < 8000 {
        read += soon(answer.chunk()).await.unwrap().unwrap().len();
    }
    drop(answer);
    world.gateway.settled().await;

    assert_eq!(world.message(ANNA).await.status(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_do_not_spend_the_day_together() {
    let edge = Edge::answering([]).await.unwrap();
    let prices =
        "prices: {version: '2026-11-01', models: {'claude-sonnet-*': {input: 3, output: 15}}}";
    let world = World::with(&edge, "{usd_per_day: 0.005}", prices).await;
    assert_eq!(world.message(BEN).await.status(), 200);
    let hold = Hold::default();
    let small = took(&json!({"input_tokens": 100}));
    edge.script([small.held(&hold).times(2)]);
    let ask = || world.ask(ANNA, MESSAGES, long(false));
    let third = async {
        assert!(becomes_true(|| edge.requests().len() == 3).await);
        let refused = world.message(ANNA).await;
        hold.release();
        refused
    };

    let (first, second, refused) = tokio::join!(ask(), ask(), third);

    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 200)
    );
    assert_eq!(
        refused.status(),
        429,
        "0.003 and 0.003 of 0.005 are set aside"
    );
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    for answer in [first, second] {
        drop(answer.bytes().await.unwrap());
    }
    world.gateway.settled().await;
    assert_eq!(
        world.message(ANNA).await.status(),
        200,
        "what they took was less"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_upgraded_only_for_keys_whose_tokens_are_not_counted() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = litellm().await;
    let head = format!(
        "GET /v1/realtime HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ANNA}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    for limits in ["{usd_per_day: 1}", "{tokens_per_minute: 9}"] {
        let world = World::before(&edge, &litellm, limits).await;
        let mut client = Raw::connect(world.gateway.address()).await;
        client.send(head.as_bytes()).await;

        let refused = client.reply().await;

        assert_eq!(refused.status, 403, "{limits}");
        assert_eq!(refused.json()["error"]["code"], "upgrade_not_counted");
        assert!(asked(&litellm).is_empty());
    }
    let world = World::before(&edge, &litellm, "{requests_per_minute: 9}").await;
    let mut client = Raw::connect(world.gateway.address()).await;
    client.send(head.as_bytes()).await;
    assert!(becomes_true(|| asked(&litellm).len() == 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_limits_in_the_keys_file_forget_nothing() {
    let edge = Edge::answering([took(&json!({"input_tokens": 1000}))])
        .await
        .unwrap();
    let prices = "prices: {version: '2026-11-01', models: {'*': {input: 3, output: 15}}}";
    let world = World::with(&edge, "{usd_per_day: 1}", prices).await;
    world.spend(MESSAGES, turn("hello").to_string()).await;

    world.relimit("{usd_per_day: 0.003}").await;

    assert_eq!(world.message(ANNA).await.status(), 429);
    world.relimit("{usd_per_day: 0.004}").await;
    assert_eq!(world.message(ANNA).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_needs_no_key_has_no_account() {
    let edge = Edge::answering([]).await.unwrap();
    let open = "auth: {litellm: false, allow_anonymous: true}";
    let gateway = TestGateway::in_front_of(&edge).own(open).start().await;

    let request = gateway.http().post(gateway.url(MESSAGES));
    let answer = soon(request.body(turn("hello").to_string()).send())
        .await
        .unwrap();

    assert_eq!(answer.status(), 200);
    drop(answer.bytes().await.unwrap());
    gateway.settled().await;
    assert_eq!(status(&gateway).await["keys"]["known"], 0);
    let counted = gateway.metric("tokens_total", &[("kind", "output")]).await;
    assert!(counted > 0.0, "it is counted all the same");
}
