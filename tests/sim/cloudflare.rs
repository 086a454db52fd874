//! Cloudflare's part: the cookie gate, and its errors in every form.

use std::time::Duration;

use memgate::sim::cloudflare::{self, CapacityGate, CookieGate, Form, RateGate};
use memgate::sim::{Edge, EdgeOptions, Encoding, answer};
use reqwest::Response;
use serde_json::Value;

use crate::client::{ask, browser, edge, edge_with, post};

fn set_cookies(response: &Response) -> Vec<String> {
    let fields = response.headers().get_all("set-cookie").iter();
    fields
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// `name=value` of each cookie, ready for a `Cookie` field.
fn brought_back(response: &Response) -> String {
    let lines = set_cookies(response);
    let pairs = lines.iter().filter_map(|line| line.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

async fn gated(gate: CookieGate) -> Edge {
    edge_with(EdgeOptions {
        cookie_gate: Some(gate),
        ..EdgeOptions::default()
    })
    .await
}

#[tokio::test]
async fn the_gate_opens_for_the_cookies_it_set_and_for_no_others() {
    let edge = gated(CookieGate::default()).await;
    let client = browser(&edge);

    let refused = post(&client, &edge, &ask("x")).send().await.unwrap();
    let cookies = brought_back(&refused);
    let with = post(&client, &edge, &ask("x"))
        .header("cookie", &cookies)
        .send()
        .await
        .unwrap();
    let forged = post(&client, &edge, &ask("x"))
        .header("cookie", "__cf_bm=made-up; _cfuvid=made-up")
        .send()
        .await
        .unwrap();

    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "60");
    assert_eq!(with.status(), 200);
    assert_eq!(forged.status(), 503);
    assert_eq!(edge.requests()[1].cookies.len(), 2);
}

#[tokio::test]
async fn the_gates_cookies_have_the_shape_of_real_ones() {
    let edge = gated(CookieGate {
        also_set: vec!["CF_Authorization=person; path=/; Secure".to_owned()],
        ..CookieGate::default()
    })
    .await;

    let refused = post(&browser(&edge), &edge, &ask("x"))
        .send()
        .await
        .unwrap();

    let lines = set_cookies(&refused);
    let pattern = r"^__cf_bm=\w{43}; path=/; expires=\w{3}, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d GMT; domain=\.api\.supermemory\.ai; HttpOnly; Secure; SameSite=None$";
    assert_eq!(lines.len(), 3, "several fields, never joined by commas");
    assert_eq!(lines[0], "CF_Authorization=person; path=/; Secure");
    assert!(
        regex::Regex::new(pattern).unwrap().is_match(&lines[1]),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("_cfuvid=") && !lines[2].contains("expires"));
}

#[tokio::test]
async fn cookies_stop_working_when_they_are_expired() {
    let edge = gated(CookieGate::default()).await;
    let client = browser(&edge);
    let refused = post(&client, &edge, &ask("x")).send().await.unwrap();
    let cookies = brought_back(&refused);

    edge.expire_cookies();
    let late = post(&client, &edge, &ask("x"))
        .header("cookie", cookies)
        .send()
        .await
        .unwrap();

    assert_eq!(late.status(), 503);
}

#[tokio::test]
async fn a_lifetime_of_nothing_lets_nobody_pass() {
    let edge = gated(CookieGate {
        lifetime: Duration::ZERO,
        refusal: cloudflare::challenge(),
        ..CookieGate::default()
    })
    .await;
    let client = browser(&edge);
    let refused = post(&client, &edge, &ask("x")).send().await.unwrap();

    let again = post(&client, &edge, &ask("x")).header("cookie", brought_back(&refused));

    assert_eq!(again.send().await.unwrap().status(), 403);
    assert_eq!(refused.headers()["cf-mitigated"], "challenge");
}

#[tokio::test]
async fn an_edge_error_takes_the_form_the_client_accepts() {
    let edge = edge().await;
    edge.script([cloudflare::queue_full().zone("api.anthropic.com").times(4)]);
    let client = browser(&edge);
    let ask_for = |accept: &'static str| post(&client, &edge, &ask("x")).header("accept", accept);

    let json = ask_for("application/json").send().await.unwrap();
    let html = ask_for("*/*").send().await.unwrap();
    let markdown = ask_for("text/markdown").send().await.unwrap();
    let silent = post(&client, &edge, &ask("x")).send().await.unwrap();

    assert_eq!(json.headers()["content-type"], "application/problem+json");
    assert_eq!(html.headers()["content-type"], "text/html; charset=UTF-8");
    assert_eq!(silent.headers()["content-type"], "text/html; charset=UTF-8");
    let ray = json.headers()["cf-ray"].to_str().unwrap().to_owned();
    let problem: Value = json.json().await.unwrap();
    assert_eq!(problem["error_code"], 1200);
    assert_eq!(problem["error_name"], "cache_connection_limit");
    assert_eq!(problem["zone"], "api.anthropic.com");
    assert_eq!(problem["cloudflare_error"], true);
    assert_eq!(problem["ray_id"], ray.as_str());
    assert_eq!(problem["retry_after"], 60);
    let markdown = markdown.text().await.unwrap();
    assert!(
        markdown.starts_with("---\nerror_code: 1200\n"),
        "{markdown}"
    );
}

#[tokio::test]
async fn each_code_has_the_status_cloudflare_gives_it() {
    let edge = edge().await;
    let expected = [
        (1200, 503),
        (1015, 429),
        (1020, 403),
        (1101, 500),
        (1102, 503),
        (520, 520),
        (521, 521),
        (522, 522),
        (523, 523),
        (524, 524),
        (525, 525),
        (526, 526),
        (530, 530),
        (1033, 530),
    ];
    edge.script(expected.map(|(code, _)| cloudflare::error(code).form(Form::Plain)));
    let client = browser(&edge);

    for (code, status) in expected {
        let response = post(&client, &edge, &ask("x")).send().await.unwrap();

        assert_eq!(response.status(), status);
        assert_eq!(
            response.text().await.unwrap(),
            format!("error code: {code}")
        );
    }
}

#[tokio::test]
async fn the_page_that_was_met_in_the_wild_is_a_fixture() {
    let edge = edge().await;
    edge.script([cloudflare::rate_limited_page()]);

    let response = post(&browser(&edge), &edge, &ask("x"))
        .header("accept", "application/json")
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["server"], "cloudflare");
    assert_eq!(response.headers()["cf-ray"], "99798f8c4cb7ecbe-WAW");
    assert!(response.headers().get("set-cookie").is_none());
    assert!(response.headers().get("retry-after").is_none());
    let page = response.text().await.unwrap();
    for sentence in [
        "<title>Rate Limited</title>",
        "This website has been temporarily rate limited",
        "Too many requests for api.anthropic.com. Try again later.",
    ] {
        assert!(page.contains(sentence), "{sentence}");
    }
    let visible = regex::Regex::new("<[^>]+>").unwrap().replace_all(&page, "");
    assert!(visible.contains("Error 1200"));
}

#[tokio::test]
async fn an_errors_body_may_be_compressed() {
    let edge = edge().await;
    edge.script([cloudflare::rate_limited()
        .form(Form::Json)
        .compressed(Encoding::Gzip)]);

    let response = post(&browser(&edge), &edge, &ask("x"))
        .send()
        .await
        .unwrap();

    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = response.bytes().await.unwrap();
    let problem: Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(packed.as_ref())).unwrap();
    assert_eq!(problem["error_code"], 1015);
    assert_eq!(
        problem["zone"], "api.supermemory.ai",
        "unnamed, it is the host called"
    );
}

