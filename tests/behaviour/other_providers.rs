//! Models behind the router whose provider speaks OpenAI's dialect, and what direct models do not do.

use memgate::sim::{Edge, LiteLlm, LiteLlmOptions, answer, cloudflare};
use serde_json::{Value, json};

use crate::harness::*;
use crate::two_ways::{self, PROVIDER, header, route};

/// How the provider's own base reads, and the path that is called for it behind the router.
const PROVIDERS: [(&str, &str); 4] = [
    ("https://api.openai.com/v1", "/v1/chat/completions"),
    (
        "https://api.groq.com/openai/v1",
        "/openai/v1/chat/completions",
    ),
    ("https://openrouter.ai/api/v1", "/api/v1/chat/completions"),
    (
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "/v1beta/openai/chat/completions",
    ),
];

/// LiteLLM's file with the model `other`, of this provider, behind the router.
fn models(base: &str) -> String {
    format!(
        "model_list:\n- model_name: other\n  litellm_params: {{model: openai/vendor/the-model, \
         api_base: 'https://api.supermemory.ai/v3/{base}', api_key: sk-of-the-provider, \
         extra_headers: {{x-supermemory-api-key: sm-test-key, openai-project: the-operators}}}}\n\
         general_settings: {{master_key: {MASTER}}}\n\
         user_id_mappings: {{default_user_id: team}}\n"
    )
}

