//! Scripted incidents, and whether the sentence on top of the status page names the cause that was scripted.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::{
    Answer, At, Edge, How, LiteLlm, LiteLlmOptions, Memory, Rule, answer, cloudflare,
};
use serde_json::{Value, json};

use crate::harness::*;
use crate::status::status;
use crate::two_ways::*;

async fn why(gateway: &TestGateway) -> Value {
    gateway.settled().await;
    status(gateway).await["why"].take()
}

/// The gravest finding, of which its cause is expected.
fn told(why: &Value, cause: &str) -> String {
    let finding = &why["findings"][0];
    assert_eq!(finding["cause"], cause, "{why:#}");
    assert!(finding["since"].is_string(), "{why:#}");
    finding["sentence"].as_str().unwrap().to_owned()
}

fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{part:?} in {sentence:?}");
    }
}

/// Turns of three people, who are told apart by the custom header.
async fn three_people_ask(gateway: &TestGateway) {
    for person in ["anna", "ben", "carla"] {
        let request = gateway
            .post("/v1/messages")
            .header("x-memory-user-id", person);
        soon(request.json(&turn("hello")).send()).await.unwrap();
    }
}

/// What is told after three people met this on the only way there is.
async fn met(answer: Answer) -> Value {
    let edge = two_hosts().await;
    let own = "retry: {attempts: 1, initial_delay: 1ms, max_delay: 1s}";
    let gateway = before(&edge, "bypass: none").own(own).start().await;
    edge.rule(Rule::new(answer).method("POST"));
    three_people_ask(&gateway).await;
    why(&gateway).await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nothing_is_wrong_it_says_so() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    gateway.message("hello").await;

    let why = why(&gateway).await;

    assert_eq!(why["level"], "well");
    assert_eq!(
        why["paragraph"],
        "All is well. 1 request in the last five minutes, and none failed."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_at_the_providers_edge_is_told_with_whom_it_touches_and_the_next_probe() {
    let edge = two_hosts().await;
    let clock = ManualClock::at(std::time::SystemTime::now());
    let gateway = before(&edge, "bypass: provider").clock(Arc::new(clock.clone()));
    let gateway = gateway.start().await;
    edge.rule(Rule::new(full_behind().retry_after(60)).method("POST"));

    three_people_ask(&gateway).await;
    clock.advance(Duration::from_secs(20));

    let why = why(&gateway).await;
    assert_eq!(why["level"], "strained", "{why:#}");
    says(
        &told(&why, "edge_queue_full"),
        &[
            &format!("UTC {ROUTER_LANE} answers error 1200"),
            "the edge of api.anthropic.com (ray ",
            "3 people are served past it by api.anthropic.com, without memory",
            "the next probe goes in 40 s",
            "Nothing to do",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_of_the_routers_owner_is_told_as_his() {
    let limited = cloudflare::rate_limited().zone(ROUTER).retry_after(30);

    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    edge.rule(Rule::new(limited).method("POST"));
    three_people_ask(&gateway).await;

    let sentence = told(&why(&gateway).await, "edge_rate_limited");
    says(
        &sentence,
        &["error 1015", "the owner of api.supermemory.ai", "3 people"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_down_behind_its_edge_is_told_by_its_code() {
    let why = met(cloudflare::error(521)).await;

    let sentence = told(&why, "edge_origin_down");
    says(
        &sentence,
        &[
            "is down (error 521, ray ",
            "got errors",
            "The lane is closed",
        ],
    );
    assert_eq!(why["level"], "failing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_crashes_is_told_with_its_ray() {
    let sentence = told(
        &met(cloudflare::worker_crashed()).await,
        "edge_worker_failed",
    );

    says(&sentence, &["error 1101, ray ", "with the ray id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_told_with_whom_to_ask() {
    let sentence = told(&met(cloudflare::challenge()).await, "edge_challenge");

    says(
        &sentence,
        &[
            "wants to see a browser",
            "3 people got errors",
            "Ask the owner",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_provider_does_not_take_is_told_with_what_to_renew() {
    let refused = answer::provider_error(401, "authentication_error", "invalid x-api-key");
    let sentence = told(&met(refused).await, "provider_authentication");

    says(
        &sentence,
        &[
            "answers 401",
            "3 times",
            "Renew `api_key`",
            "api.anthropic.com",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_credit_is_told() {
    let refused = answer::provider_error(402, "billing_error", "no credit");

    told(&met(refused).await, "provider_billing");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_break_off_are_told() {
    let edge = two_hosts().await;
    let gateway = before(&edge, "bypass: none").start().await;
    edge.script([answer::usual().cut(At::AfterEvents(2), How::Truncate)]);
    let request = gateway.post("/v1/messages").body(streamed(MODEL, "x"));
    let mut broken = request.send().await.unwrap();
    read_out(&mut broken).await;

    says(
        &told(&why(&gateway).await, "truncated"),
        &["breaks off", "1 person got errors"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_no_connection_is_told() {
    let edge = Edge::answering([]).await.unwrap();
    let nobody = Nobody::new();
    let direct = format!(
        "direct: {{ca_file: ca.pem, bypass: none, resolve: {{'{ROUTER}:443': '{}'}}}}",
        nobody.address()
    );
    let gateway = TestGateway::in_front_of(&edge).own(&direct).start().await;
    three_people_ask(&gateway).await;

    let sentence = told(&why(&gateway).await, "connect_failed");
    says(
        &sentence,
        &["takes no connection", "Check the network", ROUTER],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_is_told_as_that() {
    let edge = Edge::answering([]).await.unwrap();
    let models = MODELS.replace(ROUTER, "nobody.invalid");
    let own = "direct: {domains: [invalid], bypass: none, ca_file: ca.pem}";
    let gateway = TestGateway::in_front_of(&edge).models(&models).own(own);
    let gateway = gateway.start().await;
    three_people_ask(&gateway).await;

    let sentence = told(&why(&gateway).await, "unresolved");
    says(
        &sentence,
        &["the name nobody.invalid is not found in the DNS"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_trusted_is_told_also_where_everybody_is_served_past_it() {
    let (edge, stranger) = (two_hosts().await, Edge::answering([]).await.unwrap());
    let (provider, wrong) = (edge.addr(), stranger.addr());
    let direct = format!(
        "direct: {{ca_file: ca.pem, resolve: {{'{ROUTER}:443': '{wrong}', '{PROVIDER}:443': '{provider}'}}}}"
    );
    let gateway = TestGateway::in_front_of(&edge).own(&direct).start().await;
    three_people_ask(&gateway).await;

    let why = why(&gateway).await;
    let sentence = told(&why, "tls");
    says(
        &sentence,
        &[
            "certificate",
            "3 people are served past it",
            "`direct.ca_file`",
        ],
    );
    assert_eq!(why["level"], "strained");
}

#[tokio::test(flavor = "multi_thread")]
async fn litellm_that_is_gone_is_told_as_soon_as_somebody_meets_nobody_there() {
    let edge = two_hosts().await;
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = before(&edge, "bypass: none").with_litellm(&litellm);
    let gateway = gateway.start().await;
    litellm.stop().await;

    let body = json!({"model": OTHER, "messages": []}).to_string();
    soon(gateway.post("/v1/chat/completions").body(body).send())
        .await
        .unwrap();

    let why = why(&gateway).await;
    says(
        &told(&why, "litellm_down"),
        &["LiteLLM takes no connection", "1 person got errors"],
    );
    assert_eq!(why["level"], "failing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_with_less_room_than_is_asked_for_is_told() {
    let edge = two_hosts().await;
    let queue = "bypass: none, max_concurrency: 1, queue: {max: 1, timeout: 90s}";
    let gateway = before(&edge, queue).start().await;
    edge.script([answer::usual().cut(At::AfterEvents(1), How::Stall)]);
    let held = gateway.post("/v1/messages").body(streamed(MODEL, "held"));
    let mut held = held.send().await.unwrap();
    read_until(&mut held, "message_start").await;
    let waiting = gateway.at_once(1);
    gateway
        .until_lane(ROUTER_LANE, |view| view.queued == 1)
        .await;

    let refused = gateway.message("one too many").await;
    let shown = becomes_told(&gateway, "queue_full").await;

    assert_eq!(refused.status(), 529);
    says(
        &shown,
        &["less room than is asked for", "1 request waits in line"],
    );
    drop((held, waiting));
}

/// The cause, which is noted when the request ends, a moment after its answer.
async fn becomes_told(gateway: &TestGateway, cause: &str) -> String {
    comes(async || {
        let why = status(gateway).await["why"].take();
        let finding = &why["findings"][0];
        let is_told = finding["cause"] == cause && finding["people"]["failed"] == 1;
        is_told.then(|| told(&why, cause))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_the_memory_they_should_have_are_told() {
    let failed = Memory {
        error: Some("the index is rebuilding".to_owned()),
        unchanged: false,
    };
    let sentence = told(&met(answer::remembered(failed)).await, "memory_error");

    says(&sentence, &["could not use its memory"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_taken_over_is_told_with_its_place_until_a_good_one_comes() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    gateway.rewrite_own("ca_file: ca.pem", "ca_file: ca.pem, bypas: none");
    soon(gateway.reload()).await.unwrap_err();
    let faulty = why(&gateway).await;
    gateway.rewrite_own(", bypas: none", "");
    soon(gateway.reload()).await.unwrap();

    says(
        &told(&faulty, "configuration"),
        &[
            "memgate.yaml:",
            "did you mean `bypass`?",
            "stays at work",
            "Mend it",
        ],
    );
    assert_eq!(faulty["level"], "strained", "everybody is served");
    assert_eq!(why(&gateway).await["level"], "well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_own_mistakes_are_nobodys_trouble() {
    let mistake = answer::provider_error(400, "invalid_request_error", "max_tokens: too large");

    let why = met(mistake).await;

    assert_eq!(why["level"], "well", "{why:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_over_when_the_lane_is_open_and_a_minute_has_gone_by() {
    let edge = two_hosts().await;
    let clock = ManualClock::at(std::time::SystemTime::now());
    let gateway = before(&edge, "bypass: provider").clock(Arc::new(clock.clone()));
    let gateway = gateway.start().await;
    edge.script([full().retry_after(30)]);
    gateway.message("hello").await;
    let during = why(&gateway).await;

    clock.advance(Duration::from_secs(61));
    gateway.message("probe").await;
    gateway.message("next").await;

    told(&during, "edge_queue_full");
    assert_eq!(why(&gateway).await["level"], "well");
}
