//! What the simulated provider and router say when nothing is scripted.

use std::io::Write;

use memgate::sim::{EdgeOptions, Memory, Outcome, Provider, Shape, answer};
use serde_json::{Value, json};

use crate::client::{ROUTER, SOON, ask, browser, edge, edge_with, events, post, url};

#[tokio::test]
async fn a_message_is_echoed_as_json_with_the_routers_headers() {
    let edge = edge().await;

    let response = post(&browser(&edge), &edge, &ask("good morning"))
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["server"], "cloudflare");
    assert_eq!(response.headers()["x-supermemory-context-modified"], "true");
    assert!(
        response.headers()["request-id"]
            .to_str()
            .unwrap()
            .starts_with("req_")
    );
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["content"][0]["text"], "echo: good morning");
    assert_eq!(body["model"], "claude-sonnet-4-5");
    assert_eq!(body["stop_reason"], "end_turn");
}

#[tokio::test]
async fn a_stream_has_anthropics_events_in_their_order() {
    let edge = edge().await;
    let mut body = ask("good morning");
    body["stream"] = json!(true);
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});

    let response = post(&browser(&edge), &edge, &body).send().await.unwrap();

    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let events = events(&response.text().await.unwrap());
    let mut order: Vec<&str> = events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    order.dedup();
    assert_eq!(
        order,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let text: String = events
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str())
        .collect();
    assert_eq!(text, "echo: good morning");
    assert!(
        events
            .iter()
            .any(|event| event["delta"]["type"] == "signature_delta")
    );
}

