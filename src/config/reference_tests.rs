//! Does the reference know every key, and is it what the readers say?

use std::fs;

use super::super::units;
use super::super::yaml::{Node, Value};
use super::*;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn every_key_says_what_it_takes_and_what_it_is_without_being_set() {
    let mut keys = 0;
    for reference in files() {
        for sheet in &reference.0 {
            for (key, does) in sheet.keys {
                let path = sheet.path(key);
                let said = sheet.takes.contains_key(*key) && sheet.unset.contains_key(*key);
                assert!(
                    said || reference.has(&path),
                    "nobody tells the reference of `{path}`: does a reader read it where the probe is read?"
                );
                assert!(does.ends_with(['.', ')']), "{path}: {does}");
                keys += 1;
            }
        }
    }
    assert!(keys > 100, "{keys}");
}

#[test]
fn the_committed_reference_is_what_the_readers_say() {
    assert!(
        file("docs/configuration.md") == reference(),
        "the keys have changed: cargo run -- check --reference > docs/configuration.md"
    );
}

#[test]
fn the_example_says_every_key_with_its_default() {
    let text = file("conf/memgate.yaml");
    let document = parse(text.as_bytes(), &"".into());
    let root = document.map_err(|_faults| "it is no YAML").unwrap().root;
    let [own, _] = files();

    let mut compared = 0;
    for sheet in &own.0 {
        for (key, _) in sheet.keys {
            let path = sheet.path(key);
            let Some(written) = at(&root, &path) else {
                assert!(
                    text.contains(&format!("{key}:")),
                    "{path} is not even in a comment"
                );
                continue;
            };
            let unset = sheet.unset.get(*key).map(|unset| plain(unset));
            // LiteLLM's file beside it, so that the example can be started.
            if let (Some(unset), true) = (unset, path != "litellm.config") {
                let written = shown(written);
                let time = |text: &str| units::duration(text);
                let same =
                    written == unset || time(&written).is_some_and(|it| Some(it) == time(&unset));
                assert!(same, "{path} is {written} there, and {unset} by default");
                compared += 1;
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

fn at<'n>(root: &'n Node, path: &str) -> Option<&'n Node> {
    path.split('.').try_fold(root, |node, key| node.get(key))
}

fn plain(unset: &str) -> String {
    match unset {
        "none" => "null".to_owned(),
        other => other.replace(['`', '"'], ""),
    }
}

fn shown(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Str(text) => text.clone(),
        Value::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Seq(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        _ => "something else".to_owned(),
    }
}
