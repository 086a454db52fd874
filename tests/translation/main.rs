//! Translation as golden folders: `tests/fixtures/translation/<case>/` holds what goes in and what comes out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod requests;

use std::fs;
use std::path::{Path, PathBuf};

/// The folders that hold `file`.
fn cases_with(file: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/translation");
    let folders = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = folders
        .filter(|folder| folder.join(file).exists())
        .collect();
    cases.sort();
    cases
}
