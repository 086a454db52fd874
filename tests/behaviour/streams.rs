//! Streams: event by event, as they were sent, to their end.

use std::io::Read;

use memgate::sim::answer::{self, At, How};
use memgate::sim::{Alpn, Edge, EdgeOptions, Encoding, LiteLlm, LiteLlmOptions};

use crate::harness::*;

const EVENTS: [&str; 4] = [
    "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
    ": keep-alive\n\n",
    "event: content_block_delta\ndata: {\"n\":3}\n\n",
    "data: [DONE]\n\n",
];

/// An edge of each HTTP version, and LiteLLM.
struct World {
    edges: [(Alpn, Edge); 2],
    litellm: LiteLlm,
}

impl World {
    async fn start() -> Self {
        let edge = async |alpn| {
            let options = EdgeOptions {
                alpn,
                ..Default::default()
            };
            (alpn, Edge::start(options).await.unwrap())
        };
        Self {
            edges: [edge(Alpn::H1).await, edge(Alpn::H2).await],
            litellm: LiteLlm::start(LiteLlmOptions::default()).await.unwrap(),
        }
    }

    async fn gateways(&self) -> [TestGateway; 2] {
        let [h1, h2] = &self.edges;
        let start = async |edge: &Edge| {
            let builder = TestGateway::in_front_of(edge).with_litellm(&self.litellm);
            builder.with_h2c().start().await
        };
        [start(&h1.1).await, start(&h2.1).await]
    }
}

