//! How far does a key's list of models reach, where a key of ours stands in for it at LiteLLM? As far as LiteLLM reads.

use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::*;
use crate::listed_keys::{ANNA, BOB, entry, with_our_key};

const ALLOWED: &str = "gpt-allowed";

struct World {
    _edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
}

impl World {
    /// Anna may use one model of LiteLLM's, Bob may spend so many dollars on any.
    async fn new() -> Self {
        let edge = Edge::start(EdgeOptions::default()).await.unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let entries = [
            entry("anna", ANNA, &format!(", models: [{ALLOWED}]")),
            entry("bob", BOB, ", limits: {usd_per_day: 100}"),
        ];
        let gateway = with_our_key(&edge, &litellm, &entries).await;
        Self {
            _edge: edge,
            litellm,
            gateway,
        }
    }

    async fn ask(&self, key: &str, path: &str, kind: &str, body: &str) -> (u16, String) {
        let request = self
            .gateway
            .http()
            .request(Method::POST, self.gateway.url(path));
        let request = request.bearer_auth(key).header("content-type", kind);
        let answer = soon(request.body(body.to_owned()).send()).await.unwrap();
        let status = answer.status().as_u16();
        let says: Value = answer.json().await.unwrap_or_default();
        (
            status,
            says["error"]["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    }
}

const JSON: &str = "application/json";
/// Of these the model is in the body.
const PATHS: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/openai/v1/embeddings",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_litellm_would_read_otherwise_does_not_get_there() {
    let world = World::new().await;
    let twice = format!(r#"{{"model":"{ALLOWED}","input":"x","messages":[],"model":"{OTHER}"}}"#);
    let broken = format!(r#"{{"model":"{ALLOWED}","input":NaN,"model":"{OTHER}"}}"#);
    let form = format!(r#"{{"model":"{ALLOWED}","input":"&model={OTHER}&input=hello&z="}}"#);
    let far = format!(
        r#"{{"model":"{ALLOWED}","input":"{}","model":"{OTHER}"}}"#,
        "x".repeat(1 << 20)
    );
    let urlencoded = "application/x-www-form-urlencoded";
    for path in PATHS {
        for (kind, body, status) in [
            (JSON, &twice, 400),
            (JSON, &broken, 400),
            (JSON, &far, 400),
            (urlencoded, &form, 415),
            ("Multipart/Form-Data; boundary=x", &form, 415),
        ] {
            for key in [ANNA, BOB] {
                let (answered, code) = world.ask(key, path, kind, body).await;
                assert_eq!(answered, status, "{path} {kind}: {code}");
            }
        }
    }
    assert!(asked(&world.litellm).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_not_evaded_by_other_fields_nor_by_a_list_of_models() {
    let world = World::new().await;
    for (field, value) in [
        ("fallbacks", json!([OTHER])),
        ("context_window_fallbacks", json!([])),
        ("user_config", json!({})),
        ("extra_body", json!({"model": OTHER})),
    ] {
        let mut body = json!({"model": ALLOWED, "messages": [], "input": "x"});
        body[field] = value;
        for path in PATHS {
            let (status, code) = world.ask(ANNA, path, JSON, &body.to_string()).await;
            assert_eq!(
                (status, &*code),
                (403, "model_not_allowed"),
                "{path} {field}"
            );
        }
    }
    let two = json!({"model": format!("{ALLOWED},{OTHER}"), "input": "x"}).to_string();
    let deployments = format!("/openai/deployments/{ALLOWED},{OTHER}/chat/completions");
    for (path, body) in [("/v1/embeddings", &*two), (&*deployments, "{}")] {
        let (status, code) = world.ask(ANNA, path, JSON, body).await;
        assert_eq!((status, &*code), (403, "model_not_allowed"), "{path}");
    }
    assert!(asked(&world.litellm).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployments_name_is_all_of_it() {
    let world = World::new().await;
    for deployment in [OTHER, "gpt-allowed/x", "gpt-allowed%2Fx"] {
        let path = format!("/openai/deployments/{deployment}/chat/completions");
        let (status, code) = world.ask(ANNA, &path, JSON, "{}").await;
        assert_eq!((status, &*code), (403, "model_not_allowed"), "{path}");
    }
    let path = format!("/openai/deployments/{ALLOWED}/chat/completions");
    world.ask(ANNA, &path, JSON, "{}").await;

    let seen = asked(&world.litellm);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path(), path);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_may_ask_goes_up_byte_for_byte() {
    let world = World::new().await;
    let body = format!(r#"{{ "input":"x", "messages":[], "model":"{ALLOWED}" , "user":"é"}}"#);
    for path in PATHS {
        for key in [ANNA, BOB] {
            world.ask(key, path, JSON, &body).await;

            let seen = asked(&world.litellm).pop().unwrap();
            assert_eq!(seen.path(), path);
            assert_eq!(seen.body.kept, body.as_bytes(), "{path}");
        }
    }
    let none = json!({"input": "x"}).to_string();
    let before = asked(&world.litellm).len();
    world.ask(BOB, "/v1/embeddings", JSON, &none).await;
    assert_eq!(
        asked(&world.litellm).len(),
        before + 1,
        "LiteLLM may know a default"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_in_the_query_is_refused_whoever_asks() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = gateway.start().await;
    let other = json!({"model": OTHER, "messages": [], "input": "x"}).to_string();
    for path in [
        "/v1/messages",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/responses",
    ] {
        for query in ["model=claude-sonnet-4.5", "a=b&m%6Fdel=x", "model"] {
            let request = gateway.post(&format!("{path}?{query}"));
            let answer = soon(request.body(other.clone()).send()).await.unwrap();

            assert_eq!(answer.status(), 400, "{path}?{query}");
            assert!(answer.text().await.unwrap().contains("query"));
        }
        let request = gateway.post(&format!("{path}?models=x&beta=true"));
        soon(request.body(other.clone()).send()).await.unwrap();
    }
    let seen = asked(&litellm);
    assert_eq!(seen.len(), 4);
    assert!(
        seen.iter()
            .all(|seen| seen.target.ends_with("?models=x&beta=true"))
    );
}
