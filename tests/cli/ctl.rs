//! `memgate ctl`: what it does to a running gateway, and what it says when it cannot.

use std::os::unix::fs::PermissionsExt;

use crate::program::{Program, World, ask, output, path, turn};

const SOCKET: &str = "server: {control_socket: control.sock}";

fn world() -> World {
    let mut world = World::with(&[], SOCKET);
    world.memgate.line_with("ready");
    world
}

fn ctl(world: &World, order: &[&str]) -> (Option<i32>, String, String) {
    let socket = path(&world.folder, "control.sock");
    output(&[&["ctl", "--socket", &socket], order].concat())
}

/// What it says, where it does so.
fn done(world: &World, order: &[&str]) -> String {
    let (code, said, failed) = ctl(world, order);
    assert_eq!(code, Some(0), "{order:?}: {said}{failed}");
    said
}

fn status(world: &World) -> String {
    let answer = ask(
        world.address,
        "/v1/messages",
        &turn("claude-sonnet-4.5", false),
    );
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_lane_is_paused_and_resumed_by_a_part_of_its_name() {
    let mut world = world();
    assert_eq!(status(&world), "200");

    let paused = done(&world, &["pause", "supermemory", "--for", "10m"]);
    let while_paused = status(&world);
    let shown = done(&world, &["show"]);
    done(&world, &["resume", "supermemory"]);
    let resumed = status(&world);
    let line = world.memgate.line_with("paused for 600s");

    assert!(paused.contains("paused for 600s"), "{paused}");
    assert_eq!(while_paused, "529");
    assert!(shown.contains("paused for"), "{shown}");
    assert_eq!(resumed, "200");
    let uid = std::fs::metadata(world.folder.path()).unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&uid);
    assert!(line.contains(&format!("uid {uid}, pid")), "{line}");
}

#[test]
fn a_key_is_refused_and_taken_again() {
    let world = world();

    let told = done(&world, &["key", "disable", "master"]);
    let disabled = status(&world);
    done(&world, &["key", "enable", "master"]);
    let enabled = status(&world);

    assert_eq!((disabled.as_str(), enabled.as_str()), ("401", "200"));
    assert!(told.contains("LiteLLM judges it"), "{told}");
}

#[test]
fn a_key_in_the_place_of_its_name_or_a_line_break_in_it_is_not_logged() {
    let mut world = world();

    for name in [
        "sk-of-somebody-0001",
        "litellm:x\n[uid 0, pid 1: key master off]",
        "",
    ] {
        for order in ["disable", "enable"] {
            let (code, said, _) = ctl(&world, &["key", order, name]);
            assert_eq!(code, Some(1), "{order} {name:?}: {said}");
            assert!(
                said.contains("no key is called so"),
                "{order} {name:?}: {said}"
            );
        }
    }
    done(&world, &["drain"]);
    world.memgate.end();

    let heard = &world.memgate.heard;
    let refused = heard.iter().filter(|line| line.contains("refused: no key"));
    assert_eq!(refused.count(), 6, "{heard:#?}");
    let told = |line: &&String| line.contains("sk-of-somebody") || line.starts_with("[uid 0");
    assert_eq!(heard.iter().find(told), None);
}

#[test]
fn a_key_that_litellm_alone_judges_cannot_be_refused_here_and_it_is_said_where_it_can() {
    let world = world();

    let (code, said, _) = ctl(&world, &["key", "disable", "litellm:ann"]);
    let shown = done(&world, &["show"]);

    assert_eq!(code, Some(1));
    assert!(said.contains("block it in LiteLLM"), "{said}");
    assert!(!shown.contains("ann"), "{shown}");
}

#[test]
fn what_was_said_to_last_for_a_time_ends_with_it() {
    let mut world = world();

    done(&world, &["--for", "1500ms", "key", "disable", "master"]);
    let disabled = status(&world);
    world.memgate.line_with("key master: its time is over");
    let after = status(&world);

    assert_eq!((disabled.as_str(), after.as_str()), ("401", "200"));
}

#[test]
fn a_limit_holds_over_a_reload_until_it_is_taken_back() {
    let world = world();
    let limit = |most: &str| {
        let shown = done(&world, &["show"]);
        assert!(shown.contains(&format!("in flight of {most},")), "{shown}");
    };

    done(&world, &["limit", "supermemory", "7"]);
    limit("7");
    done(&world, &["reload"]);
    limit("7");
    done(&world, &["limit", "supermemory", "auto"]);
    limit("512");
}

#[test]
fn what_cannot_be_done_is_said_and_is_exit_code_1() {
    let world = world();
    let own = world.read("memgate.yaml");
    world.rewrite("memgate.yaml", &format!("{own}\nretri: {{}}\n"));

    for (order, why) in [
        (
            &["pause", "nowhere"][..],
            "is not one lane, these are: api.supermemory.ai",
        ),
        (&["limit", "supermemory", "0"], "`pause` it instead"),
        (&["memory", "off"], "`direct.bypass: provider` opens it"),
        (&["reload"], "did you mean `retry`?"),
    ] {
        let (code, said, _) = ctl(&world, order);
        assert_eq!(code, Some(1), "{order:?}");
        assert!(said.contains(why), "{order:?}: {said}");
    }
    let (code, _, failed) = output(&["ctl", "--socket", "/nowhere", "show"]);
    assert_eq!(code, Some(1));
    assert!(failed.contains("/nowhere"), "{failed}");
}

#[test]
fn drain_stops_as_term_does_and_the_socket_goes_with_the_process() {
    let mut world = world();
    let socket = world.folder.path().join("control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();

    done(&world, &["drain"]);
    let (status, _) = world.memgate.end();

    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(status.code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_socket_that_is_taken_is_left_alone_and_one_that_was_left_behind_is_not() {
    let mut first = world();
    let own = path(&first.folder, "memgate.yaml");
    let anywhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let run = [&["run", "--config", &own], &anywhere[..]].concat();

    let (code, _, why) = output(&run);
    first.memgate.signal("KILL");
    first.memgate.end();
    let mut second = Program::start(&run);
    second.line_with("ready");

    assert_eq!(code, Some(1));
    assert!(why.contains("server.control_socket"), "{why}");
    assert!(done(&first, &["show"]).contains("in flight"));
}
