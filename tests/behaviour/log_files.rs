//! The `log` section: where access lines go, which requests have one, and what users are called there.

use std::fs;
use std::path::Path;

use memgate::sim::{Edge, EdgeOptions, answer};
use serde_json::Value;

use crate::harness::*;
use crate::logs;

async fn gateway(log: &str) -> (Edge, TestGateway) {
    let edge = Edge::start(EdgeOptions::default()).await.unwrap();
    let gateway = TestGateway::in_front_of(&edge).own(&format!("log: {log}"));
    let gateway = gateway.own("retry: {attempts: 1}").start().await;
    (edge, gateway)
}

/// Sends a turn and reads its answer.
async fn ask(gateway: &TestGateway, id: &str) -> u16 {
    let request = gateway.post("/v1/messages").header("x-request-id", id);
    let answer = request.body(turn("x").to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    answer.text().await.unwrap();
    gateway.settled().await;
    status
}

/// The ids of the requests that have a line in this file, once what waits is written.
fn ids(gateway: &TestGateway, file: &Path) -> Vec<String> {
    gateway.gateway().snapshot().access_log.flush();
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| line["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_to_a_file_and_to_a_new_one_after_it_was_moved() {
    let (_edge, gateway) = gateway("{access: access.log}").await;
    let (file, moved) = (gateway.path("access.log"), gateway.path("access.log.1"));

    ask(&gateway, "file-1").await;
    ids(&gateway, &file);
    fs::rename(&file, &moved).unwrap();
    ask(&gateway, "file-2").await;
    ids(&gateway, &moved);
    assert!(gateway.gateway().snapshot().access_log.reopen());
    ids(&gateway, &file);
    ask(&gateway, "file-3").await;

    assert_eq!(ids(&gateway, &moved), ["file-1", "file-2"]);
    assert_eq!(ids(&gateway, &file), ["file-3"]);
    assert!(
        logs::access_lines("file-1").is_empty(),
        "not in the log besides"
    );
    assert_eq!(gateway.metric("log_lines_lost_total", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_good_answers_as_many_as_wanted_have_a_line_and_of_bad_ones_all() {
    let (edge, gateway) = gateway("{access: access.log, sample: 0%}").await;
    edge.script([answer::usual(), answer::status(500), answer::usual()]);

    let statuses = [
        ask(&gateway, "sampled-1").await,
        ask(&gateway, "sampled-2").await,
        ask(&gateway, "sampled-3").await,
    ];

    assert_eq!((statuses[0], statuses[2]), (200, 200));
    assert!(statuses[1] >= 500, "{statuses:?}");
    assert_eq!(ids(&gateway, &gateway.path("access.log")), ["sampled-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_need_write_lines_and_all_are_counted_all_the_same() {
    let (_edge, gateway) = gateway("{access: off}").await;

    ask(&gateway, "off-access-1").await;

    let answered = [("route", "direct"), ("status", "200")];
    assert_eq!(gateway.metric("requests_total", &answered).await, 1.0);
    gateway.gateway().snapshot().access_log.flush();
    assert!(logs::access_lines("off-access-1").is_empty());
    assert!(
        !gateway.gateway().snapshot().access_log.reopen(),
        "there is no file"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_says_where_its_time_went() {
    let (_edge, gateway) = gateway("{slow: {first_byte: 0s, whole: 1ms}}").await;

    ask(&gateway, "slow-whole").await;
    logs::access_line("slow-whole").await;

    let slow: Vec<_> = logs::lines()
        .into_iter()
        .filter(|line| line.target == "memgate::slow")
        .collect();
    let said = slow
        .iter()
        .find(|line| line.text.contains("slow-whole"))
        .unwrap();
    for phase in [
        "queue none",
        "connect 0.",
        "first byte 0.",
        "whole 0.",
        "attempts 1",
    ] {
        assert!(said.text.contains(phase), "{phase} in {}", said.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_users_go_by_their_digests_wherever_they_are_named() {
    let (_edge, gateway) = gateway("{user_key: kkkkkkkkkkkkkkkk}").await;

    ask(&gateway, "digest-1").await;
    let line = logs::access_line("digest-1").await;
    let audit = logs::audit_lines("digest-1");
    let metrics = gateway.metrics().await;

    let name = line["user"].as_str().unwrap();
    assert!(name.starts_with("hmac:") && name.len() == 37, "{name}");
    assert_eq!(audit[0]["user"], name);
    assert!(metrics.contains(&format!("user=\"{name}\"")), "{metrics}");
    for told in [&line.to_string(), &audit[0].to_string(), &metrics] {
        assert!(!told.contains("team"), "{told}");
    }
}
