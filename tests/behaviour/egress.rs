//! LiteLLM's own way out: the lanes, jars and connections of the gateway, LiteLLM's own keys and words.

use std::time::Duration;

use memgate::sim::cloudflare::set_cookie;
use memgate::sim::{DirectHost, Edge, EdgeOptions, answer, cloudflare};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::harness::*;
use crate::wire::Raw;

const PROVIDER: &str = "api.anthropic.com";
const MESSAGES: &str = "/v3/api.anthropic.com/v1/messages";
/// LiteLLM's key for the provider.
const ITS_KEY: &str = "sk-ant-litellms-own";

/// An edge that plays the router and the provider's own host.
async fn two_hosts() -> Edge {
    let options = EdgeOptions {
        direct: Some(DirectHost::default()),
        ..EdgeOptions::default()
    };
    Edge::start(options).await.unwrap()
}

/// A gateway with an egress port, and all names at the edge.
fn with_egress(edge: &Edge, direct: &str, allow: &str) -> Builder {
    let at = edge.addr();
    TestGateway::in_front_of(edge)
        .own(&format!(
            "direct: {{ca_file: ca.pem, {direct}, resolve: {{'api.supermemory.ai:443': '{at}', '{PROVIDER}:443': '{at}', 'localhost.localdomain:443': '{at}'}}}}"
        ))
        .own(&format!("egress: {{listen: '127.0.0.1:0', allow: [{allow}]}}"))
}

async fn started(edge: &Edge) -> TestGateway {
    with_egress(edge, "bypass: provider", "api.supermemory.ai")
        .start()
        .await
}

/// What LiteLLM sends.
fn litellms(gateway: &TestGateway, path: &str) -> RequestBuilder {
    gateway
        .http()
        .request(Method::POST, gateway.egress_url(path))
        .header("content-type", "application/json")
        .header("anthropic-version", "2023-06-01")
        .header("x-api-key", ITS_KEY)
        .header("x-supermemory-api-key", SUPERMEMORY_KEY)
        .header("x-sm-user-id", "alice")
}

