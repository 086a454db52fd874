//! What a key may spend: requests, tokens, places and dollars, on every way, told in both dialects.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::answer::{self, Answer};
use memgate::sim::{Edge, Hold, LiteLlm, LiteLlmOptions};
use reqwest::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::harness::*;
use crate::status::status;

pub const ANNA: &str = "sk-mg-of-anna";
pub const BEN: &str = "sk-mg-of-ben";
pub const MESSAGES: &str = "/v1/messages";
pub const CHAT: &str = "/v1/chat/completions";

/// A gateway that knows two keys, in its own time.
pub struct World {
    pub gateway: TestGateway,
    pub clock: ManualClock,
    keys: TempDir,
}

impl World {
    /// `limits` are Anna's; Ben has none.
    pub async fn start(edge: &Edge, limits: &str) -> Self {
        Self::with(edge, limits, "").await
    }

    pub async fn with(edge: &Edge, limits: &str, own: &str) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let file = keys.path().join("keys.yaml");
        write_keys(&file, limits);
        let clock = ManualClock::default();
        let gateway = TestGateway::in_front_of(edge)
            .own(&format!(
                "auth: {{litellm: false, keys_file: '{}'}}",
                file.display()
            ))
            .own(own)
            .clock(Arc::new(clock.clone()))
            .start()
            .await;
        Self {
            gateway,
            clock,
            keys,
        }
    }

    /// The same with LiteLLM behind it, which is asked with a key of the gateway's.
    pub async fn before(edge: &Edge, litellm: &LiteLlm, limits: &str) -> Self {
        let url = litellm.url();
        let own = format!("litellm: {{urls: ['{url}'], api_key: sk-of-the-gateway}}");
        Self::with(edge, limits, &own).await
    }

    /// Gives Anna other limits, and waits until they hold.
    pub async fn relimit(&self, limits: &str) {
        write_keys(&self.keys.path().join("keys.yaml"), limits);
        let loads = [("outcome", "ok")];
        let name = "keys_file_loads_total";
        let before = self.gateway.metric(name, &loads).await;
        comes(async || {
            self.clock.advance(Duration::from_secs(1));
            let now = self.gateway.metric(name, &loads).await;
            (now > before).then_some(())
        })
        .await;
    }

    pub async fn ask(&self, key: &str, path: &str, body: String) -> Response {
        let url = self.gateway.url(path);
        let request = self.gateway.http().post(url).bearer_auth(key).body(body);
        soon(request.send()).await.unwrap()
    }

    pub async fn message(&self, key: &str) -> Response {
        self.ask(key, MESSAGES, turn("hello").to_string()).await
    }

    /// Anna's next request, read to its end.
    pub async fn spend(&self, path: &str, body: String) -> u16 {
        let mut answer = self.ask(ANNA, path, body).await;
        let status = answer.status().as_u16();
        soon(read_out(&mut answer)).await;
        self.gateway.settled().await;
        status
    }
}

/// All at once, as an editor does.
fn write_keys(file: &Path, limits: &str) {
    let digest = |key: &str| format!("{:x}", Sha256::digest(key));
    let entries = format!(
        "keys:\n- {{name: anna, sha256: {}, user: anna, limits: {limits}}}\n- {{name: ben, sha256: {}, user: ben}}\n",
        digest(ANNA),
        digest(BEN)
    );
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, entries).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

pub fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// A whole message with this usage.
pub fn took(usage: &Value) -> Answer {
    let content = json!([{"type": "tool_use", "id": "t", "name": "n", "input": {"usage": {"output_tokens": 1}}}]);
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": usage,
        "content": content, "stop_reason": "tool_use", "stop_sequence": null});
    answer::json(200, &message)
}

