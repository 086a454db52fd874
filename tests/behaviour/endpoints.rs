//! What the gateway answers by itself, and the headers it puts on every answer.

use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions, VirtualKey};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::*;

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

async fn world() -> World {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions {
        models: vec![OTHER.to_owned(), "claude-haiku-4-5".to_owned()],
        ..Default::default()
    });
    let litellm = litellm.await.unwrap();
    let builder = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = builder.own("admin_key: sk-admin-0001").start().await;
    World {
        edge,
        litellm,
        gateway,
    }
}

impl World {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        self.ask(Method::GET, path, headers).await
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let request = self.gateway.http().request(method, self.gateway.url(path));
        let add = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        soon(headers.iter().fold(request, add).send())
            .await
            .unwrap()
    }

    async fn json(&self, path: &str, headers: &[(&str, &str)]) -> Value {
        let answer = self.get(path, headers).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        answer.json().await.unwrap()
    }
}

const KEY: (&str, &str) = ("authorization", "Bearer sk-test-master-0001");
const ANTHROPIC: (&str, &str) = ("anthropic-version", "2023-06-01");

#[tokio::test(flavor = "multi_thread")]
async fn health_has_the_predecessors_shape_and_shows_the_url_only_to_those_beside_it() {
    let world = world().await;
    let shown = json!({
        "status": "healthy", "memory_router": true, "litellm_base_url": world.litellm.url(),
    });
    let hidden = json!({
        "status": "healthy", "memory_router": true, "litellm_base_url": "configured",
    });
    let away = ("x-forwarded-for", "203.0.113.7");

    let beside = world.json("/health", &[]).await;
    let with_key = world
        .json(
            "/health",
            &[away, ("authorization", "Bearer sk-admin-0001")],
        )
        .await;
    let others = [
        vec![away],
        vec![("x-forwarded-for", "127.0.0.1")],
        vec![("forwarded", "for=203.0.113.7")],
        vec![("x-real-ip", "203.0.113.7")],
        vec![away, KEY],
        vec![away, ("authorization", "Bearer sk-admin-0002")],
    ];

    assert_eq!(beside, shown);
    assert_eq!(with_key, shown);
    for headers in others {
        assert_eq!(world.json("/health", &headers).await, hidden, "{headers:?}");
    }
    assert_eq!(asked(&world.litellm).len(), 0, "health asks nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_routing_tells_the_callers_own_user_and_why() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let mappings = "user_id_mappings: {custom_header: x-memory-user-id, default_user_id: team, \
         header_patterns: [{header: user-agent, pattern: '^OpenAIClientImpl/Java', user_id: pycharm}]}";
    let models = MODELS.replace(MODELS.lines().last().unwrap(), mappings);
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models)
        .start()
        .await;
    let info = async |headers: &[(&str, &str)]| -> Value {
        let request = gateway.http().get(gateway.url("/memory-routing/info"));
        let request = request.header(KEY.0, KEY.1);
        let request = headers
            .iter()
            .fold(request, |r, (name, value)| r.header(*name, *value));
        request.send().await.unwrap().json().await.unwrap()
    };

    let nobody = info(&[("user-agent", "curl/8")]).await;
    let pycharm = info(&[("user-agent", "OpenAIClientImpl/Java 4.3")]).await;
    let named = info(&[
        ("user-agent", "OpenAIClientImpl/Java 4.3"),
        ("x-memory-user-id", "ann"),
    ]);
    let named = named.await;

    let fields: Vec<&String> = nobody.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "user_id",
            "matched_pattern",
            "custom_header_present",
            "is_default"
        ]
    );
    assert_eq!(nobody["user_id"], "team");
    assert_eq!(nobody["is_default"], true);
    assert_eq!(nobody["matched_pattern"], Value::Null);
    assert_eq!(pycharm["user_id"], "pycharm");
    assert_eq!(pycharm["matched_pattern"]["header"], "user-agent");
    assert_eq!(pycharm["is_default"], false);
    assert_eq!(named["user_id"], "ann");
    assert_eq!(named["custom_header_present"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_merged_in_openais_shape() {
    let world = world().await;
    for path in ["/v1/models", "/models"] {
        let list = world.json(path, &[KEY]).await;

        assert_eq!(list["object"], "list");
        let data = list["data"].as_array().unwrap();
        let names: Vec<&str> = data.iter().map(|m| m["id"].as_str().unwrap()).collect();
        assert_eq!(names, [OTHER, "claude-haiku-4-5", MODEL], "{path}");
        for model in data {
            assert_eq!(model["object"], "model");
            assert!(model["created"].is_u64(), "{model}");
            assert!(model["owned_by"].is_string(), "{model}");
            assert!(model["display_name"].is_string(), "{model}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_in_anthropics_shape_to_those_who_speak_it() {
    let world = world().await;

    let list = world.json("/v1/models?limit=2", &[KEY, ANTHROPIC]).await;
    let rest = format!("/v1/models?after_id={}", list["last_id"].as_str().unwrap());
    let rest = world.json(&rest, &[KEY, ANTHROPIC]).await;

    assert_eq!(list["has_more"], true);
    assert_eq!(list["first_id"], OTHER);
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    assert_eq!(rest["has_more"], false);
    assert_eq!(rest["data"][0]["id"], MODEL);
    for model in list["data"]
        .as_array()
        .unwrap()
        .iter()
        .chain(rest["data"].as_array().unwrap())
    {
        assert_eq!(model["type"], "model");
        assert!(model["display_name"].is_string(), "{model}");
        assert!(model["created"].is_u64(), "{model}");
        let created = model["created_at"].as_str().unwrap();
        assert!(created.ends_with('Z') && created.contains('T'), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_know_is_listed_while_litellm_is_down() {
    let world = world().await;
    world.litellm.stop().await;

    let openai = world.json("/v1/models", &[KEY]).await;
    let anthropic = world.json("/v1/models", &[KEY, ANTHROPIC]).await;
    let one = world.json(&format!("/v1/models/{MODEL}"), &[KEY]).await;

    let names = |list: &Value| -> Vec<String> {
        let data = list["data"].as_array().unwrap().iter();
        data.map(|model| model["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&openai), [MODEL, OTHER]);
    assert_eq!(names(&anthropic), [MODEL, OTHER]);
    assert_eq!(one["id"], MODEL);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_model_is_shown_by_its_id_in_either_shape_or_is_a_404_in_that_shape() {
    let world = world().await;

    let openai = world.json(&format!("/v1/models/{MODEL}"), &[KEY]).await;
    let anthropic = world
        .json(&format!("/v1/models/{OTHER}"), &[KEY, ANTHROPIC])
        .await;
    let unknown = world.get("/v1/models/nobody", &[KEY]).await;
    let unknown_to_anthropic = world.get("/v1/models/nobody", &[KEY, ANTHROPIC]).await;

    assert_eq!(
        (&openai["id"], &openai["object"]),
        (&json!(MODEL), &json!("model"))
    );
    assert_eq!(
        (&anthropic["id"], &anthropic["type"]),
        (&json!(OTHER), &json!("model"))
    );
    assert_eq!(unknown.status(), 404);
    let error: Value = unknown.json().await.unwrap();
    assert_eq!(error["error"]["code"], "model_not_found");
    assert_eq!(unknown_to_anthropic.status(), 404);
    let error: Value = unknown_to_anthropic.json().await.unwrap();
    assert_eq!(error["error"]["type"], "not_found_error", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_key_sees_only_the_direct_models_it_may_use() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions {
        models: vec![OTHER.to_owned()],
        master_key: Some(MASTER.to_owned()),
        keys: vec![
            VirtualKey {
                models: vec![OTHER.to_owned()],
                ..VirtualKey::new("sk-other-only")
            },
            VirtualKey::new("sk-any"),
        ],
        ..Default::default()
    });
    let litellm = litellm.await.unwrap();
    let builder = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = builder.own("auth: {litellm: true}").start().await;
    let listed = async |key: &str| {
        let request = gateway
            .http()
            .get(gateway.url("/v1/models"))
            .bearer_auth(key);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };

    let (_, narrow) = listed("sk-other-only").await;
    let (_, wide) = listed("sk-any").await;
    let (unknown, _) = listed("sk-nobody").await;

    assert!(!narrow.contains(MODEL), "{narrow}");
    assert!(wide.contains(MODEL), "{wide}");
    assert_eq!(unknown, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_answered_here_and_without_a_key() {
    let world = world().await;

    let answer = world.ask(Method::HEAD, "/", &[]).await;

    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-memgate-route"], "local");
    assert_eq!(world.edge.stats().requests, 0);
    assert_eq!(asked(&world.litellm).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_answer_carries_the_gateways_headers() {
    let world = world().await;
    let id = ("x-request-id", "req-7.a_b");
    let post = async |path: &str, body: Value| {
        let request = world.gateway.post(path).header(id.0, id.1);
        request.body(body.to_string()).send().await.unwrap()
    };
    let other =
        json!({"model": OTHER, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    let identical = json!({"model": UPSTREAM_MODEL, "max_tokens": 5, "messages": []});

    let direct = post("/v1/messages", turn("x")).await;
    let litellm = post("/v1/chat/completions", other.clone()).await;
    let passed = post("/v1/moderations", other).await;
    let local = world.get("/health", &[id]).await;
    let refused = post("/v1/messages", json!({})).await;
    let unknown_model = post("/v1/messages", identical).await;
    let insane = world.get("/health", &[("x-request-id", "two words")]).await;

    let said = |answer: &reqwest::Response, name: &str| {
        let value = answer.headers().get(name);
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    };
    let told = |answer: &reqwest::Response| {
        let names = [
            "x-request-id",
            "x-memgate-route",
            "x-memgate-attempts",
            "x-memgate-body",
        ];
        names.map(|name| said(answer, name))
    };
    assert_eq!(told(&direct), ["req-7.a_b", "direct", "1", "spliced"]);
    assert!(["on", "unchanged"].contains(&said(&direct, "x-memgate-memory").as_str()));
    assert_eq!(told(&litellm), ["req-7.a_b", "litellm", "1", "identical"]);
    assert_eq!(said(&litellm, "x-memgate-memory"), "");
    assert_eq!(told(&passed), ["req-7.a_b", "litellm", "1", ""]);
    assert_eq!(told(&local), ["req-7.a_b", "local", "", ""]);
    assert_eq!(told(&refused), ["req-7.a_b", "local", "", ""]);
    assert_eq!(
        told(&unknown_model),
        ["req-7.a_b", "litellm", "1", "identical"]
    );
    assert_eq!(said(&insane, "x-request-id").len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_the_whole_server_name_the_methods() {
    let edge = memgate::sim::Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let mut client = crate::wire::Raw::connect(gateway.address()).await;

    for _ in 0..2 {
        client
            .send(b"OPTIONS * HTTP/1.1\r\nhost: gateway\r\n\r\n")
            .await;
        let answer = client.reply().await;

        assert_eq!(answer.status, 204);
        assert!(answer.header("allow").contains("POST"));
    }
}
