//! How did the last hour go? For the page's plots and its list of failures.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::clock::stamp;
use crate::telemetry::{Failed, LaneSample, Point, Recent, Spread, Step, Timeline};

/// Points of a plot.
const POINTS: usize = 60;
/// Steps of five seconds in a minute.
const MINUTE: u64 = 12;

/// Two timelines: the last five minutes, and the last hour.
pub(super) fn history(recent: &Recent, now: SystemTime) -> Value {
    let shown = |step| timeline(&recent.timeline(step, POINTS, now));
    json!({"five_minutes": shown(Step::FiveSeconds), "hour": shown(Step::Minute)})
}

pub(super) fn last_minute(recent: &Recent, now: SystemTime) -> Value {
    let point = recent.sum(MINUTE, now);
    json!({
        "requests": point.requests(),
        "answered": point.answered,
        "led_round": point.led_round,
        "refused": point.refused,
        "failed": point.failed,
        "first_byte_ms": percentiles(&point.first_byte),
        "whole_ms": percentiles(&point.whole),
        "tokens": point.tokens,
    })
}

pub(super) fn failed(failed: &Failed) -> Value {
    json!({
        "time": stamp(failed.time),
        "request_id": failed.id,
        "path": failed.path,
        "model": failed.model,
        "who": failed.who,
        "lane": failed.lane,
        "status": failed.status,
        "outcome": failed.outcome,
        "reason": failed.reason,
        "attempts": failed.attempts,
        "total_ms": rounded(failed.total.as_secs_f64() * 1000.0),
    })
}

fn percentiles(spread: &Spread) -> Value {
    let of = |share| spread.percentile(share).map(rounded);
    json!({"p50": of(0.5), "p90": of(0.9), "p99": of(0.99)})
}

fn timeline(line: &Timeline) -> Value {
    let column = |of: fn(&Point) -> u64| line.points.iter().map(of).collect::<Vec<_>>();
    let times = |of: fn(&Point) -> &Spread, share| -> Vec<Option<f64>> {
        let spreads = line.points.iter().map(of);
        spreads
            .map(|spread| spread.percentile(share).map(rounded))
            .collect()
    };
    let spread = |of: fn(&Point) -> &Spread| json!({"p50": times(of, 0.5), "p90": times(of, 0.9), "p99": times(of, 0.99)});
    let lanes: Map<String, Value> = line
        .lanes
        .iter()
        .map(|(name, samples)| (name.clone(), lane(samples)))
        .collect();
    json!({
        "step_seconds": line.step.seconds(),
        "until": line.until,
        "answered": column(|point| point.answered - point.led_round),
        "led_round": column(|point| point.led_round),
        "refused": column(|point| point.refused),
        "failed": column(|point| point.failed),
        "first_byte_ms": spread(|point| &point.first_byte),
        "whole_ms": spread(|point| &point.whole),
        "tokens_in": column(|point| {
            let tokens = &point.tokens;
            tokens.input + tokens.cache_read + tokens.cache_write
        }),
        "tokens_out": column(|point| point.tokens.output),
        "lanes": lanes,
    })
}

fn lane(samples: &[Option<LaneSample>]) -> Value {
    let column = |of: fn(&LaneSample) -> usize| -> Vec<Option<usize>> {
        samples
            .iter()
            .map(|sample| sample.as_ref().map(of))
            .collect()
    };
    json!({
        "in_flight": column(|sample| sample.in_flight),
        "limit": column(|sample| sample.limit),
        "queued": column(|sample| sample.queued),
        "paused": column(|sample| usize::from(sample.paused)),
    })
}

/// To three digits, more of which nobody reads.
fn rounded(millis: f64) -> f64 {
    let unit = match millis {
        100.0.. => 1.0,
        10.0.. => 10.0,
        _ => 100.0,
    };
    (millis * unit).round() / unit
}
