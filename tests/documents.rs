//! Do the documents speak of what there is? Links, files, configuration keys, log targets, codes of errors.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Files below a folder that end so, by their names from the root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let (mut folders, mut found) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// Every document for people, with its text.
fn documents() -> Vec<(String, String)> {
    let mut names = files("docs", ".md");
    let above = fs::read_dir(root()).unwrap();
    let above = above.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.extend(above.filter(|name| name.ends_with(".md")));
    names.push("fuzz/README.md".to_owned());
    names
        .into_iter()
        .map(|name| {
            let text = read(&name);
            (name, text)
        })
        .collect()
}

/// What the first group of a pattern matches.
fn found<'t>(pattern: &str, text: &'t str) -> BTreeSet<&'t str> {
    let pattern = Regex::new(pattern).unwrap();
    let found = pattern.captures_iter(text);
    found
        .map(|captures| captures.get(1).unwrap().as_str())
        .collect()
}

/// The anchors of a document's headings, as the usual renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let fences = Regex::new(r"(?ms)^ *```.*?^ *```$").unwrap();
    let text = fences.replace_all(text, "");
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || "-_".contains(c) => Some(c),
            _ => None,
        });
        kept.collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for (name, text) in documents() {
        for link in found(r"\]\(([^)\s]+)\)", &text) {
            if link.starts_with("http") {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => root().join(&name),
                file => root().join(&name).parent().unwrap().join(file),
            };
            assert!(target.exists(), "{name} links to {link}");
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(anchors(&text).contains(anchor), "{name} links to {link}");
            }
        }
    }
    assert!(links > 50, "{links}");
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let path = r"`((?:scripts|conf|docs|src|tests|fuzz|examples)/[\w./@-]*\w)[ `]";
    for (name, text) in documents() {
        for path in found(path, &text) {
            // Placeholders are in capitals, and these are made by a run.
            let placeholder = path
                .split(['/', '.'])
                .any(|part| part.chars().all(char::is_uppercase));
            let made = path.starts_with("fuzz/target/") || path.starts_with("fuzz/artifacts");
            assert!(
                placeholder || made || root().join(path).exists(),
                "{name} names {path}"
            );
        }
    }
}

#[test]
fn every_key_that_a_document_names_is_in_the_reference() {
    let reference = read("docs/configuration.md");
    let keys = found(r"(?m)^(?:\| \[?|- )`([a-z_0-9.]+)`", &reference);
    let sections: BTreeSet<&str> = keys
        .iter()
        .filter_map(|key| key.split('.').next())
        .collect();

    assert!(keys.len() > 100, "{}", keys.len());
    for (name, text) in documents() {
        for key in found(r"`([a-z_]+\.[a-z_0-9.]*[a-z_0-9])(?:`|: )", &text) {
            let section = key.split('.').next().unwrap();
            let file = Path::new(key).extension().is_some_and(|kind| {
                ["yaml", "md", "jsonl", "service", "sock", "log", "rs"]
                    .map(Some)
                    .contains(&kind.to_str())
            });
            assert!(
                file || !sections.contains(section) || keys.contains(key),
                "{name} names the key {key}"
            );
        }
    }
}

#[test]
fn every_log_target_is_explained_and_every_one_that_is_named_exists() {
    let sources: String = files("src", ".rs").iter().map(|name| read(name)).collect();
    let written = found(r#""(memgate::[a-z]+)""#, &sources);
    let handbook = read("docs/operations.md");
    let explained = found(r"(?m)^\| `(memgate::\w+)` \|", &handbook);

    let nameless = Regex::new(r#"log::(?:error|warn|info|debug|trace)!\(\s*""#).unwrap();
    assert!(!nameless.is_match(&sources), "a line without a target");
    assert!(written.len() > 15, "{written:?}");
    assert_eq!(written, explained);
    for (name, text) in documents() {
        let named = found(r"(memgate::[a-z]\w*)", &text);
        let unknown: Vec<_> = named.difference(&written).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?}");
    }
}

#[test]
fn every_metric_that_a_document_names_is_in_the_handbook() {
    // That one is held against the metrics themselves, where they are made.
    let handbook = read("docs/operations.md");
    let pattern = r"(memgate_[a-z][a-z_]*[a-z])";
    let known = found(pattern, &handbook);

    for (name, text) in documents() {
        let named = found(pattern, &text);
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?}");
    }
}

#[test]
fn every_code_of_an_error_is_explained() {
    let answers = read("src/gateway/rejection.rs");
    let callers = read("src/auth/refusal.rs");
    let limits = read("src/limits/refusal.rs");
    let mut given = found(r#"Answer::new\(\s*(?:\d+|[a-z.()_]+),\s*"(\w+)""#, &answers);
    given.extend(found(
        r#"Self::new\(\s*(?:\d+|[a-z.()_]+),\s*"(\w+)""#,
        &answers,
    ));
    given.extend(found(r#"Self::\w+ (?:\{ \.\. \} )?=> "(\w+)""#, &callers));
    given.extend(found(r#"Self::\w+\(_\) => "(\w+)""#, &limits));
    let text = read("docs/troubleshooting.md");
    let codes = text.split_once("## Errors by their code").unwrap().1;
    let explained = found(
        r"`([a-z]+(?:_[a-z]+)+|internal|stopping)`",
        codes.split("\n## ").next().unwrap(),
    );

    assert!(given.len() > 40, "{given:?}");
    let missing: Vec<_> = given.difference(&explained).collect();
    assert!(
        missing.is_empty(),
        "docs/troubleshooting.md does not explain {missing:?}"
    );
}
