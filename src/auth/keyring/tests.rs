//! What does the key ring hold to? Every way in, and every way that stays shut.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::auth::{Reply, Unreachable};
use crate::clock::{ManualClock, stamp};
use crate::config::Expose;

/// LiteLLM by script: answers by key and path, and remembers what it was asked.
struct Script {
    answers: Mutex<HashMap<String, (u16, Value)>>,
    asked: Mutex<Vec<String>>,
    gate: Semaphore,
}

impl Script {
    fn new() -> Arc<Self> {
        let script = Self::shut();
        script.open();
        script
    }

    /// Answers nothing until it is opened.
    fn shut() -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::default(),
            asked: Mutex::default(),
            gate: Semaphore::new(0),
        })
    }

    fn open(&self) {
        self.gate.add_permits(1);
    }

    fn answers(self: &Arc<Self>, key: &str, path: &str, status: u16, body: Value) -> Arc<Self> {
        self.answers
            .lock()
            .insert(format!("{key} {path}"), (status, body));
        Arc::clone(self)
    }

    fn knows(self: &Arc<Self>, key: &str, info: &Value) -> Arc<Self> {
        self.answers(key, "/key/info", 200, json!({"key": "hash", "info": info}))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

#[async_trait]
impl LiteLlmApi for Script {
    async fn get(&self, path: &str, key: &Secret) -> Result<Reply, Unreachable> {
        let question = format!("{} {path}", key.reveal());
        self.asked.lock().push(question.clone());
        let Ok(_open) = self.gate.acquire().await else {
            return Err(Unreachable);
        };
        let answer = self.answers.lock().get(&question).cloned();
        let (status, body) = answer.unwrap_or((401, json!({"error": {"type": "auth_error"}})));
        match status {
            0 => Err(Unreachable),
            _ => Ok(Reply {
                status,
                body: body.to_string().into(),
            }),
        }
    }
}

fn auth() -> Auth {
    Auth {
        master_key: Some(Secret::new("sk-master")),
        accept_master_key: true,
        keys_file: None,
        litellm: true,
        allow_anonymous: false,
        hosts: Vec::new(),
        failed_attempts_per_minute: NonZeroU32::new(3).unwrap(),
    }
}

fn passing_through() -> LiteLlm {
    LiteLlm {
        urls: Vec::new(),
        api_key: None,
        expose: Expose::Inference,
    }
}

struct World {
    ring: Arc<KeyRing>,
    litellm: Arc<Script>,
    clock: ManualClock,
}

fn world(litellm: &Arc<Script>) -> World {
    let clock = ManualClock::default();
    let api: Arc<dyn LiteLlmApi> = Arc::clone(litellm) as Arc<dyn LiteLlmApi>;
    World {
        ring: Arc::new(KeyRing::new(
            &auth(),
            &passing_through(),
            Some(api),
            Arc::new(clock.clone()),
        )),
        litellm: Arc::clone(litellm),
        clock,
    }
}

fn headers(keys: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    for key in keys {
        headers.append("x-api-key", HeaderValue::from_str(key).unwrap());
    }
    headers
}

impl World {
    async fn caller(&self, keys: &[&str]) -> Result<Caller, Refusal> {
        self.ring
            .authenticate(&Presented::of(&headers(keys), None))
            .await
    }

    /// The caller's name, or why there is none.
    async fn name(&self, keys: &[&str]) -> Result<String, Refusal> {
        Ok(self.caller(keys).await?.name().to_string())
    }
}

#[tokio::test]
async fn the_master_key_is_known_without_asking_whichever_key_it_is_of_several() {
    let world = world(&Script::new());

    assert_eq!(world.name(&["sk-master"]).await.unwrap(), "master");
    assert_eq!(
        world.name(&["sk-other", "sk-master"]).await.unwrap(),
        "master"
    );
    assert!(world.litellm.asked().is_empty());
}

#[tokio::test]
async fn a_request_without_any_key_is_refused_without_asking() {
    let world = world(&Script::new());

    assert_eq!(world.name(&[]).await, Err(Refusal::Missing));
    assert!(world.litellm.asked().is_empty());
}

#[tokio::test]
async fn a_key_of_litellms_is_asked_about_with_itself_and_named_by_its_alias() {
    let litellm = Script::new()
        .knows(
            "sk-alice",
            &json!({"key_alias": "alice\n", "models": [], "user_id": "u-1"}),
        )
        .knows(
            "sk-bob",
            &json!({"models": null, "user_id": "default_user_id"}),
        );
    let world = world(&litellm);

    let alice = world.caller(&["sk-alice"]).await.unwrap();
    let bob = world.caller(&["sk-bob"]).await.unwrap();

    assert_eq!(
        (&**alice.name(), alice.user()),
        ("litellm:alice", Some("u-1"))
    );
    assert!(bob.name().starts_with("litellm:") && bob.name().len() == 16);
    assert!(!bob.name().contains("bob"));
    assert_eq!(bob.user(), None, "LiteLLM's word for nobody is no user");
    assert_eq!(litellm.asked(), ["sk-alice /key/info", "sk-bob /key/info"]);
}

#[tokio::test]
async fn of_two_keys_one_that_verifies_suffices() {
    let world = world(&Script::new().knows("sk-alice", &json!({"key_alias": "alice"})));

    let name = world.name(&["sk-ant-oat-of-somebody", "sk-alice"]).await;

    assert_eq!(name.unwrap(), "litellm:alice");
}

#[tokio::test]
async fn a_good_answer_is_remembered_for_a_minute() {
    let world = world(&Script::new().knows("sk-alice", &json!({})));

    world.caller(&["sk-alice"]).await.unwrap();
    world.clock.advance(Duration::from_secs(59));
    world.caller(&["sk-alice"]).await.unwrap();
    assert_eq!(world.litellm.asked().len(), 1);

    world.clock.advance(Duration::from_secs(1));
    world
        .litellm
        .answers("sk-alice", "/key/info", 401, json!({}));
    assert_eq!(world.name(&["sk-alice"]).await, Err(Refusal::Unknown));
}

#[tokio::test]
async fn a_refusal_is_remembered_for_ten_seconds() {
    let world = world(&Script::new());

    for _ in 0..3 {
        assert_eq!(world.name(&["sk-new"]).await, Err(Refusal::Unknown));
    }
    assert_eq!(world.litellm.asked().len(), 1);

    world.clock.advance(Duration::from_secs(10));
    world.litellm.knows("sk-new", &json!({"key_alias": "new"}));
    assert_eq!(world.name(&["sk-new"]).await.unwrap(), "litellm:new");
}

#[tokio::test]
async fn a_remembered_key_needs_no_waiting() {
    let world = world(&Script::new().knows("sk-alice", &json!({})));
    let headers = headers(&["sk-alice"]);
    let presented = Presented::of(&headers, None);

    let first = world.ring.try_authenticate(&presented);
    world.ring.authenticate(&presented).await.unwrap();
    let second = world.ring.try_authenticate(&presented);

    assert!(matches!(first, Attempt::Ask(_)));
    assert!(matches!(second, Attempt::Ready(Ok(_))));
}

#[tokio::test]
async fn a_thousand_requests_at_once_ask_once() {
    let litellm = Script::shut().knows("sk-alice", &json!({}));
    let world = world(&litellm);
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let ring = Arc::clone(&world.ring);
            tokio::spawn(async move {
                ring.authenticate(&Presented::of(&headers(&["sk-alice"]), None))
                    .await
                    .is_ok()
            })
        })
        .collect();
    while world.clock.sleepers() < 1000 {
        tokio::task::yield_now().await;
    }

    litellm.open();

    for request in requests {
        assert!(request.await.unwrap());
    }
    assert_eq!(litellm.asked().len(), 1);
}

