//! What did each request take, and whose was it? One line of JSON each, in a file of its own, for whoever adds them up.

use std::io;
use std::time::{Duration, SystemTime};

use prometheus::IntCounter;
use serde::Serialize;

use super::record::{
    AccessRecord, Answer, Asked, Person, RouteLabel, Tokens, Upstreamed, as_millis, as_stamp,
};
use super::scribe::Scribe;
use super::sheet::Turning;
use crate::config::UsageLog;

/// Written to by all requests.
pub struct Ledger(Scribe);

/// What a request took, as it is charged.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Charge {
    /// The provider's name for the model, where the gateway itself has called it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Of what was written to a cache, what stays for an hour.
    #[serde(skip_serializing_if = "is_none")]
    pub cache_write_1h: u64,
    /// Nobody said it.
    #[serde(skip_serializing_if = "is_false")]
    pub estimated: bool,
    /// Where its model has a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
}

/// A line. What it has in common with the access log has the same names there.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(serialize_with = "as_stamp")]
    time: SystemTime,
    id: &'a str,
    #[serde(flatten)]
    person: Person<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(flatten)]
    charge: &'a Charge,
    route: RouteLabel,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    attempts: u32,
    status: u16,
    outcome: &'static str,
    #[serde(rename = "total_ms", serialize_with = "as_millis")]
    total: Duration,
}

impl Ledger {
    /// `None` where none is kept. `lost` counts the lines for which the file had no room.
    pub fn open(settings: &UsageLog, lost: IntCounter) -> io::Result<Option<Self>> {
        let Some(path) = &settings.file else {
            return Ok(None);
        };
        let turning = Turning {
            max_size: settings.max_size,
            keep: settings.keep,
        };
        Scribe::of_file(path, Some(turning), lost).map(|file| Some(Self(file)))
    }

    pub fn write(&self, record: &AccessRecord<'_>, charge: &Charge) {
        match serde_json::to_vec(&Entry::of(record, charge)) {
            Ok(line) => self.0.write(&line),
            Err(error) => log::error!(
                target: "memgate::log",
                "the usage of {} cannot be written: {error}",
                record.id
            ),
        }
    }

    /// The file was moved away: from now on lines go to a new one.
    pub fn reopen(&self) {
        self.0.reopen();
    }

    /// Waits until everything is written, but not long.
    pub fn flush(&self) {
        self.0.flush();
    }
}

impl<'a> Entry<'a> {
    fn of(record: &'a AccessRecord<'_>, charge: &'a Charge) -> Self {
        let (Asked { model, .. }, Answer { route, .. }) = (record.asked, record.answer);
        let Upstreamed {
            upstream, attempts, ..
        } = record.upstream;
        Self {
            time: record.time,
            id: record.id,
            person: record.person,
            model,
            charge,
            route,
            upstream,
            attempts,
            status: record.answer.status,
            outcome: record.answer.outcome,
            total: record.spent.total,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::record::tests::record;
    use super::*;

    fn ledger(path: &Path, max_size: u64) -> Ledger {
        let settings = UsageLog {
            file: Some(path.to_owned()),
            max_size,
            keep: 3,
        };
        let lost = IntCounter::new("lost", "lost").unwrap();
        Ledger::open(&settings, lost).unwrap().unwrap()
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn each_request_is_a_line_that_says_whose_it_was_and_what_it_took() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.jsonl");
        let ledger = ledger(&path, 1 << 20);
        let charge = Charge {
            served: Some("claude-opus-4-5".to_owned()),
            tokens: record().spent.tokens,
            cache_write_1h: 1,
            estimated: false,
            usd: Some(0.0075),
        };

        ledger.write(&record(), &charge);
        ledger.write(&record(), &Charge::default());
        drop(ledger);

        let common = json!({
            "time": "2023-02-28T18:56:42Z", "id": "r-1", "caller": "master", "user": "team", "model": "claude\"\n",
            "route": "direct", "upstream": "api.supermemory.ai", "attempts": 2, "status": 200, "outcome": "ok",
            "total_ms": 12.345,
        });
        let mut whole = common.clone();
        whole["served"] = json!("claude-opus-4-5");
        whole["tokens"] = json!({"input": 3, "cache_read": 20, "cache_write": 1, "output": 9});
        whole["cache_write_1h"] = json!(1);
        whole["usd"] = json!(0.0075);
        assert_eq!(lines(&path), [whole, common]);
    }

    #[test]
    fn a_full_file_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.jsonl");
        let ledger = ledger(&path, 100);

        for _ in 0..2 {
            ledger.write(&record(), &Charge::default());
            ledger.flush();
        }

        let older = folder.path().join("usage.jsonl.1");
        assert_eq!((lines(&path).len(), lines(&older).len()), (1, 1));
    }
}
