//! `memgate run` and `memgate sim`: what they need, what overrides what, and how they refuse to start.

use std::net::TcpListener;

use crate::program::{MODELS, Program, World, ask, command, folder, output, path, turn};

#[test]
fn nothing_stays_in_the_temporary_folder_of_one_that_was_killed() {
    let temporary = folder(&[]);
    let place = temporary.path().to_str().unwrap();
    let mut world = World::in_environment(&[], "", &[("TMPDIR", place)]);
    let answer = ask(
        world.address,
        "/v1/messages",
        &turn("claude-sonnet-4.5", false),
    );

    world.memgate.signal("KILL");
    world.memgate.end();

    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "the edge's authority is believed: {answer}"
    );
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_listener_with_tls_has_to_answer_too_before_it_is_ready() {
    let signed = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    let own = "listen: [{address: '127.0.0.1:0', tls: {cert: cert.pem, key: key.pem}}, '127.0.0.1:0']\negress: {listen: '127.0.0.1:0'}\nadmin: 127.0.0.1:0\n";
    let files = folder(&[
        ("cert.pem", &signed.cert.pem()),
        ("key.pem", &signed.signing_key.serialize_pem()),
        ("memgate.yaml", own),
    ]);
    let mut memgate = Program::start(&["run", "--config", &path(&files, "memgate.yaml")]);

    memgate.line_with("] ready");

    // A request's line comes after its answer.
    let asked = |heard: &[String], path: &str| {
        let path = format!(r#""path":"{path}""#);
        heard.iter().filter(|line| line.contains(&path)).count()
    };
    while asked(&memgate.heard, "/health") < 2 || asked(&memgate.heard, "*") < 1 {
        memgate.line_with(r#""path""#);
    }
}

#[test]
fn run_needs_nothing_but_litellms_file_and_url() {
    let mut sim = Program::start(&["sim", "--listen", "127.0.0.1:0", "--litellm", "127.0.0.1:0"]);
    let litellm = format!("http://{}", sim.address_after("litellm "));
    let files = folder(&[("config.yaml", MODELS)]);
    let config = path(&files, "config.yaml");

    // Ports apart: the usual ones may be somebody's.
    let anywhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let old_habit = [
        "run",
        "--litellm-config",
        &config,
        "--litellm-url",
        &litellm,
    ];
    let mut memgate = Program::start(&[&old_habit[..], &anywhere].concat());
    let address = memgate.address_after("serving on");
    let answer = ask(address, "/v1/chat/completions", &turn("gpt-test", false));

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("x-memgate-route: litellm"), "{answer}");
}

#[test]
fn run_and_sim_are_gateway_and_edge() {
    let world = World::new(&["--cookie-gate"]);

    let first = ask(
        world.address,
        "/v1/messages",
        &turn("claude-sonnet-4.5", false),
    );
    let second = ask(
        world.address,
        "/v1/messages",
        &turn("claude-sonnet-4.5", true),
    );
    let stats = ask(world.control, "/__stats", "");

    assert!(
        first.starts_with("HTTP/1.1 200") && first.contains("x-memgate-attempts: 2"),
        "{first}"
    );
    assert!(
        second.contains("x-memgate-attempts: 1") && second.contains("message_stop"),
        "{second}"
    );
    assert!(stats.contains("\"posts\":3"), "{stats}");
}

#[test]
fn core_dumps_have_the_limit_at_which_the_kernel_makes_none() {
    let world = World::new(&[]);

    let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.memgate.id())).unwrap();

    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = cores.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["1", "1"], "nor can anybody raise it again");
}

#[test]
fn flags_override_the_file() {
    let mut sim = Program::start(&["sim", "--listen", "127.0.0.1:0", "--litellm", "127.0.0.1:0"]);
    let litellm = format!("http://{}", sim.address_after("litellm "));
    // TEST-NET addresses: nothing of this file can be bound or reached.
    let own = "listen: ['192.0.2.1:1']\nadmin: 192.0.2.1:2\nlitellm: {config: other.yaml, urls: ['http://192.0.2.1:3']}\n";
    let files = folder(&[
        ("memgate.yaml", own),
        ("config.yaml", MODELS),
        ("other.yaml", "model_list: []\n"),
    ]);
    let (own, models) = (path(&files, "memgate.yaml"), path(&files, "config.yaml"));
    let flags = [
        "--litellm-config",
        &models,
        "--litellm-url",
        &litellm,
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];

    let mut memgate = Program::start(&[&["run", "--config", &own][..], &flags].concat());
    let first = memgate.address_after("serving on");
    let second = memgate.address_after("serving on");
    let admin = memgate.address_after("admin port on");

    assert_ne!(first, second);
    for address in [first, second] {
        let chat = ask(address, "/v1/chat/completions", &turn("gpt-test", false));
        assert!(chat.starts_with("HTTP/1.1 200"), "{chat}");
        // Nobody would know of the direct model by the other file.
        let embedding = ask(address, "/v1/embeddings", &turn("claude-sonnet-4.5", false));
        assert!(embedding.starts_with("HTTP/1.1 400"), "{embedding}");
    }
    assert!(ask(admin, "/healthz", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_wrong_configuration_is_told_line_by_line_and_nothing_listens() {
    let own = "listen: ['127.0.0.1:0']\nlisten_on: x\nlimits: {body: 3 horses}\n";
    let files = folder(&[("memgate.yaml", own)]);
    let file = path(&files, "memgate.yaml");

    let (code, _, said) = output(&["run", "--config", &file]);

    assert_eq!(code, Some(1), "{said}");
    for place in [format!("{file}:2:1: "), format!("{file}:3:16: ")] {
        assert!(
            said.lines().any(|line| line.starts_with(&place)),
            "{place}\n{said}"
        );
    }
    assert!(!said.contains("serving on"), "{said}");
}

#[test]
fn whatever_is_logged_a_refusal_to_start_is_said() {
    let files = folder(&[("memgate.yaml", "listen_on: x\n")]);

    let refused = command(&["run", "--config", &path(&files, "memgate.yaml")])
        .env("RUST_LOG", "off")
        .output()
        .unwrap();

    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("memgate.yaml:1:1: "));
}

#[test]
fn a_port_in_use_is_named_and_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    for flag in ["--listen", "--admin"] {
        let other = if flag == "--listen" {
            "--admin"
        } else {
            "--listen"
        };
        let (code, _, said) = output(&["run", flag, &address, other, "127.0.0.1:0"]);

        assert_eq!(code, Some(1), "{flag} {said}");
        assert!(
            said.contains(&format!("cannot listen on {address}")),
            "{flag} {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_help_is_0() {
    for wrong in [
        &[][..],
        &["serve"],
        &["run", "--port", "1"],
        &["check", "--resolve"],
        &["sim", "--alpn", "h3"],
    ] {
        assert_eq!(output(wrong).0, Some(2), "{wrong:?}");
    }
    for right in ["--help", "--version"] {
        assert_eq!(output(&[right]).0, Some(0), "{right}");
    }
}

#[test]
fn a_direct_model_on_another_path_is_warned_of_once() {
    let mut world = World::new(&[]);

    for _ in 0..3 {
        let answer = ask(
            world.address,
            "/engines/claude-sonnet-4.5/completions",
            "{}",
        );
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    world.memgate.signal("TERM");
    world.memgate.end();

    let warnings = world
        .memgate
        .heard
        .iter()
        .filter(|line| line.contains("WARN") && line.contains("claude-sonnet-4.5"));
    assert_eq!(warnings.count(), 1, "{:#?}", world.memgate.heard);
}
