//! Two hosts on one port: the router, and the provider behind an edge of its own.

use memgate::sim::cloudflare::{CapacityGate, CookieGate, Gates};
use memgate::sim::{DirectHost, Edge, EdgeOptions, Provider, TokenRule, Tokens, answer};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::net::SocketAddr;

use crate::client::{Wire, ask, browser, edge_with, post};

const DIRECT: &str = "api.anthropic.com";

async fn two_hosts(gates: Gates) -> Edge {
    edge_with(EdgeOptions {
        control: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        direct: Some(DirectHost {
            gates,
            ..DirectHost::default()
        }),
        ..EdgeOptions::default()
    })
    .await
}

/// A client that finds the provider's own host at the edge.
fn direct_client(edge: &Edge) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(edge.ca_pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .resolve(DIRECT, edge.addr())
        .build()
        .unwrap()
}

fn direct_post(edge: &Edge, body: &Value) -> RequestBuilder {
    direct_client(edge)
        .post(format!(
            "https://{DIRECT}:{}/v1/messages",
            edge.addr().port()
        ))
        .header("x-api-key", "sk-ant")
        .header("anthropic-version", "2023-06-01")
        .json(body)
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_host_is_counted_and_scripted_by_itself() {
    let edge = two_hosts(Gates::default()).await;
    edge.script([answer::status(418)]);

    let direct = direct_post(&edge, &ask("x")).send().await.unwrap();
    let routed = status(post(&browser(&edge), &edge, &ask("x"))).await;

    assert_eq!(direct.status(), 200);
    assert!(
        direct
            .headers()
            .get("x-supermemory-conversation-id")
            .is_none()
    );
    assert_eq!(routed, 418);
    let (first, second) = (edge.stats(), edge.host(DIRECT).stats());
    assert_eq!((first.posts, second.posts), (1, 1));
    assert_eq!(second.by_path["/v1/messages"], 1);
    assert_eq!(
        (first.connections.accepted, second.connections.accepted),
        (1, 1)
    );
}

#[tokio::test]
async fn each_host_has_gates_of_its_own() {
    let full = Gates {
        capacity: Some(CapacityGate::of(0)),
        ..Gates::default()
    };
    let edge = two_hosts(full).await;

    assert_eq!(status(direct_post(&edge, &ask("x"))).await, 503);
    assert_eq!(status(post(&browser(&edge), &edge, &ask("x"))).await, 200);
    edge.set_capacity(Some(0));
    edge.host(DIRECT).set_capacity(None);

    assert_eq!(status(direct_post(&edge, &ask("x"))).await, 200);
    assert_eq!(status(post(&browser(&edge), &edge, &ask("x"))).await, 503);
    assert_eq!(edge.host(DIRECT).stats().refused.capacity, 1);
}

#[tokio::test]
async fn cookies_of_one_host_are_worth_nothing_at_the_other() {
    let cookies = || Some(CookieGate::default());
    let edge = edge_with(EdgeOptions {
        cookie_gate: cookies(),
        direct: Some(DirectHost {
            gates: Gates {
                cookies: cookies(),
                ..Gates::default()
            },
            ..DirectHost::default()
        }),
        ..EdgeOptions::default()
    })
    .await;
    let refused = direct_post(&edge, &ask("x")).send().await.unwrap();
    let lines = refused.headers().get_all("set-cookie").iter();
    let pairs: Vec<&str> = lines
        .filter_map(|line| line.to_str().unwrap().split(';').next())
        .collect();
    let pairs = pairs.join("; ");

    let at_home = direct_post(&edge, &ask("x")).header("cookie", &pairs);
    let abroad = post(&browser(&edge), &edge, &ask("x")).header("cookie", &pairs);

    assert_eq!(status(at_home).await, 200);
    assert_eq!(status(abroad).await, 503);
}

#[tokio::test]
async fn the_provider_refuses_and_counts_what_is_meant_for_the_router() {
    let edge = two_hosts(Gates::default()).await;

    for field in ["x-sm-user-id", "X-Supermemory-Api-Key"] {
        let leak = direct_post(&edge, &ask("x")).header(field, "secret");
        assert_eq!(status(leak).await, 400, "{field}");
    }

    assert_eq!(edge.host(DIRECT).stats().leaks, 2);
    assert_eq!(edge.stats().leaks, 0);
}

#[tokio::test]
async fn a_connection_to_one_host_does_not_carry_requests_to_the_other() {
    let edge = two_hosts(Gates::default()).await;
    let mut wire = Wire::to(&edge).await;

    wire.write(b"GET / HTTP/1.1\r\nhost: api.supermemory.ai\r\n\r\n")
        .await
        .unwrap();

    let head = wire.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 409"), "{head}");
    assert_eq!(edge.stats().edge_errors[&1013], 1);
}

#[tokio::test]
async fn both_ways_to_the_provider_share_its_token_bucket() {
    let edge = edge_with(EdgeOptions {
        provider: Provider {
            tokens: Tokens::limited(TokenRule::per_second(0.01)),
            ..Provider::default()
        },
        direct: Some(DirectHost::default()),
        ..EdgeOptions::default()
    })
    .await;

    let first = status(post(&browser(&edge), &edge, &ask("x"))).await;
    let second = direct_post(&edge, &ask("x")).send().await.unwrap();
    let other_key = status(direct_post(&edge, &ask("x")).bearer_auth("other")).await;

    assert_eq!(first, 200);
    assert_eq!(second.status(), 429);
    assert_eq!(second.headers()["retry-after"], "100");
    assert_eq!(other_key, 429, "the x-api-key goes before the bearer");
    let error: Value = second.json().await.unwrap();
    assert_eq!(error["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn a_hosts_gates_are_changed_over_the_control_port() {
    let edge = two_hosts(Gates::default()).await;
    let control = format!("http://{}", edge.control_addr().unwrap());
    let plain = reqwest::Client::new();
    let order = |path: &str, body: Value| plain.post(format!("{control}{path}")).json(&body);
    let refusal = json!({"say": {"cloudflare": {"code": 1200, "zone": "elsewhere", "retry_after": 2, "form": "plain"}}});

    let at_direct = "/__capacity?host=api.anthropic.com";
    let told = order(
        at_direct,
        json!({"schedule": "0@0,5@3600", "refusal": refusal}),
    );
    assert_eq!(status(told).await, 200);
    assert_eq!(status(direct_post(&edge, &ask("x"))).await, 503);
    assert_eq!(
        status(order(at_direct, json!({"capacity": null}))).await,
        200
    );
    assert_eq!(status(direct_post(&edge, &ask("x"))).await, 200);
    let gates = json!({"rate": {"requests": 0, "block_s": 9}});
    assert_eq!(status(order("/__gates", gates)).await, 200);
    let limited = post(&browser(&edge), &edge, &ask("x"))
        .send()
        .await
        .unwrap();
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "9");
    let gates = json!({
        "rate": null,
        "cookies": {"lifetime_ms": 60000},
        "tokens": {"per_second": 0.1, "burst": 0, "status": 529},
    });
    assert_eq!(status(order("/__gates", gates)).await, 200);
    assert_eq!(status(post(&browser(&edge), &edge, &ask("x"))).await, 503);
    assert_eq!(status(direct_post(&edge, &ask("x"))).await, 529);
    let wrong = order("/__gates", json!({"capactiy": 1}));
    assert_eq!(status(wrong).await, 400);
    let wrong = order("/__capacity", json!({"capacity": "many"}));
    assert_eq!(status(wrong).await, 400);

    let stats = plain.get(format!("{control}/__stats?requests=0"));
    let stats: Value = stats.send().await.unwrap().json().await.unwrap();
    let direct = &stats["hosts"]["api.anthropic.com"];
    assert_eq!(direct["stats"]["refused"]["capacity"], 1);
    assert_eq!(direct["gates"]["capacity"], Value::Null);
    let first = &stats["hosts"]["api.supermemory.ai"]["stats"]["refused"];
    assert_eq!((&first["rate"], &first["cookies"]), (&json!(1), &json!(1)));
    assert_eq!(stats["host"], "api.supermemory.ai");
    let line = plain.get(format!("{control}/__timeline?host=api.anthropic.com"));
    let line: Value = line.send().await.unwrap().json().await.unwrap();
    assert_eq!(line["host"], DIRECT);
    assert_eq!(status(order("/__reset", json!({}))).await, 204);
    assert_eq!(edge.host(DIRECT).stats().posts, 0);
}

#[tokio::test]
async fn the_pace_is_changed_over_the_control_port() {
    let edge = two_hosts(Gates::default()).await;
    let control = format!("http://{}", edge.control_addr().unwrap());
    let order = json!({"first_byte_ms": 200, "stream_ms": 100});
    let told = reqwest::Client::new()
        .post(format!("{control}/__pace"))
        .json(&order);
    assert_eq!(status(told).await, 200);

    let began = tokio::time::Instant::now();
    assert_eq!(status(post(&browser(&edge), &edge, &ask("x"))).await, 200);

    assert!(began.elapsed() >= std::time::Duration::from_millis(200));
}
