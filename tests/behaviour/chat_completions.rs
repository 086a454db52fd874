//! A chat completion with a direct model: asked in Anthropic's words, answered in OpenAI's.

use std::time::Duration;

use memgate::sim::{Alpn, Answer, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, Provider, answer};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::harness::*;
use crate::logs;
use crate::two_ways::{self, PROVIDER, ROUTER, header, route};

pub const PATHS: [&str; 3] = [
    "/v1/chat/completions",
    "/chat/completions",
    "/openai/v1/chat/completions",
];

/// A chat with the direct model.
pub fn chat(text: &str) -> Value {
    json!({"model": MODEL, "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": text},
    ]})
}

/// A chat that is streamed.
pub fn streamed_chat(text: &str) -> Value {
    let mut chat = chat(text);
    chat["stream"] = json!(true);
    chat
}

/// An edge whose provider refuses what Anthropic refuses.
pub async fn strict_edge(alpn: Alpn) -> Edge {
    let provider = Provider {
        strict: true,
        ..Default::default()
    };
    let options = EdgeOptions {
        alpn,
        provider,
        ..Default::default()
    };
    Edge::start(options).await.unwrap()
}

impl TestGateway {
    pub fn chat(&self, body: &Value) -> RequestBuilder {
        self.post(PATHS[0]).body(body.to_string())
    }

    pub async fn chatted(&self, body: &Value) -> reqwest::Response {
        soon(self.chat(body).send()).await.unwrap()
    }
}

