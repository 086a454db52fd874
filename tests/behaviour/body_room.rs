//! Room for bodies: bounded over all requests, waited for briefly, given back as soon as it can be.

use std::time::Duration;

use memgate::sim::{At, Edge, How, LiteLlm, LiteLlmOptions, answer, cloudflare};

use serde_json::json;

use crate::bodies::{sha256, turn_of};
use crate::harness::*;
use crate::two_ways::before;
use crate::wire::{H2, Raw, soon};

const BODY: usize = 200_000;
/// Room for one body of [`BODY`] bytes and not for two.
const ROOM: &str = "limits: {body: 250KiB, bodies_in_flight: 300KiB}";

async fn post(gateway: &TestGateway) -> reqwest::Response {
    gateway
        .post("/v1/messages")
        .body(turn_of(BODY))
        .send()
        .await
        .unwrap()
}

/// Bytes of bodies held now.
fn held(gateway: &TestGateway) -> usize {
    gateway.gateway().snapshot().bodies.in_use()
}

async fn nothing_held(gateway: &TestGateway) {
    let given_back = || held(gateway) == 0;
    assert!(becomes_true(given_back).await, "{} bytes", held(gateway));
}

/// So many bytes at least.
async fn holds(gateway: &TestGateway, bytes: usize) {
    let taken = || held(gateway) >= bytes;
    assert!(becomes_true(taken).await, "{} bytes", held(gateway));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_finds_no_room_waits_briefly_and_gets_a_clear_503() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(ROOM).start().await;
    let mut slow = Raw::connect(gateway.address()).await;
    slow.post("/v1/messages", "content-length: 200000\r\n")
        .await;
    slow.send(&[b'x'; 100_000]).await;
    holds(&gateway, 200_000).await;

    let refused = post(&gateway).await;

    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(
        refused.headers()["x-should-retry"],
        "true",
        "nothing was sent"
    );
    let error: serde_json::Value = refused.json().await.unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("limits.bodies_in_flight"), "{message}");
    assert_eq!(edge.stats().requests, 0);
    drop(slow);
    nothing_held(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_only_promised_takes_no_room_from_others() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(ROOM).start().await;
    let mut idle = Raw::connect(gateway.address()).await;
    idle.post("/v1/messages", "content-length: 240000\r\n")
        .await;
    holds(&gateway, 1).await;

    let served = post(&gateway).await;

    assert_eq!(
        served.status(),
        200,
        "240,000 bytes were promised, none came"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_unpacked_before_there_is_room_for_it() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(ROOM).start().await;
    let mut slow = Raw::connect(gateway.address()).await;
    slow.post("/v1/messages", "content-length: 240000\r\n")
        .await;
    slow.send(&[b'x'; 100_000]).await;
    holds(&gateway, 240_000).await;
    let not_packed = vec![b'x'; 2_000];
    let packed = gateway
        .post("/v1/messages")
        .header("content-encoding", "gzip");

    let refused = packed.body(not_packed).send().await.unwrap();

    assert_eq!(
        refused.status(),
        503,
        "whoever unpacks first finds the damage, and memory that nobody bounds"
    );
}

/// A chat with a text file of so many control characters: each is a byte and a third here, six in JSON.
fn chat_with_a_file(bytes: usize) -> String {
    let data = format!("data:text/plain;base64,{}", "AQEB".repeat(bytes / 3));
    let file = json!({"type": "file", "file": {"filename": "a.txt", "file_data": data}});
    json!({"model": MODEL, "messages": [{"role": "user", "content": [file]}]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_translation_larger_than_its_chat_is_counted_and_bounded() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(ROOM).start().await;
    edge.script([answer::usual().delay(Duration::from_millis(300))]);
    let ask = |bytes| {
        let chat = gateway.post("/v1/chat/completions");
        soon("a chat", chat.body(chat_with_a_file(bytes)).send())
    };

    let (answered, ()) = tokio::join!(ask(30_000), holds(&gateway, 180_000));
    let refused = ask(60_000).await.unwrap();

    assert_eq!(answered.unwrap().status(), 200);
    assert_eq!(
        refused.status(),
        413,
        "80,000 bytes that become 360,000 are not sent"
    );
    let error: serde_json::Value = refused.json().await.unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("limits.body"), "{message}");
    assert_eq!(edge.stats().requests, 1);
    nothing_held(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_that_comes_free_in_time_is_taken() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(ROOM).start().await;
    let delay = Duration::from_millis(100);
    edge.script([answer::usual().delay(delay)]);

    let both = tokio::join!(post(&gateway), post(&gateway));

    assert_eq!(
        (both.0.status().as_u16(), both.1.status().as_u16()),
        (200, 200)
    );
    let seen = edge.requests();
    assert!(
        seen[1].arrived - seen[0].arrived >= delay,
        "one waited for the other"
    );
    nothing_held(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_flight_holds_no_room() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(ROOM).start().await;
    edge.script([answer::usual().cut(At::AfterEvents(2), How::Stall)]);

    let stream = gateway.post("/v1/messages");
    let body = turn_of(BODY).replacen("{", r#"{"stream":true,"#, 1);
    let streaming = stream.body(body).send().await.unwrap();

    assert_eq!(streaming.status(), 200);
    assert_eq!(
        held(&gateway),
        0,
        "the head was there: no other attempt is possible"
    );
    assert_eq!(post(&gateway).await.status(), 200, "beside the open stream");
    let one = edge.wait_until(|stats| stats.in_flight == 1, PATIENCE);
    assert!(one.await, "the stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_on_its_way_to_the_client_holds_no_room() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(ROOM).start().await;
    let long = "x".repeat(70_000);
    for (status, beginning) in [(302, "elsewhere"), (403, &*long)] {
        let reply = json!({"status": status, "body": [beginning, "the rest"]});
        let cut = json!({"at": {"after_events": 1}, "how": "stall"});
        let answer = json!({"answers": [{"say": {"reply": reply}, "cut": cut}]});
        edge.script_json(answer.to_string().as_bytes()).unwrap();

        let begun = soon("the answer's head", post(&gateway)).await;

        assert_eq!(begun.status(), status);
        assert_eq!(held(&gateway), 0, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_kept_between_attempts_and_given_back_after_every_end() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(ROOM).start().await;
    for refusal in [
        cloudflare::error(520),
        cloudflare::error(521),
        cloudflare::denied(),
        answer::usual().cut(At::BeforeHead, How::Abort),
        answer::usual().cut(At::AfterBytes(5), How::Abort),
    ] {
        edge.reset();
        edge.script([refusal]);

        let answer = gateway
            .post("/v1/messages")
            .body(turn_of(BODY))
            .send()
            .await;
        let _ = answer.unwrap().bytes().await;

        nothing_held(&gateway).await;
    }
    let mut gone = Raw::connect(gateway.address()).await;
    gone.post("/v1/messages", "content-length: 200000\r\n")
        .await;
    gone.send(&[b' '; 1000]).await;
    drop(gone);
    nothing_held(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_litellm_serves_is_streamed_whatever_its_size() {
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .own("listen: ['127.0.0.1:0', {address: '127.0.0.1:0', h2c: true}]\nlimits: {body: 1KiB, bodies_in_flight: 1KiB}")
        .start()
        .await;
    let path = "/v1/files?purpose=a//b&&x=%7e";
    for size in [0, 1, 65_536, 3_000_000] {
        let body = vec![b'x'; size];
        let mut raw = Raw::connect(gateway.address()).await;
        raw.post(
            path,
            &format!("expect: 100-continue\r\ncontent-length: {size}\r\n"),
        )
        .await;
        assert_eq!(raw.reply().await.status, 100);
        raw.send(&body).await;
        let sized = raw.reply().await.json();
        raw.post(path, "transfer-encoding: chunked\r\n").await;
        raw.chunks(&body, 60_000).await;
        let chunked = raw.reply().await.json();
        let mut h2 = H2::connect(gateway.address_of(1)).await;
        let mut exchange = h2.post(path, &[]).await;
        exchange.send(&body, 16_000).await;
        let framed = exchange.reply().await.json();

        for (what, echo) in [("length", sized), ("chunks", chunked), ("h2", framed)] {
            assert_eq!(echo["body_sha256"], sha256(&body), "{what} {size}");
            assert_eq!(echo["query"], "purpose=a//b&&x=%7e", "{what} {size}");
        }
    }
}

/// What is streamed, but for the model that may stand in its first bytes.
const PEEKED: [&str; 2] = ["/v1/responses", "/v1/embeddings"];
/// More than `limits.body`, were that left as it is.
const LARGE: usize = 34 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn responses_and_embeddings_of_litellm_are_streamed_whatever_their_size_and_room() {
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let edge = Edge::answering([]).await.unwrap();
    let own = "listen: ['127.0.0.1:0', {address: '127.0.0.1:0', h2c: true}]\n";
    for limits in ["", "limits: {body: 1KiB, bodies_in_flight: 1KiB}"] {
        let gateway = TestGateway::in_front_of(&edge)
            .with_litellm(&litellm)
            .own(&format!("{own}{limits}"))
            .start()
            .await;
        for path in PEEKED {
            for size in [0, 1, 65_536, 3_000_000, LARGE] {
                let text = "x".repeat(size);
                let body = match size {
                    0 | 1 => text,
                    _ => format!(r#"{{"input":"{text}","model":"{OTHER}"}}"#),
                };
                let what = format!("{path} {size} {limits}");
                let mut raw = Raw::connect(gateway.address()).await;
                let length = format!("expect: 100-continue\r\ncontent-length: {}\r\n", body.len());
                raw.post(path, &length).await;
                assert_eq!(raw.reply().await.status, 100, "{what}");
                raw.send(body.as_bytes()).await;
                assert_ne!(raw.reply().await.status, 413, "{what}");
                raw.post(path, "transfer-encoding: chunked\r\n").await;
                raw.chunks(body.as_bytes(), 60_000).await;
                raw.reply().await;
                let mut h2 = H2::connect(gateway.address_of(1)).await;
                let mut exchange = h2.post(path, &[]).await;
                exchange.send(body.as_bytes(), 16_000).await;
                exchange.reply().await;

                let seen = asked(&litellm);
                let digest = sha256(body.as_bytes());
                let [.., sized, chunked, framed] = &seen[..] else {
                    panic!("{what}: {} requests", seen.len());
                };
                for (how, seen) in [("length", sized), ("chunks", chunked), ("h2", framed)] {
                    assert_eq!(seen.target, path, "{how} {what}");
                    assert_eq!(seen.body.sha256, digest, "{how} {what}");
                }
            }
        }
        nothing_held(&gateway).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_room_refuses_nobody_whose_body_is_only_looked_at() {
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .own(ROOM)
        .start()
        .await;
    let mut slow = Raw::connect(gateway.address()).await;
    slow.post("/v1/messages", "content-length: 240000\r\n")
        .await;
    slow.send(&[b'x'; 100_000]).await;
    holds(&gateway, 240_000).await;

    for path in PEEKED {
        let body = turn_of(BODY).replacen(MODEL, OTHER, 1);
        let answer = gateway.post(path).body(body.clone()).send().await.unwrap();

        assert_eq!(answer.status(), 200, "{path}");
        let seen = asked(&litellm).pop().unwrap();
        assert_eq!(seen.body.sha256, sha256(body.as_bytes()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_model_is_seen_at_the_beginning_of_a_body_that_is_too_large_to_hold() {
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = gateway.start().await;
    let text = "x".repeat(3 << 20);
    let first = format!(r#"{{"n":[1,{{"model":"no"}}],"model":"{MODEL}","input":"{text}"}}"#);
    let last = format!(r#"{{"input":"{text}","model":"{MODEL}"}}"#);

    for path in PEEKED {
        let length = format!("content-length: {}\r\n", first.len());
        let mut raw = Raw::connect(gateway.address()).await;
        raw.post(path, &length).await;
        raw.send(&first.as_bytes()[..2 << 20]).await;
        let told = raw.reply().await;

        assert_eq!(told.status, 400, "{path}");
        assert_eq!(told.json()["error"]["code"], "unsupported_endpoint");
        assert_eq!(litellm.stats().posts, 0, "{path}");
        let passed = gateway.post(path).body(last.clone()).send().await.unwrap();
        assert_eq!(
            passed.headers()["x-memgate-route"],
            "litellm",
            "{path}: nobody reads a mebibyte and more for a name"
        );
        litellm.reset();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_kept_for_litellm_beside_the_renamed_one_has_room_of_its_own() {
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let edge = Edge::answering([]).await.unwrap();
    for (room, at_least, at_most) in [("500KiB", 2 * BODY, 500 << 10), ("300KiB", BODY, 300 << 10)]
    {
        let limits = format!("limits: {{body: 250KiB, bodies_in_flight: {room}}}");
        let gateway = before(&edge, "bypass: litellm")
            .with_litellm(&litellm)
            .own(&limits)
            .start()
            .await;
        edge.script([answer::usual().cut(At::BeforeHead, How::Stall)]);

        let asking = tokio::spawn(gateway.post("/v1/messages").body(turn_of(BODY)).send());
        let stalled = edge.wait_until(|stats| stats.in_flight == 1, PATIENCE);
        assert!(
            stalled.await,
            "{room}: it is served, with or without another way"
        );

        let bytes = held(&gateway);
        assert!((at_least..=at_most).contains(&bytes), "{room}: {bytes}");
        asking.abort();
        nothing_held(&gateway).await;
        let left = edge.wait_until(|stats| stats.in_flight == 0, PATIENCE);
        assert!(left.await);
    }
}