#[tokio::test]
async fn if_the_one_who_asks_leaves_the_next_one_asks() {
    let litellm = Script::shut().knows("sk-alice", &json!({}));
    let world = world(&litellm);
    let ask = || {
        let ring = Arc::clone(&world.ring);
        tokio::spawn(async move {
            ring.authenticate(&Presented::of(&headers(&["sk-alice"]), None))
                .await
                .is_ok()
        })
    };
    let leaver = ask();
    while litellm.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let stayer = ask();

    leaver.abort();
    litellm.open();

    assert!(stayer.await.unwrap());
}

#[tokio::test]
async fn a_litellm_without_a_database_knows_no_key_but_the_masters() {
    let no_db = json!({"error": {"type": "no_db_connection", "code": "400"}});
    let litellm = Script::new().answers("sk-other", "/key/info", 400, no_db);
    let world = world(&litellm);

    assert_eq!(world.name(&["sk-other"]).await, Err(Refusal::Unknown));
    assert_eq!(world.name(&["sk-master"]).await.unwrap(), "master");
}

#[tokio::test]
async fn while_litellm_cannot_be_asked_its_keys_are_refused_for_that_reason() {
    let litellm = Script::new()
        .answers("sk-down", "/key/info", 0, json!({}))
        .answers("sk-odd", "/key/info", 200, json!("what?"))
        .answers("sk-moved", "/key/info", 302, json!({}));
    let world = world(&litellm);

    for key in ["sk-down", "sk-odd", "sk-moved"] {
        assert_eq!(world.name(&[key]).await, Err(Refusal::CannotAsk), "{key}");
    }
    assert_eq!(
        world.name(&["sk-down", "sk-unknown"]).await,
        Err(Refusal::CannotAsk),
        "the more telling reason is reported"
    );
    assert_eq!(world.name(&["sk-master"]).await.unwrap(), "master");
}