/// A whole message with these blocks.
pub fn message_of(content: &Value) -> Answer {
    answer::json(
        200,
        &json!({
            "id": "msg_01", "type": "message", "role": "assistant", "model": UPSTREAM_MODEL,
            "content": content, "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 3, "cache_creation_input_tokens": 4,
                "cache_read_input_tokens": 5, "output_tokens": 7},
        }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reaches_the_provider_as_a_message_and_comes_back_as_a_completion() {
    let edge = strict_edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;

    for path in PATHS {
        let request = gateway.post(path).body(chat("hi").to_string());
        let answer = soon(request.send()).await.unwrap();

        assert_eq!(route(&answer), (200, "direct"), "{path}");
        assert_eq!(header(&answer, "x-memgate-body"), "translated");
        assert_eq!(header(&answer, "x-memgate-memory"), "on");
        assert_eq!(header(&answer, "content-type"), "application/json");
        let length: usize = header(&answer, "content-length").parse().unwrap();
        let text = answer.text().await.unwrap();
        assert_eq!(text.len(), length);
        let said: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(said["object"], "chat.completion", "{said}");
        assert_eq!(said["model"], MODEL, "the name that the client knows");
        assert_eq!(
            said["choices"][0]["message"]["content"], "echo: hi",
            "{said}"
        );
        assert_eq!(said["choices"][0]["finish_reason"], "stop", "{said}");
        let seen = edge.requests().pop().unwrap();
        assert_eq!(seen.target, "/v3/https://api.anthropic.com/v1/messages");
        let body = seen.json();
        assert_eq!(body["model"], UPSTREAM_MODEL);
        assert_eq!(body["system"][0]["text"], "Be brief.");
        assert_eq!(body["messages"][0]["role"], "user");
        assert!(body["max_tokens"].as_u64().unwrap() >= 8192, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_that_goes_up_is_anthropics_and_nothing_of_the_other_dialect() {
    let edge = strict_edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let mut body = chat("hi");
    body["model"] = json!(format!("{MODEL},context-1m-2025-08-07"));
    body["anthropic_beta"] = json!(["from-the-body-1"]);

    let request = gateway
        .post("/v1/chat/completions?api-version=1&userId=eve")
        .body(body.to_string())
        .header("content-type", "application/json; charset=utf-8")
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "from-the-header-1")
        .header("accept-encoding", "gzip, br")
        .header("openai-organization", "org-1")
        .header("openai-beta", "assistants=v2")
        .header("x-stainless-lang", "python");
    let answer = soon(request.send()).await.unwrap();

    assert_eq!(answer.status(), 200);
    let seen = &edge.requests()[0];
    assert_eq!(seen.target, "/v3/https://api.anthropic.com/v1/messages");
    for (name, value) in [
        ("anthropic-version", "2023-06-01"),
        ("accept-encoding", "identity"),
        ("content-type", "application/json"),
        ("x-api-key", PROVIDER_KEY),
        ("x-supermemory-api-key", SUPERMEMORY_KEY),
        ("x-sm-user-id", "team"),
        ("x-stainless-lang", "python"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let betas = seen.header("anthropic-beta").unwrap();
    let betas: Vec<&str> = betas.split(',').collect();
    for beta in [
        "from-the-header-1",
        "context-1m-2025-08-07",
        "from-the-body-1",
    ] {
        assert!(betas.contains(&beta), "{betas:?}");
    }
    for name in ["openai-organization", "openai-beta", "authorization"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.json()["anthropic_beta"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_an_entry_of_its_own_is_asked_by_its_own_name() {
    let edge = strict_edge(Alpn::Both).await;
    let models = MODELS.replace("model_name: claude-sonnet-4.5", "model_name: claude-*");
    let models = models.replace("claude-sonnet-4-5-20250929", "claude-*");
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models)
        .start()
        .await;
    let mut body = chat("hi");
    body["model"] = json!("claude-opus-4-7");
    body["temperature"] = json!(0.5);
    body["reasoning_effort"] = json!("high");

    let answer = gateway.chatted(&body).await;

    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["model"], "claude-opus-4-7");
    let asked = edge.requests()[0].json();
    assert_eq!(asked["model"], "claude-opus-4-7");
    assert_eq!(asked["thinking"]["type"], "adaptive", "{asked}");
    assert_eq!(asked.get("temperature"), None, "it takes none: {asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_can_do_is_what_the_configuration_says() {
    let edge = Edge::answering([]).await.unwrap();
    let section = "translation: {models: {claude-sonnet-4-5: {sampling: false, max_tokens: 777}}}";
    let gateway = TestGateway::in_front_of(&edge).own(section).start().await;
    let mut body = chat("hi");
    body["temperature"] = json!(0.5);

    gateway.chatted(&body).await;

    let asked = edge.requests()[0].json();
    assert_eq!(asked["max_tokens"], 777);
    assert_eq!(asked.get("temperature"), None, "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn litellms_defaults_stand_where_the_client_is_silent() {
    let edge = strict_edge(Alpn::Both).await;
    let models = MODELS.replace(
        "api_key: sk-ant-test-provider\n",
        "api_key: sk-ant-test-provider\n      max_tokens: 555\n      temperature: 0.25\n",
    );
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models)
        .start()
        .await;
    let mut insisting = chat("hi");
    insisting["max_completion_tokens"] = json!(9);

    gateway.chatted(&chat("hi")).await;
    gateway.chatted(&insisting).await;
    gateway.message("hi").await;

    let asked: Vec<Value> = edge.requests().iter().map(|seen| seen.json()).collect();
    assert_eq!(
        (&asked[0]["max_tokens"], &asked[0]["temperature"]),
        (&json!(555), &json!(0.25))
    );
    assert_eq!(
        (&asked[1]["max_tokens"], &asked[1]["temperature"]),
        (&json!(9), &json!(0.25))
    );
    assert_eq!(asked[2]["max_tokens"], 64, "a message passes as it came");
    assert_eq!(asked[2].get("temperature"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_thinking_and_usage_come_back_in_openais_words() {
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "one "},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "text", "text": "two"},
        {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"a": 1}},
    ]);
    let edge = Edge::answering([message_of(&content)]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let mut body = chat("use the tool");
    body["tools"] = json!([{"type": "function", "function": {"name": "look.up", "parameters": {"type": "object"}}}]);

    let said: Value = gateway.chatted(&body).await.json().await.unwrap();

    let sent = edge.requests()[0].json();
    let name = sent["tools"][0]["name"].as_str().unwrap().to_owned();
    assert!(
        !name.contains('.'),
        "Anthropic's names have no dots: {name}"
    );
    let message = &said["choices"][0]["message"];
    assert_eq!(message["content"], "one two", "{said}");
    assert_eq!(message["reasoning_content"], "hm", "{said}");
    assert_eq!(message["thinking_blocks"][0]["signature"], "sig", "{said}");
    assert_eq!(
        message["tool_calls"].as_array().map(Vec::len),
        Some(1),
        "{said}"
    );
    let usage = &said["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(12), &json!(7))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_conversation_with_tools_satisfies_the_provider() {
    let edge = strict_edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "files/read", "arguments": arguments}});
    let body = json!({
        "model": MODEL,
        "tools": [{"type": "function", "function": {"name": "files/read", "parameters": {"properties": {}}}}],
        "tool_choice": "auto", "parallel_tool_calls": false, "temperature": 1.7, "stop": ["\n", "END"],
        "reasoning_effort": "low", "seed": 1, "user": "somebody", "logit_bias": {}, "stream_options": null,
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "read both"}, {"type": "text", "text": " "}]},
            {"role": "assistant", "content": "", "tool_calls": [call("call:1", "{\"a\": 1}"), call("call:2", "")]},
            {"role": "tool", "tool_call_id": "call:2", "content": "two"},
            {"role": "user", "content": "and?"},
            {"role": "tool", "tool_call_id": "call:1", "content": "one"},
        ],
    });

    let answer = gateway.chatted(&body).await;

    let status = answer.status();
    let said = answer.text().await.unwrap();
    assert_eq!(status, 200, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_that_the_provider_tells_are_called_as_openai_calls_them() {
    let edge = strict_edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let chat = gateway.chatted(&chat("hi")).await;
    let message = gateway.message("hi").await;

    assert_eq!(header(&chat, "x-ratelimit-limit-requests"), "4000");
    assert_eq!(header(&chat, "x-ratelimit-remaining-requests"), "3999");
    assert_eq!(header(&chat, "anthropic-ratelimit-requests-limit"), "");
    assert!(
        header(&chat, "request-id").starts_with("req_"),
        "the provider's own id"
    );
    assert_ne!(header(&chat, "x-request-id"), header(&chat, "request-id"));
    assert_eq!(
        header(&message, "anthropic-ratelimit-requests-limit"),
        "4000"
    );
    assert_eq!(header(&message, "x-ratelimit-limit-requests"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_told_as_a_duration_and_what_openai_has_no_name_for_stays() {
    let limited = message_of(&json!([]))
        .header("anthropic-ratelimit-tokens-reset", "2999-01-01T00:00:00Z")
        .header("anthropic-ratelimit-input-tokens-remaining", "9");
    let edge = Edge::answering([limited]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let answer = gateway.chatted(&chat("hi")).await;

    let left = header(&answer, "x-ratelimit-reset-tokens");
    assert!(left.contains('h') && left.ends_with('s'), "{left}");
    assert_eq!(header(&answer, "anthropic-ratelimit-tokens-reset"), "");
    let input = header(&answer, "anthropic-ratelimit-input-tokens-remaining");
    assert_eq!(input, "9");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_it_names_the_dialect_and_the_translation() {
    let edge = strict_edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let request = gateway
        .chat(&streamed_chat("hi"))
        .header("x-request-id", "translated-1");
    soon(request.send()).await.unwrap().text().await.unwrap();
    let line = logs::access_line("translated-1").await;

    for (key, value) in [
        ("dialect", "openai"),
        ("body", "translated"),
        ("route", "direct"),
        ("outcome", "ok"),
        ("model", MODEL),
        ("memory", "on"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(line["stream"], true, "{line}");
    let labels = [
        ("route", "direct"),
        ("dialect", "openai"),
        ("status", "200"),
    ];
    assert_eq!(gateway.metric("requests_total", &labels).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_chat_is_read_and_a_large_one_is_asked_whole() {
    let edge = strict_edge(Alpn::Both).await;
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let text: String = (0..300_000).map(|n| format!("{n} ")).collect();
    let body = chat(&text).to_string();
    let packed = zstd::encode_all(body.as_bytes(), 3).unwrap();

    let large = soon(gateway.post(PATHS[0]).body(body).send())
        .await
        .unwrap();
    let request = gateway.post(PATHS[0]).header("content-encoding", "zstd");
    let small = soon(request.body(packed).send()).await.unwrap();

    for answer in [large, small] {
        assert_eq!(route(&answer), (200, "direct"));
        assert_eq!(header(&answer, "x-memgate-body"), "translated");
    }
    for seen in edge.requests() {
        assert!(seen.body.length > text.len(), "{}", seen.body.length);
        assert_eq!(seen.header("content-encoding"), None);
    }
    gateway.counts("bodies_in_flight_bytes", &[], 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_sends_the_same_translation() {
    let full = || two_ways::full().retry_after(1);
    let edge = Edge::answering([full(), full()]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let answer = gateway.chatted(&chat("hi")).await;

    assert_eq!(route(&answer), (200, "direct"));
    assert_eq!(header(&answer, "x-memgate-attempts"), "3");
    let seen = edge.requests();
    assert_eq!(seen.len(), 3);
    let same = seen
        .iter()
        .all(|one| one.body.sha256 == seen[0].body.sha256);
    assert!(same && seen[0].body.length > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_router_the_provider_is_asked_in_its_own_dialect() {
    let edge = two_ways::two_hosts().await;
    let gateway = two_ways::with_bypass(&edge).await;
    edge.script([two_ways::full()]);

    let answer = gateway.chatted(&chat("hi")).await;

    assert_eq!(route(&answer), (200, "bypass"));
    assert_eq!(header(&answer, "x-memgate-body"), "translated");
    assert_eq!(header(&answer, "x-memgate-memory"), "bypassed");
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["object"], "chat.completion");
    let seen = &edge.host(PROVIDER).requests()[0];
    assert_eq!(seen.target, "/v1/messages");
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
}

#[tokio::test(flavor = "multi_thread")]
async fn round_the_lane_litellm_gets_the_chat_as_the_client_wrote_it() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let direct = format!(
        "direct: {{ca_file: ca.pem, bypass: litellm, resolve: {{'{ROUTER}:443': '{}'}}}}",
        edge.addr()
    );
    let builder = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = builder.own(&direct).start().await;

    // Refused once, paused from then on.
    edge.script([two_ways::full()]);
    for body in [chat("hi"), streamed_chat("hi")] {
        let request = gateway
            .chat(&body)
            .header("anthropic-version", "2026-10-21");
        let answer = soon(request.send()).await.unwrap();

        assert_eq!(route(&answer), (200, "bypass"));
        assert_eq!(header(&answer, "x-memgate-body"), "identical");
        let seen = asked(&litellm).pop().unwrap();
        assert_eq!(seen.target, PATHS[0]);
        assert_eq!(seen.body.kept, body.to_string());
        assert_eq!(seen.header("anthropic-version"), Some("2026-10-21"));
        let text = answer.text().await.unwrap();
        assert!(text.contains("chat.completion"), "{text}");
    }
    let under_openai = gateway.post(PATHS[2]).body(chat("hi").to_string());
    let answer = soon(under_openai.send()).await.unwrap();
    assert_eq!(route(&answer), (200, "bypass"));
    assert_eq!(asked(&litellm).pop().unwrap().target, PATHS[0]);
    assert_eq!(edge.stats().posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_dialects_share_the_lane_and_its_cookies() {
    let edge = two_ways::two_hosts().await;
    let gateway = two_ways::with_bypass(&edge).await;
    let cookie = "__cf_bm=from-a-chat; path=/; secure; httponly";
    edge.script([answer::usual().header("set-cookie", cookie)]);

    let chatted = gateway.chatted(&chat("hi")).await;
    gateway.message("hi").await;
    edge.script([two_ways::full()]);
    gateway.message("refused, and so it goes round").await;
    let round = gateway.chatted(&chat("hi")).await;

    assert_eq!(route(&chatted), (200, "direct"));
    assert_eq!(chatted.headers().get("set-cookie"), None);
    let next = &edge.requests()[1];
    assert_eq!(next.cookie("__cf_bm"), Some("from-a-chat"));
    assert_eq!(
        route(&round),
        (200, "bypass"),
        "what a message met, a chat need not meet"
    );
    assert_eq!(header(&round, "x-memgate-attempts"), "1");
    assert_eq!(edge.stats().posts, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_waits_in_line_like_a_message() {
    let edge = Edge::answering([]).await.unwrap();
    let direct = format!(
        "direct: {{ca_file: ca.pem, bypass: none, max_concurrency: 1, resolve: {{'{ROUTER}:443': '{}'}}}}",
        edge.addr()
    );
    let gateway = TestGateway::in_front_of(&edge).own(&direct).start().await;
    edge.script([answer::usual().delay(Duration::from_millis(300)).times(3)]);
    let (first, second, third) = (chat("one"), chat("two"), streamed_chat("three"));

    let (first, second, third) = tokio::join!(
        gateway.chatted(&first),
        gateway.chatted(&second),
        gateway.chatted(&third),
    );

    for answer in [first, second, third] {
        assert_eq!(route(&answer), (200, "direct"));
        answer.text().await.unwrap();
    }
    let mut seen = edge.requests();
    seen.sort_by_key(|one| one.arrived);
    for pair in seen.windows(2) {
        let apart = pair[1].arrived - pair[0].arrived;
        assert!(
            apart >= Duration::from_millis(250),
            "one at a time: {apart:?}"
        );
    }
}
