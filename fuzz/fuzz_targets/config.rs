//! Is there a file that breaks loading, that is read otherwise the second time, or whose findings give a secret away?
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use memgate::config::{Config, Env, Finding, Sources, yaml_as_json};
use memgate::routing::RouteTable;
use tempfile::TempDir;

const SECRET: &str = "sk-canary-51c7b7f2e9a04d66";
const VARIABLES: [(&str, &str); 4] = [
    ("KEY", SECRET),
    ("LITELLM_MASTER_KEY", SECRET),
    ("NUMBER", "7"),
    (
        "URL",
        "https://api.supermemory.ai/v3/https://api.anthropic.com",
    ),
];

/// Everything that was said of it, and whether it can be used.
fn told(sources: &Sources) -> (bool, Vec<Finding>) {
    match Config::load(sources) {
        Ok(loaded) => {
            assert_names_lead_somewhere(&loaded.config);
            (true, loaded.warnings)
        }
        Err(faults) => {
            assert!(faults.iter().len() > 0);
            let all = faults.iter().chain(faults.warnings());
            (false, all.cloned().collect())
        }
    }
}

fn assert_names_lead_somewhere(config: &Config) {
    let table = RouteTable::new(&config.models);
    for model in table.models() {
        let route = table.resolve(&model.name, 0.5);
        assert!(model.direct || route.direct().is_none(), "{}", model.name);
    }
    for direct in table.direct() {
        assert!(direct.target.base.origin.tls, "keys go over TLS only");
    }
}

fn assert_loads(sources: &Sources, texts: &[&[u8]]) {
    let said = told(sources);

    assert_eq!(told(sources), said);
    let breaks = |text: &&[u8]| {
        text.iter()
            .filter(|byte| b"\n\r\x85\xa8\xa9".contains(byte))
            .count()
    };
    let lines = texts.iter().map(breaks).max().unwrap_or_default() + 2;
    for finding in said.1 {
        let line = finding.to_string();
        assert!(
            (1..=lines).contains(&(finding.place.line as usize)),
            "{line}"
        );
        assert!(
            finding.place.column >= 1 && !finding.message.is_empty(),
            "{line}"
        );
        assert!(!line.contains(char::is_control), "{line:?} is no one line");
        // The names of LiteLLM's models are no secrets: every caller may list them.
        let litellms = finding.place.file.ends_with("config.yaml");
        assert!(litellms || !line.contains(SECRET), "{line}");
    }
}

fn assert_line_ends_do_not_matter(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    if let (Ok(tree), false) = (yaml_as_json(text.as_bytes(), "f"), text.contains('\r')) {
        let other = text.replace('\n', "\r\n");
        assert_eq!(yaml_as_json(other.as_bytes(), "f"), Ok(tree));
    }
}

fuzz_target!(init: memgate_fuzz::let_the_yaml_parser_panic(), |data: &[u8]| {
    thread_local!(static FOLDER: TempDir = tempfile::tempdir().expect("a folder"));
    let path = |name: &str| FOLDER.with(|folder| folder.path().join(name));
    let write = |name: &str, text: &[u8]| fs::write(path(name), text).expect("it can be written");
    let blank = Sources::new(Env::from_pairs(VARIABLES));

    let mut texts = data.splitn(2, |byte| *byte == 0);
    let (own, litellms) = (texts.next().unwrap_or_default(), texts.next());
    write("memgate.yaml", own);
    write("config.yaml", litellms.unwrap_or(own));
    let mut sources = Sources {
        config: Some(path("memgate.yaml")),
        ..blank.clone()
    };
    if litellms.is_none() {
        assert_loads(&sources, &[own]);
        sources.config = None;
    }
    sources.litellm_config = Some(path("config.yaml"));
    assert_loads(&sources, &[own, litellms.unwrap_or(own)]);
    assert_line_ends_do_not_matter(own);
});
