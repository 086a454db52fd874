//! A streamed chat: chunks as the provider's events come, and never a good end that was none.

use std::time::Duration;

use memgate::sim::answer::{self, Answer};
use memgate::sim::{Alpn, At, Edge, How};
use serde_json::{Value, json};

use crate::chat_completions::{chat, message_of, streamed_chat, strict_edge};
use crate::harness::*;
use crate::logs;
use crate::two_ways::{header, route};

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n";
const BLOCK: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const HALLO: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hallo\"}}\n\n";
const REST: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

fn stream() -> Answer {
    answer::stream([START, BLOCK, HALLO, REST, STOP])
}

async fn ask(gateway: &TestGateway, down: Down, id: &str, body: &Value) -> reqwest::Response {
    let request = down.client().post(gateway.url("/v1/chat/completions"));
    let request = request.bearer_auth(MASTER).header("x-request-id", id);
    soon(request.body(body.to_string()).send()).await.unwrap()
}

/// What the `data:` lines of a stream say; `[DONE]` as a string.
fn data(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).unwrap();
    let said = text.lines().filter_map(|line| line.strip_prefix("data: "));
    said.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data)))
        .collect()
}

fn text_of(chunks: &[Value]) -> String {
    let texts = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["content"]);
    texts.filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_become_chunks_and_the_last_one_says_done() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            let mut answer = ask(&gateway, down, "chunks", &streamed_chat("hi there")).await;

            assert_eq!(route(&answer), (200, "direct"));
            assert!(header(&answer, "content-type").starts_with("text/event-stream"));
            assert_eq!(header(&answer, "content-length"), "");
            assert_eq!(header(&answer, "x-memgate-body"), "translated");
            assert_eq!(header(&answer, "x-ratelimit-limit-requests"), "4000");
            let (body, whole) = soon(read_out(&mut answer)).await;
            assert!(whole, "{alpn:?} {down:?}");
            let chunks = data(&body);
            assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
            assert!(
                chunks
                    .iter()
                    .rev()
                    .skip(1)
                    .all(|chunk| chunk["model"] == MODEL)
            );
            assert_eq!(text_of(&chunks), "echo: hi there");
            let finish = &chunks[chunks.len() - 2]["choices"][0]["finish_reason"];
            assert_eq!(finish, "stop", "{chunks:?}");
            assert_eq!(chunks.last().unwrap(), "[DONE]");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_told_last_and_only_where_it_was_asked_for() {
    let edge = Edge::answering([stream(), stream()]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let mut asking = streamed_chat("hi");
    asking["stream_options"] = json!({"include_usage": true});

    let silent = gateway
        .chatted(&streamed_chat("hi"))
        .await
        .bytes()
        .await
        .unwrap();
    let told = gateway.chatted(&asking).await.bytes().await.unwrap();

    assert!(
        data(&silent)
            .iter()
            .all(|chunk| chunk.get("usage").is_none())
    );
    let told = data(&told);
    let usage = &told[told.len() - 2];
    assert_eq!(usage["choices"], json!([]), "{told:?}");
    assert_eq!(usage["usage"]["prompt_tokens"], 3, "{told:?}");
    assert_eq!(usage["usage"]["completion_tokens"], 5, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_reaches_the_client_while_the_provider_still_thinks() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            edge.script([stream().cut(At::AfterEvents(3), How::Stall)]);

            let mut answer = ask(&gateway, down, "first-chunk", &streamed_chat("hi")).await;
            let body = soon(read_until(&mut answer, "hallo")).await;

            assert_eq!(text_of(&data(&body)), "hallo", "{alpn:?} {down:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_arrives_in_pieces_is_one_chunk() {
    let whole = [START, BLOCK, HALLO, REST, STOP].concat();
    let pieces: Vec<String> = whole
        .as_bytes()
        .chunks(7)
        .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
        .collect();
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        edge.script([answer::stream(pieces.clone())]);

        let body = gateway
            .chatted(&streamed_chat("hi"))
            .await
            .bytes()
            .await
            .unwrap();

        let chunks = data(&body);
        assert_eq!(text_of(&chunks), "hallo");
        assert_eq!(chunks.last().unwrap(), "[DONE]");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_ends_with_an_error_and_never_as_done() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            for how in [How::Abort, How::Reset(2), How::Truncate] {
                // In the middle of an event.
                let cut = At::AfterBytes(START.len() + BLOCK.len() + HALLO.len() - 5);
                let cuts = [At::AfterEvents(3), cut];
                for cut in cuts {
                    edge.script([stream().cut(cut, how)]);
                    let id = format!("chat-breaks-{alpn:?}-{down:?}-{how:?}-{cut:?}");
                    let id = id.replace(['(', ')'], "-");

                    let mut answer = ask(&gateway, down, &id, &streamed_chat("hi")).await;
                    let (body, whole) = soon(read_out(&mut answer)).await;

                    assert!(whole, "{id}");
                    let said = data(&body);
                    let error = &said.last().unwrap()["error"];
                    assert!(error["message"].is_string(), "{id} {said:?}");
                    let ends = said.iter().any(|chunk| {
                        chunk == "[DONE]" || !chunk["choices"][0]["finish_reason"].is_null()
                    });
                    assert!(!ends, "{id} {said:?}");
                    let line = logs::access_line(&id).await;
                    assert_eq!(line["outcome"], "broken", "{line}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_its_last_event_is_no_good_one() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        let truncated = || answer::stream([START, BLOCK, HALLO, REST]);
        let cases = [
            truncated(),
            truncated().trailer("x-trailer", "1"),
            answer::unfinished(),
        ];
        for (number, said) in cases.into_iter().enumerate() {
            edge.script([said]);
            let id = format!("chat-truncated-{alpn:?}-{number}");

            let mut answer = ask(&gateway, Down::H1, &id, &streamed_chat("hi")).await;
            let (body, whole) = soon(read_out(&mut answer)).await;

            assert!(whole, "{id}");
            let said = data(&body);
            assert_eq!(
                said.last().unwrap()["error"]["type"],
                "upstream_error",
                "{id} {said:?}"
            );
            let line = logs::access_line(&id).await;
            assert_eq!(
                (&line["outcome"], &line["reason"]),
                (&json!("broken"), &json!("truncated")),
                "{line}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_stream_with_trailers_ends_well() {
    let edge = strict_edge(Alpn::H2).await;
    let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
    for down in Down::BOTH {
        edge.script([stream().trailer("x-trailer", "1")]);

        let mut answer = ask(&gateway, down, "trailers", &streamed_chat("hi")).await;
        let (body, whole) = soon(read_out(&mut answer)).await;

        assert!(whole, "{down:?}");
        assert_eq!(data(&body).last().unwrap(), "[DONE]", "{down:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_the_provider_says_in_mid_stream_is_the_last_word_and_counted_by_its_kind() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        edge.script([answer::stream_error("overloaded_error")]);
        let id = format!("chat-error-event-{alpn:?}");

        let mut answer = ask(&gateway, Down::H1, &id, &streamed_chat("hi")).await;
        let (body, whole) = soon(read_out(&mut answer)).await;
        let line = logs::access_line(&id).await;

        assert!(whole, "{id}");
        let said = data(&body);
        assert_eq!(
            said.last().unwrap()["error"]["type"],
            "overloaded_error",
            "{said:?}"
        );
        let errors = said.iter().filter(|chunk| chunk.get("error").is_some());
        assert_eq!(errors.count(), 1, "{said:?}");
        assert_eq!(line["reason"], "provider_overloaded", "{line}");
        let kind = [("kind", "provider_overloaded")];
        assert_eq!(gateway.metric("stream_errors_total", &kind).await, 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_can_read_is_broken() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    edge.script([answer::stream([START, "data: {\n\n", STOP])]);

    let mut answer = ask(&gateway, Down::H1, "chat-unreadable", &streamed_chat("hi")).await;
    let (body, whole) = soon(read_out(&mut answer)).await;

    assert!(whole);
    let said = data(&body);
    assert!(said.last().unwrap()["error"].is_object(), "{said:?}");
    let line = logs::access_line("chat-unreadable").await;
    assert_eq!(line["outcome"], "broken", "{line}");
    assert_eq!(line["reason"], "unreadable_answer", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_can_read_ends_at_once_and_lets_the_upstream_go() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            let unreadable = answer::stream([START, "data: {\n\n", HALLO, REST]);
            edge.script([unreadable.cut(At::AfterEvents(2), How::Stall)]);
            let id = format!("chat-unreadable-{alpn:?}-{down:?}");

            let mut answer = ask(&gateway, down, &id, &streamed_chat("hi")).await;
            let (body, whole) = soon(read_out(&mut answer)).await;

            assert!(whole, "{id}");
            let said = data(&body);
            let error = &said.last().unwrap()["error"];
            assert_eq!(error["type"], "upstream_error", "{id} {said:?}");
            let line = logs::access_line(&id).await;
            assert_eq!(
                (&line["outcome"], &line["reason"]),
                (&json!("broken"), &json!("unreadable_answer")),
                "the exchange is over: {line}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_to_one_who_asked_for_a_stream_is_told_as_chunks() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            edge.script([message_of(&json!([{"type": "text", "text": "hallo"}]))]);

            let mut answer = ask(&gateway, down, "whole", &streamed_chat("hi")).await;

            assert_eq!(route(&answer), (200, "direct"));
            assert!(header(&answer, "content-type").starts_with("text/event-stream"));
            let (body, whole) = soon(read_out(&mut answer)).await;
            assert!(whole, "{alpn:?} {down:?}");
            let chunks = data(&body);
            assert_eq!(text_of(&chunks), "hallo", "{chunks:?}");
            assert_eq!(chunks.last().unwrap(), "[DONE]", "{chunks:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_asked_for_is_no_answer() {
    let edge = Edge::answering([stream()]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let answer = gateway.chatted(&chat("hi")).await;

    assert_eq!(answer.status(), 502);
    assert_eq!(header(&answer, "content-type"), "application/json");
    assert_eq!(header(&answer, "x-should-retry"), "false");
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["error"]["code"], "upstream_unreadable", "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_ends_with_an_error() {
    let edge = Edge::answering([]).await.unwrap();
    let own = "limits: {idle_timeout: 300ms}";
    let gateway = TestGateway::in_front_of(&edge).own(own).start().await;
    edge.script([stream().cut(At::AfterEvents(3), How::Stall)]);

    let mut answer = ask(&gateway, Down::H1, "chat-silent", &streamed_chat("hi")).await;
    let (body, whole) = soon(read_out(&mut answer)).await;

    assert!(whole);
    let said = data(&body);
    assert_eq!(text_of(&said), "hallo");
    assert_eq!(
        said.last().unwrap()["error"]["type"],
        "upstream_error",
        "{said:?}"
    );
    let line = logs::access_line("chat-silent").await;
    assert_eq!(line["reason"], "idle_timeout", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_providers_stream() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            edge.script([stream().cut(At::AfterEvents(3), How::Stall)]);
            let id = format!("chat-leaves-{alpn:?}-{down:?}");

            let mut answer = ask(&gateway, down, &id, &streamed_chat("hi")).await;
            soon(read_until(&mut answer, "hallo")).await;
            drop(answer);

            let line = logs::access_line(&id).await;
            assert_eq!(line["outcome"], "client_left", "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_after_done_has_not_left_early() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    edge.script([stream()
        .between(Duration::from_millis(5))
        .cut(At::AfterEvents(5), How::Stall)]);

    let mut answer = ask(&gateway, Down::H1, "chat-read-out", &streamed_chat("hi")).await;
    soon(read_until(&mut answer, "[DONE]")).await;
    drop(answer);

    let line = logs::access_line("chat-read-out").await;
    assert_ne!(line["outcome"], "client_left", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_last_word_is_read_and_left_out_and_the_connection_serves_again() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"full\"}}\n\n";
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = strict_edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;
        for (number, last_word) in [STOP, error].into_iter().enumerate() {
            edge.script([answer::stream([
                START, BLOCK, HALLO, REST, last_word, HALLO, STOP,
            ])]);
            let id = format!("chat-goes-on-{alpn:?}-{number}");

            let mut answer = ask(&gateway, Down::H1, &id, &streamed_chat("hi")).await;
            let (body, whole) = soon(read_out(&mut answer)).await;
            // Its end is when the connection is free.
            logs::access_line(&id).await;

            assert!(whole, "{id}");
            let said = data(&body);
            assert_eq!(text_of(&said), "hallo", "{id} {said:?}");
            let done = said.iter().filter(|chunk| *chunk == "[DONE]").count();
            assert_eq!(done, usize::from(last_word == STOP), "{id} {said:?}");
        }
        let connections = edge.stats().connections.accepted;
        assert_eq!(connections, 1, "{alpn:?}: nothing is left unread on it");
    }
}
