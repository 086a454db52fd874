//! Is every wrong configuration refused, with all of its faults, each at its place and with advice?

use std::fs;
use std::path::{Path, PathBuf};

use memgate::config::{Config, Env, Sources};
use proptest::prelude::*;

use super::Files;

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

/// The texts of all files that the other tests use.
fn texts() -> Vec<String> {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let files = fs::read_dir(folder())
        .unwrap()
        .chain(fs::read_dir(conf).unwrap());
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_slip_of_the_pen_makes_loading_panic_or_a_fault_lose_its_file(
        text in prop::sample::select(texts()),
        at in any::<prop::sample::Index>(),
        removed in 0..12_usize,
        added in "[a-z0-9:{}\\[\\], \n\t&*!|\"'~#-]{0,6}",
    ) {
        let mut slipped: Vec<char> = text.chars().collect();
        let at = at.index(slipped.len());
        slipped.splice(at..(at + removed).min(slipped.len()), added.chars());
        let files = Files::litellm(&slipped.into_iter().collect::<String>());
        let mut own = files.sources();
        own.config = own.litellm_config.take();

        for sources in [files.sources(), own] {
            if let Err(faults) = Config::load(&sources) {
                prop_assert!(faults.iter().len() > 0);
                for fault in faults.iter() {
                    prop_assert!(fault.place.file.ends_with("config.yaml"), "{fault}");
                    prop_assert!(fault.message.contains([',', ';', '(']), "no advice in: {fault}");
                }
            }
        }
    }
}