/// A streamed message whose usage is said twice.
pub fn streams(start: &Value, end: &Value) -> Answer {
    let event = |name: &str, data: Value| format!("event: {name}\ndata: {data}\n\n");
    let text = json!({"type": "text_delta", "text": "\"usage\":{\"output_tokens\":5000}"});
    answer::stream([
        event(
            "message_start",
            json!({"type": "message_start", "message": {"id": "m", "usage": start}}),
        ),
        event(
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        event(
            "content_block_delta",
            json!({"type": "content_block_delta", "index": 0, "delta": text}),
        ),
        event(
            "content_block_stop",
            json!({"type": "content_block_stop", "index": 0}),
        ),
        event(
            "message_delta",
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end}),
        ),
        event("message_stop", json!({"type": "message_stop"})),
    ])
}

pub fn chat(stream: bool) -> String {
    json!({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_a_minutes_are_turned_away_and_told_when_to_come_back() {
    let edge = Edge::answering([]).await.unwrap();
    let world = World::start(&edge, "{requests_per_minute: 2}").await;
    for _ in 0..2 {
        assert_eq!(world.message(ANNA).await.status(), 200);
    }

    let refused = world.message(ANNA).await;
    let in_openais = world.ask(ANNA, CHAT, chat(false)).await;

    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "retry-after"), Some("30"));
    assert_eq!(header(&refused, "x-should-retry"), Some("true"));
    assert_eq!(header(&refused, "x-memgate-route"), Some("local"));
    assert_eq!(
        header(&refused, "anthropic-ratelimit-requests-limit"),
        Some("2")
    );
    assert_eq!(
        header(&refused, "anthropic-ratelimit-requests-remaining"),
        Some("0")
    );
    assert_eq!(
        header(&refused, "anthropic-ratelimit-requests-reset"),
        Some("2025-06-15T15:07:40Z")
    );
    assert_eq!(in_openais.status(), 429);
    assert_eq!(header(&in_openais, "x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(
        header(&in_openais, "x-ratelimit-remaining-requests"),
        Some("0")
    );
    assert_eq!(
        header(&in_openais, "x-ratelimit-reset-requests"),
        Some("1m0s")
    );
    assert_eq!(
        header(&refused, "x-ratelimit-remaining-requests"),
        Some("0")
    );
    let said: Value = refused.json().await.unwrap();
    assert_eq!(said["error"]["type"], "rate_limit_error");
    let families = [
        "anthropic-ratelimit-requests-limit",
        "x-ratelimit-limit-requests",
    ];
    for name in families {
        assert_eq!(
            header(&in_openais, name),
            Some("2"),
            "a refusal says it in both"
        );
    }
    let said: Value = in_openais.json().await.unwrap();
    assert_eq!(said["error"]["code"], "requests_per_minute");
    assert_eq!(edge.requests().len(), 2, "nothing of it went up");

    assert_eq!(world.message(BEN).await.status(), 200, "another key");
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.message(ANNA).await.status(), 200);
    let limited = [("limit", "requests_per_minute")];
    assert_eq!(world.gateway.metric("limited_total", &limited).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_key_is_told_its_own_limits_and_another_the_providers() {
    let hello = answer::message("hello").header("anthropic-ratelimit-tokens-remaining", "888");
    let edge = Edge::answering([hello.times(3)]).await.unwrap();
    let world = World::start(&edge, "{requests_per_minute: 5}").await;

    let anna = world.message(ANNA).await;
    let translated = world.ask(ANNA, CHAT, chat(false)).await;
    let ben = world.message(BEN).await;

    let [requests, tokens] = [
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-tokens-remaining",
    ];
    let providers = header(&ben, requests).unwrap();
    assert!(providers.parse::<u32>().unwrap() > 5);
    assert_eq!(header(&ben, tokens), Some("888"));
    assert_eq!(header(&anna, requests), Some("4"));
    assert_eq!(
        header(&anna, tokens),
        None,
        "this is the operator's account"
    );
    assert_eq!(
        header(&translated, "x-ratelimit-remaining-requests"),
        Some("3")
    );
    assert_eq!(header(&translated, "x-ratelimit-remaining-tokens"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_charged_by_what_answers_say_whole_or_streamed_in_either_dialect() {
    let whole = || {
        took(&json!({"input_tokens": 400, "cache_read_input_tokens": 90_000, "output_tokens": 200}))
    };
    let streamed_one = || {
        streams(
            &json!({"input_tokens": 400, "cache_creation_input_tokens": 100, "output_tokens": 1}),
            &json!({"output_tokens": 100}),
        )
    };
    for (answer, path, body) in [
        (whole(), MESSAGES, turn("hello").to_string()),
        (whole(), CHAT, chat(false)),
        (streamed_one(), MESSAGES, streamed(MODEL, "hello")),
        (streamed_one(), CHAT, chat(true)),
    ] {
        let edge = Edge::answering([answer]).await.unwrap();
        let world = World::start(&edge, "{tokens_per_minute: 600}").await;

        assert_eq!(world.spend(path, body.clone()).await, 200);

        let refused = world.ask(ANNA, path, body.clone()).await;
        assert_eq!(refused.status(), 429, "{path} {body}: all 600 are drawn");
        assert_eq!(header(&refused, "retry-after"), Some("1"));
        world.clock.advance(Duration::from_secs(6));
        let next = world.ask(ANNA, MESSAGES, turn("again").to_string()).await;
        assert_eq!(next.status(), 200);
        assert_eq!(
            header(&next, "anthropic-ratelimit-tokens-remaining"),
            Some("60"),
            "{path} {body}: ten a second come back, and no more were drawn"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_took_is_counted_by_model_user_and_kind() {
    let usage = json!({"input_tokens": 7, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}, "output_tokens": 1});
    let end = json!({"output_tokens": 9});
    let edge = Edge::answering([streams(&usage, &end), took(&usage)])
        .await
        .unwrap();
    let world = World::start(&edge, "{}").await;

    world.spend(MESSAGES, streamed(MODEL, "hello")).await;
    world.spend(MESSAGES, turn("hello").to_string()).await;

    for (kind, tokens) in [
        ("input", 14.0),
        ("cache_read", 100.0),
        ("cache_write", 60.0),
        ("output", 10.0),
    ] {
        let labels = [("model", MODEL), ("user", "anna"), ("kind", kind)];
        world.gateway.counts("tokens_total", &labels, tokens).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_litellm_answers_is_counted_too() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let world = World::before(&edge, &litellm, "{tokens_per_minute: 600}").await;
    let usage = json!({"prompt_tokens": 500, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 200}});
    litellm.script([answer::json(
        200,
        &json!({"id": "c", "choices": [], "usage": usage}),
    )]);
    let body = json!({"model": OTHER, "messages": []}).to_string();

    assert_eq!(world.spend(CHAT, body.clone()).await, 200);

    let sent = asked(&litellm).pop().unwrap();
    assert_eq!(
        sent.header("accept-encoding"),
        Some("identity"),
        "a limit goes by what it says"
    );
    let labels = [("model", OTHER), ("user", "anna"), ("kind", "input")];
    world.gateway.counts("tokens_total", &labels, 300.0).await;
    let refused = world.ask(ANNA, CHAT, body).await;
    assert_eq!(refused.status(), 429, "300 and 300 of 600");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_round_the_router_counts_like_the_way_through_it() {
    let edge = Edge::answering([took(&json!({"input_tokens": 600}))])
        .await
        .unwrap();
    let addr = edge.addr();
    let direct = format!(
        "direct: {{ca_file: ca.pem, bypass: provider, resolve: {{'api.supermemory.ai:443': '{addr}', 'api.anthropic.com:443': '{addr}'}}}}"
    );
    let world = World::with(&edge, "{tokens_per_minute: 600}", &direct).await;
    world
        .gateway
        .pause_host("api.supermemory.ai", Duration::from_secs(60));

    let round = world.message(ANNA).await;

    assert_eq!(header(&round, "x-memgate-route"), Some("bypass"));
    drop(round.bytes().await.unwrap());
    world.gateway.settled().await;
    assert_eq!(world.message(ANNA).await.status(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_mid_stream_pays_for_what_was_said() {
    let edge = Edge::answering([]).await.unwrap();
    let world = World::start(&edge, "{tokens_per_minute: 600}").await;
    let start = json!({"type": "message_start", "message": {"usage": {"input_tokens": 900, "output_tokens": 1}}});
    let first = format!("event: message_start\ndata: {start}\n\n");
    let delta = "event: content_block_delta\ndata: {}\n\n".to_owned();
    let stall = answer::stream([first, delta, "event: ping\n\n".to_owned()])
        .cut(answer::At::AfterEvents(2), answer::How::Stall);
    edge.script([stall]);
    let mut answer = world.ask(ANNA, MESSAGES, streamed(MODEL, "hello")).await;
    soon(read_until(&mut answer, "content_block_delta")).await;

    drop(answer);
    world.gateway.settled().await;

    let refused = world.message(ANNA).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(
        header(&refused, "retry-after"),
        Some("31"),
        "901 of 600 were drawn, and one must be there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_never_says_its_usage_is_estimated() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let world = World::before(&edge, &litellm, "{tokens_per_minute: 600}").await;
    let chunk = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let mut chunks = vec![chunk; 20];
    chunks.push("data: [DONE]\n\n");
    litellm.script([answer::stream(chunks)]);
    let text = "x".repeat(4000);
    let body =
        json!({"model": OTHER, "stream": true, "messages": [{"role": "user", "content": text}]});

    world.spend(CHAT, body.to_string()).await;

    let refused = world.ask(ANNA, CHAT, body.to_string()).await;
    assert_eq!(
        refused.status(),
        429,
        "a quarter of the bytes and twenty pieces"
    );
    let labels = [("model", OTHER)];
    assert_eq!(
        world.gateway.metric("tokens_total", &labels).await,
        0.0,
        "nobody said it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_taken_until_the_answer_ends() {
    let hold = Hold::default();
    let edge = Edge::answering([]).await.unwrap();
    let world = World::start(&edge, "{concurrent_requests: 1}").await;
    // A lane opens with its first answer.
    assert_eq!(world.message(BEN).await.status(), 200);
    edge.script([answer::message("late").held(&hold)]);
    let first = world.message(ANNA);
    let second = async {
        assert!(becomes_true(|| edge.requests().len() == 2).await);
        let refused = world.message(ANNA).await;
        let other = world.message(BEN).await.status();
        hold.release();
        (refused, other)
    };

    let (first, (refused, other)) = tokio::join!(first, second);

    assert_eq!((first.status().as_u16(), other.as_u16()), (200, 200));
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    drop(first.bytes().await.unwrap());
    world.gateway.settled().await;
    assert_eq!(world.message(ANNA).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_dollars_are_counted_by_the_price_table_and_shown_to_operators() {
    let usage =
        json!({"input_tokens": 1000, "cache_read_input_tokens": 10_000, "output_tokens": 100});
    let edge = Edge::answering([took(&usage)]).await.unwrap();
    let prices = "prices: {version: '2026-11-01', models: {'claude-sonnet-*': {input: 3, output: 15, cache_read: 0.3}}}";
    let world = World::with(&edge, "{usd_per_day: 0.007}", prices).await;

    world.spend(MESSAGES, turn("hello").to_string()).await;

    let refused = world.message(ANNA).await;
    assert_eq!(refused.status(), 429, "0.003 and 0.003 and 0.0015 of 0.007");
    assert_eq!(
        header(&refused, "retry-after"),
        Some("32000"),
        "the day of UTC"
    );
    assert_eq!(
        header(&refused, "x-should-retry"),
        Some("false"),
        "no SDK would wait so long"
    );
    let shown = status(&world.gateway).await;
    assert_eq!(shown["keys"]["prices"], "2026-11-01");
    let anna = &shown["keys"]["used"][0];
    assert_eq!(
        (&anna["name"], &anna["usd_today"]),
        (&json!("anna"), &json!(0.0075))
    );
    assert!(!shown.to_string().contains(ANNA));
    world.clock.advance(Duration::from_secs(32_000));
    assert_eq!(world.message(ANNA).await.status(), 200);
}
