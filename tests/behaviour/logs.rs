//! What the gateways of this test process log: every line of our targets, whatever its level.

use std::sync::OnceLock;

use log::kv::{self, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::harness::PATIENCE;

/// One line, as a writer would see it.
#[derive(Clone)]
pub struct Line {
    pub target: String,
    pub text: String,
}

struct Book {
    lines: Mutex<Vec<Line>>,
    written: watch::Sender<usize>,
    /// What `RUST_LOG` asks for is shown beside.
    shown: env_logger::Logger,
}

fn book() -> &'static Book {
    static BOOK: OnceLock<Book> = OnceLock::new();
    BOOK.get_or_init(|| Book {
        lines: Mutex::default(),
        written: watch::channel(0).0,
        shown: env_logger::Builder::from_default_env()
            .is_test(true)
            .build(),
    })
}

/// Writes down from now on; the first call counts.
pub fn record() {
    if log::set_logger(book()).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}

/// Everything written so far, by all tests of this process.
pub fn lines() -> Vec<Line> {
    book().lines.lock().clone()
}

/// The access line of the request with this id, once it is written.
pub async fn access_line(id: &str) -> serde_json::Value {
    let mut written = book().written.subscribe();
    let search = async {
        loop {
            written.borrow_and_update();
            if let Some(line) = access_lines(id).into_iter().next() {
                return line;
            }
            if written.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, search).await {
        Ok(line) => line,
        Err(_) => panic!("no access line for {id} within {PATIENCE:?}"),
    }
}

/// All access lines with this id that are written by now.
pub fn access_lines(id: &str) -> Vec<serde_json::Value> {
    let lines = book().lines.lock();
    let access = lines.iter().filter(|line| line.target == "memgate::access");
    access
        .filter(|line| line.text.contains(id))
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line.text).ok())
        .filter(|line| line["id"] == id)
        .collect()
}

/// All audit lines with this id that are written by now.
pub fn audit_lines(id: &str) -> Vec<serde_json::Value> {
    let lines = book().lines.lock();
    let audit = lines.iter().filter(|line| line.target == "memgate::audit");
    audit
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line.text).ok())
        .filter(|line| line["id"] == id)
        .collect()
}

fn is_ours(target: &str) -> bool {
    target.starts_with("memgate") && !target.starts_with("memgate::sim")
}

impl Log for Book {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata.target()) || self.shown.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_ours(record.target()) {
            let mut text = record.args().to_string();
            let _ = record.key_values().visit(&mut Pairs(&mut text));
            // Access lines come several at a time.
            self.lines.lock().extend(text.lines().map(|text| Line {
                target: record.target().to_owned(),
                text: text.to_owned(),
            }));
            self.written.send_modify(|count| *count += 1);
        }
        if self.shown.matches(record) {
            self.shown.log(record);
        }
    }

    fn flush(&self) {
        self.shown.flush();
    }
}

struct Pairs<'t>(&'t mut String);

impl<'kv> VisitSource<'kv> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kv>, value: Value<'kv>) -> Result<(), kv::Error> {
        self.0.push_str(&format!(" {key}={value}"));
        Ok(())
    }
}
