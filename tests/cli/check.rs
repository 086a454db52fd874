//! `memgate check`: its exit codes, and what it says of names.

use crate::program::{MODELS, folder, output, path};

#[test]
fn a_usable_configuration_is_exit_code_0_with_what_litellm_will_not_see() {
    let models = MODELS.replacen("api_key:", "rpm: 60\n      api_key:", 1);
    let files = folder(&[("config.yaml", &models)]);

    let (code, said, _) = output(&["check", "--litellm-config", &path(&files, "config.yaml")]);

    assert_eq!(code, Some(0), "{said}");
    let note =
        |line: &str| line.contains("claude-sonnet-4.5") && line.contains("do not pass LiteLLM");
    assert!(said.lines().any(note), "{said}");
}

#[test]
fn faults_are_exit_code_1_with_a_line_each() {
    let files = folder(&[("memgate.yaml", "lisen: x\nretry: {attempts: many}\n")]);
    let file = path(&files, "memgate.yaml");

    let (code, said, _) = output(&["check", "--config", &file]);

    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.lines()
            .any(|line| line.starts_with(&format!("{file}:1:1: ")) && line.contains("listen")),
        "{said}"
    );
    assert!(
        said.lines()
            .any(|line| line.starts_with(&format!("{file}:2:19: "))),
        "{said}"
    );
}

#[test]
fn the_reference_of_all_keys_is_printed_without_any_file() {
    let (code, said, _) = output(&["check", "--reference"]);

    assert_eq!(code, Some(0));
    let retry = "| `retry.attempts` | a whole number from 1 to 20 | `3` |";
    assert!(said.contains(retry), "{said}");
}

#[test]
fn a_name_is_shown_as_it_resolves() {
    let files = folder(&[("config.yaml", MODELS)]);
    let config = path(&files, "config.yaml");
    let resolve = |name| output(&["check", "--litellm-config", &config, "--resolve", name]);

    let (direct, dated, unknown) = (
        resolve("claude-sonnet-4.5"),
        resolve("claude-sonnet-4.5-20250101,beta-1"),
        resolve("nobody"),
    );

    for (code, said, _) in [&direct, &dated] {
        assert_eq!(*code, Some(0), "{said}");
        assert!(
            said.contains("claude-sonnet-4-5-20250929") && said.contains("api.supermemory.ai"),
            "{said}"
        );
    }
    let asked = "translated for `claude-sonnet-4-5-20250929`: thinking: budget, efforts: [], max_tokens: 64000, sampling: true";
    assert!(direct.1.contains(asked), "{}", direct.1);
    assert!(dated.1.contains("beta-1"), "{}", dated.1);
    assert_eq!(unknown.0, Some(0));
    assert!(unknown.1.contains("LiteLLM"), "{}", unknown.1);
    assert!(
        !direct.1.contains("sk-ant-test-provider") && !direct.1.contains("sm-test-key"),
        "no secret is shown"
    );
}

#[test]
fn a_file_that_is_not_there_is_exit_code_1() {
    let (code, said, _) = output(&["check", "--config", "/nonexistent/memgate.yaml"]);

    assert_eq!(code, Some(1));
    assert!(said.contains("/nonexistent/memgate.yaml"), "{said}");
}
