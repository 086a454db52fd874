//! `memgate demo`: each line that it prints works when pasted.

use std::path::Path;
use std::process::Command;

use crate::program::Program;

#[test]
fn every_line_the_demo_prints_works_when_pasted() {
    let mut demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    demo.line_with("claude -p");
    let lines: Vec<String> = demo
        .heard
        .iter()
        .filter(|line| {
            line.starts_with("curl ") || line.contains(" why --") || line.contains(" doctor --")
        })
        .cloned()
        .collect();

    let pasted: Vec<(String, String)> = lines
        .iter()
        .map(|line| {
            let bounded = line.replacen("curl ", "curl --max-time 60 --noproxy '*' ", 1);
            let ran = Command::new("bash")
                .args(["-c", &bounded])
                .output()
                .unwrap();
            assert!(
                ran.status.success(),
                "{line}: {}",
                String::from_utf8_lossy(&ran.stderr)
            );
            (line.clone(), String::from_utf8(ran.stdout).unwrap())
        })
        .collect();

    assert!(lines.len() >= 11, "{lines:#?}");
    for (line, said) in &pasted {
        assert!(
            !said.is_empty() && (!line.contains(" -i ") || said.starts_with("HTTP/1.1 200")),
            "{line}: {said}"
        );
    }
    assert!(
        pasted[0].1.contains("x-memgate-attempts: 2"),
        "the first call meets the edge's gate: {}",
        pasted[0].1
    );
    assert!(
        pasted[1].1.contains("event: message_stop"),
        "{}",
        pasted[1].1
    );
}

#[test]
fn a_demo_that_is_told_to_end_takes_its_files_with_it() {
    for signal in ["TERM", "INT"] {
        let mut demo =
            Program::start(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        let line = demo.line_with("configuration  ");
        let folder = line.split_whitespace().last().unwrap();
        assert!(Path::new(folder).join("memgate.yaml").exists());

        demo.signal(signal);
        let (status, _) = demo.end();

        assert_eq!(status.code(), Some(0));
        assert!(!Path::new(folder).exists(), "{signal}: {folder}");
    }
}

#[test]
fn two_demos_run_side_by_side() {
    let mut first = Program::start(&["demo"]);
    let one = first.address_after("gateway  ");

    let mut second = Program::start(&["demo"]);
    let other = second.address_after("gateway  ");

    assert_ne!(one, other, "the second finds ports of its own");
}