#[tokio::test]
async fn a_litellm_that_never_answers_is_not_waited_for() {
    let world = world(&Script::shut());
    let ring = Arc::clone(&world.ring);
    let request = tokio::spawn(async move {
        let headers = headers(&["sk-alice"]);
        ring.authenticate(&Presented::of(&headers, None))
            .await
            .err()
    });
    while world.clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }

    world.clock.advance(PATIENCE);

    assert_eq!(request.await.unwrap(), Some(Refusal::CannotAsk));
}

#[tokio::test]
async fn an_expired_or_blocked_key_is_refused() {
    let wall = ManualClock::default().wall();
    let at = |time: SystemTime| json!({"expires": stamp(time)});
    let expired = json!({"error": {"type": "expired_key"}});
    let litellm = Script::new()
        .knows("sk-soon", &at(wall + Duration::from_secs(30)))
        .knows("sk-past", &at(wall - Duration::from_secs(1)))
        .knows("sk-odd", &json!({"expires": "some day"}))
        .knows("sk-blocked", &json!({"blocked": true}))
        .knows("sk-deleted", &json!({"status": "deleted"}))
        .answers("sk-told", "/key/info", 401, expired);
    let world = world(&litellm);

    assert!(world.caller(&["sk-soon"]).await.is_ok());
    for (key, refusal) in [
        ("sk-past", Refusal::Expired),
        ("sk-odd", Refusal::Expired),
        ("sk-told", Refusal::Expired),
        ("sk-blocked", Refusal::Blocked),
        ("sk-deleted", Refusal::Blocked),
    ] {
        assert_eq!(world.name(&[key]).await, Err(refusal), "{key}");
    }
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(
        world.name(&["sk-soon"]).await,
        Err(Refusal::Expired),
        "though it is still remembered"
    );
}

#[tokio::test]
async fn a_key_may_use_what_its_list_and_its_teams_list_both_grant() {
    let team = |models: Value| json!({"team_id": "t 1", "team_info": {"models": models}});
    let path = "/team/info?team_id=t%201";
    let litellm = Script::new()
        .knows("sk-own", &json!({"models": ["sonnet", "openai/*"]}))
        .knows(
            "sk-all",
            &json!({"models": ["all-team-models"], "team_id": "t 1"}),
        )
        .answers("sk-all", path, 200, team(json!(["sonnet"])))
        .knows(
            "sk-both",
            &json!({"models": ["sonnet", "opus"], "team_id": "t 1"}),
        )
        .answers("sk-both", path, 200, team(json!(["opus", "haiku"])))
        .knows(
            "sk-loose",
            &json!({"models": ["all-team-models"], "team_id": null}),
        );
    let world = world(&litellm);
    let granted = async |key: &str| -> Vec<&str> {
        let caller = world.caller(&[key]).await.unwrap();
        let all = ["sonnet", "opus", "haiku", "openai/gpt"];
        all.into_iter()
            .filter(|model| caller.may_use(&[model], None).is_ok())
            .collect()
    };

    assert_eq!(granted("sk-own").await, ["sonnet", "openai/gpt"]);
    assert_eq!(granted("sk-all").await, ["sonnet"]);
    assert_eq!(granted("sk-both").await, ["opus"]);
    assert_eq!(granted("sk-loose").await.len(), 4);
    assert_eq!(granted("sk-master").await.len(), 4);
}

