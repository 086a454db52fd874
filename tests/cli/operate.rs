//! `memgate why` and `memgate doctor`, asking a running gateway.

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Program, World, command, output};

struct Demo {
    /// Held for its drop.
    _program: Program,
    gateway: String,
    admin: String,
}

fn demo() -> Demo {
    let mut program =
        Program::start(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let gateway = program.address_after("gateway  ");
    let admin = program.address_after("status page");
    Demo {
        _program: program,
        gateway: format!("http://{gateway}"),
        admin: format!("http://{admin}"),
    }
}

/// A port that nobody serves.
fn nobody() -> String {
    let bound = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", bound.local_addr().unwrap())
}

#[test]
fn why_says_one_paragraph_or_all_that_is_known() {
    let demo = demo();

    let (code, said, _) = output(&["why", "--admin", &demo.admin]);
    let (_, json, _) = output(&["why", "--admin", &demo.admin, "--json"]);

    assert_eq!(code, Some(0));
    assert!(said.starts_with("All is well."), "{said}");
    assert_eq!(said.lines().count(), 1);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["level"], "well");
    assert_eq!(json["findings"], serde_json::json!([]));
}

#[test]
fn why_names_the_place_of_a_fault_that_a_reload_met_until_the_file_is_good_again() {
    let mut world = World::new(&[]);
    let admin = format!("http://{}", world.admin());
    let own = world.read("memgate.yaml");
    world.memgate.line_with("ready");

    world.rewrite("memgate.yaml", &format!("{own}\nretri: {{}}\n"));
    world.memgate.signal("HUP");
    world.memgate.line_with("stays as it was");
    let (code, said, _) = output(&["why", "--admin", &admin]);
    world.rewrite("memgate.yaml", &own);
    world.memgate.signal("HUP");
    world.memgate.line_with("reloaded");
    let (_, mended, _) = output(&["why", "--admin", &admin]);

    let place = format!("memgate.yaml:{}:1", own.lines().count() + 2);
    assert!(said.contains(&place), "{place} in {said}");
    assert!(said.contains("did you mean `retry`?"), "{said}");
    assert_eq!(code, Some(0), "everybody is served");
    assert!(mended.starts_with("All is well."), "{mended}");
}

#[test]
fn why_of_a_gateway_that_is_not_there_is_exit_code_1_and_says_where_it_looked() {
    let admin = nobody();

    let (code, said, fault) = output(&["why", "--admin", &admin]);

    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(
        fault.contains(&admin) && fault.contains("is the gateway running"),
        "{fault}"
    );
}

#[test]
fn the_doctor_finds_the_demo_well_and_says_what_to_paste_without_the_key() {
    let demo = demo();
    let asked = command(&[
        "doctor",
        "--url",
        &demo.gateway,
        "--model",
        "claude-sonnet-4.5",
    ])
    .env("MEMGATE_KEY", "sk-a-clients-own-key-0001")
    .stdout(Stdio::piped())
    .output()
    .unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();

    assert_eq!(asked.status.code(), Some(0), "{said}");
    assert!(said.contains("All 14 probes came through."), "{said}");
    for line in [
        "it called the tool",
        "it thought first",
        "and the next request is answered",
        "memory on",
        "body translated",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let url = format!("export ANTHROPIC_BASE_URL={}\n", demo.gateway);
    assert!(said.contains(&url), "{said}");
    assert!(!said.contains("sk-a-clients-own-key"), "{said}");
}

#[test]
fn the_doctor_chooses_a_model_by_itself() {
    let demo = demo();

    let (code, said, _) = output(&["doctor", "--url", &demo.gateway]);

    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("export ANTHROPIC_MODEL=claude-sonnet-4.5\n"),
        "{said}"
    );
}

#[test]
fn the_doctor_of_nobody_is_exit_code_1_with_a_reason_for_each_probe() {
    let (code, said, _) = output(&["doctor", "--url", &nobody(), "--model", "claude-x"]);

    assert_eq!(code, Some(1));
    assert_eq!(said.matches("refused").count(), 14, "{said}");
    assert!(said.contains("14 of 14 probes failed"), "{said}");
}
