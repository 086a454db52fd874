//! What was counted since the start, as people read it? The same numbers as `/metrics`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::telemetry::{Counted, Series};

/// More rows than anybody reads.
const MOST: usize = 100;
const KINDS: [&str; 4] = ["input", "cache_read", "cache_write", "output"];

pub(super) fn edge_errors(counted: &Counted) -> Value {
    let rows = counted.of("edge_errors_total").map(|series| {
        (
            series.count(),
            json!({"zone": series.label("zone"), "code": series.label("code"), "count": series.count()}),
        )
    });
    most(rows.collect())
}

/// Attempts made again, by why, and those that the budget held back.
pub(super) fn retries(counted: &Counted) -> Value {
    json!({
        "by_reason": by_label(counted, "retries_total", "reason"),
        "budget_exhausted": counted.total("retry_budget_exhausted_total"),
        "possible_duplicates": counted.total("possible_duplicates_total"),
    })
}

/// By upstream: its connections, and what came of the attempts.
pub(super) fn upstreams(counted: &Counted) -> Value {
    let mut rows: BTreeMap<&str, (u64, u64, BTreeMap<&str, u64>)> = BTreeMap::new();
    for series in counted.of("upstream_connections_total") {
        let row = rows.entry(series.label("upstream")).or_default();
        let count = match series.label("reused") {
            "true" => &mut row.1,
            _ => &mut row.0,
        };
        *count += series.count();
    }
    for series in counted.of("upstream_attempts_total") {
        let row = rows.entry(series.label("upstream")).or_default();
        *row.2.entry(series.label("outcome")).or_default() += series.count();
    }
    let used = |(fresh, reused, outcomes): &(u64, u64, BTreeMap<_, u64>)| {
        fresh + reused + outcomes.values().sum::<u64>() > 0
    };
    let rows = rows.into_iter().filter(|(_, row)| used(row));
    rows.map(|(upstream, (fresh, reused, outcomes))| {
        let outcomes: BTreeMap<_, _> = outcomes
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        json!({
            "upstream": upstream,
            "connections": {"opened": fresh, "reused": reused},
            "attempts": outcomes,
        })
    })
    .collect()
}

/// Tokens since the start, by person and by model.
pub(super) fn tokens(counted: &Counted) -> Value {
    json!({
        "users": tokens_by(counted, "user"),
        "models": tokens_by(counted, "model"),
    })
}

pub(super) fn clients(counted: &Counted) -> Value {
    json!({
        "connections": counted.total("connections"),
        "left_early": counted.total("client_disconnects_total"),
        "broken_streams": by_label(counted, "stream_errors_total", "kind"),
        "closed": by_label(counted, "connections_closed_total", "reason"),
        "limited": by_label(counted, "limited_total", "limit"),
    })
}

/// What became of memory in the answers.
pub(super) fn memory(counted: &Counted) -> Value {
    by_label(counted, "memory_total", "state")
}

fn tokens_by(counted: &Counted, label: &str) -> Value {
    let mut rows: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for series in counted.of("tokens_total") {
        let row = rows.entry(series.label(label)).or_default();
        let kind = KINDS.iter().position(|kind| *kind == series.label("kind"));
        if let Some(count) = kind.and_then(|kind| row.get_mut(kind)) {
            *count += series.count();
        }
    }
    let rows = rows.into_iter().map(|(name, kinds)| {
        let [input, cache_read, cache_write, output] = kinds;
        let row = json!({
            "name": name,
            "input": input,
            "cache_read": cache_read,
            "cache_write": cache_write,
            "output": output,
        });
        (kinds.iter().sum(), row)
    });
    most(rows.collect())
}

/// As an object, without what was never counted.
fn by_label(counted: &Counted, name: &str, label: &str) -> Value {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for series in counted
        .of(name)
        .filter(|series: &Series<'_>| series.count() > 0)
    {
        *sums.entry(series.label(label)).or_default() += series.count();
    }
    json!(sums)
}

/// The largest first.
fn most(mut rows: Vec<(u64, Value)>) -> Value {
    rows.retain(|(count, _)| *count > 0);
    rows.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let rows = rows.into_iter().take(MOST);
    rows.map(|(_, row)| row).collect()
}