#[tokio::test]
async fn a_team_that_does_not_tell_its_models_or_is_blocked_lets_nobody_in() {
    let path = "/team/info?team_id=t";
    let litellm = Script::new()
        .knows("sk-mute", &json!({"team_id": "t"}))
        .answers("sk-mute", path, 403, json!({}))
        .knows("sk-shut", &json!({"team_id": "t"}))
        .answers(
            "sk-shut",
            path,
            200,
            json!({"team_info": {"blocked": true}}),
        );
    let world = world(&litellm);

    assert_eq!(world.name(&["sk-mute"]).await, Err(Refusal::CannotAsk));
    assert_eq!(world.name(&["sk-shut"]).await, Err(Refusal::Blocked));
}

#[tokio::test]
async fn made_up_keys_do_not_push_out_a_good_one() {
    let world = world(&Script::new().knows("sk-alice", &json!({})));
    world.caller(&["sk-alice"]).await.unwrap();

    for n in 0..10_050 {
        let made_up = format!("sk-{n}");
        assert!(world.caller(&[&made_up]).await.is_err());
    }
    world.caller(&["sk-alice"]).await.unwrap();

    let asked = world.litellm.asked();
    let about_alice = asked.iter().filter(|q| q.starts_with("sk-alice"));
    assert_eq!(about_alice.count(), 1);
}

#[tokio::test]
async fn with_nothing_to_check_keys_by_the_route_is_off() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let nothing = Auth {
        master_key: None,
        litellm: true,
        ..auth()
    };
    let unasked = Auth {
        litellm: false,
        ..nothing.clone()
    };
    let api = || Some(Script::new() as Arc<dyn LiteLlmApi>);

    for ring in [
        KeyRing::new(&nothing, &passing_through(), None, Arc::clone(&clock)),
        KeyRing::new(&unasked, &passing_through(), api(), clock),
    ] {
        let headers = headers(&["sk-x"]);
        let refused = ring.authenticate(&Presented::of(&headers, None)).await;
        assert_eq!(refused.err(), Some(Refusal::Off));
        assert!(!ring.is_open());
    }
}

#[tokio::test]
async fn where_no_key_is_needed_any_key_will_do_and_the_host_must_be_ours() {
    let open = Auth {
        allow_anonymous: true,
        ..auth()
    };
    let litellm = Script::new();
    let api = Some(Arc::clone(&litellm) as Arc<dyn LiteLlmApi>);
    let ring = KeyRing::new(
        &open,
        &passing_through(),
        api,
        Arc::new(ManualClock::default()),
    );
    let name = async |headers: &HeaderMap, authority| {
        let presented = Presented::of(headers, authority);
        let caller = ring.authenticate(&presented).await?;
        Ok::<_, Refusal>(caller.name().to_string())
    };

    let dummy = headers(&["dummy"]);
    assert_eq!(name(&dummy, None).await.unwrap(), "anonymous");
    assert_eq!(
        name(&dummy, Some("evil.example")).await,
        Err(Refusal::ForeignHost)
    );
    assert_eq!(
        name(&headers(&["sk-master"]), Some("evil.example"))
            .await
            .unwrap(),
        "master",
        "who shows a key may come by any name"
    );
    assert!(litellm.asked().is_empty());
}

#[test]
fn on_litellms_route_a_key_is_needed_only_where_ours_replaces_the_clients() {
    let replacing = LiteLlm {
        api_key: Some(Secret::new("sk-ours")),
        ..passing_through()
    };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let headers = headers(&[]);
    let presented = Presented::of(&headers, None);
    let ring = |litellm: &LiteLlm| KeyRing::new(&auth(), litellm, None, Arc::clone(&clock));

    let passed = ring(&passing_through()).try_for_litellm(&presented);
    let judged = ring(&replacing).try_for_litellm(&presented);

    assert!(passed.is_none());
    assert!(matches!(
        judged,
        Some(Attempt::Ready(Err(Refusal::Missing)))
    ));
}
