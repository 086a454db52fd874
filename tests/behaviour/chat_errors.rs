//! What goes wrong with a translated chat is said in OpenAI's words, whoever says it.

use std::time::Duration;

use memgate::sim::{Alpn, Answer, At, Edge, EdgeOptions, Encoding, How, answer, cloudflare};
use serde_json::{Value, json};

use crate::chat_completions::{chat, message_of, streamed_chat};
use crate::harness::*;
use crate::logs;
use crate::two_ways::{self, header, route};
use crate::wire;

/// The error of an answer, which must be in OpenAI's envelope.
async fn error_of(answer: reqwest::Response) -> Value {
    assert_eq!(header(&answer, "content-type"), "application/json");
    let length: usize = header(&answer, "content-length").parse().unwrap();
    let text = answer.text().await.unwrap();
    assert_eq!(text.len(), length, "{text}");
    let said: Value = serde_json::from_str(&text).unwrap();
    let error = said["error"].as_object().unwrap();
    for key in ["message", "type", "param", "code"] {
        assert!(error.contains_key(key), "{key} in {text}");
    }
    assert_eq!(said.as_object().unwrap().len(), 1, "{text}");
    said["error"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_provider_keeps_its_status_its_message_and_its_kind() {
    let cases = [
        (400, "invalid_request_error", 400),
        (401, "authentication_error", 401),
        (402, "billing_error", 402),
        (403, "permission_error", 403),
        (404, "not_found_error", 404),
        (413, "request_too_large", 413),
        (429, "rate_limit_error", 429),
        (500, "api_error", 500),
        (504, "timeout_error", 504),
        (529, "overloaded_error", 503),
    ];
    for alpn in [Alpn::H1, Alpn::H2] {
        let options = EdgeOptions {
            alpn,
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let own = "retry: {attempts: 1}";
        let gateway = TestGateway::in_front_of(&edge)
            .own(own)
            .with_h2c()
            .start()
            .await;
        for (status, kind, told) in cases {
            for body in [chat("x"), streamed_chat("x")] {
                let said = answer::provider_error(status, kind, "as the provider says it");
                edge.script([said.retry_after(7).header("x-should-retry", "true")]);

                let answer = gateway.chatted(&body).await;

                assert_eq!(route(&answer), (told, "direct"), "{status} {alpn:?}");
                assert_eq!(header(&answer, "retry-after"), "7", "{status}");
                assert_eq!(header(&answer, "x-should-retry"), "true", "{status}");
                assert!(
                    header(&answer, "request-id").starts_with("req_"),
                    "{status}"
                );
                let error = error_of(answer).await;
                assert_eq!(error["type"], kind, "{error}");
                assert_eq!(error["message"], "as the provider says it", "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_somebody_in_between_becomes_an_error_of_its_status() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("retry: {attempts: 1}")
        .start()
        .await;
    let page = |status| {
        let answer = answer::status(status).header("content-type", "text/html");
        answer.body(format!(
            "<html><body>{}</body></html>",
            "too much ".repeat(100)
        ))
    };
    for (status, kind) in [
        (413, "request_too_large"),
        (502, "api_error"),
        (404, "not_found_error"),
    ] {
        edge.script([page(status)]);

        let answer = gateway.chatted(&chat("x")).await;

        assert_eq!(answer.status(), status);
        let error = error_of(answer).await;
        assert_eq!(error["type"], kind, "{error}");
        assert!(
            error["message"].as_str().unwrap().chars().count() <= 500,
            "{error}"
        );
    }
}

/// Errors too long, damaged, and broken off, with the status that the client is told.
fn unreadable() -> [(Answer, u16); 3] {
    let long = || answer::provider_error(400, "invalid_request_error", &"long ".repeat(40_000));
    let damaged =
        answer::provider_error(529, "overloaded_error", "x").header("content-encoding", "gzip");
    let broken = long().cut(At::AfterBytes(100), How::Truncate);
    [(long(), 400), (damaged, 503), (broken, 400)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_cannot_be_read_is_said_all_the_same() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("retry: {attempts: 1}")
        .start()
        .await;

    for (said, status) in unreadable() {
        edge.script([said]);

        let answer = gateway.chatted(&chat("x")).await;

        assert_eq!(answer.status(), status);
        assert_eq!(header(&answer, "content-encoding"), "");
        let error = error_of(answer).await;
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("could not be read whole"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_error_could_not_be_read_is_told_whether_its_connection_lasts() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = Edge::start(EdgeOptions {
            alpn,
            ..Default::default()
        });
        let edge = edge.await.unwrap();
        let own = "retry: {attempts: 1}";
        let gateway = TestGateway::in_front_of(&edge).own(own).start().await;
        let body = chat("x").to_string();
        let length = format!("content-length: {}\r\n", body.len());
        for (said, status) in unreadable() {
            edge.script([said]);
            let mut raw = wire::Raw::connect(gateway.address()).await;

            raw.post("/v1/chat/completions", &length).await;
            raw.send(body.as_bytes()).await;
            let told = raw.reply().await;
            assert_eq!(told.status, status, "{alpn:?}");
            gateway.settled().await;
            let lasts = told.header("connection") != "close";
            if lasts {
                raw.post("/v1/chat/completions", &length).await;
                raw.send(body.as_bytes()).await;
                assert_eq!(raw.reply().await.status, 200, "{alpn:?} {status}");
            } else {
                assert!(raw.ended().await, "{alpn:?} {status}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_somebody_packed_is_unpacked_and_an_error_keeps_its_words() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("retry: {attempts: 1}")
        .start()
        .await;
    let too_long = "prompt is too long: 208310 tokens > 200000 maximum";
    for encoding in [Encoding::Gzip, Encoding::Br, Encoding::Zstd] {
        let whole = message_of(&json!([{"type": "text", "text": "hello"}]));
        let error = answer::provider_error(400, "invalid_request_error", too_long);
        edge.script([whole.compressed(encoding), error.compressed(encoding)]);

        let answered = gateway.chatted(&chat("x")).await;
        let refused = gateway.chatted(&chat("x")).await;

        assert_eq!(answered.status(), 200, "{encoding:?}");
        assert_eq!(header(&answered, "content-encoding"), "");
        let said: Value = answered.json().await.unwrap();
        assert_eq!(said["choices"][0]["message"]["content"], "hello", "{said}");
        assert_eq!(refused.status(), 400, "{encoding:?}");
        let error = error_of(refused).await;
        assert_eq!(error["message"], too_long, "{error}");
        assert_eq!(error["code"], "context_length_exceeded", "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_stays_full_is_a_503_with_a_wait() {
    let full = || two_ways::full().retry_after(1);
    let edge = Edge::answering([full(), full(), full()]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let answer = gateway.chatted(&chat("x")).await;

    assert_eq!(answer.status(), 503);
    assert!(two_ways::retry_after(&answer) >= 1);
    assert_eq!(header(&answer, "x-should-retry"), "true");
    assert_eq!(header(&answer, "x-memgate-body"), "translated");
    let error = error_of(answer).await;
    assert_eq!(error["type"], "overloaded_error", "{error}");
    assert_eq!(error["code"], "upstream_overloaded", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_edge_is_explained() {
    let edge = Edge::answering([cloudflare::denied()]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let answer = gateway.chatted(&chat("x")).await;

    assert_eq!(answer.status(), 403);
    let error = error_of(answer).await;
    assert_eq!(error["type"], "permission_error", "{error}");
    assert_eq!(error["code"], "edge_error", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_honoured_is_a_400_that_names_the_parameter_and_nobody_is_asked() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    for (param, value) in [
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("modalities", json!(["text", "audio"])),
        ("temperature", json!("hot")),
    ] {
        let mut body = chat("x");
        body[param] = value;

        let answer = gateway.chatted(&body).await;

        assert_eq!(route(&answer), (400, "local"), "{param}");
        let error = error_of(answer).await;
        assert_eq!(error["param"], param, "{error}");
        assert_eq!(error["type"], "invalid_request_error", "{error}");
        assert_eq!(error["code"], "unsupported_parameter", "{error}");
    }
    for body in ["{}", "{\"model\": 7}", "{\"model\": \"\"}"] {
        let request = gateway.post("/v1/chat/completions").body(body);

        let error = error_of(request.send().await.unwrap()).await;

        assert_eq!(error["param"], "model", "{body}: {error}");
        assert_eq!(error["code"], "bad_body", "{body}: {error}");
    }
    assert_eq!(edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_no_harm_is_ignored_where_the_configuration_is_lenient() {
    let edge = Edge::answering([]).await.unwrap();
    let own = "translation: {lenient: true}";
    let gateway = TestGateway::in_front_of(&edge).own(own).start().await;
    let mut body = chat("x");
    body["logprobs"] = json!(true);

    assert_eq!(gateway.chatted(&body).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_an_error_and_never_half_an_answer() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let options = EdgeOptions {
            alpn,
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge).with_h2c().start().await;
        for down in Down::BOTH {
            for how in [How::Abort, How::Truncate, How::Reset(2)] {
                let whole = message_of(&json!([{"type": "text", "text": "half of it"}]));
                edge.script([whole.cut(At::AfterBytes(60), how)]);
                let request = down.client().post(gateway.url("/v1/chat/completions"));
                let request = request.bearer_auth(MASTER).body(chat("x").to_string());

                let answer = soon(request.send()).await.unwrap();

                assert_eq!(answer.status(), 502, "{alpn:?} {down:?} {how:?}");
                assert_eq!(header(&answer, "x-should-retry"), "false");
                assert_eq!(header(&answer, "x-memgate-route"), "direct");
                let error = error_of(answer).await;
                assert_eq!(
                    error["code"], "upstream_broken",
                    "{alpn:?} {down:?} {how:?}"
                );
            }
        }
        assert_eq!(
            edge.stats().posts,
            6,
            "what was processed is not asked again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_falls_silent_is_an_error_too() {
    let edge = Edge::answering([]).await.unwrap();
    let own = "limits: {idle_timeout: 300ms}";
    let gateway = TestGateway::in_front_of(&edge).own(own).start().await;
    let whole = message_of(&json!([{"type": "text", "text": "half of it"}]));
    edge.script([whole.cut(At::AfterBytes(60), How::Stall)]);

    let answer = gateway.chatted(&chat("x")).await;

    assert_eq!(answer.status(), 502);
    assert_eq!(error_of(answer).await["code"], "upstream_broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_message_is_an_error_and_its_reason_is_recorded() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let damaged = message_of(&json!([])).header("content-encoding", "gzip");
    let page = answer::status(200)
        .header("content-type", "text/html")
        .body("<html>");
    for (number, odd) in [damaged, page, answer::json(200, &json!([1]))]
        .into_iter()
        .enumerate()
    {
        edge.script([odd]);
        let id = format!("unreadable-{number}");

        let request = gateway.chat(&chat("x")).header("x-request-id", &id);
        let answer = soon(request.send()).await.unwrap();

        assert_eq!(answer.status(), 502, "{number}");
        assert_eq!(header(&answer, "content-encoding"), "", "{number}");
        let error = error_of(answer).await;
        assert_eq!(error["code"], "upstream_unreadable", "{error}");
        let line = logs::access_line(&id).await;
        assert_eq!(line["outcome"], "failed", "{line}");
        assert_eq!(line["reason"], "unreadable_answer", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_under_a_good_status_is_one_and_keeps_its_words() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let said = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    for (number, body) in [chat("x"), streamed_chat("x")].iter().enumerate() {
        edge.script([answer::json(200, &said)]);
        let id = format!("error-under-200-{number}");

        let request = gateway.chat(body).header("x-request-id", &id);
        let answer = soon(request.send()).await.unwrap();

        assert_eq!(answer.status(), 502, "{number}");
        let error = error_of(answer).await;
        assert_eq!(error["type"], "overloaded_error", "{error}");
        assert_eq!(error["message"], "busy", "{error}");
        let line = logs::access_line(&id).await;
        assert_eq!(line["outcome"], "failed", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_can_be_asked_is_said_in_openais_words() {
    let edge = Edge::answering([]).await.unwrap();
    let builder = TestGateway::in_front_of(&edge);
    let gateway = builder
        .own("limits: {connect_timeout: 200ms}")
        .start()
        .await;
    edge.stop().await;

    let answer = gateway.chatted(&chat("x")).await;

    assert_eq!(answer.status(), 502);
    let error = error_of(answer).await;
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("api_error"), &json!("upstream_connect"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_in_time_is_a_504() {
    let edge = Edge::answering([answer::usual().delay(Duration::from_secs(30))])
        .await
        .unwrap();
    let own = "limits: {first_byte_timeout: 300ms}";
    let gateway = TestGateway::in_front_of(&edge).own(own).start().await;

    let answer = gateway.chatted(&chat("x")).await;

    assert_eq!(answer.status(), 504);
    let error = error_of(answer).await;
    assert_eq!(error["type"], "timeout_error", "{error}");
}
