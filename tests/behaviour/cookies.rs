//! The edge's cookies: taken from every answer, sent back to their host alone, hidden from clients.

use std::sync::Arc;
use std::time::Duration;

use memgate::clock::{Clock, ManualClock};
use memgate::sim::cloudflare::{CookieGate, set_cookie};
use memgate::sim::{Alpn, Answer, Edge, EdgeOptions, LiteLlm, LiteLlmOptions, answer, cloudflare};

use crate::harness::*;

/// The cookies of the edge's last request, as `name=value`.
fn sent(edge: &Edge) -> Vec<String> {
    let last = edge.requests().pop().unwrap();
    last.cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn setting(answer: Answer, lines: &[&str]) -> Answer {
    lines
        .iter()
        .fold(answer, |answer, line| answer.header("set-cookie", *line))
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_taken_from_answers_of_every_status_and_none_reaches_the_client() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let options = EdgeOptions {
            alpn,
            ..Default::default()
        };
        let edge = Edge::start(options).await.unwrap();
        let gateway = TestGateway::in_front_of(&edge).start().await;
        let answers = [
            (200, answer::usual()),
            (302, answer::status(302)),
            (
                400,
                answer::provider_error(400, "invalid_request_error", "no"),
            ),
            (403, cloudflare::challenge()),
            (404, answer::provider_error(404, "not_found_error", "no")),
            (
                429,
                answer::provider_error(429, "rate_limit_error", "enforced_spend_limit_reached"),
            ),
            (500, cloudflare::worker_crashed()),
            (
                200,
                cloudflare::queue_full()
                    .zone("api.anthropic.com")
                    .retry_after(0),
            ),
            (524, cloudflare::error(524)),
        ];
        for (nth, (status, said)) in answers.into_iter().enumerate() {
            let line = set_cookie("__cf_bm", &format!("v{nth}"), Some(".supermemory.ai"), None);
            edge.script([setting(said, &[&line])]);

            let answered = gateway.message("first").await;
            gateway.message("second").await;

            assert_eq!(answered.status(), status, "{alpn:?}");
            assert!(
                !answered.headers().contains_key("set-cookie"),
                "{alpn:?} {status}"
            );
            assert_eq!(sent(&edge), [format!("__cf_bm=v{nth}")], "{alpn:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_fields_only_those_on_the_list_and_for_this_host_are_kept() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    edge.script([setting(
        answer::usual(),
        &[
            "__cf_bm=one; path=/; expires=Wed, 12-Nov-68 18:10:06 GMT; domain=.api.supermemory.ai; HttpOnly; Secure; SameSite=None",
            "_cfuvid=two-0.0.1.1-604800000; path=/; domain=.supermemory.ai; HttpOnly; Secure; SameSite=None",
            "cf_clearance=three; path=/; Max-Age=60; Secure; SameSite=None; Partitioned",
            "__cfruid=four; path=/",
            // Foreign, or of a whole public suffix.
            "__cf_bm=foreign; path=/; domain=.api.anthropic.com; Secure",
            "_cfuvid=suffix; path=/; domain=.ai; Secure",
            // Not on the list, or a person's.
            "__cflb=pinned; path=/",
            "CF_Authorization=person; path=/; Secure",
            "session=person; path=/; Secure",
            "cf_chl_rc_i=1; path=/",
            "__CF_BM=case; path=/",
            // Dead on arrival.
            "__cfseq=x; Max-Age=0",
        ],
    )]);

    let answered = gateway.message("first").await;
    gateway.message("second").await;

    assert!(!answered.headers().contains_key("set-cookie"));
    let expected = [
        "__cf_bm=one",
        "_cfuvid=two-0.0.1.1-604800000",
        "cf_clearance=three",
        "__cfruid=four",
    ];
    assert_eq!(sent(&edge), expected, "in order of age");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_leaves_when_its_time_is_over_or_the_edge_says_so() {
    let edge = Edge::answering([]).await.unwrap();
    let clock = ManualClock::default();
    let gateway = TestGateway::in_front_of(&edge)
        .clock(Arc::new(clock.clone()))
        .start()
        .await;
    let date = httpdate::fmt_http_date(clock.wall() + Duration::from_secs(100));
    edge.script([setting(
        answer::usual(),
        &[
            "__cf_bm=short; path=/; Max-Age=30",
            &format!("_cfuvid=dated; path=/; expires={date}"),
            "__cfruid=session; path=/",
        ],
    )]);
    gateway.message("set").await;

    clock.advance(Duration::from_secs(29));
    gateway.message("still").await;
    assert_eq!(
        sent(&edge),
        ["__cf_bm=short", "_cfuvid=dated", "__cfruid=session"]
    );

    clock.advance(Duration::from_secs(1));
    gateway.message("later").await;
    assert_eq!(sent(&edge), ["_cfuvid=dated", "__cfruid=session"]);

    clock.advance(Duration::from_secs(70));
    edge.script([setting(answer::usual(), &["__cfruid=; path=/; Max-Age=0"])]);
    gateway.message("delete").await;
    assert_eq!(sent(&edge), ["__cfruid=session"]);
    gateway.message("after").await;
    assert_eq!(sent(&edge), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_path_a_cookie_is_for_gets_it_longest_first() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    edge.script([setting(
        answer::usual(),
        &[
            "__cf_bm=root; path=/",
            "_cfuvid=deep; path=/v3/https://api.anthropic.com",
            "__cfruid=other; path=/v4",
        ],
    )]);

    gateway.message("set").await;
    gateway.message("use").await;

    assert_eq!(sent(&edge), ["_cfuvid=deep", "__cf_bm=root"]);
}

/// Two direct hosts, each an edge of its own.
async fn two_hosts() -> (Edge, Edge, TestGateway) {
    let folder = tempfile::tempdir().unwrap();
    let ca = Arc::new(memgate::sim::Ca::generate().unwrap());
    let options = || EdgeOptions {
        ca: Some(Arc::clone(&ca)),
        names: vec!["a.supermemory.ai".into(), "b.supermemory.ai".into()],
        ..Default::default()
    };
    let (a, b) = (
        Edge::start(options()).await.unwrap(),
        Edge::start(options()).await.unwrap(),
    );
    let models = ["a", "b"].map(|host| format!(
        "  - model_name: claude-{host}\n    litellm_params: {{model: anthropic/claude-x, api_key: k, api_base: 'https://{host}.supermemory.ai'}}\n"
    ));
    let direct = format!(
        "direct: {{bypass: none, ca_file: ca.pem, resolve: {{'a.supermemory.ai:443': '{}', 'b.supermemory.ai:443': '{}'}}}}",
        a.addr(),
        b.addr()
    );
    let models = format!(
        "model_list:\n{}general_settings: {{master_key: {MASTER}}}\n",
        models.concat()
    );
    let gateway = TestGateway::in_front_of(&a)
        .own(&direct)
        .models(&models)
        .start()
        .await;
    drop(folder);
    (a, b, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_of_the_shared_domain_stays_with_the_host_that_set_it() {
    let (a, b, gateway) = two_hosts().await;
    let ask = async |model: &str| {
        let body = turn("hi").to_string().replace(MODEL, model);
        gateway
            .post("/v1/messages")
            .body(body)
            .send()
            .await
            .unwrap()
    };
    a.script([setting(
        answer::usual(),
        &["__cf_bm=a; path=/; domain=.supermemory.ai; Secure"],
    )]);

    for model in ["claude-a", "claude-b", "claude-a"] {
        assert_eq!(ask(model).await.status(), 200);
    }

    assert_eq!(sent(&a), ["__cf_bm=a"]);
    assert_eq!(sent(&b), [""; 0], "jars are per upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn litellm_neither_gets_the_jars_cookies_nor_fills_it() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .with_litellm(&litellm)
        .start()
        .await;
    edge.script([setting(answer::usual(), &["__cf_bm=edge; path=/; Secure"])]);
    litellm.script([setting(
        answer::usual(),
        &["__cf_bm=litellm; path=/", "token=ui; path=/"],
    )]);
    let body = || turn("hi").to_string().replace(MODEL, OTHER);

    gateway.message("set").await;
    let from_litellm = gateway
        .post("/v1/messages")
        .header("cookie", "token=mine")
        .body(body());
    let from_litellm = from_litellm.send().await.unwrap();
    gateway.message("use").await;

    let seen = litellm
        .requests()
        .into_iter()
        .find(|seen| seen.method == "POST")
        .unwrap();
    assert_eq!(
        seen.header("cookie"),
        Some("token=mine"),
        "the client's own, and no other"
    );
    assert_eq!(
        from_litellm.headers().get_all("set-cookie").iter().count(),
        2,
        "LiteLLM's own pass"
    );
    assert_eq!(sent(&edge), ["__cf_bm=edge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_wants_its_cookies_back_opens_at_the_second_try() {
    let gate = CookieGate {
        refusal: cloudflare::queue_full().retry_after(60),
        also_set: vec![
            "CF_Authorization=person; path=/".to_owned(),
            "__cf_bm=x; domain=evil.example".to_owned(),
        ],
        ..Default::default()
    };
    let edge = Edge::start(EdgeOptions {
        cookie_gate: Some(gate),
        ..Default::default()
    })
    .await
    .unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    let first = gateway.message("first").await;
    let second = gateway.message("second").await;
    edge.expire_cookies();
    let third = gateway.message("third").await;

    let attempts =
        [&first, &second, &third].map(|answer| answer.headers()["x-memgate-attempts"].clone());
    assert_eq!([first.status(), second.status(), third.status()], [200; 3]);
    assert_eq!(attempts, ["2", "1", "2"], "cookies are shared, and renewed");
    assert_eq!(edge.stats().posts, 5);
    let last = edge.requests().pop().unwrap();
    assert_eq!(last.cookies.len(), 2, "{:?}", last.cookies);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_change_nothing_are_no_reason_to_try_again() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let refusal = setting(
        cloudflare::queue_full().retry_after(0),
        &["__cf_bm=same; path=/"],
    );
    edge.script([refusal.times(6)]);

    let first = gateway.message("first").await;
    let second = gateway.message("second").await;

    assert_eq!([first.status(), second.status()], [529, 529]);
    assert_eq!(edge.stats().posts, 6, "three attempts each");
    let for_cookies = [("reason", "fresh_cookies")];
    gateway.settled().await;
    let for_cookies = gateway.metric("retries_total", &for_cookies).await;
    assert_eq!(for_cookies, 1.0, "afterwards they were sent already");
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_an_earlier_answer_do_not_excuse_a_later_refusal() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).queue_timeout("1s");
    let gateway = gateway.start().await;
    let limited = answer::provider_error(429, "rate_limit_error", "slow down").retry_after(0);
    edge.script([
        setting(limited, &["__cf_bm=new; path=/"]),
        cloudflare::queue_full().retry_after(60),
    ]);

    let answered = gateway.message("hi").await;

    assert_eq!(sent(&edge), ["__cf_bm=new"]);
    assert_eq!(
        answered.status(),
        529,
        "the cookies were sent and did not help"
    );
    assert_eq!(edge.stats().posts, 2);
}
