//! Clients' connections: how many there may be, how long they may be silent, and who goes first.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memgate::sim::{Edge, Hold, answer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::*;
use crate::wire::{H2, Raw, tls};

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn gateway(limits: &str) -> (Edge, TestGateway) {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own(&format!("limits: {{{limits}}}"))
        .start()
        .await;
    (edge, gateway)
}

/// A client that has had an answer and keeps its connection.
async fn idle(gateway: &TestGateway) -> Raw {
    let mut client = Raw::connect(gateway.address()).await;
    assert!(is_served(&mut client).await);
    client
}

async fn is_served(client: &mut Raw) -> bool {
    client.send(HEALTH).await;
    let answer = client.reply_or_end().await;
    answer.is_some_and(|answer| answer.status == 200)
}

async fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether it ends without a byte of HTTP/1.1.
async fn ends(mut stream: TcpStream) -> bool {
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = soon(stream.read_to_end(&mut said)).await;
    !said.starts_with(b"HTTP/1.1 2")
}

async fn is_ready(gateway: &TestGateway) -> bool {
    let probe = gateway.http().get(gateway.admin_url("/readyz"));
    probe.send().await.unwrap().status() == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_finish_a_head_in_time_is_let_go_at_every_door() {
    let edge = Edge::answering([]).await.unwrap();
    let files = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own(&format!(
            "limits: {{header_timeout: 300ms}}\n\
             listen: ['127.0.0.1:0', {{address: '127.0.0.1:0', h2c: true}}, {{address: '127.0.0.1:0', tls: {{cert: {}, key: {}}}}}]",
            cert.display(),
            key.display()
        ))
        .start()
        .await;
    let mut waiting = Vec::new();
    for (door, said) in [
        (0, &b""[..]),
        (0, b"GET /heal"),
        (0, b"GET /health HTTP/1.1\r\nhost: gateway\r\nx: "),
        (1, b""),
        (1, b"PRI * HTT"),
        (1, PREFACE),
        (2, b""),
        // The beginning of a ClientHello.
        (2, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ] {
        let mut stream = TcpStream::connect(gateway.address_of(door)).await.unwrap();
        stream.write_all(said).await.unwrap();
        waiting.push(stream);
    }
    let clients = waiting.len() + 1;

    let (mut secured, _) = tls(gateway.address_of(2), &made.cert.pem(), &["h2"]).await;
    for stream in waiting {
        assert!(ends(stream).await);
    }
    let _ = soon(secured.read_to_end(&mut Vec::new())).await;

    let silent = [("reason", "silent")];
    gateway
        .counts("connections_closed_total", &silent, clients as f64)
        .await;
    gateway.counts("connections", &[], 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_byte_by_byte_does_not_hold_its_connection() {
    let (_edge, gateway) = gateway("header_timeout: 400ms").await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let trickle = tokio::spawn(async move {
        let line = b"GET /health HTTP/1.1\r\nhost: gateway\r\n";
        writer.write_all(line).await.unwrap();
        while writer.write_all(b"x-a: 1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });

    let mut said = Vec::new();
    let _ = soon(reader.read_to_end(&mut said)).await;

    let silent = [("reason", "silent")];
    gateway
        .counts("connections_closed_total", &silent, 1.0)
        .await;
    trickle.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_ends_whatever_its_client_asked_for() {
    let (_edge, gateway) = gateway("keepalive_timeout: 1s").await;
    let mut client = Raw::connect(gateway.address()).await;
    client
        .send(b"GET /health HTTP/1.1\r\nhost: gateway\r\nconnection: keep-alive\r\nkeep-alive: timeout=99999\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.status, 200);
    let begun = Instant::now();

    assert!(client.ended().await);

    assert!(begun.elapsed() >= Duration::from_millis(900));
    gateway.counts("connections", &[], 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_there_is_no_room_whoever_waits_longest_goes() {
    let (_edge, gateway) = gateway("connections: 4, connections_per_address: 9").await;
    let mut oldest = idle(&gateway).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        // A millisecond is as fine as they are told apart.
        tokio::time::sleep(Duration::from_millis(5)).await;
        others.push(idle(&gateway).await);
    }

    let mut newcomer = idle(&gateway).await;

    assert!(oldest.ended().await);
    assert!(is_served(&mut newcomer).await);
    for client in &mut others {
        assert!(is_served(client).await);
    }
    let displaced = [("reason", "displaced")];
    gateway
        .counts("connections_closed_total", &displaced, 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_busy_newcomers_are_closed_and_it_is_not_ready_until_one_is_done() {
    let (edge, gateway) = gateway("connections: 2, connections_per_address: 9").await;
    let hold = Hold::default();
    edge.script([answer::usual().held(&hold), answer::usual().held(&hold)]);
    let body = turn("hello").to_string();
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = Raw::connect(gateway.address()).await;
        client
            .post(
                "/v1/messages",
                &format!("content-length: {}\r\n", body.len()),
            )
            .await;
        client.send(body.as_bytes()).await;
        busy.push(client);
    }
    assert!(edge.wait_until(|stats| stats.posts == 2, PATIENCE).await);

    let turned_away = TcpStream::connect(gateway.address()).await.unwrap();

    assert!(ends(turned_away).await);
    assert!(!is_ready(&gateway).await);
    hold.release();
    for client in &mut busy {
        assert_eq!(client.reply().await.status, 200, "they were not touched");
    }
    // One of them makes room now.
    gateway.settled().await;
    let another = async {
        loop {
            let mut newcomer = Raw::connect(gateway.address()).await;
            if is_served(&mut newcomer).await {
                return newcomer;
            }
        }
    };
    let _another = soon(another).await;
    assert!(is_ready(&gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_alone_leaves_room_for_the_others_unless_told_otherwise() {
    let (_edge, gateway) = gateway("connections: 8").await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(TcpStream::connect(gateway.address()).await.unwrap());
    }
    let displaced = [("reason", "displaced")];
    gateway
        .counts("connections_closed_total", &displaced, 10.0)
        .await;

    let mut elsewhere = Raw::on(connect_from("127.0.0.2", gateway.address()).await);

    assert!(is_served(&mut elsewhere).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_valid_key_has_a_limit_of_its_own() {
    let (_edge, gateway) = gateway("connections_per_address: 3").await;
    let mut elsewhere = Raw::on(connect_from("127.0.0.2", gateway.address()).await);
    assert!(is_served(&mut elsewhere).await);
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(idle(&gateway).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let _fourth = idle(&gateway).await;

    assert!(strangers[0].ended().await, "the one that waits longest");
    assert!(is_served(&mut strangers[2]).await);
    assert!(is_served(&mut elsewhere).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_shows_a_valid_key_has_no_limit_of_its_own() {
    let (_edge, gateway) = gateway("connections_per_address: 2").await;
    let body = turn("hello").to_string();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Raw::connect(gateway.address()).await;
        client
            .post(
                "/v1/messages",
                &format!("content-length: {}\r\n", body.len()),
            )
            .await;
        client.send(body.as_bytes()).await;
        assert_eq!(client.reply().await.status, 200);
        clients.push(client);
    }
    for _ in 0..5 {
        clients.push(idle(&gateway).await);
    }

    for client in &mut clients {
        assert!(is_served(client).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_end_do_not_shut_probes_out_of_the_admin_port() {
    let (_edge, gateway) = gateway("").await;
    let admin = gateway.admin_url("");
    let admin: SocketAddr = admin.trim_start_matches("http://").parse().unwrap();
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        let head = b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: ";
        // Whoever comes first has to go for the others.
        let _ = stream.write_all(head).await;
        slow.push(stream);
    }

    assert!(is_ready(&gateway).await);

    for first in slow.drain(..50) {
        assert!(ends(first).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_may_connect_as_often_as_it_wants() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("trusted_proxies: [127.0.0.1]\nlimits: {connections_per_address: 2}")
        .start()
        .await;

    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(idle(&gateway).await);
    }

    for client in &mut clients {
        assert!(is_served(client).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_request_of_a_connection_says_so() {
    let (_edge, gateway) = gateway("connection_requests: 3").await;
    let mut client = Raw::connect(gateway.address()).await;
    let mut said = Vec::new();
    for _ in 0..3 {
        client.send(HEALTH).await;
        said.push(client.reply().await.header("connection").to_owned());
    }

    assert_eq!(said, ["keep-alive", "keep-alive", "close"]);
    assert!(client.ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_connection_that_has_served_enough_says_goodbye_and_finishes() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_h2c()
        .own("limits: {connection_requests: 2}")
        .start()
        .await;
    let body = turn("hello").to_string();
    let mut client = H2::connect(gateway.address()).await;
    let mut first = client.post("/v1/messages", &[]).await;
    let mut last = client.post("/v1/messages", &[]).await;

    for exchange in [&mut first, &mut last] {
        exchange.send(body.as_bytes(), 1 << 14).await;
    }

    assert_eq!(
        (first.reply().await.status, last.reply().await.status),
        (200, 200)
    );
    gateway.counts("connections", &[], 0.0).await;
}
