//! Is what passes between the dialects what the golden files say?
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "translation/answers.rs"]
mod answers;
#[path = "translation/requests.rs"]
mod requests;
#[path = "translation/turns.rs"]
mod turns;

use std::fs;
use std::path::{Path, PathBuf};

/// The folders that have this file.
fn cases(file: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/translation");
    let mut found: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|case| case.unwrap().path())
        .filter(|case| case.join(file).exists())
        .collect();
    found.sort();
    found
}
