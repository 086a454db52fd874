//! What a model's name may be: dated, with betas, an alias, matched by a wildcard, shared by several.

use std::collections::BTreeMap;

use crate::harness::*;
use crate::routing::{World, asking};

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
