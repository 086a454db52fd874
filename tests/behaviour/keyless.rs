//! What a LiteLLM file without a master key means: a key from the environment, no route, or no keys at all.

use memgate::sim::{Edge, EdgeOptions};

use crate::harness::*;
use crate::keys::message;

const KEYLESS: &str = "model_list:
  - model_name: claude-sonnet-4.5
    litellm_params:
      model: anthropic/claude-sonnet-4-5-20250929
      api_base: https://api.supermemory.ai/v3/https://api.anthropic.com
      api_key: sk-ant-test-provider
      extra_headers: {x-supermemory-api-key: sm-test-key}
user_id_mappings: {default_user_id: team}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_comes_from_the_file_or_else_from_the_environment() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let variable = "LITELLM_MASTER_KEY";
    let of_env = TestGateway::in_front_of(&edge)
        .models(KEYLESS)
        .env(variable, "sk-of-env-0001");
    let of_env = of_env.start().await;
    let of_file = TestGateway::in_front_of(&edge)
        .env(variable, "sk-of-env-0001")
        .start()
        .await;
    let (env_key, file_key) = ("Bearer sk-of-env-0001", "Bearer sk-test-master-0001");

    let env_by_env = message(&of_env, &[("authorization", env_key)]).await.0;
    let env_by_file = message(&of_env, &[("authorization", file_key)]).await.0;
    let file_by_file = message(&of_file, &[("authorization", file_key)]).await.0;
    let file_by_env = message(&of_file, &[("authorization", env_key)]).await.0;

    assert_eq!((env_by_env, env_by_file), (200, 401));
    assert_eq!(
        (file_by_file, file_by_env),
        (200, 401),
        "the file's key wins"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_master_key_and_without_litellm_the_direct_route_is_off_and_says_so() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .models(KEYLESS)
        .start()
        .await;

    for headers in [
        vec![],
        vec![("authorization", "Bearer sk-any")],
        vec![("x-api-key", "")],
    ] {
        let (status, says) = message(&gateway, &headers).await;

        assert_eq!(status, 503, "{headers:?}");
        assert!(
            says.contains("off") && says.contains("master key"),
            "{says}"
        );
    }
    assert_eq!(edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_key_are_let_in_only_where_allowed_by_a_name_of_ours_and_from_no_other_site()
 {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let own = "auth: {litellm: false, allow_anonymous: true, hosts: [gate.example]}";
    let gateway = TestGateway::in_front_of(&edge)
        .models(KEYLESS)
        .own(own)
        .start()
        .await;
    let may: [&[(&str, &str)]; 6] = [
        &[],
        &[("host", "gate.example")],
        &[("host", "localhost:8764")],
        &[("origin", "http://localhost:3000")],
        &[("sec-fetch-site", "same-origin")],
        &[("authorization", "Bearer whatever-an-sdk-sends")],
    ];
    let may_not: [&[(&str, &str)]; 5] = [
        &[("host", "evil.example")],
        &[("host", "gate.example.evil.example")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
    ];

    for headers in may {
        assert_eq!(message(&gateway, headers).await.0, 200, "{headers:?}");
    }
    for headers in may_not {
        assert_eq!(message(&gateway, headers).await.0, 403, "{headers:?}");
    }
    assert_eq!(edge.stats().posts, may.len() as u64);
}
