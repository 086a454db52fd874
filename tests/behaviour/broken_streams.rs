//! An upstream that dies in mid-answer: said where it can be said, never passed for whole.

use memgate::sim::answer::{self, Answer, At, How};
use memgate::sim::{Alpn, Console, Edge, EdgeOptions, Encoding, LiteLlm, LiteLlmOptions};
use serde_json::{Value, json};

use crate::harness::*;
use crate::logs;

const FIRST: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
const SECOND: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
const THIRD: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
/// Ways to die.
const DEATHS: [How; 3] = [How::Abort, How::Reset(2), How::Truncate];

fn stream() -> Answer {
    answer::stream([FIRST, SECOND, THIRD])
}

/// A chunked or unframed JSON answer.
fn chunked_json(console: &Console, how: &str) {
    let order = json!({"answers": [{
        "say": {"reply": {
            "status": 200,
            "headers": [["content-type", "application/json"]],
            "body": ["{\"id\": \"msg_1\", ", "\"content\": []}"],
        }},
        "cut": {"at": {"after_events": 1}, "how": how},
    }]});
    console.script_json(order.to_string().as_bytes()).unwrap();
}

async fn edge(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

/// The events of a stream: their names and data.
fn events(body: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(body).unwrap();
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    let field = |block: &str, name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name));
        lines
            .map(str::trim)
            .next_back()
            .unwrap_or_default()
            .to_owned()
    };
    blocks
        .map(|block| (field(block, "event:"), field(block, "data:")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_anthropic_stream_ends_with_an_error_event_and_then_cleanly() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            for how in DEATHS {
                edge.script([stream().cut(At::AfterEvents(2), how)]);
                let request = down
                    .client()
                    .post(gateway.url("/v1/messages"))
                    .bearer_auth(MASTER);

                let request = request.body(streamed(MODEL, "x"));
                let mut answer = soon(request.send()).await.unwrap();
                let (body, whole) = soon(read_out(&mut answer)).await;

                let what = format!("{alpn:?} {down:?} {how:?}");
                assert!(whole, "{what}: the stream ends as a stream");
                let events = events(&body);
                assert!(
                    body.starts_with([FIRST, SECOND].concat().as_bytes()),
                    "{what}"
                );
                assert_eq!(events.len(), 3, "{what}: {events:?}");
                let (name, data) = events.last().unwrap();
                assert_eq!(name, "error", "{what}: {events:?}");
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(data["type"], "error", "{what}");
                assert_eq!(data["error"]["type"], "api_error", "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_inside_an_event_still_ends_with_an_error_event() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        for inside in [1, 8, 24, 40] {
            edge.script([stream().cut(At::AfterBytes(FIRST.len() + inside), How::Truncate)]);

            let request = Down::H1
                .client()
                .post(gateway.url("/v1/messages"))
                .bearer_auth(MASTER);
            let mut answer = soon(request.body(streamed(MODEL, "x")).send())
                .await
                .unwrap();
            let (body, whole) = soon(read_out(&mut answer)).await;

            assert!(whole, "{alpn:?} {inside}");
            let events = events(&body);
            let (name, _) = events.last().unwrap();
            assert_eq!(name, "error", "{alpn:?} {inside}: {events:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_stream_of_litellm_ends_with_its_dialects_error_event() {
    let edge = edge(Alpn::Both).await;
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .with_h2c()
        .start()
        .await;

    for down in Down::BOTH {
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages"] {
            for how in [How::Abort, How::Truncate] {
                litellm.script([stream().cut(At::AfterEvents(2), how)]);
                let request = down.client().post(gateway.url(path)).bearer_auth(MASTER);

                let request = request.body(streamed(OTHER, "x"));
                let mut answer = soon(request.send()).await.unwrap();
                let (body, whole) = soon(read_out(&mut answer)).await;

                let what = format!("{down:?} {path} {how:?}");
                assert!(whole, "{what}");
                let events = events(&body);
                assert_eq!(events.len(), 3, "{what}: {events:?}");
                let (name, data) = events.last().unwrap();
                let data: Value = serde_json::from_str(data).unwrap();
                if path == "/v1/messages" {
                    assert_eq!((name.as_str(), &data["type"]), ("error", &json!("error")));
                } else {
                    assert_eq!(name, "", "{what}: OpenAI's events have no names");
                    assert!(data["error"]["message"].is_string(), "{what}: {data}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_answer_that_breaks_off_is_never_passed_for_whole() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let builder = TestGateway::in_front_of(&edge).with_litellm(&litellm);
        let gateway = builder.with_h2c().start().await;
        for down in Down::BOTH {
            for model in [MODEL, OTHER] {
                let console: &Console = if model == MODEL { &edge } else { &litellm };
                for case in ["abort", "truncate", "length"] {
                    match case {
                        "length" => {
                            let cut = answer::usual().cut(At::AfterBytes(20), How::Truncate);
                            console.script([cut]);
                        }
                        how => chunked_json(console, how),
                    }
                    let mut body = turn("x");
                    body["model"] = json!(model);
                    let request = down
                        .client()
                        .post(gateway.url("/v1/messages"))
                        .bearer_auth(MASTER);
                    let request = request.header("anthropic-version", "2023-06-01");

                    let mut answer = soon(request.body(body.to_string()).send()).await.unwrap();
                    let (body, whole) = soon(read_out(&mut answer)).await;

                    let text = String::from_utf8_lossy(&body);
                    let what = format!("{alpn:?} {down:?} {model} {case}: {text}");
                    assert_eq!(answer.status(), 200, "{what}");
                    assert!(!whole, "{what}");
                    assert!(!text.contains("error"), "{what}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_stream_that_breaks_off_ends_uncleanly() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            let packed = stream().compressed(Encoding::Gzip);
            edge.script([packed.cut(At::AfterBytes(30), How::Truncate)]);
            let request = down
                .client()
                .post(gateway.url("/v1/messages"))
                .bearer_auth(MASTER);

            let mut answer = soon(request.body(streamed(MODEL, "x")).send())
                .await
                .unwrap();
            let (body, whole) = soon(read_out(&mut answer)).await;

            assert!(!whole, "{alpn:?} {down:?}");
            assert!(body.len() <= 30, "{alpn:?} {down:?}: nothing was added");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_is_counted_and_logged() {
    let edge = edge(Alpn::Both).await;
    edge.script([stream().cut(At::AfterEvents(1), How::Abort)]);
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let request = gateway
        .post("/v1/messages")
        .header("x-request-id", "breaks-and-is-counted");

    let mut answer = request.body(streamed(MODEL, "x")).send().await.unwrap();
    soon(read_out(&mut answer)).await;
    let line = logs::access_line("breaks-and-is-counted").await;

    assert_eq!(line["outcome"], "broken", "{line}");
    assert_eq!(line["reason"], "upstream_broke", "{line}");
    let kind = [("kind", "upstream_broke")];
    assert_eq!(gateway.metric("stream_errors_total", &kind).await, 1.0);
    assert_eq!(gateway.metric("client_disconnects_total", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_answer_broke_off_is_not_counted_as_a_good_one() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        let ways = [("truncated", true), ("answer_lost", false)];
        for (outcome, streams) in ways {
            for (number, how) in [How::Abort, How::Truncate].into_iter().enumerate() {
                let (answer, body) = match streams {
                    true => (stream().cut(At::AfterEvents(1), how), streamed(MODEL, "x")),
                    false => (
                        answer::usual().cut(At::AfterBytes(20), how),
                        turn("x").to_string(),
                    ),
                };
                edge.script([answer]);
                let id = format!("breaks-{alpn:?}-{outcome}-{number}");
                let request = gateway.post("/v1/messages").header("x-request-id", &id);

                let mut answer = request.body(body).send().await.unwrap();
                soon(read_out(&mut answer)).await;
                let line = logs::access_line(&id).await;

                assert_eq!(line["outcome"], "broken", "{line}");
                let labels = [("outcome", outcome)];
                let counted = f64::from(u32::try_from(number).unwrap() + 1);
                gateway
                    .counts("upstream_attempts_total", &labels, counted)
                    .await;
            }
        }
        let good = [("outcome", "ok")];
        assert_eq!(gateway.metric("upstream_attempts_total", &good).await, 0.0);
    }
}
