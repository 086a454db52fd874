//! Do we read a YAML file as PyYAML reads it, which is how LiteLLM reads its own?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use memgate::config::yaml_as_json;
use serde_json::Value;

/// Prints `{file name: tree}` in JSON, with `null` in an object for files that PyYAML refuses.
const DUMP: &str = r#"
import datetime, json, math, os, sys, yaml

def tree(value):
    if isinstance(value, dict):
        return {key(k): tree(v) for k, v in value.items()}
    if isinstance(value, set):
        return {key(k): None for k in value}
    if isinstance(value, tuple):
        return {key(value[0]): tree(value[1])}
    if isinstance(value, list):
        return [tree(v) for v in value]
    if isinstance(value, bytes):
        return {"!binary": list(value)}
    if isinstance(value, (datetime.date, datetime.datetime)):
        return {"!time": True}
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if -2**63 <= value < 2**63 else {"!int": str(value)}
    if math.isnan(value):
        return {"!float": "NaN"}
    if math.isinf(value):
        return {"!float": "inf" if value > 0 else "-inf"}
    return value

def key(k):
    return k if isinstance(k, str) else "!" + json.dumps(tree(k), separators=(",", ":"))

trees = {}
for name in sorted(os.listdir(sys.argv[1])):
    try:
        with open(os.path.join(sys.argv[1], name), "r", encoding="utf-8") as file:
            trees[name] = {"tree": tree(yaml.safe_load(file))}
    except (yaml.YAMLError, ValueError):
        trees[name] = None
print(json.dumps(trees))
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python named by `MEMGATE_PYTHON`, else the one that `scripts/setup` makes.
fn python() -> PathBuf {
    let python = std::env::var_os("MEMGATE_PYTHON")
        .map_or_else(|| root().join(".cache/venv/bin/python"), PathBuf::from);
    let has_yaml = Command::new(&python).args(["-c", "import yaml"]).output();
    assert!(
        has_yaml.is_ok_and(|output| output.status.success()),
        "{} has no PyYAML to compare with: run scripts/setup, or set MEMGATE_PYTHON",
        python.display()
    );
    python
}

#[test]
fn every_fixture_reads_as_pyyaml_reads_it() {
    let folder = root().join("tests/fixtures/yaml");
    let output = Command::new(python())
        .args(["-c", DUMP])
        .arg(&folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let theirs: BTreeMap<String, Option<Value>> = serde_json::from_slice(&output.stdout).unwrap();

    let mut differences = Vec::new();
    for (name, theirs) in &theirs {
        let text = std::fs::read(folder.join(name)).unwrap();
        let ours = yaml_as_json(&text, name);
        match (&ours, theirs) {
            (Ok(ours), Some(theirs)) if *ours == theirs["tree"] => {}
            (Err(_), None) => {}
            _ => differences.push(format!("{name}:\n  ours   {ours:?}\n  theirs {theirs:?}")),
        }
    }

    assert!(theirs.len() >= 40, "only {} files", theirs.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
