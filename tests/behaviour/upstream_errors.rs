//! Errors of others: a provider's pass as they are, an edge's are said in the caller's dialect.

use memgate::sim::answer::{self, Answer};
use memgate::sim::cloudflare::{self, Form};
use memgate::sim::{Alpn, At, Edge, EdgeOptions, Encoding, How, LiteLlm, LiteLlmOptions, Rule};
use serde_json::{Value, json};

use crate::errors::tells_nothing_internal;
use crate::harness::*;

async fn edge(alpn: Alpn) -> Edge {
    let options = EdgeOptions {
        alpn,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

async fn once(edge: &Edge) -> TestGateway {
    TestGateway::in_front_of(edge)
        .own("retry: {attempts: 1}")
        .with_h2c()
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_error_passes_byte_for_byte_with_its_headers() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = once(&edge).await;
        for status in [400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504, 529] {
            // Spacing and key order that no serialiser of ours would write.
            let body = format!(
                "{{ \"error\":{{\"message\":\"n° {status}\",  \"type\":\"api_error\"}},\n\"type\":\"error\" }}"
            );
            let error = answer::status(status).body(body.clone());
            let error = error
                .header("content-type", "application/json")
                .header("retry-after", "77");
            let error = error
                .header("x-should-retry", "true")
                .header("request-id", "req_abc");
            edge.script([error.header("anthropic-ratelimit-requests-remaining", "0")]);

            let answer = gateway.message("x").await;

            let headers = answer.headers().clone();
            assert_eq!(answer.status(), status, "{alpn:?}");
            assert_eq!(headers["retry-after"], "77", "{alpn:?} {status}");
            assert_eq!(headers["x-should-retry"], "true", "{alpn:?} {status}");
            assert_eq!(headers["request-id"], "req_abc", "{alpn:?} {status}");
            assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "0");
            assert_eq!(headers["x-memgate-route"], "direct");
            assert_eq!(answer.text().await.unwrap(), body, "{alpn:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_packed_error_passes_packed() {
    let edge = edge(Alpn::Both).await;
    let gateway = once(&edge).await;
    let error = answer::provider_error(400, "invalid_request_error", "max_tokens: too large");
    edge.script([error.compressed(Encoding::Gzip)]);

    let answer = gateway.message("x").await;

    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let packed = answer.bytes().await.unwrap();
    assert!(packed.starts_with(&[0x1f, 0x8b]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_large_error_passes_byte_for_byte() {
    let edge = edge(Alpn::Both).await;
    let gateway = once(&edge).await;
    let message = "m".repeat(100_000);
    let error =
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
    edge.script([answer::json(400, &error).header("request-id", "req_large")]);

    let answer = gateway.message("x").await;

    assert_eq!(answer.status(), 400);
    assert_eq!(answer.text().await.unwrap(), error.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_litellm_passes_byte_for_byte() {
    let edge = edge(Alpn::Both).await;
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    let body = "{ \"error\": {\"message\":\"No deployments available\", \"code\":\"429\"}}";
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/embeddings"] {
        let error = answer::status(429)
            .body(body)
            .header("content-type", "application/json");
        litellm.script([error.header("retry-after", "5")]);

        let request = gateway.post(path).body(json!({"model": OTHER}).to_string());
        let answer = request.send().await.unwrap();

        assert_eq!(answer.status(), 429, "{path}");
        assert_eq!(answer.headers()["retry-after"], "5", "{path}");
        assert_eq!(
            answer.headers().get("x-litellm-model-api-base"),
            None,
            "it tells topology"
        );
        assert_eq!(answer.text().await.unwrap(), body, "{path}");
        assert_eq!(
            litellm.stats().posts,
            1,
            "{path}: LiteLLM has retries of its own"
        );
        litellm.reset();
    }
}

/// The forms that name zone, ray and all.
fn telling(form: Form) -> Answer {
    let denied = cloudflare::denied()
        .zone("api.anthropic.com")
        .retry_after(45);
    denied.ray("99798f8c4cb7ecbe-WAW").form(form)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_edge_becomes_json_with_its_code_zone_ray_and_meaning() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = once(&edge).await;
        for form in [Form::Html, Form::Markdown, Form::Json] {
            for packing in [None, Some(Encoding::Gzip), Some(Encoding::Br)] {
                let page = telling(form);
                edge.script([packing.into_iter().fold(page, Answer::compressed)]);

                let answer = gateway.message("x").await;

                let what = format!("{alpn:?} {form:?} {packing:?}");
                assert_eq!(answer.status(), 403, "{what}");
                let headers = answer.headers().clone();
                assert_eq!(headers["retry-after"], "45", "{what}");
                assert_eq!(headers["content-type"], "application/json", "{what}");
                assert_eq!(headers.get("content-encoding"), None, "{what}");
                let text = answer.text().await.unwrap();
                let error: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(error["type"], "error", "{what}");
                assert_eq!(error["error"]["type"], "permission_error", "{what}");
                for fact in ["1020", "api.anthropic.com", "99798f8c4cb7ecbe", "bans"] {
                    assert!(text.contains(fact), "{what}: {fact} in {text}");
                }
                tells_nothing_internal(&text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_of_the_edge_is_seen_through_in_every_dress_and_its_page_reaches_nobody() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = edge(alpn).await;
        let gateway = once(&edge).await;
        for code in [1200, 1015] {
            for form in [Form::Html, Form::Markdown, Form::Json, Form::Plain] {
                for packing in [None, Some(Encoding::Gzip), Some(Encoding::Br)] {
                    let page = cloudflare::error(code).retry_after(0).form(form);
                    edge.script([packing.into_iter().fold(page, Answer::compressed)]);

                    let answer = gateway.message("x").await;

                    let what = format!("{alpn:?} {code} {form:?} {packing:?}");
                    assert_eq!(answer.status(), 529, "{what}");
                    let headers = answer.headers().clone();
                    assert_eq!(headers["retry-after"], "1", "{what}");
                    assert_eq!(headers["content-type"], "application/json", "{what}");
                    assert_eq!(headers.get("content-encoding"), None, "{what}");
                    let text = answer.text().await.unwrap();
                    let error: Value = serde_json::from_str(&text).unwrap();
                    let message = error["error"]["message"].as_str().unwrap();
                    assert!(!message.contains(&code.to_string()), "{what}: {text}");
                    assert_eq!(error["error"]["type"], "overloaded_error", "{what}");
                    tells_nothing_internal(&text);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_line_of_the_edge_becomes_json_with_its_code_and_meaning() {
    let edge = edge(Alpn::Both).await;
    let gateway = once(&edge).await;
    for packing in [None, Some(Encoding::Gzip), Some(Encoding::Br)] {
        let line = cloudflare::denied().form(Form::Plain).retry_after(30);
        edge.script([packing.into_iter().fold(line, Answer::compressed)]);

        let answer = gateway.message("x").await;

        assert_eq!(answer.status(), 403, "{packing:?}");
        assert_eq!(answer.headers()["retry-after"], "30", "{packing:?}");
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["error"]["type"], "permission_error", "{packing:?}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("1020") && message.contains("rule"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_of_the_edge_keeps_its_status_and_says_whether_to_try_again() {
    let edge = edge(Alpn::Both).await;
    let gateway = once(&edge).await;
    let cases = [
        (cloudflare::denied(), 403, None),
        (cloudflare::challenge(), 403, None),
        (cloudflare::worker_crashed(), 500, Some("false")),
        (cloudflare::error(520), 520, Some("false")),
        (cloudflare::error(521), 521, Some("true")),
        (cloudflare::error(522), 522, Some("false")),
        (cloudflare::error(524), 524, Some("false")),
        (cloudflare::error(530), 530, Some("true")),
    ];
    for (page, status, should_retry) in cases {
        for form in [Form::Html, Form::Json, Form::Plain] {
            edge.script([page.clone().form(form)]);

            let answer = gateway.message("x").await;

            let what = format!("{status} {form:?}");
            assert_eq!(answer.status(), status, "{what}");
            let said = answer
                .headers()
                .get("x-should-retry")
                .map(|v| v.to_str().unwrap());
            // A line that names no zone may be about what lies behind the router.
            let unsaid = matches!(form, Form::Plain) && should_retry == Some("true");
            assert_eq!(said, should_retry.filter(|_| !unsaid), "{what}");
            let error: Value = answer.json().await.unwrap();
            assert_eq!(error["type"], "error", "{what}");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.contains("Cloudflare"), "{what}: {message}");
            // So that no failure follows another.
            assert_eq!(gateway.message("works").await.status(), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http2_gets_the_same_error() {
    let edge = edge(Alpn::Both).await;
    let gateway = once(&edge).await;
    edge.script([telling(Form::Html)]);
    let request = Down::H2
        .client()
        .post(gateway.url("/v1/messages"))
        .bearer_auth(MASTER);

    let answer = request.body(turn("x").to_string()).send().await.unwrap();

    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers()["retry-after"], "45");
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["error"]["type"], "permission_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_an_answer_forbids_to_ask_again_only_where_a_server_failed() {
    let edge = edge(Alpn::Both).await;
    let gateway = once(&edge).await;
    for (status, said) in [(404, None), (410, None), (500, Some("false"))] {
        let page = answer::status(status).header("content-type", "text/html");
        edge.script([page.body("<html><title>Nothing here</title></html>")]);

        let answer = gateway.message("x").await;

        assert_eq!(answer.status(), status);
        let should_retry = answer.headers().get("x-should-retry");
        assert_eq!(should_retry.map(|said| said.to_str().unwrap()), said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sent_nothing_is_not_told_that_asking_again_could_bill_twice() {
    let edge = edge(Alpn::Both).await;
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = gateway.start().await;
    let cut = answer::usual().cut(At::BeforeHead, How::Abort);
    litellm.rule(Rule::new(cut).path("/v1/files/x"));
    let url = gateway.url("/v1/files/x");
    for (request, said) in [
        (gateway.http().get(&url), None),
        (gateway.http().post(&url).body("some"), Some("false")),
    ] {
        let answer = soon(request.bearer_auth(MASTER).send()).await.unwrap();

        assert_eq!(answer.status(), 502);
        let should_retry = answer.headers().get("x-should-retry");
        assert_eq!(should_retry.map(|said| said.to_str().unwrap()), said);
    }
}
