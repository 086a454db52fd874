//! Each request goes where its body's model says: to the provider itself, or to LiteLLM.

use std::collections::BTreeMap;

use memgate::sim::{Edge, LiteLlm, LiteLlmOptions};
use serde_json::{Value, json};

use crate::harness::*;

/// An edge, LiteLLM, and the gateway before both.
struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

impl World {
    async fn new() -> Self {
        Self::with_models(MODELS).await
    }

    async fn with_models(models: &str) -> Self {
        let edge = Edge::answering([]).await.unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge)
            .with_litellm(&litellm)
            .models(models)
            .start()
            .await;
        Self {
            edge,
            litellm,
            gateway,
        }
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.gateway
            .post(path)
            .header("anthropic-version", "2023-06-01")
    }

    async fn ask(&self, model: &str) -> reqwest::Response {
        self.post("/v1/messages")
            .body(asking(model))
            .send()
            .await
            .unwrap()
    }

    /// The model names that arrived at the edge and at LiteLLM.
    fn arrived(&self) -> (Vec<String>, Vec<String>) {
        let models = |seen: Vec<memgate::sim::SeenRequest>| {
            let posts = seen.iter().filter(|request| request.method == "POST");
            posts
                .map(|request| request.json()["model"].as_str().unwrap_or("-").to_owned())
                .collect()
        };
        (models(asked(&self.edge)), models(asked(&self.litellm)))
    }
}

fn asking(model: &str) -> String {
    let mut turn = turn("hello");
    turn["model"] = json!(model);
    turn.to_string()
}

