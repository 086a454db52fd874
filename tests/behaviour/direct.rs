//! The direct route: whom it calls, in which protocol, and what it asks for.

use std::collections::BTreeSet;

use memgate::sim::{Alpn, Ca, Edge, EdgeOptions, Version};

use crate::harness::*;
use crate::wire::Raw;

async fn edge(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_what_the_handshake_agrees_on() {
    for (alpn, version) in [
        (Alpn::Both, Version::Http2),
        (Alpn::H2, Version::Http2),
        (Alpn::H1, Version::Http11),
    ] {
        let edge = edge(alpn).await;
        let gateway = TestGateway::in_front_of(&edge).start().await;

        for _ in 0..3 {
            assert_eq!(gateway.message("hi").await.status(), 200, "{alpn:?}");
        }

        let seen = edge.requests();
        assert!(seen.iter().all(|seen| seen.version == version), "{alpn:?}");
        let connections: BTreeSet<u64> = seen.iter().map(|seen| seen.connection).collect();
        assert_eq!(connections.len(), 1, "{alpn:?}: one connection, used again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn host_is_the_name_of_the_certificate_whatever_the_client_says() {
    for alpn in [Alpn::H1, Alpn::H2] {
        // A certificate of this one name: the handshake fails unless it is asked for.
        let options = EdgeOptions {
            alpn,
            names: vec!["api.supermemory.ai".to_owned()],
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge).start().await;
        let body = turn("hi").to_string();
        let mut raw = Raw::connect(gateway.address()).await;

        raw.post(
            "/v1/messages",
            &format!("content-length: {}\r\n", body.len()),
        )
        .await;
        raw.send(body.as_bytes()).await;

        assert_eq!(raw.reply().await.status, 200);
        let seen = &edge.requests()[0];
        assert_eq!(seen.authority, "api.supermemory.ai", "{alpn:?}");
        if alpn == Alpn::H1 {
            assert_eq!(seen.header("host"), Some("api.supermemory.ai"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_asked_for_where_the_client_takes_anything_or_only_events() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    for (number, (accept, widened)) in [
        (None, true),
        (Some("*/*"), true),
        (Some("text/event-stream"), true),
        (Some("text/event-stream, */*"), true),
        (Some("application/json"), false),
        (Some("application/json, text/event-stream"), false),
        (Some("text/plain"), false),
    ]
    .into_iter()
    .enumerate()
    {
        let body = turn("hi").to_string();
        let mut raw = Raw::connect(gateway.address()).await;
        let line = accept.map_or(String::new(), |accept| format!("accept: {accept}\r\n"));
        raw.post(
            "/v1/messages",
            &format!("{line}content-length: {}\r\n", body.len()),
        )
        .await;
        raw.send(body.as_bytes()).await;

        assert_eq!(raw.reply().await.status, 200, "{accept:?}");
        let sent = edge.requests()[number]
            .header("accept")
            .unwrap_or_default()
            .to_owned();
        assert_eq!(
            sent.contains("application/json"),
            widened || accept.is_some_and(|accept| accept.contains("json")),
            "{accept:?} became {sent:?}"
        );
        if let Some(accept) = accept {
            let kept = accept.split(", ").all(|kind| sent.contains(kind));
            assert!(kept, "{accept:?} became {sent:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_added_only_where_the_client_sent_none() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    gateway.message("hi").await;
    let asking = gateway
        .post("/v1/messages")
        .header("anthropic-version", "2024-10-22");
    asking.body(turn("hi").to_string()).send().await.unwrap();

    let seen = edge.requests();
    assert_eq!(seen[0].header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen[1].header("anthropic-version"), Some("2024-10-22"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused_and_nothing_is_sent() {
    let options = EdgeOptions {
        names: vec!["api.elsewhere.example".to_owned()],
        ..Default::default()
    };
    let edge = Edge::start(options).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    refused_by_tls(&edge, &gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_authority_is_refused_and_nothing_is_sent() {
    let edge = Edge::answering([]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    Ca::generate().unwrap().write(&other).unwrap();
    let direct = format!(
        "direct: {{bypass: none, ca_file: '{}', resolve: {{'api.supermemory.ai:443': '{}'}}}}",
        other.display(),
        edge.addr()
    );
    let gateway = TestGateway::in_front_of(&edge).own(&direct).start().await;

    refused_by_tls(&edge, &gateway).await;
}

async fn refused_by_tls(edge: &Edge, gateway: &TestGateway) {
    let answer = gateway.message("hi").await;

    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()["x-should-retry"], "true");
    let error: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(error["type"], "error");
    let said = error.to_string();
    assert!(said.contains("TLS identity"), "{said}");
    assert!(
        !said.contains("127.0.0.1"),
        "no address reaches a client: {said}"
    );
    assert_eq!(edge.stats().requests, 0, "nothing was sent");
    let connections = edge.stats().connections;
    assert_eq!(
        connections.accepted, 1,
        "an unverified upstream is not tried again"
    );
}
