//! What does the key ring hold to? Every way in, and every way that stays shut.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Digest;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::auth::{Reply, Unreachable, places};
use crate::clock::{ManualClock, stamp};
use crate::config::{KeyLimits, KeysFile};

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

    fn close(&self) {
        self.gate.forget_permits(1);
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

struct World {
    ring: Arc<KeyRing>,
    litellm: Arc<Script>,
    clock: ManualClock,
}

fn world(litellm: &Arc<Script>) -> World {
    world_of(&auth(), litellm)
}

fn world_of(auth: &Auth, litellm: &Arc<Script>) -> World {
    let clock = ManualClock::default();
    let api: Arc<dyn LiteLlmApi> = Arc::clone(litellm) as Arc<dyn LiteLlmApi>;
    World {
        ring: Arc::new(KeyRing::new(auth, Some(api), Arc::new(clock.clone()))),
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

    let first = world.ring.recognise(&presented);
    world.ring.authenticate(&presented).await.unwrap();
    let second = world.ring.recognise(&presented);

    assert!(first.is_none());
    assert!(second.is_some());
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
        KeyRing::new(&nothing, None, Arc::clone(&clock)),
        KeyRing::new(&unasked, api(), clock),
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
    let ring = KeyRing::new(&open, api, Arc::new(ManualClock::default()));
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

fn listed(name: &str, key: &str) -> ListedKey {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(&sha2::Sha256::digest(key));
    ListedKey {
        name: name.into(),
        sha256,
        user: None,
        models: Vec::new(),
        limits: KeyLimits::default(),
        expires: None,
        disabled: false,
        impersonate: false,
        shared: false,
    }
}

/// A ring with these keys in its file, and LiteLLM behind it.
fn with_keys(keys: Vec<ListedKey>, change: impl FnOnce(&mut Auth)) -> World {
    let mut auth = auth();
    let path = "keys.yaml".into();
    let text = Vec::new();
    auth.keys_file = Some(KeysFile { path, keys, text });
    change(&mut auth);
    world_of(&auth, &Script::new())
}

fn unchanged(_auth: &mut Auth) {}

#[tokio::test]
async fn a_listed_key_is_known_without_asking_with_all_that_the_file_says_of_it() {
    let limits = KeyLimits {
        requests_per_minute: NonZeroU32::new(60),
        ..KeyLimits::default()
    };
    let anna = ListedKey {
        user: Some("anna".into()),
        models: vec!["claude-*".into()],
        limits,
        ..listed("anna", "sk-anna")
    };
    let bot = ListedKey {
        shared: true,
        impersonate: true,
        ..listed("bot", "sk-bot")
    };
    let world = with_keys(vec![anna, bot], unchanged);

    let anna = world
        .caller(&["sk-ant-of-somebody", "sk-anna"])
        .await
        .unwrap();
    let bot = world.caller(&["sk-bot"]).await.unwrap();

    assert_eq!((&**anna.name(), anna.user()), ("anna", Some("anna")));
    assert_eq!(anna.limits(), limits);
    assert!(!anna.may_impersonate() && !anna.is_shared() && anna.is_listed());
    assert!(anna.is_confined() && anna.may_use(&["claude-x"], None).is_ok());
    assert_eq!(
        anna.may_use(&["gpt-x"], None),
        Err(Refusal::ModelNotAllowed)
    );
    assert!(bot.may_impersonate() && bot.is_shared() && !bot.is_confined());
    assert_eq!(anna.id(), Fingerprint::of("sk-anna").id());
    assert!(world.litellm.asked().is_empty());
}

#[tokio::test]
async fn a_listed_key_that_is_disabled_or_has_expired_is_refused_and_nobody_else_is_asked() {
    let wall = ManualClock::default().wall();
    let expires = |time: SystemTime| Some(stamp(time));
    let keys = vec![
        ListedKey {
            disabled: true,
            ..listed("off", "sk-off")
        },
        ListedKey {
            expires: expires(wall + Duration::from_secs(30)),
            ..listed("soon", "sk-soon")
        },
        ListedKey {
            expires: Some("1969-12-31T00:00:00Z".into()),
            ..listed("past", "sk-past")
        },
    ];
    let world = with_keys(keys, unchanged);

    assert_eq!(world.name(&["sk-off"]).await, Err(Refusal::Blocked));
    assert_eq!(world.name(&["sk-past"]).await, Err(Refusal::Expired));
    assert_eq!(world.name(&["sk-soon"]).await.unwrap(), "soon");
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.name(&["sk-soon"]).await, Err(Refusal::Expired));
    assert!(world.litellm.asked().is_empty());
}

#[tokio::test]
async fn what_the_file_says_now_takes_the_place_of_what_it_said() {
    let world = with_keys(vec![listed("old", "sk-old")], |auth| auth.litellm = false);
    assert_eq!(world.name(&["sk-old"]).await.unwrap(), "old");

    world.ring.list(&[listed("new", "sk-new")]);

    assert_eq!(world.name(&["sk-old"]).await, Err(Refusal::Unknown));
    assert_eq!(world.name(&["sk-new"]).await.unwrap(), "new");
    world.ring.list(&[]);
    assert!(world.ring.is_open(), "an empty file is one to be filled");
}

#[tokio::test]
async fn the_master_key_may_be_for_administration_alone() {
    let only_listed = |auth: &mut Auth| auth.accept_master_key = false;
    let world = with_keys(vec![listed("anna", "sk-anna")], only_listed);
    let both = headers(&["sk-anna", "sk-master"]);

    assert_eq!(world.name(&["sk-master"]).await, Err(Refusal::MasterKey));
    assert_eq!(world.name(&["sk-anna"]).await.unwrap(), "anna");
    assert!(world.ring.bars(&both, None));
    assert!(!world.ring.bars(&headers(&["sk-anna"]), None));
    assert!(world.litellm.asked().is_empty());
}

#[tokio::test]
async fn where_only_the_master_key_could_be_good_and_may_not_the_reason_is_told() {
    let alone = Auth {
        litellm: false,
        accept_master_key: false,
        ..auth()
    };
    let world = world_of(&alone, &Script::new());

    assert_eq!(world.name(&["sk-master"]).await, Err(Refusal::MasterKey));
    assert_eq!(world.name(&["sk-other"]).await, Err(Refusal::Off));
    assert!(!world.ring.is_open());
}

#[tokio::test]
async fn litellms_limits_and_budgets_hold_for_its_keys() {
    let team = json!({"team_info": {"models": [], "rpm_limit": 30, "max_budget": 5, "spend": 5.0}});
    let poor = json!({"team_info": {"models": [], "max_budget": 5, "spend": 5.01}});
    let over = json!({"error": {"type": "budget_exceeded", "code": "422"}});
    let litellm = Script::new()
        .knows(
            "sk-alice",
            &json!({"rpm_limit": 60, "max_parallel_requests": 2, "team_id": "t"}),
        )
        .answers("sk-alice", "/team/info?team_id=t", 200, team)
        .knows("sk-spent", &json!({"max_budget": 10.0, "spend": 10.0}))
        .knows("sk-poor", &json!({"team_id": "p"}))
        .answers("sk-poor", "/team/info?team_id=p", 200, poor)
        .answers("sk-told", "/key/info", 422, over.clone())
        .answers("sk-told-so", "/key/info", 429, over)
        .answers("sk-busy", "/key/info", 429, json!({}));
    let world = world(&litellm);

    let limits = world.caller(&["sk-alice"]).await.unwrap().limits();

    assert_eq!(limits.requests_per_minute, NonZeroU32::new(30));
    assert_eq!(limits.concurrent_requests, NonZeroU32::new(2));
    for key in ["sk-spent", "sk-poor", "sk-told", "sk-told-so"] {
        assert_eq!(world.name(&[key]).await, Err(Refusal::OverBudget), "{key}");
    }
    assert_eq!(world.name(&["sk-busy"]).await, Err(Refusal::CannotAsk));
}

impl World {
    /// As [`World::name`], from an address.
    async fn name_from(&self, address: &str, key: &str) -> Result<String, Refusal> {
        let headers = headers(&[key]);
        let presented = Presented::of(&headers, None).at(address.parse().ok());
        Ok(self.ring.authenticate(&presented).await?.name().to_string())
    }
}

const HERE: &str = "192.0.2.1";

#[tokio::test]
async fn after_too_many_failures_an_address_is_told_to_wait() {
    let world = world(&Script::new());
    for n in 0..3 {
        let guess = format!("sk-guess-{n}");
        let refused = world.name_from(HERE, &guess).await;
        assert_eq!(refused, Err(Refusal::Unknown));
    }

    let refused = world.name_from(HERE, "sk-guess-3").await;
    let known_bad = world.name_from(HERE, "sk-guess-0").await;
    let elsewhere = world.name_from("192.0.2.2", "sk-guess-4").await;

    let retry_after = Duration::from_secs(20);
    let wait = Err(Refusal::TooManyFailures { retry_after });
    assert_eq!((refused, known_bad), (wait.clone(), wait));
    assert_eq!(elsewhere, Err(Refusal::Unknown));
    world.clock.advance(retry_after);
    assert_eq!(
        world.name_from(HERE, "sk-guess-5").await,
        Err(Refusal::Unknown)
    );
}

impl World {
    /// As many guesses from an address at once, each answered in its own task.
    fn guesses(&self, address: &'static str, many: usize) -> Vec<JoinHandle<Option<Refusal>>> {
        let guess = |n| {
            let ring = Arc::clone(&self.ring);
            tokio::spawn(async move {
                let headers = headers(&[&format!("sk-guess-{n}")]);
                let presented = Presented::of(&headers, None).at(address.parse().ok());
                ring.authenticate(&presented).await.err()
            })
        };
        (0..many).map(guess).collect()
    }

    /// Returns when so many wait, for LiteLLM or for their turn.
    async fn settled(&self, waiting: usize) {
        while self.clock.sleepers() < waiting {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn guesses_at_once_count_before_they_are_asked_about_and_then_a_few_at_a_time_are() {
    let litellm = Script::shut();
    let world = world(&litellm);

    let guesses = world.guesses(HERE, 3 + places::LONGEST + 10);
    world.settled(3 + places::LONGEST).await;
    let asked = litellm.asked().len();
    litellm.open();

    assert_eq!(asked, 3 + places::IN_TURN);
    let mut slowed = 0;
    for guess in guesses {
        let refusal = guess.await.unwrap();
        slowed += usize::from(matches!(refusal, Some(Refusal::TooManyFailures { .. })));
    }
    assert_eq!(slowed, places::LONGEST + 10);
    let asked = litellm.asked().len();
    assert_eq!(asked, 3 + places::LONGEST, "no more than stand in line");
}

#[tokio::test]
async fn a_guess_that_is_not_answered_was_no_failure() {
    let world = world(&Script::new().answers("sk-down", "/key/info", 0, json!({})));

    for _ in 0..10 {
        assert_eq!(
            world.name_from(HERE, "sk-down").await,
            Err(Refusal::CannotAsk)
        );
        world.clock.advance(Duration::from_secs(1));
    }

    for n in 0..3 {
        let refused = world.name_from(HERE, &format!("sk-guess-{n}")).await;
        assert_eq!(refused, Err(Refusal::Unknown));
    }
}

#[tokio::test]
async fn a_good_key_that_was_never_seen_comes_in_from_an_address_of_guessers() {
    let litellm = Script::new();
    let world = world(&litellm);
    for name in ["alice", "bob", "carl", "dora"] {
        litellm.knows(&format!("sk-{name}"), &json!({"key_alias": name}));
    }
    for n in 0..50 {
        assert!(world.name_from(HERE, &format!("sk-{n}")).await.is_err());
    }

    for name in ["alice", "bob", "carl", "dora"] {
        let known = world.name_from(HERE, &format!("sk-{name}")).await;
        assert_eq!(known.unwrap(), format!("litellm:{name}"));
    }
}

#[tokio::test]
async fn many_good_keys_at_once_from_one_address_all_come_in() {
    let litellm = Script::shut();
    let world = world(&litellm);
    let many = 1000;
    (0..many).for_each(|n| drop(litellm.knows(&format!("sk-guess-{n}"), &json!({}))));

    let clients = world.guesses(HERE, many);
    world.settled(many).await;
    litellm.open();

    for client in clients {
        assert_eq!(client.await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_outage_makes_no_strangers_of_keys_that_were_good() {
    let litellm = Script::new().knows("sk-alice", &json!({"key_alias": "alice"}));
    let world = world(&litellm);
    let alice = async || world.name_from(HERE, "sk-alice").await;
    assert!(alice().await.is_ok());
    for n in 0..10 {
        assert!(world.name_from(HERE, &format!("sk-{n}")).await.is_err());
    }

    world.clock.advance(Duration::from_secs(60));
    litellm.answers("sk-alice", "/key/info", 0, json!({}));
    for _ in 0..3 {
        assert_eq!(alice().await, Err(Refusal::CannotAsk));
        world.clock.advance(Duration::from_secs(1));
    }
    litellm.knows("sk-alice", &json!({"key_alias": "alice"}));
    litellm.close();
    let guesses = world.guesses(HERE, 3 + places::AT_ONCE + places::LONGEST);
    world.settled(3 + places::LONGEST).await;
    let ring = Arc::clone(&world.ring);
    let alice = tokio::spawn(async move {
        let headers = headers(&["sk-alice"]);
        let presented = Presented::of(&headers, None).at(HERE.parse().ok());
        ring.authenticate(&presented).await.is_ok()
    });
    world.settled(3 + places::LONGEST + 1).await;

    let asked = litellm.asked();
    assert_eq!(
        asked.last().unwrap(),
        "sk-alice /key/info",
        "without a line"
    );
    litellm.open();
    assert!(alice.await.unwrap());
    drop(guesses);
}

#[tokio::test]
async fn guesses_are_counted_beside_a_key_that_is_refused_for_another_reason() {
    let litellm = Script::new()
        .knows("sk-spent", &json!({"max_budget": 1.0, "spend": 1.0}))
        .answers("sk-down", "/key/info", 0, json!({}));
    let barred = Auth {
        accept_master_key: false,
        ..auth()
    };
    for beside in ["sk-spent", "sk-down", "sk-master"] {
        let world = world_of(&barred, &litellm);
        let with = async |guess: String| {
            let headers = headers(&[beside, &guess]);
            let presented = Presented::of(&headers, None).at(HERE.parse().ok());
            world.ring.authenticate(&presented).await.err()
        };

        for n in 0..3 {
            let _ = with(format!("sk-guess-{n}")).await;
        }

        let refused = world.name_from(HERE, "sk-other").await;
        let slowed = matches!(refused, Err(Refusal::TooManyFailures { .. }));
        assert!(slowed, "{beside}: {refused:?}");
    }
}

#[tokio::test]
async fn of_two_good_keys_the_first_counts_also_while_only_the_other_is_remembered() {
    let litellm = Script::new()
        .knows("sk-anna", &json!({"key_alias": "anna"}))
        .knows("sk-bob", &json!({"key_alias": "bob"}));
    let world = world(&litellm);
    let both = async || world.name(&["sk-anna", "sk-bob"]).await.unwrap();

    assert_eq!(both().await, "litellm:anna");
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.name(&["sk-bob"]).await.unwrap(), "litellm:bob");
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(both().await, "litellm:anna", "its minute is over");
    litellm.answers("sk-anna", "/key/info", 401, json!({}));
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(both().await, "litellm:bob");
}

#[tokio::test]
async fn an_operators_key_is_looked_for_as_often_as_an_address_may_fail() {
    let world = world(&Script::new());
    let key = Secret::new("sk-operator");
    let tries = |said: &str, address: &str| {
        let said: Vec<&str> = Some(said)
            .filter(|key| !key.is_empty())
            .into_iter()
            .collect();
        let headers = headers(&said);
        let presented = Presented::of(&headers, None).at(address.parse().ok());
        world.ring.admit_operator(&presented, [&key].into_iter())
    };

    assert_eq!(tries("sk-operator", HERE), Ok(()));
    assert_eq!(tries("", HERE), Err(Refusal::Missing));
    for _ in 0..9 {
        let master = tries("sk-master", HERE);
        assert_eq!(master, Err(Refusal::Missing), "it is good elsewhere");
    }
    for n in 0..3 {
        let guess = format!("sk-{n}");
        assert_eq!(tries(&guess, HERE), Err(Refusal::Unknown));
    }

    let retry_after = Duration::from_secs(20);
    let slowed = Err(Refusal::TooManyFailures { retry_after });
    assert_eq!(tries("sk-operator", HERE), slowed, "no guess is answered");
    assert_eq!(tries("sk-operator", "192.0.2.2"), Ok(()));
    world.clock.advance(retry_after);
    assert_eq!(tries("sk-operator", HERE), Ok(()));
}

#[tokio::test]
async fn good_keys_pass_whatever_others_at_their_address_do() {
    let litellm = Script::new().knows("sk-alice", &json!({"key_alias": "alice"}));
    let mut auth = auth();
    let path = "keys.yaml".into();
    let keys = vec![listed("anna", "sk-anna")];
    let text = Vec::new();
    auth.keys_file = Some(KeysFile { path, keys, text });
    let world = world_of(&auth, &litellm);
    let alice = async || world.name_from(HERE, "sk-alice").await;
    assert_eq!(alice().await.unwrap(), "litellm:alice");
    for n in 0..10 {
        let guess = format!("sk-guess-{n}");
        assert!(world.name_from(HERE, &guess).await.is_err());
    }

    assert_eq!(alice().await.unwrap(), "litellm:alice");
    world.clock.advance(Duration::from_secs(61));
    for n in 10..20 {
        let guess = format!("sk-guess-{n}");
        assert!(world.name_from(HERE, &guess).await.is_err());
    }
    assert_eq!(
        alice().await.unwrap(),
        "litellm:alice",
        "what LiteLLM said is forgotten, and it is asked again"
    );
    for key in ["sk-master", "sk-anna"] {
        assert!(world.name_from(HERE, key).await.is_ok(), "{key}");
    }
}

#[tokio::test]
async fn a_request_without_a_key_is_no_attempt_and_one_with_several_is_as_many() {
    let world = with_keys(Vec::new(), |auth| auth.litellm = false);
    let from = |keys: &[&str]| {
        let headers = headers(keys);
        let ring = Arc::clone(&world.ring);
        async move {
            let presented = Presented::of(&headers, None).at(HERE.parse().ok());
            ring.authenticate(&presented).await.err()
        }
    };

    for _ in 0..10 {
        assert_eq!(from(&[]).await, Some(Refusal::Missing));
    }
    assert_eq!(from(&["a", "b", "c"]).await, Some(Refusal::Unknown));
    assert!(matches!(
        from(&["d"]).await,
        Some(Refusal::TooManyFailures { .. })
    ));
}

#[tokio::test]
async fn the_next_ring_knows_what_the_last_one_asked_unless_another_litellm_is_meant() {
    let script = Script::new().knows("sk-virtual", &json!({}));
    let api: Arc<dyn LiteLlmApi> = script.clone();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let auth = auth();
    let ring =
        |api: &Arc<dyn LiteLlmApi>| KeyRing::new(&auth, Some(Arc::clone(api)), Arc::clone(&clock));
    let headers = headers(&["sk-virtual"]);
    let first = ring(&api);
    assert!(
        first
            .authenticate(&Presented::of(&headers, None))
            .await
            .is_ok()
    );

    let same = ring(&api).after(&first);
    let remembered = same.authenticate(&Presented::of(&headers, None)).await;
    let asked = script.asked().len();
    let other: Arc<dyn LiteLlmApi> = Script::new();
    let stranger = ring(&other).after(&first);
    let unknown = stranger.authenticate(&Presented::of(&headers, None)).await;

    assert!(remembered.is_ok());
    assert_eq!(asked, 1);
    assert!(unknown.is_err());
}
