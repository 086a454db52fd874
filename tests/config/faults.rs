//! Is every wrong configuration refused, with all of its faults, each at its place and with advice?

use std::fs;
use std::path::{Path, PathBuf};

use memgate::config::{Config, Env, Sources};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config-faults")
}

/// Loads one fixture: `own-…` as our own file, `litellm-…` as LiteLLM's.
fn faults(name: &str) -> String {
    let file = folder().join(name);
    let mut sources = Sources::new(Env::from_pairs([
        ("KEY", "sk-0123456789abcdef"),
        ("NOT_A_SIZE", "large"),
    ]));
    if name.starts_with("own-") {
        sources.config = Some(file);
    } else {
        sources.litellm_config = Some(file);
    }
    let told = match Config::load(&sources) {
        Ok(_) => "no fault".to_owned(),
        Err(faults) => faults.to_string(),
    };
    told.replace(&format!("{}/", folder().display()), "")
}

#[test]
fn every_wrong_file_is_refused_in_the_words_beside_it() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();

    let mut differences = Vec::new();
    for name in &names {
        let expected = folder().join(name.replace(".yaml", ".expected"));
        let told = faults(name);
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if told.trim() != expected.trim() {
            differences.push(format!("{name}\nexpected:\n{expected}\ntold:\n{told}\n"));
        }
    }

    assert!(names.len() >= 25, "only {} files", names.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
