//! What an upstream says beside its answer: hop-by-hop fields, informational heads, switches nobody asked for.

use memgate::sim::{Alpn, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, answer};

use crate::harness::*;
use crate::wire::{Raw, Reply};

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

impl World {
    async fn new(alpn: Alpn) -> Self {
        let edge = Edge::start(EdgeOptions {
            alpn,
            ..EdgeOptions::default()
        })
        .await
        .unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge)
            .with_litellm(&litellm)
            .start()
            .await;
        Self {
            edge,
            litellm,
            gateway,
        }
    }

    /// One request on each route: the provider's, LiteLLM's by a held body, LiteLLM's by a streamed one.
    fn ways(&self) -> [(&'static str, &memgate::sim::Console, String); 3] {
        let body = turn("hello").to_string();
        let other = body.replace(MODEL, OTHER);
        [
            ("/v1/messages", &self.edge, body),
            ("/v1/chat/completions", &self.litellm, other),
            ("/v1/files", &self.litellm, "{}".into()),
        ]
    }

    async fn post(&self, client: &mut Raw, target: &str, body: &str) -> Reply {
        client
            .post(target, &format!("content-length: {}\r\n", body.len()))
            .await;
        client.send(body.as_bytes()).await;
        client.reply().await
    }

    async fn client(&self) -> Raw {
        Raw::connect(self.gateway.address()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_of_an_upstream_stay_here() {
    let world = World::new(Alpn::H1).await;
    for (target, console, body) in world.ways() {
        let spoken = answer::usual()
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("proxy-authenticate", "Basic")
            .header("upgrade", "h2c")
            .header("alt-svc", "h3=\":443\"")
            .header("connection", "keep-alive, x-nominated")
            .header("x-nominated", "1")
            .header("x-kept", "1");
        console.script([spoken]);

        let answer = world.post(&mut world.client().await, target, &body).await;

        assert_eq!(
            (answer.status, answer.header("x-kept")),
            (200, "1"),
            "{target}"
        );
        for name in [
            "keep-alive",
            "proxy-connection",
            "proxy-authenticate",
            "upgrade",
            "alt-svc",
            "x-nominated",
        ] {
            assert_eq!(answer.header(name), "", "{target} {name}");
        }
        assert!(
            !answer.header("connection").contains("x-nominated"),
            "{target}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_informational_heads_are_swallowed_and_a_flood_is_a_502() {
    for (heads, status) in [(8, 200), (9, 502)] {
        let world = World::new(Alpn::H1).await;
        for (target, console, body) in world.ways() {
            console
                .script([(0..heads).fold(answer::usual(), |answer, _| answer.informational(103))]);
            let mut client = world.client().await;

            let answer = world.post(&mut client, target, &body).await;

            assert_eq!(answer.status, status, "{target} {heads}");
            assert_eq!(
                world
                    .post(&mut world.client().await, target, &body)
                    .await
                    .status,
                200,
                "{target}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn informational_heads_over_http2_do_no_harm() {
    let world = World::new(Alpn::H2).await;
    world
        .edge
        .script([answer::usual().informational(103).informational(103)]);

    let answer = world.gateway.message("hello").await;

    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_502() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let world = World::new(Alpn::H1).await;
    for (target, console, body) in world.ways() {
        console.script([answer::raw(SWITCH)]);

        let answer = world.post(&mut world.client().await, target, &body).await;

        assert_eq!(answer.status, 502, "{target}");
        assert_ne!(answer.body, b"evil", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_204_with_a_content_length_ends_at_its_head() {
    let world = World::new(Alpn::H1).await;
    for (target, console, body) in world.ways() {
        console.script([answer::raw(
            "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\nx-kept: 1\r\n\r\n",
        )]);
        let mut client = world.client().await;

        let empty = world.post(&mut client, target, &body).await;
        let next = world.post(&mut client, target, &body).await;

        assert_eq!(
            (empty.status, empty.header("x-kept")),
            (204, "1"),
            "{target}"
        );
        assert_eq!(
            (
                empty.header("content-length"),
                empty.header("transfer-encoding")
            ),
            ("", ""),
            "{target}"
        );
        assert_eq!(
            next.status, 200,
            "{target}: the connection is not out of step"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_204_in_chunks_says_nothing_of_a_body() {
    let world = World::new(Alpn::H1).await;
    for (target, console, body) in world.ways() {
        console.script([answer::raw(
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        )]);

        let empty = world.post(&mut world.client().await, target, &body).await;

        assert_eq!(empty.status, 204, "{target}");
        assert_eq!(empty.header("transfer-encoding"), "", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_larger_than_any_answers_is_a_502_and_not_passed_on() {
    let world = World::new(Alpn::H1).await;
    for (target, console, body) in world.ways() {
        let large = "x".repeat(70 << 10);
        console.script([answer::usual().header("x-large", large)]);

        let answer = world.post(&mut world.client().await, target, &body).await;

        assert_eq!(answer.status, 502, "{target}");
        assert_eq!(answer.header("x-large"), "", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_a_502_without_a_word_of_the_inside() {
    let world = World::new(Alpn::H1).await;
    for garbage in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "",
    ] {
        for (target, console, body) in world.ways() {
            console.script([answer::raw(garbage)]);

            let answer = world.post(&mut world.client().await, target, &body).await;

            assert_eq!(answer.status, 502, "{target} {garbage:?}");
            assert_eq!(
                answer.header("x-should-retry"),
                "false",
                "{target} {garbage:?}"
            );
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(
                !text.contains("127.0.0.1") && !text.to_lowercase().contains("pingora"),
                "{text}"
            );
        }
    }
}