fn route(answer: &reqwest::Response) -> &str {
    answer.headers()["x-memgate-route"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_with_its_own_keys_and_the_bytes_that_it_has() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;
    let body = turn("a body with  two spaces").to_string() + "\n";

    let answer = litellms(
        &gateway,
        "/v3/https://api.anthropic.com/v1/messages?beta=true&x=%2F",
    )
    .header("anthropic-beta", "b1")
    .header("x-custom", "kept")
    .body(body.clone())
    .send()
    .await
    .unwrap();

    assert_eq!((answer.status().as_u16(), route(&answer)), (200, "egress"));
    assert_eq!(answer.headers()["x-memgate-body"], "identical");
    let seen = edge.requests().pop().unwrap();
    assert_eq!(
        (seen.target.as_str(), seen.authority.as_str()),
        (
            "/v3/https://api.anthropic.com/v1/messages?beta=true&x=%2F",
            "api.supermemory.ai"
        )
    );
    for (name, value) in [
        ("x-api-key", ITS_KEY),
        ("x-supermemory-api-key", SUPERMEMORY_KEY),
        ("x-sm-user-id", "alice"),
        ("anthropic-beta", "b1"),
        ("x-custom", "kept"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert_eq!(seen.body.kept, body.as_bytes());
    let answered = [("route", "egress"), ("status", "200")];
    gateway.counts("requests_total", &answered, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_between_litellm_and_us_stays_between_us() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;
    let body = turn("hello").to_string();
    let mut litellm = Raw::connect(gateway.egress()).await;

    litellm
        .send(format!(
            "POST {MESSAGES} HTTP/1.1\r\nhost: evil.example\r\nconnection: x-private\r\nx-private: 1\r\n\
             keep-alive: timeout=5\r\nvia: 1.1 proxy\r\nforwarded: for=10.0.0.1\r\nx-forwarded-for: 10.0.0.1\r\n\
             x-real-ip: 10.0.0.1\r\ncf-connecting-ip: 10.0.0.1\r\nproxy-authorization: Basic eDp5\r\n\
             x-litellm-api-key: sk-1\r\nx-memgate-memory: off\r\ncookie: theirs=1\r\nuser-agent: LiteLLM/1\r\n\
             x-api-key: {ITS_KEY}\r\nanthropic-version: 2023-06-01\r\nx-supermemory-api-key: {SUPERMEMORY_KEY}\r\n\
             x-sm-user-id: alice\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ).as_bytes())
        .await;
    let reply = litellm.reply().await;

    assert_eq!(reply.status, 200);
    let seen = edge.requests().pop().unwrap();
    assert_eq!(
        seen.authority, "api.supermemory.ai",
        "its Host is not believed"
    );
    for name in [
        "x-private",
        "keep-alive",
        "via",
        "forwarded",
        "x-forwarded-for",
        "x-real-ip",
        "cf-connecting-ip",
        "proxy-authorization",
        "x-litellm-api-key",
        "x-memgate-memory",
        "cookie",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-api-key"), Some(ITS_KEY));
    assert!(
        seen.header("user-agent").unwrap().starts_with("memgate/"),
        "the jar's cookies belong to one User-Agent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jar_and_connections_are_those_of_the_direct_models() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;
    let line = set_cookie("__cf_bm", "v1", Some(".supermemory.ai"), None);
    edge.script([answer::usual().header("set-cookie", &line)]);

    let direct = gateway.message("first").await;
    let second = litellms(&gateway, MESSAGES)
        .json(&turn("second"))
        .send()
        .await
        .unwrap();

    assert_eq!(
        (direct.status(), second.status()),
        (direct.status(), direct.status())
    );
    assert!(!second.headers().contains_key("set-cookie"));
    let seen = edge.requests();
    assert_eq!(seen[1].cookie("__cf_bm"), Some("v1"));
    assert_eq!(edge.stats().connections.h2, 1, "one connection for both");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_an_allowed_host_is_reached_and_the_refusal_is_in_the_paths_dialect() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;

    for path in [
        "/evil.example/v1/messages",
        "/api.anthropic.com/v1/messages",
        "/127.0.0.1/v1/messages",
    ] {
        let answer = litellms(&gateway, path)
            .json(&turn("x"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 403, "{path}");
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["type"], "error", "{path}");
    }
    let openai = litellms(&gateway, "/evil.example/v1/chat/completions")
        .send()
        .await
        .unwrap();
    let error: Value = openai.json().await.unwrap();
    assert_eq!(error["error"]["code"], "egress_not_allowed");

    let mut odd = Raw::connect(gateway.egress()).await;
    odd.send(b"GET http://evil.example/v3/api.anthropic.com/v1/models HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(odd.reply().await.status, 401, "from the allowed host");
    let mut tunnel = Raw::connect(gateway.egress()).await;
    tunnel
        .send(b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n")
        .await;
    assert_eq!(tunnel.reply().await.status, 405);
    let mut dots = Raw::connect(gateway.egress()).await;
    dots.send(b"GET /v3/../evil HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    assert_eq!(dots.reply().await.status, 400);
    assert!(
        edge.requests()
            .iter()
            .all(|seen| seen.authority == "api.supermemory.ai")
    );
    assert_eq!(edge.stats().requests, 1);
    assert!(edge.host(PROVIDER).requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_allowed_host_is_meant_by_a_path_that_begins_with_it() {
    let edge = two_hosts().await;
    let gateway = with_egress(
        &edge,
        "bypass: none",
        "api.supermemory.ai, api.anthropic.com",
    )
    .start()
    .await;
    let ask = async |path: &str| {
        litellms(&gateway, path)
            .json(&turn("x"))
            .send()
            .await
            .unwrap()
    };

    let other = gateway
        .http()
        .post(gateway.egress_url("/api.anthropic.com/v1/messages"))
        .header("anthropic-version", "2023-06-01")
        .header("x-api-key", ITS_KEY)
        .json(&turn("x"))
        .send()
        .await
        .unwrap();
    let first = ask(&format!("/api.supermemory.ai{MESSAGES}")).await;

    assert_eq!(
        (other.status().as_u16(), first.status().as_u16()),
        (200, 200)
    );
    let there = edge.host(PROVIDER).requests();
    assert_eq!(there[0].target, "/v1/messages");
    assert_eq!(edge.requests()[0].target, MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ports_do_not_serve_each_others_paths() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;

    let on_data = gateway
        .post(MESSAGES)
        .json(&turn("x"))
        .send()
        .await
        .unwrap();
    let on_egress = gateway
        .http()
        .get(gateway.egress_url("/health"))
        .send()
        .await
        .unwrap();

    assert_eq!(on_data.status(), 404);
    assert_eq!(
        route(&on_egress),
        "egress",
        "the allowed host is asked, not we"
    );
    assert_eq!(edge.requests().pop().unwrap().target, "/health");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_the_port_itself_goes_no_further() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;

    let mut raw = Raw::connect(gateway.egress()).await;
    raw.send(b"OPTIONS * HTTP/1.1\r\nhost: gateway\r\n\r\n")
        .await;
    let answer = raw.reply().await;

    assert_eq!(answer.status, 403);
    assert!(edge.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_held_so_that_an_attempt_can_be_made_again() {
    let edge = two_hosts().await;
    let gateway = with_egress(&edge, "bypass: none", "api.supermemory.ai")
        .start()
        .await;
    edge.script([cloudflare::error(521)]);

    let answer = litellms(&gateway, MESSAGES)
        .json(&turn("again"))
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-memgate-attempts"], "2");
    let seen = edge.requests();
    assert_eq!(seen[0].body.sha256, seen[1].body.sha256);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_lane_is_paused_it_goes_to_the_provider_without_anything_of_the_routers() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;
    gateway.pause_host("api.supermemory.ai", Duration::from_secs(60));

    let answer = litellms(&gateway, &format!("{MESSAGES}?beta=true&userId=alice"))
        .json(&turn("hello"))
        .send()
        .await
        .unwrap();

    assert_eq!((answer.status().as_u16(), route(&answer)), (200, "bypass"));
    assert_eq!(answer.headers()["x-memgate-memory"], "bypassed");
    let seen = edge.host(PROVIDER).requests().pop().unwrap();
    assert_eq!(
        (seen.target.as_str(), seen.authority.as_str()),
        ("/v1/messages?beta=true", PROVIDER)
    );
    assert_eq!(seen.header("x-api-key"), Some(ITS_KEY));
    assert!(
        !seen.headers.iter().any(|(name, _)| name.starts_with("x-s")),
        "{:?}",
        seen.headers
    );
    assert_eq!(edge.host(PROVIDER).stats().leaks, 0);
    assert!(edge.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_refuses_litellms_request_pauses_the_lane_of_the_direct_models() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;
    edge.script([cloudflare::queue_full()
        .zone("api.supermemory.ai")
        .retry_after(60)]);

    let litellms = litellms(&gateway, MESSAGES)
        .json(&turn("first"))
        .send()
        .await
        .unwrap();
    let direct = gateway.message("second").await;

    assert_eq!(
        (litellms.status().as_u16(), route(&litellms)),
        (200, "bypass")
    );
    assert_eq!((direct.status().as_u16(), route(&direct)), (200, "bypass"));
    assert_eq!(edge.stats().posts, 1, "one refusal for both ports");
    assert_eq!(edge.host(PROVIDER).stats().posts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_no_configuration_names_is_not_called_past_the_router() {
    let edge = two_hosts().await;
    let direct = "queue: {timeout: 50ms}";
    let gateway = with_egress(&edge, direct, "api.supermemory.ai")
        .start()
        .await;
    let path = "/v3/localhost.localdomain/v1/messages";
    let before = litellms(&gateway, path)
        .json(&turn("x"))
        .send()
        .await
        .unwrap();
    gateway.pause_host("api.supermemory.ai", Duration::from_secs(60));

    let answer = litellms(&gateway, path)
        .json(&turn("x"))
        .send()
        .await
        .unwrap();

    assert_eq!((before.status().as_u16(), route(&before)), (200, "egress"));
    assert_eq!((answer.status().as_u16(), route(&answer)), (529, "egress"));
    assert_eq!(answer.headers()["x-should-retry"], "true");
    let wait: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((50..=75).contains(&wait), "{wait}");
    assert_eq!(edge.stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_bodiless_requests_pass_and_a_body_beyond_the_limit_does_not() {
    let edge = two_hosts().await;
    let gateway = with_egress(&edge, "bypass: none", "api.supermemory.ai")
        .own("limits: {body: 2KiB}")
        .start()
        .await;

    let mut stream = litellms(&gateway, MESSAGES)
        .body(streamed(UPSTREAM_MODEL, "hello"))
        .send()
        .await
        .unwrap();
    let (events, whole) = read_out(&mut stream).await;
    let get = gateway
        .http()
        .get(gateway.egress_url("/v3/api.anthropic.com/v1/models"));
    let get = get.send().await.unwrap();
    let large = litellms(&gateway, MESSAGES)
        .body("x".repeat(4096))
        .send()
        .await
        .unwrap();

    assert!(whole && String::from_utf8_lossy(&events).contains("message_stop"));
    assert_eq!(route(&get), "egress");
    let seen = edge.requests();
    let asked = seen.iter().find(|seen| seen.method == "GET").unwrap();
    assert_eq!(asked.header("content-length"), None);
    assert_eq!(large.status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_its_last_event_ends_with_an_error_event_here_too() {
    let edge = two_hosts().await;
    let gateway = started(&edge).await;
    edge.script([answer::unfinished()]);

    let mut stream = litellms(&gateway, MESSAGES)
        .body(streamed(UPSTREAM_MODEL, "hello"))
        .send()
        .await
        .unwrap();
    let (events, _whole) = read_out(&mut stream).await;

    let events = String::from_utf8_lossy(&events);
    assert!(events.contains("event: error\n"), "{events}");
}
