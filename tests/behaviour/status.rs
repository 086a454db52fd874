//! The status page and the gauges: how each lane stands, what is in the jars, what edges said.

use std::time::{Duration, SystemTime};

use memgate::gateway::EdgeErrorNote;
use memgate::sim::{Answer, Edge, answer};
use serde_json::Value;

use crate::harness::*;

const ROUTER: &str = "api.supermemory.ai → api.anthropic.com";
const PROVIDER: &str = "api.anthropic.com";

pub async fn status(gateway: &TestGateway) -> Value {
    let url = gateway.admin_url("/status");
    let answer = gateway.http().get(url).send().await.unwrap();
    answer.json().await.unwrap()
}

pub fn lane<'a>(status: &'a Value, name: &str) -> &'a Value {
    let mut lanes = status["lanes"].as_array().unwrap().iter();
    lanes.find(|lane| lane["lane"] == name).unwrap()
}

/// A gateway with both ways to the provider, each to an edge of its own.
async fn with_bypass(router: &Edge, provider: &Edge) -> TestGateway {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.pem"), folder.path().join("2.pem"));
    router.write_ca(&first).unwrap();
    provider.write_ca(&second).unwrap();
    let both = folder.path().join("both.pem");
    let texts = [first, second].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(&both, texts.concat()).unwrap();
    TestGateway::in_front_of(router)
        .own(&format!(
            "direct: {{ca_file: '{}', resolve: {{'api.supermemory.ai:443': '{}', 'api.anthropic.com:443': '{}'}}}}",
            both.display(),
            router.addr(),
            provider.addr()
        ))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_lane_says_for_how_long_and_why() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = with_bypass(&edge, &edge).await;
    let before = status(&gateway).await;

    gateway.pause_host("api.supermemory.ai", Duration::from_secs(60));

    let after = status(&gateway).await;
    assert_eq!(
        lane(&before, ROUTER)["state"],
        "opening",
        "nobody was answered yet"
    );
    assert_eq!(lane(&before, ROUTER)["pause"], Value::Null);
    let paused = lane(&after, ROUTER);
    let remaining = paused["pause"]["remaining_seconds"].as_f64().unwrap();
    assert_eq!(
        (paused["state"].as_str(), paused["pause"]["cause"].as_str()),
        (Some("paused"), Some("host"))
    );
    assert!((50.0..=60.0).contains(&remaining), "{remaining}");
    assert_eq!(
        lane(&after, PROVIDER)["pause"],
        Value::Null,
        "another host has a pause of its own"
    );
    let gauge = gateway
        .metric("pause_remaining_seconds", &[("lane", ROUTER)])
        .await;
    assert!((50.0..=60.0).contains(&gauge), "{gauge}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_lane_is_the_one_that_is_configured() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own(&format!(
            "direct: {{ca_file: ca.pem, bypass: none, max_concurrency: 7, resolve: {{'api.supermemory.ai:443': '{}'}}}}",
            edge.addr()
        ))
        .start()
        .await;

    let status = status(&gateway).await;

    assert_eq!(lane(&status, ROUTER)["limit"], 7);
    assert_eq!(lane(&status, ROUTER)["retries"]["allowed"], 3);
    assert_eq!(
        status["lanes"].as_array().unwrap().len(),
        1,
        "no lane past the router where none is wanted"
    );
    let gauge = gateway
        .metric("concurrency_limit", &[("lane", ROUTER)])
        .await;
    assert!((gauge - 7.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bypass_is_tried_at_the_start_and_its_reach_is_shown() {
    let edge = Edge::answering([]).await.unwrap();
    let nobody = Nobody::new();
    let gone = nobody.address();
    let reached = with_bypass(&edge, &edge).await;
    let unreached = TestGateway::in_front_of(&edge)
        .own(&format!(
            "direct: {{ca_file: ca.pem, resolve: {{'api.supermemory.ai:443': '{}', 'api.anthropic.com:443': '{gone}'}}}}",
            edge.addr()
        ))
        .start()
        .await;

    for (gateway, reachable) in [(reached, true), (unreached, false)] {
        let shown = comes(async || {
            let status = status(&gateway).await;
            let shown = lane(&status, PROVIDER)["reachable"].as_bool()?;
            assert_eq!(lane(&status, ROUTER)["reachable"], Value::Null);
            Some(shown)
        });
        assert_eq!(shown.await, reachable);
    }
    assert!(edge.requests().is_empty(), "a connection, no request");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jar_shows_names_and_the_seconds_that_are_left_and_no_value() {
    let line = "__cf_bm=0123-secret-value; path=/; domain=.supermemory.ai; max-age=1800; secure";
    let set: Answer = answer::usual().header("set-cookie", line);
    let edge = Edge::answering([set]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    gateway.message("hello").await;

    let status = status(&gateway).await;
    let cookie = &status["jars"][0]["cookies"][0];
    assert_eq!(
        (cookie["name"].as_str(), cookie["domain"].as_str()),
        (Some("__cf_bm"), Some("supermemory.ai"))
    );
    let left = cookie["expires_in_seconds"].as_u64().unwrap();
    assert!((1_700..=1_800).contains(&left), "{left}");
    assert!(!status.to_string().contains("secret-value"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_edge_errors_come_with_their_ray_ids_and_the_latest_first() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let snapshot = gateway.gateway().snapshot();

    for (number, code) in [(1, 1015), (2, 1200)] {
        snapshot.edge_errors.note(EdgeErrorNote {
            time: SystemTime::UNIX_EPOCH,
            lane: ROUTER.to_owned(),
            status: 503,
            code: Some(code),
            zone: Some("api.anthropic.com".to_owned()),
            ray_id: Some(format!("99798f8c4cb7ecb{number}-WAW")),
            request_id: format!("request-{number}"),
        });
    }

    let errors = &status(&gateway).await["edge_errors"];
    assert_eq!(errors[0]["code"], 1200);
    assert_eq!(errors[0]["ray_id"], "99798f8c4cb7ecb2-WAW");
    assert_eq!(errors[1]["request_id"], "request-1");
    assert_eq!(errors[1]["time"], "1970-01-01T00:00:00Z");
}

/// Status and body of an explanation.
async fn explained(gateway: &TestGateway, query: &str) -> (u16, Value) {
    let url = gateway.admin_url(&format!("/explain?{query}"));
    let answer = gateway.http().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_explained_as_it_then_goes_and_nothing_is_sent() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = with_bypass(&edge, &edge).await;
    let query = format!("model={MODEL}&header=x-memory-user-id:+anna");

    let (_, told) = explained(&gateway, &query).await;
    let (_, chat) = explained(&gateway, &format!("{query}&path=/v1/chat/completions")).await;
    let (_, other) = explained(&gateway, &format!("model={OTHER}")).await;
    let asked_before = edge.requests().len();
    let request = gateway
        .post("/v1/messages")
        .header("x-memory-user-id", "anna");
    request.json(&turn("hello")).send().await.unwrap();

    assert_eq!(asked_before, 0);
    assert_eq!(told["ways"][0]["lane"], ROUTER);
    assert_eq!(told["ways"][0]["model"], UPSTREAM_MODEL);
    assert_eq!(told["ways"][0]["body"], "spliced");
    assert_eq!(chat["ways"][0]["body"], "translated");
    assert_eq!(other["ways"][0]["lane"], Value::Null);
    let seen = &edge.requests()[0];
    assert_eq!(told["memory_user"], seen.header("x-sm-user-id").unwrap());
    let text = told["text"].as_str().unwrap();
    assert!(
        text.contains("memory of anna, told by the custom header"),
        "{text}"
    );
    for secret in [PROVIDER_KEY, SUPERMEMORY_KEY, MASTER] {
        assert!(!told.to_string().contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_says_what_its_question_lacks() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    for (query, part) in [
        ("", "`model`"),
        ("model=x&path=/v1/nothing", "/v1/chat/completions"),
        ("model=x&header=no-colon", "name: value"),
        ("model=x&key=nobody", "no key of the keys file is called so"),
        ("model=x&modle=y", "`modle` is not known"),
    ] {
        let (status, told) = explained(&gateway, query).await;
        let said = told["error"]["message"].as_str().unwrap();
        assert!(status == 400 && said.contains(part), "{query}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_stands_in_the_last_minute_and_what_failed_with_its_id() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let wrong = gateway
        .post("/v1/messages")
        .header("x-request-id", "the-wrong-one");
    wrong.body("no json").send().await.unwrap();
    gateway.message("hello").await;
    gateway.settled().await;

    let status = status(&gateway).await;

    let minute = &status["last_minute"];
    assert_eq!(
        (&minute["answered"], &minute["refused"]),
        (&1.into(), &1.into())
    );
    assert!(minute["first_byte_ms"]["p50"].is_f64(), "{minute}");
    assert!(minute["tokens"]["output"].as_u64() > Some(0), "{minute}");
    let failed = &status["failures"][0];
    assert_eq!(failed["request_id"], "the-wrong-one");
    assert_eq!(
        (&failed["status"], &failed["reason"]),
        (&400.into(), &"bad_body".into())
    );
    assert_eq!(
        status["history"]["hour"]["answered"]
            .as_array()
            .unwrap()
            .len(),
        60
    );
    assert_eq!(status["tokens"]["users"][0]["name"], "team");
    let page = gateway
        .http()
        .get(gateway.admin_url("/"))
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().starts_with("<!doctype html>"));
}
