//! HTTP/2 clients: by TLS where a listener has a certificate, in clear only where it says so.

use std::collections::BTreeSet;

use memgate::sim::{Edge, LiteLlm, LiteLlmOptions, SeenRequest};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::harness::*;
use crate::wire::{H2, Raw, Reply, soon, tls};

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
    /// The certificate of the first listener.
    cert: String,
    _files: TempDir,
}

const TLS: usize = 0;
const H2C: usize = 1;
const PLAIN: usize = 2;

impl World {
    /// A gateway with a TLS listener, one for HTTP/2 in clear, and a plain one.
    async fn new() -> Self {
        let edge = Edge::answering([]).await.unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let listen = format!(
            "listen: [{{address: '127.0.0.1:0', tls: {{cert: {}, key: {}}}}}, {{address: '127.0.0.1:0', h2c: true}}, '127.0.0.1:0']",
            cert.display(),
            key.display()
        );
        let gateway = TestGateway::in_front_of(&edge)
            .with_litellm(&litellm)
            .own(&listen)
            .start()
            .await;
        Self {
            edge,
            litellm,
            gateway,
            cert: made.cert.pem(),
            _files: files,
        }
    }

    async fn h2(&self) -> H2 {
        let (stream, agreed) = tls(
            self.gateway.address_of(TLS),
            &self.cert,
            &["h2", "http/1.1"],
        )
        .await;
        assert_eq!(agreed.as_deref(), Some("h2"));
        H2::on(stream).await
    }
}

async fn post(h2: &mut H2, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut exchange = h2.post(target, headers).await;
    exchange.send(body, 16_000).await;
    exchange.reply().await
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn posts(seen: Vec<SeenRequest>) -> Vec<SeenRequest> {
    seen.into_iter()
        .filter(|seen| seen.method == "POST")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_listener_speaks_what_the_client_offers_by_alpn() {
    let world = World::new().await;
    let mut spoken = Vec::new();

    for offer in [&["h2", "http/1.1"][..], &["h2"], &["http/1.1"], &[]] {
        let (stream, agreed) = tls(world.gateway.address_of(TLS), &world.cert, offer).await;
        let body = turn("hello").to_string();
        let answer = if agreed.as_deref() == Some("h2") {
            post(
                &mut H2::on(stream).await,
                "/v1/messages",
                &[],
                body.as_bytes(),
            )
            .await
        } else {
            let mut client = Raw::on(stream);
            client
                .post(
                    "/v1/messages",
                    &format!("content-length: {}\r\n", body.len()),
                )
                .await;
            client.send(body.as_bytes()).await;
            client.reply().await
        };
        spoken.push((agreed, answer.status));
    }

    let agreed = |name: &str| (Some(name.to_owned()), 200);
    assert_eq!(
        spoken,
        [agreed("h2"), agreed("h2"), agreed("http/1.1"), (None, 200)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_bodies_with_and_without_a_length_arrive_on_both_routes() {
    let world = World::new().await;
    let mut h2 = world.h2().await;
    for size in [100, 200_000] {
        let direct = turn(&"x".repeat(size)).to_string();
        let other = direct.replace(MODEL, OTHER);
        for (body, sent, console) in [
            (&direct, direct.replace(MODEL, UPSTREAM_MODEL), &*world.edge),
            (&other, other.clone(), &*world.litellm),
        ] {
            for declared in [false, true] {
                let length = body.len().to_string();
                let mut headers = vec![("anthropic-version", "2023-06-01")];
                headers.extend(declared.then_some(("content-length", &*length)));

                let answer =
                    post(&mut h2, "/v1/messages?beta=true", &headers, body.as_bytes()).await;

                assert_eq!(answer.status, 200, "{size} {declared}");
                let seen = asked(console).pop().unwrap();
                assert_eq!(
                    seen.body.sha256,
                    sha256(sent.as_bytes()),
                    "{size} {declared}"
                );
                assert!(seen.target.ends_with("/v1/messages?beta=true"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h2_upload_without_a_length_does_not_poison_litellms_connection() {
    let world = World::new().await;
    let mut h2 = world.h2().await;
    let body = vec![b'x'; 50_000];
    let length = body.len().to_string();

    for headers in [&[][..], &[("content-length", &*length)], &[], &[]] {
        let answer = post(&mut h2, "/v1/moderations", headers, &body).await;
        assert_eq!(answer.status, 200);
        let empty = post(&mut h2, "/v1/files", &[], b"").await;
        assert_eq!(empty.json()["body_length"], 0);
    }

    let seen = posts(asked(&world.litellm));
    let connections: BTreeSet<u64> = seen.iter().map(|seen| seen.connection).collect();
    assert_eq!(seen.len(), 8);
    assert!(
        connections.len() < 8,
        "some of them followed others on a connection"
    );
    assert!(
        seen.iter()
            .step_by(2)
            .all(|seen| seen.body.sha256 == sha256(&body))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_h2_connection_run_side_by_side() {
    let world = World::new().await;
    let mut h2 = world.h2().await;
    let body = turn("hello").to_string();
    let mut waiting = Vec::new();

    for _ in 0..20 {
        waiting.push(h2.post("/v1/messages", &[]).await);
    }
    for exchange in waiting.iter_mut().rev() {
        exchange.send(body.as_bytes(), 10_000).await;
    }
    let mut statuses = Vec::new();
    for exchange in waiting {
        statuses.push(exchange.reply().await.status);
    }

    assert_eq!(statuses, [200; 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_errors_leave_an_h2_connection_usable() {
    let world = World::new().await;
    let mut h2 = world.h2().await;
    let mut statuses = Vec::new();

    for (target, body) in [
        ("/v1/messages", "not json"),
        ("/ui", "{}"),
        ("/health", "{}"),
        ("/v1/messages", "{}"),
    ] {
        statuses.push(post(&mut h2, target, &[], body.as_bytes()).await.status);
    }
    statuses.push(
        post(
            &mut h2,
            "/v1/messages",
            &[],
            turn("hello").to_string().as_bytes(),
        )
        .await
        .status,
    );

    assert_eq!(statuses, [400, 404, 405, 400, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_in_clear_is_spoken_only_where_the_listener_says_so() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let world = World::new().await;
    let body = turn("hello").to_string();

    let mut h2c = H2::connect(world.gateway.address_of(H2C)).await;
    let over_h2c = post(&mut h2c, "/v1/messages", &[], body.as_bytes()).await;
    let mut old = Raw::connect(world.gateway.address_of(H2C)).await;
    old.post(
        "/v1/messages",
        &format!("content-length: {}\r\n", body.len()),
    )
    .await;
    old.send(body.as_bytes()).await;
    let over_h1 = old.reply().await;
    let mut plain = tokio::net::TcpStream::connect(world.gateway.address_of(PLAIN))
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, PREFACE)
        .await
        .unwrap();
    let mut said = Vec::new();
    let end = soon(
        "the end",
        tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut said),
    )
    .await;

    assert_eq!((over_h2c.status, over_h1.status), (200, 200));
    assert!(
        end.is_err() || said.is_empty() || said.starts_with(b"HTTP/1.1 4"),
        "{said:?}"
    );
}
