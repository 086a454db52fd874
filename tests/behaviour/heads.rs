//! What a request's head may be: its size, its target, its names; and what of it an upstream is told.

use memgate::sim::{Console, Edge, LiteLlm, LiteLlmOptions};

use crate::harness::*;
use crate::wire::{H2, Raw};

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

impl World {
    async fn new(own: &str) -> Self {
        let edge = Edge::answering([]).await.unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge)
            .with_litellm(&litellm)
            .with_h2c()
            .own(own)
            .start()
            .await;
        Self {
            edge,
            litellm,
            gateway,
        }
    }

    /// The answer's status, whether the connection ended with it, and what an upstream saw.
    async fn send(&self, head: &str) -> (u16, bool, usize) {
        let mut client = Raw::connect(self.gateway.address()).await;
        client.send(head.as_bytes()).await;
        let answer = client.reply().await;
        let ended = answer.header("connection") == "close" && client.ended().await;
        let consoles: [&Console; 2] = [&self.edge, &self.litellm];
        let seen = consoles.map(|console| asked(console).len());
        (answer.status, ended, seen.iter().sum())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_beyond_the_limits_is_refused_and_ends_the_connection() {
    let world = World::new("").await;
    let many: String = (0..100).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(33 << 10));
    let name = format!("{}: 1\r\n", "x".repeat(300));
    let long = "z".repeat(9 << 10);
    for (target, fields, status) in [
        ("/v1/files", &many, 431),
        ("/v1/files", &large, 431),
        ("/v1/files", &name, 431),
        (&*format!("/v1/files?{long}"), &String::new(), 414),
        (&*format!("/v1/{long}"), &String::new(), 414),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nhost: gateway\r\n{fields}\r\n");

        let answered = world.send(&head).await;

        assert_eq!(answered, (status, true, 0), "{}", head.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_limits_hold_over_http2() {
    let world = World::new("limits: {headers: 20, head: 4KiB, uri: 1KiB}").await;
    let mut h2 = H2::connect(world.gateway.address()).await;
    let names: Vec<String> = (0..20).map(|n| format!("x-{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "1")).collect();
    let value = "y".repeat(4 << 10);
    let long = format!("/v1/messages?{}", "z".repeat(1 << 10));
    for (target, fields, status) in [
        ("/v1/messages", &many[..], 431),
        ("/v1/messages", &[("x", &*value)], 431),
        (&*long, &[], 414),
        ("/v1/messages", &[], 200),
    ] {
        let mut exchange = h2.post(target, fields).await;
        exchange
            .send(turn("hello").to_string().as_bytes(), 1 << 14)
            .await;

        assert_eq!(exchange.reply().await.status, status, "{}", target.len());
    }
    assert_eq!(asked(&world.edge).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_names_no_path_of_ours_is_a_400() {
    let world = World::new("").await;
    for target in [
        "admin",
        "*",
        "?x=/v1/models",
        "javascript:alert(1)",
        "ftp://gateway/v1/models",
        "//other/v1/models",
        "/v1/../admin",
        "/v1/./models",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1%2f..%2fadmin",
        "/v1/\\..\\admin",
        "/v1/%5c..%5cadmin",
        "/v1/models%00",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nhost: gateway\r\n\r\n");

        let answered = world.send(&head).await;

        assert_eq!(answered, (400, true, 0), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_needed_once_and_is_a_host() {
    let world = World::new("").await;
    for host in [
        "",
        "host:\r\n",
        "host: a/b\r\n",
        "host: a b\r\n",
        "host: user@a\r\n",
        "host: a\r\nhost: a\r\n",
        "host: a:b\r\n",
    ] {
        let head = format!("GET /v1/files HTTP/1.1\r\n{host}\r\n");

        let answered = world.send(&head).await;

        assert_eq!(answered, (400, true, 0), "{host:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_of_this_server_goes_up_as_a_path() {
    let world = World::new("").await;
    for url in [
        "http://gateway/v1/files?a=1",
        "HTTP://gateway:80/v1/files?a=1",
    ] {
        let host = url.split('/').nth(2).unwrap();
        let head = format!("GET {url} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");

        let answered = world.send(&head).await;

        assert_eq!(answered, (200, true, 1), "{url}");
        assert_eq!(asked(&world.litellm)[0].target, "/v1/files?a=1", "{url}");
        world.litellm.reset();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_connect_is_no_request() {
    let world = World::new("").await;
    let behind = "GET /v1/files HTTP/1.1\r\nhost: gateway\r\n\r\n";

    let head = format!("CONNECT gateway:443 HTTP/1.1\r\nhost: gateway:443\r\n\r\n{behind}");

    assert_eq!(world.send(&head).await, (405, true, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_nobody_needs_are_a_405() {
    let world = World::new("").await;
    for method in ["TRACE", "get", "FOO-BAR", "PROPFIND"] {
        let head =
            format!("{method} /v1/files HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");

        assert_eq!(world.send(&head).await, (405, true, 0), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_say_who_it_is_unless_its_address_is_trusted() {
    const SAID: &str = "x-forwarded-for: 192.0.2.9\r\nx-forwarded-for: 198.51.100.7\r\nx-forwarded-proto: https\r\nx-forwarded-host: bank\r\n\
        forwarded: for=192.0.2.9\r\nx-real-ip: 192.0.2.9\r\ntrue-client-ip: 192.0.2.9\r\ncf-connecting-ip: 192.0.2.9\r\n\
        x-client-ip: 192.0.2.9\r\nconnection: x-request-id\r\n";
    for (trusted, chain, scheme) in [
        ("", "127.0.0.1", "http"),
        (
            "trusted_proxies: [127.0.0.0/8]",
            "192.0.2.9, 198.51.100.7, 127.0.0.1",
            "https",
        ),
    ] {
        let world = World::new(trusted).await;
        let head = format!("GET /v1/files HTTP/1.1\r\nhost: gateway\r\n{SAID}\r\n");

        let mut client = Raw::connect(world.gateway.address()).await;
        client.send(head.as_bytes()).await;
        let status = client.reply().await.status;

        assert_eq!(status, 200, "{trusted}");
        let seen = asked(&world.litellm).remove(0);
        assert_eq!(seen.header("x-forwarded-for"), Some(chain));
        assert_eq!(seen.header("x-forwarded-proto"), Some(scheme));
        assert_eq!(seen.header("x-forwarded-host"), Some("gateway"));
        assert!(seen.header("x-request-id").is_some());
        for name in [
            "forwarded",
            "x-real-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "x-client-ip",
        ] {
            assert_eq!(seen.header(name), None, "{name} {trusted}");
        }
    }
}