async fn ask(gateway: &TestGateway, down: Down, path: &str, model: &str) -> reqwest::Response {
    let request = down.client().post(gateway.url(path)).bearer_auth(MASTER);
    let request = request.header("accept-encoding", "gzip, br");
    soon(request.body(streamed(model, "hello")).send())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_arrives_while_the_upstream_still_holds_the_next() {
    let world = World::start().await;
    let gateways = world.gateways().await;

    for (gateway, (alpn, edge)) in gateways.iter().zip(&world.edges) {
        for down in Down::BOTH {
            for held_after in 1..EVENTS.len() {
                edge.script([answer::stream(EVENTS).cut(At::AfterEvents(held_after), How::Stall)]);

                let mut answer = ask(gateway, down, "/v1/messages", MODEL).await;
                let sent = EVENTS[..held_after].concat();
                let arrived = soon(read_until(&mut answer, &sent)).await;

                let what = format!("{alpn:?} upstream, {down:?} client, {held_after} events");
                assert_eq!(arrived, sent.as_bytes(), "{what}");
                assert_eq!(
                    edge.stats().in_flight,
                    1,
                    "{what}: the upstream holds the rest"
                );
                drop(answer);
                let left = |stats: &memgate::sim::Stats| stats.in_flight == 0;
                assert!(edge.wait_until(left, PATIENCE).await, "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_litellm_arrives_while_the_next_is_held() {
    let world = World::start().await;
    let [gateway, _] = world.gateways().await;

    for down in Down::BOTH {
        for path in ["/v1/messages", "/v1/chat/completions", "/v1/responses"] {
            let stalled = answer::stream(EVENTS).cut(At::AfterEvents(2), How::Stall);
            world.litellm.script([stalled]);

            let mut answer = ask(&gateway, down, path, OTHER).await;
            let sent = EVENTS[..2].concat();
            let arrived = soon(read_until(&mut answer, &sent)).await;

            assert_eq!(arrived, sent.as_bytes(), "{down:?} {path}");
            assert_eq!(answer.headers()["x-memgate-route"], "litellm");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_stream_passes_byte_for_byte_and_is_not_compressed_by_us() {
    let world = World::start().await;
    let gateways = world.gateways().await;

    for (gateway, (alpn, edge)) in gateways.iter().zip(&world.edges) {
        for down in Down::BOTH {
            edge.script([answer::stream(EVENTS)]);

            let mut answer = ask(gateway, down, "/v1/messages", MODEL).await;

            assert_eq!(answer.headers().get("content-encoding"), None);
            let kind = &answer.headers()["content-type"];
            assert_eq!(kind, "text/event-stream; charset=utf-8");
            let (body, whole) = soon(read_out(&mut answer)).await;
            assert!(whole, "{alpn:?} {down:?}");
            assert_eq!(body, EVENTS.concat().as_bytes(), "{alpn:?} {down:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_answer_is_asked_for_plain_and_passes_packed_all_the_same() {
    let world = World::start().await;
    let [_, gateway] = world.gateways().await;
    let (_, edge) = &world.edges[1];
    edge.script([answer::usual().compressed(Encoding::Gzip)]);

    let request = gateway
        .post("/v1/messages")
        .header("accept-encoding", "gzip, br");
    let mut answer = request
        .body(turn("hello").to_string())
        .send()
        .await
        .unwrap();

    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert!(read_out(&mut answer).await.1);
    let asked = edge.requests().pop().unwrap();
    assert_eq!(
        asked.header("accept-encoding"),
        Some("identity"),
        "what it took is read as it passes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_compressed_unasked_passes_as_it_is() {
    let world = World::start().await;
    let gateways = world.gateways().await;

    for (gateway, (alpn, edge)) in gateways.iter().zip(&world.edges) {
        for down in Down::BOTH {
            edge.script([answer::stream(EVENTS).compressed(Encoding::Gzip)]);

            let mut answer = ask(gateway, down, "/v1/messages", MODEL).await;

            assert_eq!(answer.headers()["content-encoding"], "gzip");
            let (body, whole) = soon(read_out(&mut answer)).await;
            assert!(whole, "{alpn:?} {down:?}");
            let mut plain = String::new();
            flate2::read::GzDecoder::new(&body[..])
                .read_to_string(&mut plain)
                .unwrap();
            assert_eq!(plain, EVENTS.concat(), "{alpn:?} {down:?}");
            let asked = edge.requests().pop().unwrap();
            assert_eq!(
                asked.header("accept-encoding"),
                Some("identity"),
                "in a packed stream nobody sees an error event, or that the last event is missing"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_in_trailers_ends_whole() {
    let world = World::start().await;
    let gateways = world.gateways().await;

    for (gateway, (alpn, edge)) in gateways.iter().zip(&world.edges) {
        for down in Down::BOTH {
            edge.script([answer::stream(EVENTS).trailer("x-checksum", "abc")]);

            let mut answer = ask(gateway, down, "/v1/messages", MODEL).await;
            let (body, whole) = soon(read_out(&mut answer)).await;

            assert!(whole, "{alpn:?} {down:?}");
            assert_eq!(body, EVENTS.concat().as_bytes(), "{alpn:?} {down:?}");
        }
    }
    let litellm = answer::stream(EVENTS).trailer("x-checksum", "abc");
    world.litellm.script([litellm.clone(), litellm]);
    for path in ["/v1/chat/completions", "/v1/responses"] {
        let mut answer = ask(&gateways[0], Down::H1, path, OTHER).await;
        let (body, whole) = soon(read_out(&mut answer)).await;

        assert!(whole, "{path}");
        assert_eq!(body, EVENTS.concat().as_bytes(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_goodbye_in_mid_stream_finishes_the_stream() {
    let world = World::start().await;
    let gateways = world.gateways().await;

    for (gateway, (alpn, edge)) in gateways.iter().zip(&world.edges) {
        edge.script([answer::stream(EVENTS).goaway()]);

        let mut answer = ask(gateway, Down::H1, "/v1/messages", MODEL).await;
        let (body, whole) = soon(read_out(&mut answer)).await;
        let next = gateway.message("after the goodbye").await;

        assert!(whole, "{alpn:?}");
        assert_eq!(body, EVENTS.concat().as_bytes(), "{alpn:?}");
        assert_eq!(next.status(), 200, "{alpn:?}");
    }
}
