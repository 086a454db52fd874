//! Each error that the gateway makes itself, in both dialects, and what none of them tells.

use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::*;

pub const MESSAGES: &str = "/v1/messages";
pub const CHAT: &str = "/v1/chat/completions";
pub const BOTH: [&str; 2] = [MESSAGES, CHAT];

pub struct World {
    pub edge: Edge,
    pub litellm: LiteLlm,
    pub gateway: TestGateway,
}

pub async fn world(own: &str) -> World {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let builder = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .own(own);
    let gateway = builder.start().await;
    World {
        edge,
        litellm,
        gateway,
    }
}

/// What every error of ours keeps: its dialect's shape, the headers of the contract, and silence on the rest.
pub async fn check(answer: Response, path: &str, status: u16, kind: &str, code: &str) -> Value {
    assert_eq!(answer.status(), status, "{path} {code}");
    let headers = answer.headers().clone();
    let text = answer.text().await.unwrap();
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(headers["content-type"], "application/json", "{path} {code}");
    assert_eq!(headers["cache-control"], "no-store", "{path} {code}");
    assert!(headers.contains_key("x-request-id"), "{path} {code}");
    assert!(headers.contains_key("x-memgate-route"), "{path} {code}");
    if path.starts_with(MESSAGES) {
        assert_eq!(error["type"], "error", "{text}");
        assert_eq!(error["error"]["type"], kind, "{text}");
        assert_eq!(
            error["request_id"],
            headers["x-request-id"].to_str().unwrap()
        );
    } else {
        assert_eq!(error["error"]["code"], code, "{text}");
        assert!(
            error["error"].as_object().unwrap().contains_key("param"),
            "{text}"
        );
    }
    let message = error["error"]["message"].as_str().unwrap();
    assert!(!message.is_empty());
    tells_nothing_internal(&format!("{headers:?}\n{text}"));
    error
}

/// No address, no port and no word of the machinery.
pub fn tells_nothing_internal(answer: &str) {
    let lower = answer.to_lowercase();
    for word in [
        "127.0.0.1",
        "localhost",
        "pingora",
        "peer:",
        "upstream error",
        "h2::",
        "hyper",
    ] {
        assert!(!lower.contains(word), "{word:?} in {answer}");
    }
    let longer_than_a_port = |digits: &str| digits.len() >= 5 && digits.parse::<u16>().is_ok();
    let mut numbers = answer.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let port = numbers.find(|text| longer_than_a_port(text));
    assert_eq!(port, None, "a port? {answer}");
}

