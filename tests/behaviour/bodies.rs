//! Bodies: only the model's bytes change, first try and retry; paths and queries are never touched up.

use memgate::sim::{Alpn, Edge, EdgeOptions, answer, cloudflare};
use sha2::{Digest, Sha256};

use crate::harness::*;

pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A turn of exactly this many bytes.
pub fn turn_of(bytes: usize) -> String {
    let empty = turn("").to_string().len();
    turn(&"x".repeat(bytes - empty)).to_string()
}

/// What the provider should get for a body that names the direct model once.
pub fn renamed(body: &str) -> String {
    body.replacen(MODEL, UPSTREAM_MODEL, 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_bytes_of_the_model_value_change() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let body = format!(
        r#"{{ "messages":[{{"role":"user","content":"\u00e9\n 1e-7 \"model\":\"x\""}}],"temperature":1.0,
 "n":12345678901234567890 ,"metadata":{{"model":"inner"}}, "model" : "{MODEL}","max_tokens":16}}"#
    );

    let answer = gateway
        .post("/v1/messages?beta=true")
        .body(body.clone())
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    assert_eq!(answer.headers()["x-memgate-body"], "spliced");
    assert_eq!(answer.headers()["x-memgate-route"], "direct");
    let seen = &edge.requests()[0];
    assert_eq!(seen.body.sha256, sha256(renamed(&body).as_bytes()));
    assert_eq!(
        seen.target,
        "/v3/https://api.anthropic.com/v1/messages?beta=true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_json_allows_around_the_model_survives() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let rest = r#""max_tokens":16,"messages":[{"role":"user","content":"hi"}]"#;
    let bodies = [
        format!(r#"{{"model":"{MODEL}",{rest},"top_p":1.0,"a":1e-7,"b":-0,"c":1E+400,"d":0.10}}"#),
        format!(r#"{{{rest},"n":98765432109876543210,"model":"{MODEL}"}}"#),
        format!("\r\n\t {{\"model\"\t:\r\n \"{MODEL}\" ,\n\n{rest}\t}} \n"),
        format!(r#"{{{rest},"x":"\/\u002f\ud83d\ude00\u0000é😀","model":"{MODEL}"}}"#),
        format!(r#"{{"z":{{"model":"a","z":[{{"model":"b"}}]}},"model":"{MODEL}",{rest},"a":1}}"#),
        format!(r#"{{"a":1,"a":2,"model":"{MODEL}",{rest},"":null,"Model":"c"}}"#),
        // The name itself spelt with escapes, key and value.
        format!(
            r#"{{"\u006dodel":"{}",{rest}}}"#,
            MODEL.replace('c', r"\u0063")
        ),
    ];

    for (number, body) in bodies.iter().enumerate() {
        let answer = gateway.post("/v1/messages").body(body.clone());
        let answer = answer.send().await.unwrap();

        assert_eq!(answer.status(), 200, "{body}");
        let spelt = MODEL.replace('c', r"\u0063");
        let expected = renamed(body).replace(&spelt, UPSTREAM_MODEL);
        assert_eq!(
            edge.requests()[number].body.sha256,
            sha256(expected.as_bytes()),
            "{body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_keeps_its_name_leaves_the_body_identical() {
    let edge = Edge::answering([]).await.unwrap();
    let models = MODELS.replace("model_name: claude-sonnet-4.5", "model_name: claude-same");
    let models = models.replace(UPSTREAM_MODEL, "claude-same");
    let gateway = TestGateway::in_front_of(&edge)
        .models(&models)
        .start()
        .await;
    let body = turn("hi").to_string().replace(MODEL, "claude-same");

    let answer = gateway.post("/v1/messages").body(body.clone()).send().await;

    let answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-memgate-body"], "identical");
    assert_eq!(edge.requests()[0].body.sha256, sha256(body.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_model_is_refused_however_it_is_spelt() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let rest = r#""max_tokens":16,"messages":[{"role":"user","content":"hi"}]"#;

    for second in [
        r#""model""#,
        r#""\u006dodel""#,
        r#""m\u006Fd\u0065l""#,
        r#""mode\u006c""#,
    ] {
        for body in [
            format!(r#"{{"model":"{MODEL}",{rest},{second}:"{MODEL}"}}"#),
            format!(r#"{{{second}:"gpt-test",{rest},"model":"{MODEL}"}}"#),
            format!(r#"{{{second}:null,{rest},"model":"{MODEL}"}}"#),
        ] {
            let answer = gateway.post("/v1/messages").body(body.clone());
            let answer = answer.send().await.unwrap();

            assert_eq!(answer.status(), 400, "{body}");
            let error: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(error["error"]["type"], "invalid_request_error", "{body}");
        }
    }
    assert_eq!(edge.stats().requests, 0, "none of them went up");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_and_double_slashes_are_never_normalised() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let base = "/v3/https://api.anthropic.com/v1/messages";

    for (number, query) in [
        "?beta=true",
        "?b=2&a=1&b=3",
        "?a=%7e%2F%2f&plus=+&x=a//b",
        "?&&beta=true&&",
        "?=&flag&empty=",
        "?a=http://x/y?z",
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = crate::wire::Raw::connect(gateway.address()).await;
        let body = turn("hi").to_string();
        let length = format!("content-length: {}\r\n", body.len());
        raw.post(&format!("/v1/messages{query}"), &length).await;
        raw.send(body.as_bytes()).await;

        assert_eq!(raw.reply().await.status, 200, "{query}");
        assert_eq!(edge.requests()[number].target, format!("{base}{query}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_sends_the_same_bytes() {
    for alpn in [Alpn::H1, Alpn::H2] {
        let edge = Edge::start(EdgeOptions {
            alpn,
            ..Default::default()
        });
        let edge = edge.await.unwrap();
        let gateway = TestGateway::in_front_of(&edge).start().await;
        for size in [10_000, 65_535, 65_536, 65_537, 5_000_000] {
            edge.reset();
            edge.script([
                answer::provider_error(429, "rate_limit_error", "slow down").retry_after(0),
                cloudflare::error(521),
            ]);
            let body = turn_of(size);

            let answer = gateway.post("/v1/messages").body(body.clone());
            let answer = answer.send().await.unwrap();

            assert_eq!(answer.status(), 200, "{alpn:?} {size}");
            assert_eq!(answer.headers()["x-memgate-attempts"], "3");
            let expected = sha256(renamed(&body).as_bytes());
            let sent: Vec<String> = edge.requests().into_iter().map(|r| r.body.sha256).collect();
            assert_eq!(sent, vec![expected; 3], "{alpn:?} {size}");
        }
    }
}