fn chat(text: &str) -> Value {
    json!({
        "messages": [{"role": "user", "content": text}], "model": "other",
        "temperature": 1.0, "seed": 12345678901234567890_u64, "vendor": {"model": "kept"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_passes_with_its_model_spliced_and_the_providers_key_as_a_bearer() {
    for (base, path) in PROVIDERS {
        let edge = Edge::answering([]).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge)
            .models(&models(base))
            .start()
            .await;
        let body = chat("hi").to_string();

        let request = gateway
            .post("/v1/chat/completions?trace=1")
            .header("openai-organization", "the-clients")
            .header("openai-project", "the-clients")
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "context-1m-2025-08-07")
            .body(body.clone());
        let answer = request.send().await.unwrap();

        assert_eq!(route(&answer), (200, "direct"), "{base}");
        assert_eq!(header(&answer, "x-memgate-body"), "spliced");
        assert_eq!(header(&answer, "x-memgate-memory"), "on");
        let said: Value = answer.json().await.unwrap();
        assert_eq!(said["object"], "chat.completion");
        let seen = &edge.requests()[0];
        let host = base
            .split(path.strip_suffix("/chat/completions").unwrap())
            .next();
        assert_eq!(seen.target, format!("/v3/{}{path}?trace=1", host.unwrap()));
        assert_eq!(
            seen.header("authorization"),
            Some("Bearer sk-of-the-provider")
        );
        assert_eq!(seen.header("x-api-key"), None);
        assert_eq!(seen.header("x-sm-user-id"), Some("team"));
        assert_eq!(seen.header("x-supermemory-api-key"), Some("sm-test-key"));
        assert_eq!(
            seen.header("openai-organization"),
            None,
            "not beside another's key"
        );
        assert_eq!(seen.header("openai-project"), Some("the-operators"));
        assert_eq!(seen.header("anthropic-version"), None);
        assert_eq!(seen.header("anthropic-beta"), None);
        let renamed = body.replace("\"model\":\"other\"", "\"model\":\"vendor/the-model\"");
        assert_eq!(seen.body.kept, renamed, "no other byte changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn betas_in_the_models_name_are_not_told_to_a_provider_that_has_none() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models("https://api.openai.com/v1"))
        .start()
        .await;
    let mut body = chat("hi");
    body["model"] = json!("other,context-1m-2025-08-07");

    let request = gateway.post("/v1/chat/completions").json(&body);
    let answer = request.send().await.unwrap();

    assert_eq!(route(&answer), (200, "direct"));
    assert_eq!(edge.requests()[0].header("anthropic-beta"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_chat_arrives_as_the_provider_says_it() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models("https://api.openai.com/v1"))
        .start()
        .await;
    let mut body = chat("hi");
    body["stream"] = json!(true);

    let answer = gateway
        .post("/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap();

    assert_eq!(route(&answer), (200, "direct"));
    let text = answer.text().await.unwrap();
    assert!(text.contains("\"model\":\"vendor/the-model\""), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_edge_is_retried_and_said_in_openais_words_when_it_stays_full() {
    let full = || {
        cloudflare::queue_full()
            .zone("api.supermemory.ai")
            .retry_after(1)
    };
    let edge = Edge::answering([full(), answer::message("hello"), full(), full(), full()])
        .await
        .unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models("https://api.openai.com/v1"))
        .start()
        .await;
    let ask = || {
        gateway
            .post("/v1/chat/completions")
            .json(&chat("hi"))
            .send()
    };

    let answer = soon(ask()).await.unwrap();

    assert_eq!(route(&answer), (200, "direct"));
    assert_eq!(header(&answer, "x-memgate-attempts"), "2");
    let refused = soon(ask()).await.unwrap();
    assert_eq!(refused.status(), 503);
    let error: Value = refused.json().await.unwrap();
    assert_eq!(error["error"]["type"], "overloaded_error", "{error}");
    assert_eq!(error["error"]["code"], "upstream_overloaded", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_router_its_own_host_is_called_without_memory() {
    let edge = two_ways::two_hosts().await;
    let gateway = two_ways::before(&edge, "bypass: provider")
        .models(&models(&format!("https://{PROVIDER}/v1")))
        .start()
        .await;
    edge.script([two_ways::full()]);

    let ask = gateway
        .post("/v1/chat/completions")
        .json(&chat("hi"))
        .send();
    let answer = soon(ask).await.unwrap();

    assert_eq!(route(&answer), (200, "bypass"));
    assert_eq!(header(&answer, "x-memgate-memory"), "bypassed");
    let seen = &two_ways::provider(&edge).requests()[0];
    assert_eq!(seen.target, "/v1/chat/completions");
    assert_eq!(
        seen.header("authorization"),
        Some("Bearer sk-of-the-provider")
    );
    assert_eq!(seen.header("x-sm-user-id"), None);
    assert_eq!(seen.header("x-supermemory-api-key"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_anthropics_dialect_for_such_a_model_is_told_which_path_to_use() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models("https://api.openai.com/v1"))
        .start()
        .await;

    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let answer = gateway.post(path).json(&chat("hi")).send().await.unwrap();

        assert_eq!(route(&answer), (400, "local"), "{path}");
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error", "{error}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("\"other\""), "{message}");
        assert!(message.contains("use /v1/chat/completions"), "{message}");
    }
    assert_eq!(edge.stats().requests, 0);
}

/// What only LiteLLM does, under all of its paths.
const LITELLM_ONLY: [&str; 6] = [
    "/v1/responses",
    "/responses",
    "/openai/v1/responses",
    "/v1/embeddings",
    "/embeddings",
    "/openai/v1/embeddings",
];

#[tokio::test(flavor = "multi_thread")]
async fn responses_and_embeddings_of_a_direct_model_are_told_which_paths_there_are() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    let in_path = [
        format!("/engines/{MODEL}/embeddings"),
        format!("/openai/deployments/{MODEL}/embeddings"),
    ];

    for path in LITELLM_ONLY
        .into_iter()
        .chain(in_path.iter().map(String::as_str))
    {
        let body = json!({"input": "x", "model": MODEL}).to_string();
        let answer = gateway.post(path).body(body.clone()).send().await.unwrap();

        assert_eq!(route(&answer), (400, "local"), "{path}");
        let error: Value = answer.json().await.unwrap();
        assert_eq!(
            error["error"]["code"], "unsupported_endpoint",
            "{path} {error}"
        );
        assert_eq!(error["error"]["param"], "model", "{path} {error}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("/v1/chat/completions"), "{message}");
        assert!(message.contains("/v1/messages"), "{message}");
        let keyless = gateway.http().post(gateway.url(path)).body(body);
        assert_eq!(keyless.send().await.unwrap().status(), 401, "{path}");
    }
    assert_eq!(edge.stats().requests + litellm.stats().posts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_and_embeddings_of_any_other_model_reach_litellm_untouched() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    let bodies = [
        format!("{{ \"input\" : \"x\", \"model\" : \"{OTHER}\", \"n\": 1e-7}}"),
        "{\"input\": \"no model\"}".to_owned(),
        "this is no JSON".to_owned(),
    ];

    for path in LITELLM_ONLY {
        for body in &bodies {
            let answer = gateway.post(path).body(body.clone()).send().await.unwrap();

            assert_eq!(
                header(&answer, "x-memgate-route"),
                "litellm",
                "{path} {body}"
            );
            let seen = asked(&litellm).pop().unwrap();
            assert_eq!(seen.target, path);
            assert_eq!(seen.body.kept, body.clone(), "{path}");
        }
    }
    assert_eq!(edge.stats().requests, 0);
}
