//! Who may: the master key, LiteLLM's keys, and callers without any.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use memgate::clock::{ManualClock, parse_stamp};
use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions, VirtualKey};
use serde_json::{Value, json};

use crate::harness::*;

struct World {
    edge: Edge,
    litellm: LiteLlm,
    clock: ManualClock,
    gateway: TestGateway,
}

impl World {
    /// LiteLLM knows these keys, and the gateway asks it.
    async fn knowing(keys: Vec<VirtualKey>, wall: SystemTime) -> Self {
        let edge = Edge::start(EdgeOptions::default()).await.unwrap();
        let options = LiteLlmOptions {
            keys,
            master_key: Some(MASTER.into()),
            ..Default::default()
        };
        let litellm = LiteLlm::start(options).await.unwrap();
        let clock = ManualClock::at(wall);
        let builder = TestGateway::in_front_of(&edge).with_litellm(&litellm);
        let builder = builder
            .own("auth: {litellm: true}")
            .clock(Arc::new(clock.clone()));
        let gateway = builder.start().await;
        Self {
            edge,
            litellm,
            clock,
            gateway,
        }
    }

    async fn message(&self, key: &str) -> (u16, String) {
        message(
            &self.gateway,
            &[("authorization", &format!("Bearer {key}"))],
        )
        .await
    }

    fn questions(&self) -> usize {
        let seen = self.litellm.requests();
        seen.iter()
            .filter(|request| request.path() == "/key/info")
            .count()
    }
}

