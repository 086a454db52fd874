//! What each request took, line by line, for whoever adds it up.

use std::fs;
use std::path::{Path, PathBuf};

use memgate::sim::answer;
use memgate::sim::{Edge, Hold, LiteLlm, LiteLlmOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::*;
use crate::key_limits::*;

const PRICES: &str = "prices: {version: '2026-11-01', models: {'claude-sonnet-*': {input: 3, output: 15, cache_read: 0.3}}}";

/// A folder for the file, its name, and the lines of configuration that lead there.
fn kept(more: &str) -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usage.jsonl");
    let own = format!("{PRICES}\nusage_log: {{file: '{}'{more}}}", path.display());
    (folder, path, own)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The lines, once there are so many.
async fn written(path: &Path, count: usize) -> Vec<Value> {
    let are_there = || {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.ends_with('\n') && text.lines().count() >= count
    };
    assert!(becomes_true(are_there).await);
    lines(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_leaves_a_line_of_who_asked_for_what_and_what_it_took() {
    let usage = json!({"input_tokens": 1000, "cache_read_input_tokens": 10_000, "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_1h_input_tokens": 20}, "output_tokens": 100});
    let edge = Edge::answering([
        took(&usage),
        streams(&usage, &json!({"output_tokens": 200})),
    ])
    .await
    .unwrap();
    let (_folder, path, own) = kept("");
    let world = World::with(&edge, "{}", &own).await;

    let whole = world.message(ANNA).await;
    let id = header(&whole, "x-request-id").unwrap().to_owned();
    drop(whole.bytes().await.unwrap());
    world
        .spend(MESSAGES, streamed(MODEL, "a secret prompt"))
        .await;

    let lines = written(&path, 2).await;
    let tokens = json!({"input": 1000, "cache_read": 10_000, "cache_write": 30, "output": 100});
    let mut expected = json!({"id": id, "caller": "anna", "user": "anna", "memory": "unchanged", "model": MODEL,
        "served": UPSTREAM_MODEL, "tokens": tokens, "cache_write_1h": 20, "usd": 0.007_657_5, "route": "direct",
        "upstream": "api.supermemory.ai → api.anthropic.com", "attempts": 1, "status": 200, "outcome": "ok"});
    for varies in ["time", "total_ms", "memory", "upstream"] {
        assert_ne!(lines[0][varies], Value::Null, "{varies}");
        expected[varies] = lines[0][varies].clone();
    }
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1]["tokens"]["output"], 200);
    let text = fs::read_to_string(&path).unwrap();
    for secret in [ANNA, "a secret prompt", PROVIDER_KEY] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_said_is_marked_and_what_has_no_price_costs_nothing_known() {
    let edge = Edge::answering([]).await.unwrap();
    let litellm = LiteLlm::start(LiteLlmOptions::default()).await.unwrap();
    let (_folder, path, own) = kept("");
    let url = litellm.url();
    let own = format!("{own}\nlitellm: {{urls: ['{url}'], api_key: sk-of-the-gateway}}");
    let world = World::with(&edge, "{tokens_per_minute: 90000}", &own).await;
    litellm.script([answer::stream([
        "data: {\"choices\":[{}]}\n\n",
        "data: [DONE]\n\n",
    ])]);
    let body = json!({"model": OTHER, "stream": true, "messages": []}).to_string();

    world.spend(CHAT, body).await;

    let line = written(&path, 1).await.remove(0);
    assert_eq!(
        (&line["estimated"], &line["tokens"]["output"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(
        (&line["usd"], &line["served"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&line["route"], &line["caller"]),
        (&json!("litellm"), &json!("anna"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_has_its_line_and_what_never_went_anywhere_has_none() {
    let edge = Edge::answering([]).await.unwrap();
    let (_folder, path, own) = kept("");
    let world = World::with(&edge, "{requests_per_minute: 1}", &own).await;
    assert_eq!(world.message(BEN).await.status(), 200);
    let hold = Hold::default();
    edge.script([answer::message("late").held(&hold)]);
    tokio::select! {
        answer = world.message(ANNA) => panic!("{answer:?} although it is held"),
        came = becomes_true(|| edge.requests().len() == 2) => assert!(came),
    }
    world.gateway.settled().await;
    assert_eq!(world.message(ANNA).await.status(), 429);
    assert_eq!(world.message("sk-mg-nobodys").await.status(), 401);
    world.gateway.settled().await;

    world.gateway.stop();

    let lines = lines(&path);
    let outcomes: Vec<&Value> = lines.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["ok", "client_left"]);
    assert_eq!(lines[1]["estimated"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_gives_way_and_the_lines_go_on() {
    let edge = Edge::answering([]).await.unwrap();
    let (folder, path, own) = kept(", max_size: 64KiB, keep: 1");
    fs::write(&path, "x".repeat(64 << 10)).unwrap();
    let world = World::with(&edge, "{}", &own).await;

    assert_eq!(world.message(BEN).await.status(), 200);

    let older = folder.path().join("usage.jsonl.1");
    assert!(becomes_true(|| older.exists()).await);
    assert_eq!(written(&path, 1).await[0]["caller"], "ben");
}