fn route(answer: &reqwest::Response) -> &str {
    answer.headers()["x-memgate-route"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bodys_model_decides_between_the_provider_and_litellm() {
    let world = World::new().await;

    let direct = world.ask(MODEL).await;
    let other = world.ask(OTHER).await;

    assert_eq!((direct.status().as_u16(), route(&direct)), (200, "direct"));
    assert_eq!((other.status().as_u16(), route(&other)), (200, "litellm"));
    assert_eq!(
        world.arrived(),
        (vec![UPSTREAM_MODEL.into()], vec![OTHER.into()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_goes_to_litellm_byte_for_byte() {
    let world = World::new().await;
    let body = "{ \"messages\": [],\t\"n\": 1.0e2, \"model\": \"nobody\\u0027s-model\" , \"max_tokens\":1}";

    let answer = world
        .post("/v1/messages?beta=true&x=%2F")
        .body(body)
        .send()
        .await
        .unwrap();

    assert_eq!(route(&answer), "litellm");
    assert_eq!(answer.headers()["x-memgate-body"], "identical");
    let seen = &asked(&world.litellm)[0];
    assert_eq!(seen.body.kept, body.as_bytes());
    assert_eq!(seen.target, "/v1/messages?beta=true&x=%2F");
    assert_eq!(
        seen.header("authorization"),
        Some("Bearer sk-test-master-0001"),
        "LiteLLM judges the credential"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn litellms_own_refusal_of_an_unknown_name_reaches_the_client() {
    let world = World::new().await;
    let refusal = json!({"error": {"message": "no such model", "code": "400"}});
    world
        .litellm
        .script([memgate::sim::answer::json(400, &refusal)]);

    let answer = world.ask("nobody-knows").await;

    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.unwrap(), refusal);
    assert_eq!(world.edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn count_tokens_is_routed_as_messages_are() {
    let world = World::new().await;

    for model in [MODEL, OTHER] {
        let body = asking(model);
        let answer = world
            .post("/v1/messages/count_tokens")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{model}");
    }

    assert_eq!(
        world.arrived(),
        (vec![UPSTREAM_MODEL.into()], vec![OTHER.into()])
    );
    assert!(
        world.edge.requests()[0]
            .path()
            .ends_with("/v1/messages/count_tokens")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_completions_of_a_direct_model_go_to_litellm_under_its_public_name() {
    let world = World::new().await;

    for path in ["/v1/chat/completions", "/chat/completions"] {
        let answer = world.post(path).body(asking(MODEL)).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), route(&answer)),
            (200, "litellm"),
            "{path}"
        );
    }

    assert_eq!(world.arrived(), (vec![], vec![MODEL.into(), MODEL.into()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_completions_of_a_direct_model_need_a_key_as_its_messages_do() {
    let world = World::new().await;

    for path in ["/v1/messages", "/v1/chat/completions", "/chat/completions"] {
        for key in [None, Some("sk-wrong-key-000000")] {
            let mut post = world
                .gateway
                .http()
                .post(world.gateway.url(path))
                .body(asking(MODEL));
            if let Some(key) = key {
                post = post.bearer_auth(key);
            }
            let status = post.send().await.unwrap().status();
            assert_eq!(status, 401, "{path} {key:?}");
        }
    }

    assert_eq!(world.arrived(), (vec![], vec![]), "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_model_named_in_a_path_goes_to_litellm_and_is_counted() {
    let world = World::new().await;
    let paths = [
        format!("/openai/deployments/{MODEL}/chat/completions?api-version=2024-06-01"),
        format!("/engines/{MODEL}/completions"),
    ];

    for path in &paths {
        let answer = world.post(path).body("{}").send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), route(&answer)),
            (200, "litellm"),
            "{path}"
        );
    }
    world
        .post(&format!("/engines/{OTHER}/completions"))
        .body("{}")
        .send()
        .await
        .unwrap();

    let targets: Vec<String> = asked(&world.litellm)
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(targets[..2], paths);
    let metrics = world.gateway.metrics().await;
    assert!(
        metrics.contains("memgate_direct_model_elsewhere_total 2\n"),
        "LiteLLM's own model is no surprise\n{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_wildcard_takes_is_warned_of_once_whatever_its_names_in_paths() {
    let models = MODELS.replace("model_name: claude-sonnet-4.5", "model_name: elsewhere-*");
    let world = World::with_models(&models).await;

    for number in 0..3 {
        let path = format!("/engines/elsewhere-{number}/completions");
        world.post(&path).body("{}").send().await.unwrap();
    }

    let lines = crate::logs::lines();
    let warnings = lines
        .iter()
        .filter(|line| line.target == "memgate::routing" && line.text.contains("elsewhere-"));
    assert_eq!(
        warnings.count(),
        1,
        "clients make names up: no line and no memory for each"
    );
    let counted = world.gateway.metric("direct_model_elsewhere_total", &[]);
    assert_eq!(counted.await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_and_betas_leave_the_name_on_both_routes() {
    let world = World::new().await;
    let cases = [
        ("claude-sonnet-4.5-20250929", UPSTREAM_MODEL, None),
        (
            "claude-sonnet-4.5,context-1m,fast",
            UPSTREAM_MODEL,
            Some("old-beta,context-1m,fast"),
        ),
        ("gpt-test-20250101", OTHER, None),
        (
            "gpt-test,context-1m,old-beta",
            OTHER,
            Some("old-beta,context-1m"),
        ),
        (
            "gpt-test-20250101,context-1m",
            OTHER,
            Some("old-beta,context-1m"),
        ),
    ];

    for (name, sent, betas) in cases {
        world.edge.reset();
        world.litellm.reset();
        let body = asking(name);
        let post = world
            .post("/v1/messages")
            .header("anthropic-beta", "old-beta")
            .body(body.clone());
        let answer = post.send().await.unwrap();

        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(answer.headers()["x-memgate-body"], "spliced", "{name}");
        let console: &memgate::sim::Console = if sent == OTHER {
            &world.litellm
        } else {
            &world.edge
        };
        let seen = &asked(console)[0];
        assert_eq!(
            seen.body.kept,
            body.replace(name, sent),
            "{name}: nothing but the name changed"
        );
        assert_eq!(
            seen.header("anthropic-beta"),
            Some(betas.unwrap_or("old-beta")),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beta_that_could_not_stand_in_a_header_leaves_the_request_as_it_is() {
    let world = World::new().await;

    world.ask("gpt-test,evil\r\nx-injected: 1").await;

    let seen = &asked(&world.litellm)[0];
    assert_eq!(seen.json()["model"], "gpt-test,evil\r\nx-injected: 1");
    assert_eq!(seen.header("x-injected"), None);
    assert_eq!(seen.header("anthropic-beta"), None);
}

const FAMILY: &str = r#"model_list:
  - model_name: sonnet
    litellm_params: {model: anthropic/claude-sonnet-x, api_base: 'https://api.supermemory.ai/v3/https://api.anthropic.com', api_key: k, extra_headers: {x-supermemory-api-key: s}}
  - model_name: team/*-big
    litellm_params: {model: 'anthropic/claude-*-large', api_base: 'https://api.supermemory.ai/v3/https://api.anthropic.com', api_key: k, extra_headers: {x-supermemory-api-key: s}}
  - model_name: local/*
    litellm_params: {model: 'openai/*'}
router_settings:
  model_group_alias: {smart: sonnet, quiet: {model: sonnet, hidden: true}, lost: nowhere}
general_settings: {master_key: sk-test-master-0001}
user_id_mappings: {default_user_id: team}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn aliases_and_wildcards_resolve_as_in_litellm() {
    let world = World::with_models(FAMILY).await;
    let names = ["smart", "quiet", "team/opus-big", "local/llama", "lost"];

    for name in names {
        assert_eq!(world.ask(name).await.status(), 200, "{name}");
    }

    let direct = ["claude-sonnet-x", "claude-sonnet-x", "claude-opus-large"].map(String::from);
    let litellm = ["local/llama", "lost"].map(String::from);
    assert_eq!(
        world.arrived(),
        (direct.to_vec(), litellm.to_vec()),
        "LiteLLM resolves its own names"
    );
}

const GROUP: &str = r#"model_list:
  - model_name: shared
    litellm_params: {model: anthropic/claude-first, weight: 3, api_base: 'https://api.supermemory.ai/v3/https://api.anthropic.com', api_key: k, extra_headers: {x-supermemory-api-key: s}}
  - model_name: shared
    litellm_params: {model: anthropic/claude-second, weight: 1, api_base: 'https://api.supermemory.ai/v3/https://api.anthropic.com', api_key: k, extra_headers: {x-supermemory-api-key: s}}
  - model_name: shared
    litellm_params: {model: openai/third, weight: 2}
  - model_name: shared
    litellm_params: {model: anthropic/claude-never, weight: 0, api_base: 'https://api.supermemory.ai/v3/https://api.anthropic.com', api_key: k, extra_headers: {x-supermemory-api-key: s}}
general_settings: {master_key: sk-test-master-0001}
user_id_mappings: {default_user_id: team}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_name_shares_its_requests_by_weight() {
    const ASKED: usize = 360;
    let world = World::with_models(GROUP).await;

    for _ in 0..ASKED {
        let answer = world.ask("shared").await;
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap();
    }

    let (edge, litellm) = world.arrived();
    let mut shares = BTreeMap::new();
    for model in edge.into_iter().chain(litellm) {
        *shares.entry(model).or_insert(0_usize) += 1;
    }
    // Five standard deviations to either side.
    let expected = [
        ("claude-first", 180, 48),
        ("claude-second", 60, 36),
        ("shared", 120, 45),
    ];
    assert_eq!(
        shares.keys().collect::<Vec<_>>(),
        ["claude-first", "claude-second", "shared"],
        "weight 0 gets none"
    );
    for (model, mean, spread) in expected {
        assert!(shares[model].abs_diff(mean) <= spread, "{shares:?}");
    }
}