/// Status and the error's kind of one turn with these headers.
pub async fn message(gateway: &TestGateway, headers: &[(&str, &str)]) -> (u16, String) {
    let request = gateway
        .http()
        .post(gateway.url("/v1/messages"))
        .body(turn("x").to_string());
    let request = headers
        .iter()
        .fold(request, |r, (name, value)| r.header(*name, *value));
    let answer = soon(request.send()).await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (
        status,
        body["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    )
}

fn today() -> SystemTime {
    SystemTime::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_one_of_the_presented_credentials_suffices() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let bearer = "Bearer sk-test-master-0001";
    let suffices: [&[(&str, &str)]; 6] = [
        &[("authorization", bearer)],
        &[("x-api-key", MASTER)],
        &[("api-key", MASTER)],
        &[("x-litellm-api-key", bearer)],
        &[
            ("authorization", "Bearer sk-of-something-else"),
            ("x-api-key", MASTER),
        ],
        &[
            ("authorization", bearer),
            ("x-api-key", "sk-ant-of-the-user"),
        ],
    ];
    let does_not: [&[(&str, &str)]; 4] = [
        &[],
        &[("authorization", "Basic c2stdGVzdC1tYXN0ZXItMDAwMQ==")],
        &[
            ("authorization", "Bearer sk-wrong"),
            ("x-api-key", "sk-wrong-too"),
        ],
        &[("x-api-key", "sk-test-master-000")],
    ];

    for headers in suffices {
        assert_eq!(message(&gateway, headers).await.0, 200, "{headers:?}");
    }
    for headers in does_not {
        assert_eq!(message(&gateway, headers).await.0, 401, "{headers:?}");
    }
    assert_eq!(edge.stats().posts, suffices.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_key_is_asked_about_with_itself_and_remembered_for_a_minute() {
    let world = World::knowing(vec![VirtualKey::new("sk-virtual-ann")], today()).await;

    let first = world.message("sk-virtual-ann").await;
    world.clock.advance(Duration::from_secs(59));
    let remembered = world.message("sk-virtual-ann").await;
    let within = world.questions();
    world.clock.advance(Duration::from_secs(2));
    let later = world.message("sk-virtual-ann").await;

    assert_eq!((first.0, remembered.0, later.0), (200, 200, 200));
    assert_eq!((within, world.questions()), (1, 2));
    let asked = asked(&world.litellm);
    let question = asked
        .iter()
        .find(|request| request.path() == "/key/info")
        .unwrap();
    assert_eq!(question.method, "GET");
    assert_eq!(
        question.header("authorization"),
        Some("Bearer sk-virtual-ann")
    );
    assert!(
        !question.target.contains("sk-"),
        "no key in a URL: {}",
        question.target
    );
    let upstream = &world.edge.requests()[0];
    assert!(!format!("{:?}", upstream.headers).contains("sk-virtual-ann"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_asked_about_again_after_ten_seconds() {
    let world = World::knowing(Vec::new(), today()).await;

    let first = world.message("sk-unknown").await;
    world.clock.advance(Duration::from_secs(9));
    let remembered = world.message("sk-unknown").await;
    let within = world.questions();
    world.clock.advance(Duration::from_secs(2));
    let later = world.message("sk-unknown").await;

    assert_eq!((first.0, remembered.0, later.0), (401, 401, 401));
    assert_eq!((within, world.questions()), (1, 2));
    assert_eq!(world.edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_key_is_held_to_its_models_its_expiry_and_its_block() {
    let narrow = VirtualKey {
        models: vec![OTHER.into()],
        ..VirtualKey::new("sk-narrow")
    };
    let fitting = VirtualKey {
        models: vec![MODEL.into()],
        ..VirtualKey::new("sk-fitting")
    };
    let by_pattern = VirtualKey {
        models: vec!["claude-*".into()],
        ..VirtualKey::new("sk-pattern")
    };
    let blocked = VirtualKey {
        blocked: true,
        ..VirtualKey::new("sk-blocked")
    };
    let expired = VirtualKey {
        expires: Some("2020-01-01T00:00:00Z".into()),
        ..VirtualKey::new("sk-expired")
    };
    let keys = vec![narrow, fitting, by_pattern, blocked, expired];
    let world = World::knowing(keys, today()).await;

    for (key, status) in [
        ("sk-narrow", 403),
        ("sk-fitting", 200),
        ("sk-pattern", 200),
        ("sk-blocked", 401),
        ("sk-expired", 401),
        (MASTER, 200),
    ] {
        let (answered, message) = world.message(key).await;
        assert_eq!(answered, status, "{key}: {message}");
        assert!(!message.contains(key), "{message}");
    }
    assert_eq!(world.edge.stats().posts, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_key_is_held_to_the_limits_and_the_budget_that_litellm_sets_it() {
    let slow = VirtualKey {
        rpm_limit: Some(2),
        ..VirtualKey::new("sk-slow")
    };
    let spent = VirtualKey {
        max_budget: Some(5.0),
        spend: 5.0,
        ..VirtualKey::new("sk-spent")
    };
    let world = World::knowing(vec![slow, spent], today()).await;

    let slow = [
        world.message("sk-slow").await.0,
        world.message("sk-slow").await.0,
        world.message("sk-slow").await.0,
    ];
    let (spent, says) = world.message("sk-spent").await;

    assert_eq!(slow, [200, 200, 429]);
    assert_eq!(spent, 422, "{says}");
    assert!(says.contains("budget"), "{says}");
    assert_eq!(world.edge.stats().posts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_expires_while_it_is_remembered_is_refused() {
    let expires = "2035-01-01T00:00:00Z";
    let wall = parse_stamp(expires).unwrap() - Duration::from_secs(20);
    let key = VirtualKey {
        expires: Some(expires.into()),
        ..VirtualKey::new("sk-until-2035")
    };
    let world = World::knowing(vec![key], wall).await;

    let before = world.message("sk-until-2035").await;
    world.clock.advance(Duration::from_secs(30));
    let after = world.message("sk-until-2035").await;

    assert_eq!((before.0, after.0), (200, 401));
    assert!(after.1.contains("expired"), "{}", after.1);
    assert_eq!(world.questions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_its_user_and_to_nobody_the_client_names() {
    let key = VirtualKey {
        user_id: Some("ann".into()),
        ..VirtualKey::new("sk-of-ann")
    };
    let world = World::knowing(vec![key], today()).await;
    let headers = [
        ("authorization", "Bearer sk-of-ann"),
        ("x-memory-user-id", "bob"),
    ];

    let (status, _) = message(&world.gateway, &headers).await;

    assert_eq!(status, 200);
    assert_eq!(world.edge.requests()[0].header("x-sm-user-id"), Some("ann"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_refused_when_litellm_cannot_be_asked() {
    let world = World::knowing(vec![VirtualKey::new("sk-virtual-ann")], today()).await;
    world.litellm.stop().await;

    let (unasked, says) = world.message("sk-virtual-ann").await;
    let request = world.gateway.http().post(world.gateway.url("/v1/messages"));
    let request = request
        .bearer_auth("sk-virtual-ann")
        .body(turn("x").to_string());
    let hint = soon(request.send()).await.unwrap();
    let (master, _) = world.message(MASTER).await;
    world.litellm.restart().await.unwrap();
    world.clock.advance(Duration::from_secs(2));
    let (again, _) = world.message("sk-virtual-ann").await;

    assert_eq!(unasked, 503, "{says}");
    assert_eq!(hint.headers()["retry-after"], "1");
    assert_eq!(hint.headers()["x-should-retry"], "true");
    assert!(says.contains("LiteLLM"), "{says}");
    assert_eq!(master, 200, "the master key needs nobody's word");
    assert_eq!(again, 200);
    assert_eq!(world.edge.stats().posts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_with_a_direct_model_is_checked_as_on_the_direct_route() {
    let world = World::knowing(vec![VirtualKey::new("sk-virtual-ann")], today()).await;
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let ask = async |key: &str| {
        let url = world.gateway.url("/v1/chat/completions");
        let request = world
            .gateway
            .http()
            .post(url)
            .bearer_auth(key)
            .body(chat.clone());
        request.send().await.unwrap().status().as_u16()
    };

    let unknown = ask("sk-unknown").await;
    let posts = world.edge.stats().posts;
    let known = ask("sk-virtual-ann").await;

    assert_eq!((unknown, posts), (401, 0));
    assert_eq!((known, world.edge.stats().posts), (200, 1));
}
