//! Whose memory does a request reach? The key says; a client only as far as its key lets it.

use memgate::sim::{Edge, EdgeOptions, LiteLlm, LiteLlmOptions};
use serde_json::json;

use crate::harness::*;
use crate::listed_keys::{ANNA, AUTH, BOB, entry, keys, with_our_key};
use crate::logs;
use crate::two_ways::*;

const NEITHER: &str = "sk-mg-of-nobody-0001";
const SHARED: &str = "sk-mg-of-many-0001";
const MODELS_AND_PATTERNS: &str = "user_id_mappings: {custom_header: x-memory-user-id, default_user_id: team, header_patterns: [{header: user-agent, pattern: ^ide, user_id: ide}]}\n";

/// Anna's own key, Bob's that may name others, one of nobody, one of many.
async fn gateway(edge: &Edge) -> TestGateway {
    let entries = [
        entry("anna", ANNA, ", user: anna"),
        entry("bob", BOB, ", user: bob, impersonate: true"),
        entry("nobody", NEITHER, ""),
        entry("many", SHARED, ", shared: true"),
    ];
    let (models, _) = MODELS.split_once("user_id_mappings").unwrap();
    TestGateway::in_front_of(edge)
        .own(AUTH)
        .file("keys.yaml", &keys(&entries))
        .models(&format!("{models}{MODELS_AND_PATTERNS}"))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_says_whose_memory_is_meant_and_an_audit_line_says_why() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = gateway(&edge).await;
    let tries = [
        ("x-memory-user-id", "carl"),
        ("x-sm-user-id", "carl"),
        ("user-agent", "ide/1"),
    ];
    for (key, caller, users) in [
        (ANNA, "anna", [("anna", "key"); 3]),
        (
            BOB,
            "bob",
            [("carl", "custom_header"), ("bob", "key"), ("bob", "key")],
        ),
        (NEITHER, "nobody", [("team", "default"); 3]),
        (
            SHARED,
            "many",
            [
                ("team", "default"),
                ("team", "default"),
                ("ide", "header_pattern"),
            ],
        ),
        (
            MASTER,
            "master",
            [
                ("carl", "custom_header"),
                ("team", "default"),
                ("ide", "header_pattern"),
            ],
        ),
    ] {
        for ((name, value), (user, by)) in tries.into_iter().zip(users) {
            let id = format!("audit-{caller}-{name}");
            let request = gateway.http().post(gateway.url("/v1/messages?userId=carl"));
            let request = request
                .bearer_auth(key)
                .header("x-request-id", &id)
                .header(name, value);
            let answer = soon(request.body(turn("hello").to_string()).send()).await;

            assert_eq!(answer.unwrap().status(), 200, "{id}");
            let seen = edge.requests().pop().unwrap();
            assert_eq!(seen.header("x-sm-user-id"), Some(user), "{id}");
            assert!(!seen.target.contains("carl"), "{id}: {}", seen.target);
            let audit = logs::audit_lines(&id);
            assert_eq!(audit.len(), 1, "{id}");
            let said = |key: &str| audit[0][key].as_str().unwrap_or_default().to_owned();
            assert_eq!(
                [said("caller"), said("user"), said("by"), said("model")],
                [caller, user, by, MODEL],
                "{id}"
            );
            assert!(!audit[0].to_string().contains(key));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_info_page_answers_for_the_key_that_is_shown() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = gateway(&edge).await;
    let info = async |key: &str| {
        let request = gateway.http().get(gateway.url("/memory-routing/info"));
        let request = request.bearer_auth(key).header("x-memory-user-id", "carl");
        let answer = soon(request.send()).await.unwrap();
        let status = answer.status().as_u16();
        let info: serde_json::Value = answer.json().await.unwrap();
        (
            status,
            info["user_id"].as_str().unwrap_or_default().to_owned(),
        )
    };

    assert_eq!(info(ANNA).await, (200, "anna".to_owned()));
    assert_eq!(info(BOB).await, (200, "carl".to_owned()));
    let stranger = info("sk-mg-unknown").await;
    assert_eq!(stranger, (401, String::new()), "who is mapped is not said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_wants_no_memory_goes_to_the_provider_and_names_nobody() {
    let edge = two_hosts().await;
    let gateway = with_bypass(&edge).await;
    let chat = turn("hello").to_string();
    for (path, id) in [("/v1/messages", "off-1"), ("/v1/chat/completions", "off-2")] {
        let request = gateway.post(path).header("x-memgate-memory", "off");
        let request = request
            .header("x-request-id", id)
            .header("x-memory-user-id", "alice");
        let answer = soon(request.body(chat.clone()).send()).await.unwrap();

        assert_eq!(route(&answer), (200, "direct"), "{path}");
        assert_eq!(header(&answer, "x-memgate-memory"), "off");
        assert_eq!(header(&answer, "x-memgate-attempts"), "1");
        assert_eq!(logs::access_line(id).await["memory"], "off");
        assert!(logs::audit_lines(id).is_empty(), "no memory was used");
    }

    assert_eq!(edge.stats().posts, 0, "the router is not asked");
    let seen = provider(&edge).requests();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!(request.path(), "/v1/messages");
        assert_eq!(request.header("x-api-key"), Some(PROVIDER_KEY));
        for name in ["x-sm-user-id", "x-supermemory-api-key", "x-memgate-memory"] {
            assert_eq!(request.header(name), None, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_memory_nobody_need_be_named_and_a_full_provider_is_no_reason_to_use_one() {
    let edge = two_hosts().await;
    let (models, _) = MODELS.split_once("user_id_mappings").unwrap();
    let gateway = before(&edge, "bypass: provider")
        .models(models)
        .start()
        .await;
    provider(&edge).script([memgate::sim::cloudflare::queue_full().retry_after(3600)]);

    let remembered = gateway.message("hello").await.status().as_u16();
    let request = gateway
        .post("/v1/messages")
        .header("x-memgate-memory", "OFF");
    let answer = soon(request.body(turn("hello").to_string()).send())
        .await
        .unwrap();

    assert_eq!(remembered, 400, "the router needs a name");
    assert_eq!(answer.status().as_u16(), 529);
    assert_eq!(header(&answer, "x-memgate-memory"), "off");
    assert_eq!(edge.stats().posts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_memory_cannot_be_switched_off_the_request_is_not_sent() {
    let edge = two_hosts().await;
    let gateway = without_bypass(&edge, "queue: {timeout: 1s}").await;
    let other = json!({"model": OTHER, "messages": [], "input": "x"}).to_string();
    let direct = turn("hello").to_string();
    for (path, body, said, word) in [
        ("/v1/messages", &direct, "off", "direct.bypass"),
        ("/v1/messages", &direct, "never", "off"),
        ("/v1/chat/completions", &other, "off", "LiteLLM"),
        ("/v1/embeddings", &other, "off", "LiteLLM"),
        ("/v1/completions", &other, "off", "LiteLLM"),
    ] {
        let request = gateway.post(path).header("x-memgate-memory", said);
        let answer = soon(request.body(body.clone()).send()).await.unwrap();

        assert_eq!(answer.status(), 400, "{path} {said}");
        let says = answer.text().await.unwrap();
        assert!(says.contains(word), "{says}");
    }
    assert_eq!(edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn litellm_is_told_a_memory_user_only_by_who_may_name_one() {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let entries = [
        entry("anna", ANNA, ", user: anna"),
        entry("bob", BOB, ", impersonate: true"),
        entry("many", SHARED, ", shared: true"),
    ];
    let gateway = with_our_key(&edge, &litellm, &entries).await;
    let body = json!({"model": OTHER, "messages": [], "input": "x"}).to_string();
    for path in ["/v1/chat/completions", "/v1/embeddings", "/v1/completions"] {
        for (key, named) in [(ANNA, false), (SHARED, false), (BOB, true)] {
            let target = format!("{path}?a=b&user%49d=carl&c=d");
            let request = gateway.http().post(gateway.url(&target)).bearer_auth(key);
            let request = ["x-memory-user-id", "x-sm-user-id", "x-supermemory-user"]
                .iter()
                .fold(request, |request, name| request.header(*name, "carl"));
            soon(request.body(body.clone()).send()).await.unwrap();

            let seen = asked(&litellm).pop().unwrap();
            let said = format!("{} {:?}", seen.target, seen.headers);
            assert_eq!(said.contains("carl"), named, "{said}");
            assert!(seen.target.ends_with("c=d"), "{}", seen.target);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_key_goes_round_by_litellm_only_where_a_key_of_ours_stands_in_for_it() {
    for (own, turned) in [("", false), (", api_key: sk-of-the-gateway", true)] {
        let edge = two_hosts().await;
        let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
        let url = litellm.url();
        let gateway = before(&edge, "bypass: litellm, queue: {timeout: 1ms}")
            .own(&format!("litellm: {{urls: ['{url}']{own}}}"))
            .own(AUTH)
            .file("keys.yaml", &keys(&[entry("anna", ANNA, ", user: anna")]))
            .start()
            .await;
        gateway.pause_host(ROUTER, std::time::Duration::from_secs(3600));
        let id = format!("round-{turned}");
        let request = gateway.http().post(gateway.url("/v1/messages"));
        let request = request.bearer_auth(ANNA).header("x-request-id", &id);
        let request = request.header("anthropic-version", "2023-06-01");

        let answer = soon(request.body(turn("hello").to_string()).send()).await;

        let expected = if turned {
            (200, "bypass")
        } else {
            (529, "direct")
        };
        assert_eq!(route(&answer.unwrap()), expected);
        let seen = asked(&litellm);
        assert_eq!(seen.len(), usize::from(turned));
        assert!(!format!("{seen:?}").contains(ANNA));
        assert!(
            logs::audit_lines(&id).is_empty(),
            "the router was not asked"
        );
    }
}
