//! What operators set up and order, and what is kept for them: usage, spans, slow requests, faults of their files.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use tempfile::TempDir;

use super::{ADMIN, CANARY, LISTED, World, assert_clean};
use crate::certificates::Pair;
use crate::harness::*;
use crate::spans::Collector;

/// By which users are called in what others read.
const USER_KEY: &str = "zq7canary-user-key-5513";
/// By which the collector knows us.
const COLLECTOR: &str = "Bearer zq7canary-of-the-collector";

pub(super) fn write_config(folder: &TempDir, collector: &Collector) {
    let path = folder.path().join("memgate.yaml");
    let more = format!(
        "server: {{work_stealing: true, control_socket: control.sock}}\n\
         usage_log: {{file: usage.jsonl}}\n\
         log: {{slow: {{first_byte: 1ms, whole: 1ms}}, user_key: {USER_KEY}}}\n\
         traces: {{otlp: 'http://{}', sample: 100%, headers: {{authorization: '{COLLECTOR}'}}}}\n",
        collector.address
    );
    let own = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, own + &more).unwrap();
}

/// A command's exit and all that it says, which is kept.
async fn run(world: &mut World, what: &[&str]) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memgate"));
    command.args(what).env_clear();
    let running = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = soon(running).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    world.own.push((what[0].to_owned(), said));
    output.status.code()
}

async fn ctl(world: &mut World, order: &[&str]) -> Option<i32> {
    let socket = world.program.folder.path().join("control.sock");
    let socket = socket.to_str().unwrap().to_owned();
    run(world, &[&["ctl", "--socket", &socket], order].concat()).await
}

/// A key where its name belongs, and lines that are no orders: to those the answer is its sender's own.
pub(super) async fn by_orders(world: &mut World) {
    for order in ["disable", "enable"] {
        for key in [LISTED, ADMIN, CANARY] {
            assert_eq!(ctl(world, &["key", order, key]).await, Some(1));
        }
    }
    assert_eq!(ctl(world, &["show"]).await, Some(0));
    let long = CANARY.repeat(1000);
    for line in [
        CANARY,
        &long,
        r#"{"what": "zq7canary"}"#,
        r#"{"what": {"key": {"name": "litellm:zq7\nzq7canary", "enabled": false}}}"#,
        r#"{"what": {"key": {"zq7canary": 1}}}"#,
    ] {
        let mut socket =
            UnixStream::connect(world.program.folder.path().join("control.sock")).unwrap();
        let line = line.to_owned();
        let said = tokio::task::spawn_blocking(move || {
            // What is too long is answered, and cut off, before all of it is read or even written.
            let _ = writeln!(socket, "{line}");
            let mut said = Vec::new();
            let _ = socket.read_to_end(&mut said);
            said
        });
        let said = soon(said).await.unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("\"done\":false"), "{said}");
    }
}

/// Files with one fault each, at the place of a secret: told by those who read them, and never quoted.
pub(super) async fn by_faulty_files(world: &mut World) {
    let admin = format!("why --admin http://{} --key {ADMIN}", world.admin);
    let admin: Vec<&str> = admin.split(' ').collect();
    for (name, old, new) in [
        ("memgate.yaml", ADMIN, "'sk zq7canary'"),
        ("memgate.yaml", ADMIN, "[zq7canary]"),
        ("memgate.yaml", ADMIN, "{zq7: zq7canary}"),
        ("memgate.yaml", ADMIN, "\"zq7canary"),
        ("memgate.yaml", ADMIN, "zq7canary\nadmin_key: zq7canary"),
        ("memgate.yaml", ADMIN, "zq7canary: zq7canary"),
        ("memgate.yaml", USER_KEY, "zq7canary"),
        (
            "memgate.yaml",
            "otlp: 'http://",
            "otlp: 'http://user:zq7canary@",
        ),
        (
            "memgate.yaml",
            "urls: ['http://",
            "urls: ['http://user:zq7canary@",
        ),
        ("config.yaml", "sk-ant-zq7canary-provider", "[zq7canary]"),
        (
            "config.yaml",
            "sk-ant-zq7canary-provider",
            "'sk-zq7canary x'",
        ),
        (
            "config.yaml",
            "api_base: https://",
            "api_base: https://user:zq7canary@",
        ),
        ("config.yaml", "/v3/https://", "/v3/https://user:zq7canary@"),
        ("config.yaml", MASTER, "'sk zq7canary'"),
        ("keys.yaml", "{name: listed", "{name: sk-zq7canary"),
        ("keys.yaml", "{name: listed", "{name: 'zq7canary zq7canary'"),
        ("keys.yaml", "sha256: \"", "sha256: \"zq7canary"),
        ("keys.yaml", ", user: ", ", expires: zq7canary, user: "),
    ] {
        let path = world.program.folder.path().join(name);
        let sound = std::fs::read_to_string(&path).unwrap();
        assert!(sound.contains(old), "{name}: {old}");
        std::fs::write(&path, sound.replacen(old, new, 1)).unwrap();

        assert_eq!(ctl(world, &["reload"]).await, Some(1), "{name}: {new}");
        let own = world.program.folder.path().join("memgate.yaml");
        run(world, &["check", "--config", own.to_str().unwrap()]).await;
        let request = Down::H1
            .client()
            .get(format!("http://{}/status", world.admin));
        world.ask("/status", request.bearer_auth(ADMIN)).await;
        run(world, &admin).await;
        std::fs::write(&path, sound).unwrap();
    }
    assert_eq!(ctl(world, &["reload"]).await, Some(0));
    let (cert, key) = (CANARY.to_owned(), CANARY.to_owned());
    world.files.put(&Pair { cert, key });
    world.told("the old certificate and key stay").await;
    world.files.put(&world.pair);
}

/// The usage log, and all that the collector got.
pub(super) fn assert_clean_files(folder: &TempDir, collector: &mut Collector) {
    let usage = std::fs::read_to_string(folder.path().join("usage.jsonl")).unwrap();
    assert!(usage.lines().count() > 100, "{usage}");
    assert!(usage.contains("\"user\":\"hmac:"), "{usage}");
    assert_clean([("the usage log".to_owned(), usage)]);
    let told = collector.told();
    let resources = told.iter().flat_map(|request| &request.resource_spans);
    let scopes = resources.flat_map(|resource| &resource.scope_spans);
    let count: usize = scopes.map(|scope| scope.spans.len()).sum();
    assert!(count > 100, "{count} spans");
    let texts = told.iter().map(|request| format!("{request:?}"));
    assert_clean(texts.map(|text| ("spans".to_owned(), text)));
}
