//! Answers that begin well: an error said in mid-stream, a last event that never comes, a memory that was not used.

use memgate::sim::answer;
use memgate::sim::{Alpn, Console, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, Memory};
use serde_json::Value;

use crate::harness::*;
use crate::logs;

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
const CHUNK: &str = "data: {\"id\":\"c1\",\"choices\":[]}\n\n";

async fn edge(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

async fn stream_of(
    gateway: &TestGateway,
    down: Down,
    (path, model): (&str, &str),
    id: &str,
) -> (String, bool) {
    let request = down.client().post(gateway.url(path)).bearer_auth(MASTER);
    let request = request.header("x-request-id", id);
    let request = request.body(streamed(model, "x"));
    let mut answer = soon(request.send()).await.unwrap();
    assert_eq!(answer.status(), 200, "{id}");
    let (body, whole) = soon(read_out(&mut answer)).await;
    (String::from_utf8(body).unwrap(), whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_event_inside_a_200_passes_untouched_and_is_counted_by_its_kind() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        edge.script([answer::stream_error("overloaded_error")]);

        let id = format!("fails-in-mid-stream-{alpn:?}");
        let messages = ("/v1/messages", MODEL);
        let (body, whole) = stream_of(&gateway, Down::H1, messages, &id).await;
        let line = logs::access_line(&id).await;

        assert!(whole, "{alpn:?}");
        assert_eq!(body.matches("event: error").count(), 1, "{alpn:?} {body}");
        assert!(body.contains("overloaded_error"), "{alpn:?} {body}");
        assert_eq!(line["outcome"], "broken", "{line}");
        assert_eq!(line["reason"], "provider_overloaded", "{line}");
        let kind = [("kind", "provider_overloaded")];
        assert_eq!(gateway.metric("stream_errors_total", &kind).await, 1.0);
        let attempts = [("outcome", "error_event")];
        let attempts = gateway.metric("upstream_attempts_total", &attempts).await;
        assert_eq!(attempts, 1.0);
        assert_eq!(edge.stats().posts, 1, "what began is never repeated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_cleanly_without_its_last_event_ends_with_an_error_event() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            for trailers in [false, true] {
                let short = answer::stream([START, PING]);
                edge.script([match trailers {
                    true => short.trailer("x-checksum", "abc"),
                    false => short,
                }]);

                let id = format!("short-{alpn:?}-{down:?}-{trailers}");
                let messages = ("/v1/messages", MODEL);
                let (body, whole) = stream_of(&gateway, down, messages, &id).await;
                let line = logs::access_line(&id).await;

                assert!(whole, "{id}: the stream ends as a stream");
                let ours = body.strip_prefix(&[START, PING].concat());
                let data = ours.and_then(|ours| ours.strip_prefix("event: error\ndata: "));
                let Some(data) = data else {
                    panic!("{id}: {body}")
                };
                let data: Value = serde_json::from_str(data).unwrap();
                assert_eq!(data["error"]["type"], "api_error", "{id}");
                assert_eq!(line["outcome"], "broken", "{line}");
                assert_eq!(line["reason"], "truncated", "{line}");
            }
        }
        let kind = [("kind", "truncated")];
        assert_eq!(gateway.metric("stream_errors_total", &kind).await, 4.0);
        let attempts = [("outcome", "truncated")];
        let attempts = gateway.metric("upstream_attempts_total", &attempts).await;
        assert_eq!(attempts, 4.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_stream_is_no_whole_one() {
    let edge = edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    edge.script([answer::stream([""; 0])]);

    let messages = ("/v1/messages", MODEL);
    let (body, whole) = stream_of(&gateway, Down::H1, messages, "empty-stream").await;

    assert!(whole);
    assert!(body.starts_with("event: error\n"), "{body:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn litellms_streams_are_held_to_their_dialects_end_where_it_has_one() {
    let edge = edge(Alpn::Both).await;
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    for (path, says_its_end) in [
        ("/v1/chat/completions", true),
        ("/v1/completions", true),
        ("/v1/responses", false),
    ] {
        let console: &Console = &litellm;
        console.script([answer::stream([CHUNK, CHUNK])]);

        let (body, whole) = stream_of(&gateway, Down::H1, (path, OTHER), "short").await;

        assert!(whole, "{path}");
        let ours = body.strip_prefix(&CHUNK.repeat(2)).unwrap();
        assert_eq!(
            ours.starts_with("data: {\"error\":"),
            says_its_end,
            "{path}: {ours}"
        );
        assert_eq!(ours.is_empty(), !says_its_end, "{path}: {ours}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_after_an_error_event_has_not_left_early() {
    let edge = edge(Alpn::H1).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}\n\n";
    let stalled = answer::stream([START, error, PING]);
    edge.script([stalled.cut(answer::At::AfterEvents(2), answer::How::Stall)]);
    let request = Down::H1.client().post(gateway.url("/v1/messages"));
    let request = request.bearer_auth(MASTER);
    let request = request.header("x-request-id", "hangs-up-after-the-error");

    let mut answer = request.body(streamed(MODEL, "x")).send().await.unwrap();
    soon(read_until(&mut answer, "api_error")).await;
    drop(answer);
    let line = logs::access_line("hangs-up-after-the-error").await;

    assert_eq!(line["reason"], "provider_api", "{line}");
    assert_eq!(gateway.metric("client_disconnects_total", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_memory_says_so_and_is_counted() {
    for (memory, state) in [
        (Memory::default(), "on"),
        (
            Memory {
                unchanged: true,
                ..Default::default()
            },
            "unchanged",
        ),
        (
            Memory {
                error: Some("store unavailable".to_owned()),
                ..Default::default()
            },
            "error",
        ),
    ] {
        let options = EdgeOptions {
            memory,
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge).start().await;
        let refusal = answer::provider_error(400, "invalid_request_error", "no");

        let answered = gateway.message("hi").await;
        edge.script([refusal]);
        let refused = gateway.message("hi").await;

        assert_eq!(answered.headers()["x-memgate-memory"], state);
        assert_eq!(refused.status(), 400);
        let claim = refused.headers().get("x-memgate-memory");
        assert_eq!(claim, None, "an error holds no memory");
        gateway.settled().await;
        let counted = gateway.metric("memory_total", &[("state", state)]).await;
        assert_eq!(counted, 1.0, "{state}");
        let all = gateway.metrics().await;
        let series = all.matches("memgate_memory_total{").count();
        assert_eq!(series, 1, "{all}");
    }
}
