//! What has each key used, as operators see it? Names, and never a key.

use serde_json::{Value, json};

use crate::gateway::Snapshot;
use crate::limits::{AccountView, Window};

/// More than anybody reads.
const MOST: usize = 200;

/// The keys that were used since the start, the dearest of today first.
pub(super) fn keys(snapshot: &Snapshot) -> Value {
    let views = snapshot.accounts.views();
    let shown: Vec<Value> = views.iter().take(MOST).map(key).collect();
    json!({"prices": snapshot.config.prices.version, "known": views.len(), "used": shown})
}

fn key(view: &AccountView) -> Value {
    let limits = &view.limits;
    json!({
        "name": view.name,
        "under_way": view.under_way,
        "usd_today": cents(view.usd_today),
        "requests_remaining": view.standing.requests.map(remaining),
        "tokens_remaining": view.standing.tokens.map(remaining),
        "limits": {
            "requests_per_minute": limits.requests_per_minute,
            "tokens_per_minute": limits.tokens_per_minute,
            "concurrent_requests": limits.concurrent_requests,
            "usd_per_day": limits.usd_per_day,
        },
    })
}

fn remaining(window: Window) -> u64 {
    window.remaining
}

/// To a hundredth of a cent.
fn cents(usd: f64) -> f64 {
    (usd * 10_000.0).round() / 10_000.0
}
