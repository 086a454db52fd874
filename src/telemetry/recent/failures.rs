//! Which requests went wrong lately? The last few, each with the id under which the log has it.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::super::record::AccessRecord;

/// So many are kept.
const KEPT: usize = 50;
/// As much of a name that a client chose.
const LONGEST: usize = 64;

/// A request that was not answered well. No key and no word of a prompt.
#[derive(Clone, Debug)]
pub struct Failed {
    pub time: SystemTime,
    pub id: String,
    pub path: String,
    pub model: Option<String>,
    /// The person whose memory was meant, else the name of the key.
    pub who: Option<String>,
    pub lane: Option<String>,
    pub status: u16,
    pub outcome: &'static str,
    pub reason: Option<String>,
    pub attempts: u32,
    pub total: Duration,
}

impl Failed {
    pub(super) fn is_one(record: &AccessRecord<'_>) -> bool {
        !matches!(record.answer.outcome, "ok" | "client_left")
    }

    pub(super) fn of(record: &AccessRecord<'_>) -> Self {
        let person = &record.person;
        Self {
            time: record.time,
            id: record.id.to_owned(),
            path: short(record.asked.path),
            model: record.asked.model.map(short),
            who: person.user.or(person.caller).map(short),
            lane: record.upstream.upstream.map(str::to_owned),
            status: record.answer.status,
            outcome: record.answer.outcome,
            reason: record.answer.reason.map(str::to_owned),
            attempts: record.upstream.attempts,
            total: record.spent.total,
        }
    }
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The last failures, oldest first.
#[derive(Default)]
pub(super) struct Failures(VecDeque<Failed>);

impl Failures {
    pub fn note(&mut self, failed: Failed) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(failed);
    }

    pub fn latest(&self) -> Vec<Failed> {
        self.0.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::record::tests::record;
    use super::*;

    #[test]
    fn only_the_last_are_kept_and_the_latest_comes_first() {
        let mut failures = Failures::default();
        for number in 0..100 {
            let id = number.to_string();
            failures.note(Failed {
                id,
                ..Failed::of(&record())
            });
        }

        let latest = failures.latest();
        assert_eq!(latest.len(), KEPT);
        assert_eq!(latest[0].id, "99");
    }

    #[test]
    fn a_name_as_long_as_a_client_likes_is_cut() {
        let long = "ü".repeat(10_000);
        let mut record = record();
        record.asked.path = &long;

        let failed = Failed::of(&record);

        assert_eq!(failed.path.chars().count(), LONGEST + 1);
    }
}
