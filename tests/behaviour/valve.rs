//! A hand on the valve: what operators set goes before the configuration, at once.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use memgate::sim::Edge;
use serde_json::{Value, json};

use crate::harness::*;
use crate::status::status;
use crate::two_ways::*;

const SOCKET: &str = "server: {control_socket: control.sock}";

async fn world() -> (Edge, TestGateway) {
    let edge = two_hosts().await;
    let gateway = before(&edge, "bypass: provider").own(SOCKET).start().await;
    (edge, gateway)
}

/// One order, and the answer.
async fn order(gateway: &TestGateway, order: Value) -> Value {
    let path = gateway.path("control.sock");
    let asking = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "{order}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()
    });
    soon(asking).await.unwrap()
}

async fn ordered(gateway: &TestGateway, what: Value) {
    let said = order(gateway, json!({"what": what})).await;
    assert_eq!(said["done"], true, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_go_round_the_router_while_the_bypass_is_on() {
    let (edge, gateway) = world().await;

    ordered(&gateway, json!({"bypass": true})).await;
    let on = gateway.message("x").await;
    let shown = status(&gateway).await;
    ordered(&gateway, json!({"bypass": null})).await;
    let as_configured = gateway.message("x").await;

    assert_eq!(route(&on), (200, "bypass"));
    assert_eq!(header(&on, "x-memgate-memory"), "bypassed");
    assert_eq!(shown["set_by_hand"][0]["what"], "bypass on");
    assert_eq!(route(&as_configured), (200, "direct"));
    assert_eq!(edge.stats().posts, 1);
    assert_eq!(provider(&edge).stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_round_the_router_while_the_bypass_is_off() {
    let (edge, gateway) = world().await;
    gateway.message("x").await;
    gateway.pause_host(ROUTER, Duration::from_secs(600));

    ordered(&gateway, json!({"bypass": false})).await;
    let off = gateway.message("x").await;
    ordered(&gateway, json!({"bypass": null})).await;
    let as_configured = gateway.message("x").await;

    assert_eq!(off.status(), 529, "it would wait too long");
    assert_eq!(route(&as_configured), (200, "bypass"));
    assert_eq!(provider(&edge).stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_memory_is_used_while_it_is_off() {
    let (edge, gateway) = world().await;

    let said = order(
        &gateway,
        json!({"what": {"memory": false}, "for_millis": 600_000}),
    )
    .await;
    let off = gateway.message("x").await;
    let shown = status(&gateway).await;
    ordered(&gateway, json!({"memory": true})).await;
    let on = gateway.message("x").await;

    assert_eq!(said, json!({"done": true, "text": "memory off for 600s"}));
    assert_eq!(header(&off, "x-memgate-memory"), "off");
    assert!(shown["set_by_hand"][0]["remaining_seconds"].as_u64() > Some(500));
    assert_eq!(header(&on, "x-memgate-memory"), "on");
    assert_eq!(provider(&edge).stats().posts, 1);
    assert_eq!(provider(&edge).stats().leaks, 0);
    assert_eq!(edge.stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_order_changes_nothing() {
    let (_edge, gateway) = world().await;

    for nonsense in [
        json!({}),
        json!({"what": "explode"}),
        json!({"what": {"bypass": true}, "for": 3}),
        json!("drain"),
    ] {
        let said = order(&gateway, nonsense).await;
        assert_eq!(said["done"], false, "{said}");
    }

    assert_eq!(status(&gateway).await["set_by_hand"], json!([]));
}
