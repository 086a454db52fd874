//! Each request goes where its body's model says: to the provider itself, or to LiteLLM.

use memgate::sim::{Edge, LiteLlm, LiteLlmOptions};
use serde_json::{Value, json};

use crate::harness::*;

/// An edge, LiteLLM, and the gateway before both.
pub struct World {
    pub edge: Edge,
    pub litellm: LiteLlm,
    pub gateway: TestGateway,
}

impl World {
    pub async fn new() -> Self {
        Self::with_models(MODELS).await
    }

    pub async fn with_models(models: &str) -> Self {
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

    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.gateway
            .post(path)
            .header("anthropic-version", "2023-06-01")
    }

    pub async fn ask(&self, model: &str) -> reqwest::Response {
        self.post("/v1/messages")
            .body(asking(model))
            .send()
            .await
            .unwrap()
    }

    /// The model names that arrived at the edge and at LiteLLM.
    pub fn arrived(&self) -> (Vec<String>, Vec<String>) {
        let models = |seen: Vec<memgate::sim::SeenRequest>| {
            let posts = seen.iter().filter(|request| request.method == "POST");
            posts
                .map(|request| request.json()["model"].as_str().unwrap_or("-").to_owned())
                .collect()
        };
        (models(asked(&self.edge)), models(asked(&self.litellm)))
    }
}

pub fn asking(model: &str) -> String {
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
async fn chat_completions_go_where_their_model_is_served() {
    let world = World::new().await;

    for path in ["/v1/chat/completions", "/chat/completions"] {
        for (model, way) in [(MODEL, "direct"), (OTHER, "litellm")] {
            let answer = world.post(path).body(asking(model)).send().await.unwrap();
            let told = (answer.status().as_u16(), route(&answer));
            assert_eq!(told, (200, way), "{path}");
        }
    }

    let twice = |model: &str| vec![model.to_owned(), model.to_owned()];
    assert_eq!(world.arrived(), (twice(UPSTREAM_MODEL), twice(OTHER)));
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
    world.gateway.settled().await;
    let elsewhere = world.gateway.metric("direct_model_elsewhere_total", &[]);
    assert_eq!(elsewhere.await, 2.0, "LiteLLM's own model is no surprise");
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
    let counted = "direct_model_elsewhere_total";
    world.gateway.counts(counted, &[], 3.0).await;
}