#[tokio::test]
async fn any_answer_can_set_any_cookie() {
    let edge = edge().await;
    let foreign = cloudflare::set_cookie(
        "__cf_bm",
        "v",
        Some(".example.org"),
        Some(Duration::from_secs(60)),
    );
    let session = cloudflare::set_cookie("_cfuvid", "w", None, None);
    edge.script([answer::message("hello")
        .header("set-cookie", &foreign)
        .header("set-cookie", &session)]);

    let response = post(&browser(&edge), &edge, &ask("x"))
        .send()
        .await
        .unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(set_cookies(&response), [foreign, session]);
}

#[tokio::test]
async fn a_cookie_that_promises_more_than_the_gate_keeps_is_refused_all_the_same() {
    let edge = gated(CookieGate {
        lifetime: Duration::ZERO,
        promised: Some(Duration::from_secs(3600)),
        ..CookieGate::default()
    })
    .await;
    let client = browser(&edge);
    let hour = || cloudflare::set_cookie("n", "v", None, Some(Duration::from_secs(3600)));
    let expiry = |line: &str| line.split("; ").nth(2).unwrap().to_owned();
    let earliest = expiry(&hour());
    let refused = post(&client, &edge, &ask("x")).send().await.unwrap();
    let promised = expiry(&set_cookies(&refused)[0]);
    let latest = expiry(&hour());

    let again = post(&client, &edge, &ask("x")).header("cookie", brought_back(&refused));

    assert_eq!(again.send().await.unwrap().status(), 503);
    assert!([earliest, latest].contains(&promised), "{promised}");
    assert_eq!(edge.stats().refused.cookies, 2);
}

#[tokio::test]
async fn whoever_passes_the_cookie_gate_still_needs_room() {
    let edge = edge_with(EdgeOptions {
        cookie_gate: Some(CookieGate::default()),
        capacity: Some(CapacityGate::of(0)),
        ..EdgeOptions::default()
    })
    .await;
    let client = browser(&edge);
    let refused = post(&client, &edge, &ask("x")).send().await.unwrap();

    let with = post(&client, &edge, &ask("x")).header("cookie", brought_back(&refused));
    let full = with.send().await.unwrap();

    assert_eq!(full.status(), 503);
    assert!(
        set_cookies(&full).is_empty(),
        "it was not for want of cookies"
    );
    let stats = edge.stats();
    assert_eq!((stats.refused.cookies, stats.refused.capacity), (1, 1));
}

#[tokio::test]
async fn a_rate_beyond_the_owners_limit_is_blocked_for_a_while() {
    let edge = edge_with(EdgeOptions {
        rate: Some(RateGate::per_second(1).block(Duration::from_secs(600))),
        ..EdgeOptions::default()
    })
    .await;
    let client = browser(&edge);
    let once = async || post(&client, &edge, &ask("x")).send().await.unwrap();

    let (first, second, third) = (once().await, once().await, once().await);

    assert_eq!(first.status(), 200);
    for refused in [second, third] {
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "600");
    }
    assert_eq!(edge.stats().refused.rate, 2);
    assert_eq!(edge.stats().edge_errors[&1015], 2);
}