#[tokio::test]
async fn a_text_that_speaks_of_a_tool_gets_a_tool_use_and_its_result_gets_text() {
    let edge = edge().await;
    let client = browser(&edge);
    let mut body = ask("use the tool");
    body["tools"] = json!([{"name": "weather", "input_schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]);

    let first: Value = post(&client, &edge, &body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    body["messages"] = json!([
        {"role": "user", "content": "use the tool"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": first["content"][1]["id"], "content": "rain, says the tool"}]},
    ]);
    let second: Value = post(&client, &edge, &body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();

    assert_eq!(first["stop_reason"], "tool_use");
    assert_eq!(first["content"][1]["input"], json!({"city": "sim"}));
    assert_eq!(
        second["content"][0]["text"],
        "tool result: rain, says the tool"
    );
}

#[tokio::test]
async fn tool_input_is_streamed_as_json_that_adds_up() {
    let edge = edge().await;
    let mut body = ask("use the tool");
    body["stream"] = json!(true);
    body["tools"] = json!([{"name": "weather", "input_schema": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}}]);

    let stream = post(&browser(&edge), &edge, &body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();

    let parts: String = events(&stream)
        .iter()
        .filter_map(|event| event["delta"]["partial_json"].as_str())
        .collect();
    let input: Value = serde_json::from_str(&parts).unwrap();
    assert_eq!(input, json!({"city": "sim", "days": 1}));
}

#[tokio::test]
async fn the_router_refuses_a_request_without_key_or_user() {
    let edge = edge().await;
    let bare = || {
        browser(&edge)
            .post(url(&edge, ROUTER))
            .header("anthropic-version", "2023-06-01")
    };

    let no_key = bare()
        .header("x-sm-user-id", "alice")
        .json(&ask("x"))
        .send()
        .await
        .unwrap();
    let no_user = bare()
        .header("x-supermemory-api-key", "k")
        .json(&ask("x"))
        .send()
        .await
        .unwrap();
    let mut named = ask("x");
    named["user"] = json!("bob");
    let in_body = bare()
        .header("x-supermemory-api-key", "k")
        .json(&named)
        .send()
        .await
        .unwrap();

    assert_eq!(no_key.status(), 401);
    assert_eq!(no_user.status(), 400);
    assert!(
        no_user
            .text()
            .await
            .unwrap()
            .contains("[SUPERMEMORY] No user ID found")
    );
    assert_eq!(in_body.status(), 200);
}

#[tokio::test]
async fn a_path_with_a_whole_url_in_it_is_kept_raw() {
    let edge = edge().await;
    let path = "/v3/https://api.anthropic.com/v1/messages?beta=true&userId=carol";

    let response = browser(&edge)
        .post(url(&edge, path))
        .header("x-supermemory-api-key", "k")
        .header("anthropic-version", "2023-06-01")
        .json(&ask("x"))
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(edge.requests()[0].target, path);
}

#[tokio::test]
async fn provider_errors_are_in_anthropics_form() {
    let edge = edge_with(EdgeOptions {
        provider: Provider {
            keys: vec!["sk-ant".to_owned()],
            ..Provider::default()
        },
        ..EdgeOptions::default()
    })
    .await;
    let client = browser(&edge);
    let mut unknown = ask("x");
    unknown["model"] = json!("gpt-4o");
    let mut endless = ask("x");
    endless.as_object_mut().unwrap().remove("max_tokens");

    let mut seen = Vec::new();
    for body in [unknown, endless] {
        let response = post(&client, &edge, &body).send().await.unwrap();
        let status = response.status().as_u16();
        let error: Value = response.json().await.unwrap();
        seen.push((status, error["error"]["type"].as_str().unwrap().to_owned()));
    }
    let stranger = client
        .post(url(&edge, "/v1/messages"))
        .header("x-api-key", "wrong")
        .header("anthropic-version", "2023-06-01")
        .json(&ask("x"))
        .send()
        .await
        .unwrap();

    assert_eq!(seen[0], (404, "not_found_error".to_owned()));
    assert_eq!(seen[1], (400, "invalid_request_error".to_owned()));
    assert_eq!(stranger.status(), 401);
}

/// A turn with one field set to this.
fn with(field: &str, value: Value) -> Value {
    let mut body = ask("x");
    body[field] = value;
    body
}

/// Turns of which some break a rule of Anthropic's: what is said of it then.
fn turns_and_faults() -> Vec<(Value, Option<&'static str>)> {
    let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]});
    let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": "done"});
    let text = json!({"type": "text", "text": "and then"});
    let after_call = |content: Value| {
        with(
            "messages",
            json!([call, {"role": "user", "content": content}]),
        )
    };
    let tool =
        |name: &str, schema: Value| with("tools", json!([{"name": name, "input_schema": schema}]));
    let object = || json!({"type": "object"});
    let blank = json!([{"role": "user", "content": [{"type": "text", "text": " "}]}]);
    let thought = json!({"type": "enabled", "budget_tokens": 9000});
    vec![
        (ask("x"), None),
        (after_call(json!([result, text])), None),
        (tool("f", object()), None),
        (with("n", json!(1)), Some("n: Extra inputs")),
        (with("messages", blank), Some("non-empty")),
        (after_call(json!([text])), Some("tool_result")),
        (after_call(json!([text, result])), Some("tool_result")),
        (tool("a.b", object()), Some("pattern")),
        (tool("f", json!({})), Some("input_schema")),
        (
            with("tool_choice", json!({"type": "auto"})),
            Some("while providing tools"),
        ),
        (with("thinking", thought), Some("max_tokens")),
        (with("temperature", json!(1.5)), Some("temperature")),
        (
            with("stop_sequences", json!(["\n"])),
            Some("non-whitespace"),
        ),
    ]
}

#[tokio::test]
async fn a_strict_provider_refuses_what_anthropic_refuses() {
    let provider = Provider {
        strict: true,
        ..Provider::default()
    };
    let edge = edge_with(EdgeOptions {
        provider,
        ..EdgeOptions::default()
    })
    .await;
    let client = browser(&edge);

    for (body, fault) in turns_and_faults() {
        let answer = post(&client, &edge, &body).send().await.unwrap();

        let status = answer.status();
        let said = answer.text().await.unwrap();
        assert_eq!(
            status,
            if fault.is_some() { 400 } else { 200 },
            "{body} {said}"
        );
        assert!(said.contains(fault.unwrap_or_default()), "{fault:?} {said}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_understood_and_digested_both_ways() {
    let edge = edge().await;
    let plain = ask("packed").to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain.as_bytes()).unwrap();
    let mut brotli_bytes = Vec::new();
    brotli::CompressorWriter::new(&mut brotli_bytes, 4096, 5, 22)
        .write_all(plain.as_bytes())
        .unwrap();
    let zstd_bytes = zstd::encode_all(plain.as_bytes(), 3).unwrap();

    let client = browser(&edge);
    for (name, packed) in [
        ("gzip", gzip.finish().unwrap()),
        ("br", brotli_bytes),
        ("zstd", zstd_bytes),
    ] {
        let request = client
            .post(url(&edge, "/v1/messages"))
            .header("anthropic-version", "2023-06-01")
            .header("content-encoding", name);
        let response = request.body(packed).send().await.unwrap();
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["content"][0]["text"], "echo: packed", "{name}");
    }

    let seen = edge.requests();
    assert_ne!(seen[0].body.sha256, seen[1].body.sha256);
    assert_eq!(seen[0].body.decoded_sha256, seen[2].body.decoded_sha256);
}

#[tokio::test]
async fn tokens_are_counted_and_a_probe_is_answered() {
    let edge = edge().await;
    let client = browser(&edge);

    let count: Value = client
        .post(url(&edge, "/v1/messages/count_tokens"))
        .header("anthropic-version", "2023-06-01")
        .json(&json!({"model": "claude-x", "messages": [{"role": "user", "content": "x"}]}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let probe = client.head(url(&edge, "/")).send().await.unwrap();

    assert!(count["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(probe.status(), 200);
}

#[tokio::test]
async fn a_router_that_lost_its_memory_says_so_on_a_200() {
    let edge = edge_with(EdgeOptions {
        memory: Memory {
            error: Some("timeout".to_owned()),
            ..Memory::default()
        },
        ..EdgeOptions::default()
    })
    .await;

    let response = post(&browser(&edge), &edge, &ask("x"))
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-supermemory-error"], "timeout");
    assert_eq!(
        response.headers()["x-supermemory-context-modified"],
        "false"
    );
}

#[tokio::test]
async fn a_streams_length_is_a_setting() {
    let edge = edge_with(EdgeOptions {
        provider: Provider {
            shape: Shape { deltas: Some(40) },
            ..Provider::default()
        },
        ..EdgeOptions::default()
    })
    .await;
    let mut body = ask("x");
    body["stream"] = json!(true);

    let stream = post(&browser(&edge), &edge, &body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();

    let deltas = events(&stream)
        .iter()
        .filter(|event| event["delta"]["text"].is_string())
        .count();
    assert_eq!(deltas, 40);
}

#[tokio::test]
async fn a_scripted_message_takes_the_form_the_request_asks_for() {
    let edge = edge().await;
    edge.script([answer::message("hello").times(2)]);
    let client = browser(&edge);
    let mut streamed = ask("x");
    streamed["stream"] = json!(true);

    let whole: Value = post(&client, &edge, &ask("x"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let stream = post(&client, &edge, &streamed)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let after: Value = post(&client, &edge, &ask("x"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();

    assert_eq!(whole["content"][0]["text"], "hello");
    assert!(
        events(&stream)
            .iter()
            .any(|event| event["delta"]["text"] == "hello")
    );
    assert_eq!(
        after["content"][0]["text"], "echo: x",
        "the script is used up"
    );
}

#[tokio::test]
async fn an_error_event_can_come_inside_a_200_stream() {
    let edge = edge().await;
    edge.script([answer::stream_error("overloaded_error")]);
    let mut body = ask("x");
    body["stream"] = json!(true);

    let response = post(&browser(&edge), &edge, &body).send().await.unwrap();

    assert_eq!(response.status(), 200);
    let events = events(&response.text().await.unwrap());
    assert_eq!(events.last().unwrap()["error"]["type"], "overloaded_error");
    let done = edge
        .wait_for(|seen| seen.outcome == Outcome::Answered, SOON)
        .await;
    assert!(
        done.is_some(),
        "a stream that ends in an error event ends in good order"
    );
}

#[tokio::test]
async fn a_stream_can_end_in_good_order_without_saying_that_it_is_whole() {
    let edge = edge().await;
    edge.script([answer::unfinished(), answer::unfinished()]);
    let client = browser(&edge);
    let mut body = ask("good morning");
    body["stream"] = json!(true);

    let anthropic = post(&client, &edge, &body).send().await.unwrap();
    let openai = client
        .post(url(&edge, "/chat/completions"))
        .json(&body)
        .send()
        .await
        .unwrap();

    assert!(anthropic.status().is_success() && openai.status().is_success());
    let events = events(&anthropic.text().await.unwrap());
    assert_eq!(events.last().unwrap()["type"], "content_block_stop");
    let chunks = openai.text().await.unwrap();
    assert!(chunks.contains("good") && !chunks.contains("[DONE]"));
}

#[tokio::test]
async fn one_answer_alone_can_lack_its_memory() {
    let edge = edge().await;
    let lost = Memory {
        error: Some("store unavailable".to_owned()),
        ..Memory::default()
    };
    let unchanged = Memory {
        unchanged: true,
        ..Memory::default()
    };
    edge.script([answer::remembered(lost), answer::remembered(unchanged)]);
    let client = browser(&edge);
    let mut said = Vec::new();

    for _ in 0..3 {
        let response = post(&client, &edge, &ask("x")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let error = response.headers().contains_key("x-supermemory-error");
        let modified = response.headers().get_all("x-supermemory-context-modified");
        let modified: Vec<_> = modified.iter().cloned().collect();
        said.push((error, modified));
    }

    assert_eq!(said[0], (true, vec!["false".parse().unwrap()]));
    assert_eq!(said[1], (false, vec!["false".parse().unwrap()]));
    assert_eq!(said[2], (false, vec!["true".parse().unwrap()]));
}
