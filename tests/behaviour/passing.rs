//! What LiteLLM alone serves passes untouched: any method, query and size, streamed, and WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use memgate::sim::{Edge, LiteLlm, LiteLlmOptions, Rule, answer};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::*;
use crate::wire::{Raw, soon};

async fn gateway_before(litellm: &LiteLlm) -> TestGateway {
    let edge = Edge::answering([]).await.unwrap();
    TestGateway::in_front_of(&edge)
        .with_litellm(litellm)
        .start()
        .await
}

async fn litellm() -> LiteLlm {
    LiteLlm::start(LiteLlmOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_query_and_body_arrives_as_it_was_sent() {
    let litellm = litellm().await;
    let gateway = gateway_before(&litellm).await;
    let target = "/v1/files/a%2Fb//c?x=1&x=2&userId=me&e=%20+";
    let body = b"\x00\xff{\"model\":\"claude-sonnet-4.5\",\"model\":2}";

    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let sent: &[u8] = if method == Method::GET { b"" } else { body };
        let request = gateway
            .http()
            .request(method.clone(), gateway.url(target))
            .body(sent);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();

        let digest: String = Sha256::digest(sent)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(answer["method"], method.as_str());
        assert_eq!(answer["body_sha256"], digest, "{method}");
        assert_eq!(asked(&litellm).last().unwrap().target, target, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_by_litellm_without_a_body() {
    let litellm = litellm().await;
    let gateway = gateway_before(&litellm).await;

    let answer = gateway
        .http()
        .head(gateway.url("/v1/files/x"))
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 200);
    assert_eq!(asked(&litellm)[0].method, "HEAD");
}

/// An upstream that reads a request only when it is let, and tells how much it has read.
struct Reader {
    address: std::net::SocketAddr,
    read: watch::Receiver<usize>,
    go_on: watch::Sender<bool>,
}

impl Reader {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (progress, read) = watch::channel(0);
        let (go_on, going) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(Self::serve(socket, progress.clone(), going.clone()));
            }
        });
        Self {
            address,
            read,
            go_on,
        }
    }

    /// Reads a megabyte, waits for leave, then reads until the last byte, a `!`.
    async fn serve(
        mut socket: TcpStream,
        progress: watch::Sender<usize>,
        mut going: watch::Receiver<bool>,
    ) {
        let (mut total, mut buffer) = (0, vec![0; 64 << 10]);
        loop {
            let read = socket.read(&mut buffer).await.unwrap_or(0);
            total += read;
            // Probes come here too.
            progress.send_modify(|most| *most = total.max(*most));
            match buffer[..read].last() {
                None => return,
                Some(b'!') => break,
                Some(_) if total >= 1 << 20 => drop(going.wait_for(|go| *go).await),
                Some(_) => {}
            }
        }
        let _ = socket
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
    }
}

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_64_mib_streams_through_and_is_never_held() {
    let mut upstream = Reader::start().await;
    let edge = Edge::answering([]).await.unwrap();
    let urls = format!("litellm: {{urls: ['http://{}']}}", upstream.address);
    let gateway = TestGateway::in_front_of(&edge).own(&urls).start().await;
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n",
        64 * MIB
    );
    socket.write_all(head.as_bytes()).await.unwrap();

    // A part of the body is enough for the upstream to get it.
    socket.write_all(&vec![b'x'; 2 * MIB]).await.unwrap();
    soon(
        "the first megabyte",
        upstream.read.wait_for(|read| *read >= MIB),
    )
    .await
    .unwrap();
    // As long as the upstream reads no more, what the gateway takes in is what sockets buffer.
    let mut taken = 2 * MIB;
    let piece = vec![b'x'; 256 << 10];
    while taken < 63 * MIB {
        match tokio::time::timeout(Duration::from_millis(500), socket.write(&piece)).await {
            Ok(written) => taken += written.unwrap(),
            Err(_) => break,
        }
    }
    let metrics = gateway.metrics().await;
    upstream.go_on.send_replace(true);
    let mut rest = vec![b'x'; 64 * MIB - taken];
    *rest.last_mut().unwrap() = b'!';
    soon("the rest", socket.write_all(&rest)).await.unwrap();
    let mut client = Raw::on(socket);

    assert_eq!(client.reply().await.body, b"ok");
    assert!(
        taken < 32 * MIB,
        "{taken} bytes were taken in before the upstream read them"
    );
    assert!(
        metrics.contains("memgate_bodies_in_flight_bytes 0\n"),
        "{metrics}"
    );
    assert!(*upstream.read.borrow() > 64 * MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_over_every_buffer_arrives_whole() {
    let litellm = litellm().await;
    let gateway = gateway_before(&litellm).await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = Raw::connect(gateway.address()).await;

    client
        .post("/v1/audio/transcriptions", "transfer-encoding: chunked\r\n")
        .await;
    client.chunks(&body, 70_000).await;
    let answer = client.reply().await;

    let digest: String = Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(answer.json()["body_sha256"], digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_is_answered_for_litellm_too() {
    let litellm = litellm().await;
    let gateway = gateway_before(&litellm).await;
    let mut client = Raw::connect(gateway.address()).await;

    client
        .post("/v1/files", "content-length: 5\r\nexpect: 100-continue\r\n")
        .await;
    let first = client.reply().await;
    client.send(b"hello").await;
    let answer = client.reply().await;

    assert_eq!(first.status, 100);
    assert_eq!(answer.json()["body_length"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_both_ways() {
    let litellm = litellm().await;
    let gateway = gateway_before(&litellm).await;
    let url = format!("ws://{}/v1/realtime?model=gpt-realtime", gateway.address());

    let (mut socket, head) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut echoes = Vec::new();
    for text in ["one".to_owned(), "x".repeat(200_000)] {
        socket.send(Message::text(text.clone())).await.unwrap();
        let echo = soon("the echo", socket.next()).await.unwrap().unwrap();
        echoes.push(echo == Message::text(text));
    }
    socket.close(None).await.unwrap();

    assert_eq!(head.status(), 101);
    assert_eq!(echoes, [true, true]);
    assert_eq!(asked(&litellm)[0].target, "/v1/realtime?model=gpt-realtime");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_is_switched_at_once_is_never_cut() {
    let litellm = litellm().await;
    let gateway = gateway_before(&litellm).await;
    let url = format!("ws://{}/v1/realtime", gateway.address());
    let mut cut = 0;

    for _ in 0..400 {
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        let sent = socket.send(Message::text("hello")).await;
        let echo = soon("the echo", socket.next()).await;
        cut += usize::from(sent.is_err() || !matches!(echo, Some(Ok(Message::Text(_)))));
    }

    assert_eq!(cut, 0, "of 400");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_litellm_refuses_is_answered_and_the_connection_lives_on() {
    let litellm = litellm().await;
    let gateway = gateway_before(&litellm).await;
    let refusal = answer::provider_error(403, "permission_error", "no realtime for you");
    litellm.rule(Rule::new(refusal).path("/v1/realtime"));
    let mut client = Raw::connect(gateway.address()).await;

    for _ in 0..3 {
        let head = "GET /v1/realtime HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        client.send(head.as_bytes()).await;
        let answer = client.reply().await;

        assert_eq!(answer.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_inference_paths_are_open_and_the_404_says_how_to_open_the_rest() {
    let litellm = litellm().await;
    let gateway = gateway_before(&litellm).await;

    for path in ["/ui", "/key/generate", "/config/update", "/"] {
        let answer = gateway.post(path).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let error: Value = answer.json().await.unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("litellm.expose: all"), "{message}");
    }

    assert!(asked(&litellm).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_expose_all_everything_of_litellm_is_open() {
    let litellm = litellm().await;
    let edge = Edge::answering([]).await.unwrap();
    let own = format!("litellm: {{urls: ['{}'], expose: all}}", litellm.url());
    let gateway = TestGateway::in_front_of(&edge).own(&own).start().await;

    for path in ["/ui", "/key/generate"] {
        let post = gateway
            .post(path)
            .header("cookie", "token=ui")
            .body(json!({}).to_string());
        assert_eq!(post.send().await.unwrap().status(), 200, "{path}");
    }

    let seen = asked(&litellm);
    assert_eq!(
        seen[0].cookie("token"),
        Some("ui"),
        "the UI has cookies of its own"
    );
    assert_eq!(seen.len(), 2);
}
