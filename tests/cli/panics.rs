//! A panic in the program: told by its place, counted, and not quoted.

use std::panic;
use std::sync::Mutex;
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record};
use memgate::telemetry::{Metrics, tell_panics};

/// Every line that is logged in this process.
struct Ear(Mutex<Vec<String>>);

static EAR: Ear = Ear(Mutex::new(Vec::new()));

impl Log for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}", record.target(), record.args());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

#[test]
fn a_panic_is_counted_and_told_by_its_place_without_its_text() {
    log::set_logger(&EAR).unwrap();
    log::set_max_level(LevelFilter::Trace);

    tell_panics();
    let ended = std::thread::spawn(|| panic!("sk-of-somebody")).join();
    // Other tests fail in the usual words.
    drop(panic::take_hook());

    assert!(ended.is_err());
    let lines = EAR.0.lock().unwrap().clone();
    let told = lines
        .iter()
        .filter(|line| line.starts_with("memgate::panic "));
    let told: Vec<&String> = told.collect();
    assert!(told[0].contains("tests/cli/panics.rs:"), "{told:?}");
    assert!(!lines.iter().any(|line| line.contains("sk-of-somebody")));
    let metrics = Metrics::new(SystemTime::UNIX_EPOCH).unwrap();
    assert!(
        metrics
            .render()
            .unwrap()
            .contains("\nmemgate_panics_total 1\n")
    );
}
