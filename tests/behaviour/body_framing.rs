//! How a body may arrive: with a length or in chunks, after 100-continue, over either HTTP version.

use std::time::Duration;

use memgate::sim::{Alpn, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, answer};

use crate::bodies::{renamed, sha256, turn_of};
use crate::harness::*;
use crate::wire::{H2, Raw, tls};

const LIMIT: usize = 300 << 10;

/// Listens in plain, in plain with h2c, and over TLS; bodies of up to [`LIMIT`] bytes are held.
struct World {
    edge: Edge,
    gateway: TestGateway,
    certificate: String,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::before(Alpn::Both).await
    }

    async fn before(alpn: Alpn) -> Self {
        let options = EdgeOptions {
            alpn,
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        std::fs::write(&cert, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        let listen = format!(
            "listen: ['127.0.0.1:0', {{address: '127.0.0.1:0', h2c: true}}, \
             {{address: '127.0.0.1:0', tls: {{cert: '{}', key: '{}'}}}}]\n\
             limits: {{body: 300KiB}}",
            cert.display(),
            key.display()
        );
        let gateway = TestGateway::in_front_of(&edge).own(&listen).start().await;
        Self {
            edge,
            gateway,
            certificate: own.cert.pem(),
            _folder: folder,
        }
    }

    async fn raw(&self) -> Raw {
        Raw::connect(self.gateway.address()).await
    }

    async fn h2c(&self) -> H2 {
        H2::connect(self.gateway.address_of(1)).await
    }

    async fn h2_over_tls(&self) -> H2 {
        let address = self.gateway.address_of(2);
        let (stream, agreed) = tls(address, &self.certificate, &["h2", "http/1.1"]).await;
        assert_eq!(agreed.as_deref(), Some("h2"));
        H2::on(stream).await
    }

    /// The provider got this body, and nothing else since the last look.
    fn received(&self, body: &str, what: &str) {
        let seen = self.edge.requests();
        assert_eq!(seen.len(), 1, "{what}");
        let expected = sha256(renamed(body).as_bytes());
        assert_eq!(seen[0].body.sha256, expected, "{what}");
        self.edge.reset();
    }
}

const SIZES: [usize; 6] = [200, 65_535, 65_536, 65_537, 200_000, LIMIT];

#[tokio::test(flavor = "multi_thread")]
async fn http_1_bodies_with_a_length_arrive_whole() {
    let world = World::new().await;
    let mut raw = world.raw().await;
    for size in SIZES {
        let body = turn_of(size);

        raw.post("/v1/messages", &format!("content-length: {size}\r\n"))
            .await;
        raw.send(body.as_bytes()).await;

        assert_eq!(raw.reply().await.status, 200, "{size}");
        world.received(&body, &format!("{size} bytes, the connection kept"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_bodies_in_chunks_arrive_whole() {
    let pieces = [7, 1_000, 65_536, 70_000, 999, 100_000];
    for alpn in [Alpn::H1, Alpn::H2] {
        let world = World::before(alpn).await;
        let mut raw = world.raw().await;
        for (size, piece) in SIZES.into_iter().zip(pieces) {
            let body = turn_of(size);

            raw.post("/v1/messages", "transfer-encoding: chunked\r\n")
                .await;
            raw.chunks(body.as_bytes(), piece).await;

            let what = format!("{alpn:?}: {size} bytes in pieces of {piece}");
            assert_eq!(raw.reply().await.status, 200, "{what}");
            world.received(&body, &what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_bodies_arrive_whole_with_and_without_tls_and_length() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let world = World::before(alpn).await;
        for mut client in [world.h2c().await, world.h2_over_tls().await] {
            for size in SIZES {
                let (body, length) = (turn_of(size), size.to_string());
                for declared in [&[("content-length", &*length)][..], &[]] {
                    let mut exchange = client.post("/v1/messages", declared).await;
                    exchange.send(body.as_bytes(), 16_000).await;

                    let what = format!("{alpn:?}: {size} bytes, {declared:?}");
                    let reply = exchange.reply().await;
                    assert_eq!((reply.status, reply.whole), (200, true), "{what}");
                    world.received(&body, &what);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_is_spoken_over_tls_and_beside_h2c() {
    let world = World::new().await;
    let body = turn_of(70_000);
    let (stream, agreed) = tls(
        world.gateway.address_of(2),
        &world.certificate,
        &["http/1.1"],
    )
    .await;
    assert_eq!(agreed.as_deref(), Some("http/1.1"));

    let mut secured = Raw::on(stream);
    secured
        .post("/v1/messages", "content-length: 70000\r\n")
        .await;
    secured.send(body.as_bytes()).await;
    assert_eq!(secured.reply().await.status, 200);
    world.received(&body, "over TLS");

    let mut plain = Raw::connect(world.gateway.address_of(1)).await;
    plain
        .post("/v1/messages", "content-length: 70000\r\n")
        .await;
    plain.send(body.as_bytes()).await;
    assert_eq!(plain.reply().await.status, 200);
    world.received(&body, "beside h2c");
}

#[tokio::test(flavor = "multi_thread")]
async fn h2c_is_off_where_no_listener_asks_for_it() {
    let world = World::new().await;
    let mut raw = world.raw().await;

    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;

    assert_eq!(raw.reply().await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_continue_gets_it_and_only_then_sends() {
    let world = World::new().await;
    let mut raw = world.raw().await;
    for (framing, chunked) in [
        ("content-length: 100000", false),
        ("transfer-encoding: chunked", true),
    ] {
        let body = turn_of(100_000);

        raw.post(
            "/v1/messages",
            &format!("expect: 100-continue\r\n{framing}\r\n"),
        )
        .await;
        assert_eq!(raw.reply().await.status, 100, "{framing}");
        if chunked {
            raw.chunks(body.as_bytes(), 30_000).await;
        } else {
            raw.send(body.as_bytes()).await;
        }

        let reply = raw.reply().await;
        assert_eq!(reply.status, 200, "{framing}");
        assert_eq!(reply.header("connection"), "keep-alive", "{framing}");
        assert_eq!(world.edge.requests()[0].header("expect"), None);
        world.received(&body, framing);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_taken_is_refused_instead_of_continued() {
    let world = World::new().await;
    let mut raw = world.raw().await;
    let length = LIMIT + 1;

    raw.post(
        "/v1/messages",
        &format!("expect: 100-continue\r\ncontent-length: {length}\r\n"),
    )
    .await;

    assert_eq!(raw.reply().await.status, 413);
    assert_eq!(world.edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_above_the_limit_is_a_413_however_it_comes() {
    let world = World::new().await;
    let body = turn_of(LIMIT + 1);
    let length = body.len().to_string();

    let mut raw = world.raw().await;
    raw.post("/v1/messages", &format!("content-length: {length}\r\n"))
        .await;
    raw.send(body.as_bytes()).await;
    let declared = raw.reply().await;
    let mut raw = world.raw().await;
    raw.post("/v1/messages", "transfer-encoding: chunked\r\n")
        .await;
    raw.chunks(body.as_bytes(), 50_000).await;
    let chunked = raw.reply().await;
    let mut h2 = world.h2c().await;
    let mut exchange = h2
        .post("/v1/messages", &[("content-length", &length)])
        .await;
    exchange.send(body.as_bytes(), 16_000).await;
    let framed = exchange.reply().await;
    let mut exchange = h2.post("/v1/messages", &[]).await;
    exchange.send(body.as_bytes(), 16_000).await;
    let unsaid = exchange.reply().await;

    for (what, reply) in [
        ("length", declared),
        ("chunks", chunked),
        ("h2", framed),
        ("h2 without length", unsaid),
    ] {
        assert_eq!(reply.status, 413, "{what}");
        assert_eq!(reply.json()["error"]["type"], "request_too_large", "{what}");
    }
    assert_eq!(world.edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_at_all_are_a_400_and_the_connection_lives_on() {
    let world = World::new().await;
    let mut raw = world.raw().await;
    for framing in [
        "content-length: 0\r\n",
        "",
        "transfer-encoding: chunked\r\n",
    ] {
        raw.post("/v1/messages", framing).await;
        if framing.starts_with('t') {
            raw.send(b"0\r\n\r\n").await;
        }
        let reply = raw.reply().await;
        assert_eq!(reply.status, 400, "{framing:?}");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
    let mut h2 = world.h2c().await;
    let mut exchange = h2.post("/v1/messages", &[]).await;
    exchange.send(b"", 1).await;
    assert_eq!(exchange.reply().await.status, 400);
    assert_eq!(world.edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lasts_unless_the_client_says_otherwise() {
    let world = World::new().await;
    let body = turn_of(200);
    for (said, lasts) in [("", true), ("connection: close\r\n", false)] {
        let mut raw = world.raw().await;

        raw.post("/v1/messages", &format!("{said}content-length: 200\r\n"))
            .await;
        raw.send(body.as_bytes()).await;

        let expected = if lasts { "keep-alive" } else { "close" };
        assert_eq!(raw.reply().await.header("connection"), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_gets_one_answer_unless_it_asks_for_more() {
    let world = World::new().await;
    let body = turn_of(200);
    for (said, lasts) in [("", false), ("connection: keep-alive\r\n", true)] {
        let mut raw = world.raw().await;
        let head = format!(
            "POST /v1/messages HTTP/1.0\r\nhost: gateway\r\nauthorization: Bearer {MASTER}\r\n{said}content-length: 200\r\n\r\n"
        );

        raw.send(head.as_bytes()).await;
        raw.send(body.as_bytes()).await;

        let expected = if lasts { "keep-alive" } else { "close" };
        assert_eq!(raw.reply().await.header("connection"), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_the_heels_of_another_does_not_end_it() {
    let world = World::new().await;
    let refusal = answer::provider_error(429, "rate_limit_error", "slow down").retry_after(0);
    for first in [answer::usual().delay(Duration::from_millis(50)), refusal] {
        world.edge.reset();
        world.edge.script([first]);
        let body = turn_of(200);
        let head = "POST /v1/messages HTTP/1.1\r\nhost: gateway\r\ncontent-length: 200\r\n";
        let one = format!("{head}authorization: Bearer {MASTER}\r\n\r\n{body}");
        let mut raw = world.raw().await;

        raw.send(format!("{one}{one}").as_bytes()).await;

        let reply = raw.reply().await;
        assert_eq!(reply.status, 200, "{:?}", String::from_utf8(reply.body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_without_a_size_is_a_400_in_the_paths_dialect() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    for (path, kind) in [
        ("/v1/messages", "type"),
        ("/v1/chat/completions", "error"),
        ("/v1/embeddings", "error"),
        ("/v1/files", "error"),
    ] {
        for chunk in ["zz\r\nab\r\n", "-1\r\n", "ffffffffffffffffff\r\n"] {
            let mut client = Raw::connect(gateway.address()).await;
            client.post(path, "transfer-encoding: chunked\r\n").await;
            client.send(chunk.as_bytes()).await;
            let answer = client.reply().await;

            assert_eq!(answer.status, 400, "{path} {chunk:?}");
            assert!(answer.json().get(kind).is_some(), "{path} {chunk:?}");
            assert_eq!(answer.header("connection"), "close", "{path}");
            assert!(client.ended().await, "{path} {chunk:?}");
        }
    }
}
