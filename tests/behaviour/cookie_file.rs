//! Cookies over a restart: on disk soon after a change and at the end, for the gateway's eyes only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use memgate::sim::{Edge, answer};
use tempfile::TempDir;

use crate::harness::*;

struct World {
    edge: Edge,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        Self {
            edge: Edge::answering([]).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cookies.json")
    }

    async fn gateway(&self) -> TestGateway {
        let cookies = format!("cookies: {{file: '{}'}}", self.file().display());
        TestGateway::in_front_of(&self.edge)
            .own(&cookies)
            .start()
            .await
    }

    /// Lets the edge set a cookie on this gateway.
    async fn set(&self, gateway: &TestGateway, line: &str) {
        self.edge
            .script([answer::usual().header("set-cookie", line)]);
        assert_eq!(gateway.message("set").await.status(), 200);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_on_disk_soon_and_readable_by_the_owner_alone() {
    let world = World::new().await;
    let gateway = world.gateway().await;

    world
        .set(&gateway, "__cf_bm=kept; path=/; Max-Age=600")
        .await;

    let saved = || fs::read_to_string(world.file()).is_ok_and(|text| text.contains("kept"));
    assert!(becomes_true(saved).await, "saved while it runs");
    assert_eq!(mode(&world.file()), 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_last_is_saved_at_the_end_and_sent_after_a_restart() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world
        .set(&gateway, "__cf_bm=kept; path=/; Max-Age=600")
        .await;
    world.set(&gateway, "_cfuvid=session; path=/").await;

    tokio::task::spawn_blocking(|| gateway.stop())
        .await
        .unwrap();
    let saved = fs::read_to_string(world.file()).unwrap();
    let next = world.gateway().await;
    next.message("first").await;

    assert!(saved.contains("kept") && saved.contains("session"));
    assert_eq!(mode(&world.file()), 0o600);
    let first = world.edge.requests().pop().unwrap();
    assert_eq!(first.cookie("__cf_bm"), Some("kept"));
    assert_eq!(first.cookie("_cfuvid"), Some("session"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_set_aside_and_the_gateway_serves() {
    let world = World::new().await;
    let damaged = b"{\"version\":1,\"cookies\":[{\"host\"";
    fs::write(world.file(), damaged).unwrap();

    let gateway = world.gateway().await;
    world
        .set(&gateway, "__cf_bm=new; path=/; Max-Age=600")
        .await;
    tokio::task::spawn_blocking(|| gateway.stop())
        .await
        .unwrap();

    let aside = fs::read_dir(world.folder.path()).unwrap();
    let aside: Vec<PathBuf> = aside
        .map(|entry| entry.unwrap().path())
        .filter(|path| *path != world.file())
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(
        fs::read(&aside[0]).unwrap(),
        damaged,
        "for people to look at"
    );
    assert!(fs::read_to_string(world.file()).unwrap().contains("new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cannot_make_the_gateway_send_what_it_would_not_have_taken() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world
        .set(&gateway, "__cf_bm=kept; path=/; Max-Age=600")
        .await;
    tokio::task::spawn_blocking(|| gateway.stop())
        .await
        .unwrap();
    let saved = fs::read_to_string(world.file()).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&saved).unwrap();
    let entry = document["cookies"][0].clone();
    for (field, value) in [
        ("name", "CF_Authorization"),
        ("value", "a\r\nx: y"),
        ("domain", "evil.example"),
    ] {
        let mut forged = entry.clone();
        forged[field] = value.into();
        document["cookies"].as_array_mut().unwrap().push(forged);
    }
    fs::write(world.file(), document.to_string()).unwrap();

    let next = world.gateway().await;
    assert_eq!(next.message("first").await.status(), 200);

    let first = world.edge.requests().pop().unwrap();
    assert_eq!(first.header("cookie"), Some("__cf_bm=kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_takes_anothers_place_neither_loses_what_the_other_was_given() {
    let world = World::new().await;
    let old = world.gateway().await;
    world.set(&old, "__cf_bm=first; path=/; Max-Age=600").await;
    let saved = |text: &str| {
        let file = world.file();
        let text = text.to_owned();
        move || fs::read_to_string(&file).is_ok_and(|saved| saved.contains(&text))
    };
    assert!(becomes_true(saved("first")).await);

    let new = world.gateway().await;
    world.set(&new, "_cfuvid=to-the-new; path=/").await;
    assert!(becomes_true(saved("to-the-new")).await);
    world.set(&old, "__cfruid=to-the-old; path=/").await;
    tokio::task::spawn_blocking(|| old.stop()).await.unwrap();

    let both = fs::read_to_string(world.file()).unwrap();
    assert!(
        both.contains("to-the-new") && both.contains("to-the-old"),
        "the old one saved last"
    );
    let learned = || {
        let jars = new.gateway().snapshot().jars.all();
        jars.iter()
            .any(|jar| jar.list().iter().any(|cookie| cookie.name == "__cfruid"))
    };
    assert!(becomes_true(learned).await, "the new one has it too");
}