fn keyed(gateway: &TestGateway, method: Method, path: &str) -> RequestBuilder {
    gateway
        .http()
        .request(method, gateway.url(path))
        .bearer_auth(MASTER)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_routed_is_a_400() {
    let world = world("").await;
    let bodies = [
        "",
        "hello",
        "[1]",
        "{\"model\": \"x\"",
        "{\"messages\": []}",
        "{\"model\": 7}",
        "{\"model\": null}",
        "{\"model\": \"a\", \"model\": \"b\"}",
        "{\"model\": \"a\", \"mod\\u0065l\": \"b\"}",
        "{\"model\": \"a\"} {}",
    ];
    for path in BOTH {
        for body in bodies {
            let answer = world.gateway.post(path).body(body).send().await.unwrap();
            check(answer, path, 400, "invalid_request_error", "bad_body").await;
        }
    }
    assert_eq!(world.edge.stats().requests + world.litellm.stats().posts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_and_a_wrong_key_are_a_401() {
    let world = world("").await;
    for path in BOTH {
        let body = turn("x").to_string();
        let url = world.gateway.url(path);

        let without = world
            .gateway
            .http()
            .post(&url)
            .body(body.clone())
            .send()
            .await
            .unwrap();
        let wrong = world
            .gateway
            .http()
            .post(&url)
            .bearer_auth("sk-wrong")
            .body(body);
        let wrong = wrong.send().await.unwrap();

        check(
            without,
            path,
            401,
            "authentication_error",
            "missing_api_key",
        )
        .await;
        let error = check(wrong, path, 401, "authentication_error", "invalid_api_key").await;
        assert!(!error.to_string().contains("sk-wrong"));
    }
    assert_eq!(world.edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_open_or_unknown_is_a_404() {
    let world = world("").await;
    for path in ["/ui", "/key/generate", "/v1x", "/"] {
        let answer = keyed(&world.gateway, Method::GET, path)
            .send()
            .await
            .unwrap();
        let error = check(answer, path, 404, "not_found_error", "not_exposed").await;
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("litellm.expose"), "{message}");
    }
    let answer = keyed(&world.gateway, Method::GET, "/v1/models/nobody-knows")
        .send()
        .await
        .unwrap();
    check(
        answer,
        "/v1/models",
        404,
        "not_found_error",
        "model_not_found",
    )
    .await;
    assert_eq!(world.litellm.stats().posts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method_is_a_405_that_names_the_right_one() {
    let world = world("").await;
    for path in BOTH {
        let answer = keyed(&world.gateway, Method::GET, path)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["allow"], "POST");
        check(
            answer,
            path,
            405,
            "invalid_request_error",
            "method_not_allowed",
        )
        .await;
    }
    for path in ["/health", "/v1/models", "/memory-routing/info"] {
        let answer = keyed(&world.gateway, Method::DELETE, path)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["allow"], "GET, HEAD");
        check(
            answer,
            path,
            405,
            "invalid_request_error",
            "method_not_allowed",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_too_large_is_a_413_before_and_after_it_is_unpacked() {
    let world = world("limits: {body: 64KiB}").await;
    for path in BOTH {
        let large = turn(&"x".repeat(100_000)).to_string();
        let packed = zstd::encode_all(large.as_bytes(), 3).unwrap();

        let plain = world.gateway.post(path).body(large).send().await.unwrap();
        let unpacked = world.gateway.post(path).header("content-encoding", "zstd");
        let unpacked = unpacked.body(packed).send().await.unwrap();

        check(plain, path, 413, "request_too_large", "body_too_large").await;
        check(unpacked, path, 413, "request_too_large", "bad_encoding").await;
    }
    assert_eq!(world.edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_encoding_is_a_415_and_a_broken_one_a_400() {
    let world = world("").await;
    for path in BOTH {
        let encoded = |encoding: &str| {
            let request = world
                .gateway
                .post(path)
                .header("content-encoding", encoding);
            request.body(turn("x").to_string()).send()
        };

        let unknown = encoded("compress").await.unwrap();
        let broken = encoded("gzip").await.unwrap();

        check(unknown, path, 415, "invalid_request_error", "bad_encoding").await;
        check(broken, path, 400, "invalid_request_error", "bad_encoding").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_other_than_100_continue_is_a_417() {
    let world = world("").await;
    for path in BOTH {
        let request = world.gateway.post(path).header("expect", "a-miracle");
        let answer = request.body(turn("x").to_string()).send().await.unwrap();
        check(
            answer,
            path,
            417,
            "invalid_request_error",
            "expectation_failed",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_a_408() {
    let world = world("limits: {body_timeout: 150ms}").await;
    for path in BOTH {
        let mut socket = TcpStream::connect(world.gateway.address()).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {MASTER}\r\ncontent-length: 100\r\n\r\n{{\"mod"
        );
        socket.write_all(head.as_bytes()).await.unwrap();

        let mut answer = String::new();
        soon(socket.read_to_string(&mut answer)).await.unwrap();

        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        let word = if path == MESSAGES {
            "timeout_error"
        } else {
            "body_too_slow"
        };
        assert!(answer.contains(word), "{answer}");
        tells_nothing_internal(&answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_memory_user_is_a_400_that_names_the_setting() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let models = MODELS.replace(", default_user_id: team", "");
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models)
        .start()
        .await;

    let answer = gateway.message("x").await;

    let error = check(
        answer,
        MESSAGES,
        400,
        "invalid_request_error",
        "no_memory_user",
    )
    .await;
    assert!(error.to_string().contains("default_user_id"));
    assert_eq!(edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_request_may_hold_is_refused_without_a_word_of_the_machinery() {
    let world = world("").await;
    let heads = [
        "GET /v1/../key HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /v1/%2e%2e/key HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /health HTTP/1.1\r\n\r\n",
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        "TRACE / HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    for head in heads {
        let mut socket = TcpStream::connect(world.gateway.address()).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.shutdown().await.ok();

        let mut answer = String::new();
        soon(socket.read_to_string(&mut answer)).await.unwrap();

        assert!(answer.starts_with("HTTP/1.1 40"), "{head:?}: {answer}");
        tells_nothing_internal(&answer);
    }
    assert_eq!(world.litellm.stats().posts, 0);
}
