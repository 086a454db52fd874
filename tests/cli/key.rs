//! `memgate key`: what it prints, and that no key is ever an argument.

use std::io::Write;
use std::process::Stdio;

use memgate::config::KeysFile;

use crate::program::{command, folder, output, path};

/// Exit code, standard output, standard error of `key hash` with this on its standard input.
fn hash(input: &str) -> (Option<i32>, String, String) {
    let mut child = command(&["key", "hash"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_new_key_is_printed_once_with_the_entry_that_makes_it_good() {
    let (code, said, _) = output(&[
        "key",
        "new",
        "anna",
        "--user",
        "anna",
        "--models",
        "claude-*",
        "gpt-5",
        "--requests-per-minute",
        "600",
        "--tokens-per-minute",
        "2000000",
        "--concurrent-requests",
        "20",
        "--usd-per-day",
        "12.5",
        "--expires",
        "2030-01-31",
        "--impersonate",
    ]);
    let (key, entry) = said.split_once("\n\n").unwrap();
    let keys = KeysFile::parse(format!("keys:\n{entry}").as_bytes(), "keys.yaml");
    let keys = keys.unwrap_or_else(|faults| panic!("{faults}"));

    assert_eq!(code, Some(0));
    assert!(key.starts_with("sk-mg-") && key.len() == 6 + 43, "{key}");
    assert!(!entry.contains(key));
    assert!(entry.contains(hash(key).1.trim()), "{entry}");
    let anna = &keys[0];
    assert_eq!((&*anna.name, anna.user.as_deref()), ("anna", Some("anna")));
    assert_eq!(anna.models, ["claude-*", "gpt-5"]);
    assert_eq!(anna.limits.requests_per_minute.unwrap().get(), 600);
    assert_eq!(anna.limits.tokens_per_minute.unwrap().get(), 2_000_000);
    assert_eq!(anna.limits.concurrent_requests.unwrap().get(), 20);
    assert_eq!(anna.limits.usd_per_day, Some(12.5));
    assert_eq!(anna.expires.as_deref(), Some("2030-01-31T00:00:00Z"));
    assert!(anna.impersonate && !anna.shared && !anna.disabled);
}

#[test]
fn no_two_keys_are_the_same() {
    let key = || {
        output(&["key", "new", "x"])
            .1
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };

    assert_ne!(key(), key());
}

#[test]
fn what_no_keys_file_could_hold_is_refused_before_a_key_is_made_of_it() {
    for (arguments, code, word) in [
        (&["key", "new", "two words"][..], 1, "name"),
        (&["key", "new", "master"], 1, "master"),
        (&["key", "new", "x", "--expires", "soon"], 1, "expires"),
        (
            &["key", "new", "x", "--usd-per-day", "nan"],
            1,
            "usd_per_day",
        ),
        (&["key", "new", "x", "--usd-per-day=-1"], 1, "usd_per_day"),
        (&["key", "new", "x", "--user", "a\nshared: true"], 1, "user"),
        (&["key", "new", "x", "--requests-per-minute", "0"], 2, "0"),
        (&["key", "new", "x", "--user", "u", "--shared"], 2, "shared"),
        (&["key", "new"], 2, "NAME"),
    ] {
        let (ended, said, told) = output(arguments);

        assert_eq!(ended, Some(code), "{arguments:?}: {told}");
        assert!(told.contains(word), "{arguments:?}: {told}");
        assert_eq!(said, "", "{arguments:?}");
    }
}

#[test]
fn a_key_is_read_from_standard_input_and_its_digest_printed() {
    let digest = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\n";

    for input in ["password", "password\n", "password\r\nand more\n"] {
        let (code, said, told) = hash(input);
        assert_eq!((code, said.as_str()), (Some(0), digest), "{input:?}");
        assert!(
            told.contains("guessed") && !told.contains("password"),
            "{told}"
        );
    }
    for input in ["", "\n", "pass word\n"] {
        let (code, said, _) = hash(input);
        assert_eq!((code, said.as_str()), (Some(1), ""), "{input:?}");
    }
    assert_eq!(output(&["key", "hash", "password"]).0, Some(2));
}

#[test]
fn check_reads_the_keys_file_too() {
    let own = "auth: {keys_file: keys.yaml, litellm: false}\n";
    let files = folder(&[("memgate.yaml", own), ("keys.yaml", "keys:\n- {name: x}\n")]);
    let check = || output(&["check", "--config", &path(&files, "memgate.yaml")]);

    let (wrong, said, _) = check();
    let entry = output(&["key", "new", "x"]).1;
    let entry = entry.split_once("\n\n").unwrap().1;
    std::fs::write(files.path().join("keys.yaml"), format!("keys:\n{entry}")).unwrap();
    let (right, ok, _) = check();

    assert_eq!(wrong, Some(1));
    assert!(
        said.contains("keys.yaml:2:3: a key without `sha256`"),
        "{said}"
    );
    assert_eq!(right, Some(0), "{ok}");
    assert!(ok.contains("LiteLLM does not know these keys"), "{ok}");
}
