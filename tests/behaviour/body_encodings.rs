//! Compressed request bodies: unpacked to be read, sent on as they came where they may.

use std::io::Write;

use memgate::sim::{Edge, LiteLlm, LiteLlmOptions, answer};

use crate::bodies::{renamed, sha256, turn_of};
use crate::harness::*;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: 4,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &*plain, &mut packed, &params).unwrap();
    packed
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).unwrap()
}

type Packer = fn(&[u8]) -> Vec<u8>;
const CODINGS: [(&str, Packer); 3] = [("gzip", gzip), ("br", brotli), ("zstd", zstd)];

/// A world whose direct model has one name on both sides.
async fn same_name(edge: &Edge) -> TestGateway {
    let models = MODELS.replace(UPSTREAM_MODEL, MODEL);
    TestGateway::in_front_of(edge).models(&models).start().await
}

async fn send(gateway: &TestGateway, coding: &str, body: Vec<u8>) -> reqwest::Response {
    let request = gateway
        .post("/v1/messages")
        .header("content-encoding", coding);
    request.body(body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_body_whose_model_stays_goes_on_as_it_came() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = same_name(&edge).await;
    for (number, (coding, pack)) in CODINGS.into_iter().enumerate() {
        let packed = pack(turn("hi").to_string().as_bytes());

        let answer = send(&gateway, coding, packed.clone()).await;

        assert_eq!(answer.status(), 200, "{coding}");
        assert_eq!(answer.headers()["x-memgate-body"], "identical", "{coding}");
        let seen = &edge.requests()[number];
        assert_eq!(seen.header("content-encoding"), Some(coding));
        assert_eq!(seen.body.sha256, sha256(&packed), "{coding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_body_whose_model_changes_is_sent_plain_also_when_tried_again() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    for (coding, pack) in CODINGS {
        for size in [1_000, 300_000] {
            edge.reset();
            let refusal = answer::provider_error(429, "rate_limit_error", "slow down");
            edge.script([refusal.retry_after(0)]);
            // Not so repetitive that it looks like a bomb.
            let text: String = (0..size).map(|_| fastrand::alphanumeric()).collect();
            let plain = turn(&text).to_string();

            let answer = send(&gateway, coding, pack(plain.as_bytes())).await;

            let what = format!("{coding} {size}");
            assert_eq!(answer.headers()["x-memgate-body"], "decoded", "{what}");
            let seen = edge.requests();
            assert_eq!(seen.len(), 2, "{what}");
            for seen in seen {
                assert_eq!(seen.header("content-encoding"), None, "{what}");
                assert_eq!(
                    seen.body.sha256,
                    sha256(renamed(&plain).as_bytes()),
                    "{what}"
                );
                let length = renamed(&plain).len().to_string();
                assert_eq!(seen.header("content-length"), Some(&*length), "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_or_stacked_coding_is_a_415() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;
    let body = turn("hi").to_string();

    for coding in ["deflate", "compress", "gzip, br", "gzip, gzip", "snappy"] {
        let answer = send(&gateway, coding, body.clone().into_bytes()).await;

        assert_eq!(answer.status(), 415, "{coding}");
        let error: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(error["type"], "error", "{coding}");
    }
    assert_eq!(edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_unpacks_beyond_the_limit_or_the_ratio_is_a_413() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge)
        .own("limits: {body: 400KiB}")
        .start()
        .await;
    let incompressible: String = (0..450_000).map(|_| fastrand::alphanumeric()).collect();
    let too_large = turn(&incompressible).to_string();
    let bomb = turn_of(300_000);

    for (coding, pack) in CODINGS {
        let large = pack(too_large.as_bytes());
        assert!(large.len() < 400 << 10, "{coding}: {}", large.len());
        assert_eq!(
            send(&gateway, coding, large).await.status(),
            413,
            "{coding}"
        );
        let tight = send(&gateway, coding, pack(bomb.as_bytes())).await;
        assert_eq!(tight.status(), 413, "{coding}: 300 kB of x");
    }
    assert_eq!(edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_cut_body_is_a_400() {
    let edge = Edge::answering([]).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).start().await;

    for (coding, pack) in CODINGS {
        let packed = pack(turn("hello").to_string().as_bytes());
        let cut = packed[..packed.len() - 3].to_vec();
        assert_eq!(send(&gateway, coding, cut).await.status(), 400, "{coding}");
        let plain = turn("hello").to_string().into_bytes();
        assert_eq!(
            send(&gateway, coding, plain).await.status(),
            400,
            "{coding}"
        );
    }
    assert_eq!(edge.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_for_litellm_passes_in_any_coding_also_in_one_that_nobody_knows() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).with_litellm(&litellm);
    let gateway = gateway.start().await;
    let known = CODINGS.map(|(coding, pack)| (coding, pack(turn("hi").to_string().as_bytes())));
    let other =
        ["deflate", "snappy", "gzip, br", "gzip"].map(|coding| (coding, b"\x01\x02".to_vec()));

    for path in ["/v1/responses", "/v1/embeddings", "/v1/rerank"] {
        for (coding, body) in known.iter().chain(&other) {
            let request = gateway.post(path).header("content-encoding", *coding);
            let answer = request.body(body.clone()).send().await.unwrap();

            let what = format!("{path} {coding}");
            assert_eq!(answer.headers()["x-memgate-route"], "litellm", "{what}");
            let seen = asked(&litellm).pop().unwrap();
            assert_eq!(seen.target, path, "{what}");
            assert_eq!(seen.header("content-encoding"), Some(*coding), "{what}");
            assert_eq!(seen.body.sha256, sha256(body), "{what}");
        }
    }
    assert_eq!(edge.stats().requests, 0);
}
