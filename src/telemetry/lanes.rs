//! How does a lane fare: its limit, its queue, its pauses, and what goes round it?

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{
    Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

use super::metrics::{counter, counters};
use super::upstreams::gauges;

pub(super) struct Lanes {
    limit: IntGaugeVec,
    queue_depth: IntGaugeVec,
    pause_remaining: GaugeVec,
    budget_exhausted: IntCounter,
    pauses: IntCounterVec,
    bypassed: IntCounterVec,
}

/// The handles of one lane; its name comes from the configuration.
pub struct LaneMetrics {
    lane: String,
    limit: IntGauge,
    queue_depth: IntGauge,
    pause_remaining: Gauge,
    budget_exhausted: IntCounter,
    /// How much of the lane's own count is in the counter, which all lanes share.
    exhausted_seen: AtomicU64,
    pauses: IntCounterVec,
    /// Likewise, by cause: a lane that is built anew begins again at none.
    pauses_seen: Mutex<BTreeMap<&'static str, u64>>,
    bypassed: IntCounterVec,
}

/// How a lane stands, read when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneGauges {
    pub limit: usize,
    pub queued: usize,
    pub pause_remaining: Duration,
    /// Retries that met a spent budget since the start.
    pub retries_exhausted: u64,
}

impl Lanes {
    pub fn new(registry: &Registry) -> Result<Self> {
        let pause_remaining = Opts::new(
            "pause_remaining_seconds",
            "How long a lane still pauses; 0 where it does not.",
        );
        let pause_remaining = GaugeVec::new(pause_remaining, &["lane"])?;
        registry.register(Box::new(pause_remaining.clone()))?;
        Ok(Self {
            limit: gauges(
                registry,
                "concurrency_limit",
                "How many requests a lane lets be under way.",
                "lane",
            )?,
            queue_depth: gauges(
                registry,
                "queue_depth",
                "Requests waiting for a lane.",
                "lane",
            )?,
            pause_remaining,
            budget_exhausted: counter(
                registry,
                "retry_budget_exhausted_total",
                "Retries that had to queue because too many were under way.",
            )?,
            pauses: counters(
                registry,
                "lane_pauses_total",
                "Pauses of a lane by what caused them.",
                &["lane", "cause"],
            )?,
            bypassed: counters(
                registry,
                "bypassed_total",
                "Requests that went round a lane, and why.",
                &["lane", "reason"],
            )?,
        })
    }

    pub fn handles(&self, lane: &str) -> LaneMetrics {
        LaneMetrics {
            lane: lane.to_owned(),
            limit: self.limit.with_label_values(&[lane]),
            queue_depth: self.queue_depth.with_label_values(&[lane]),
            pause_remaining: self.pause_remaining.with_label_values(&[lane]),
            budget_exhausted: self.budget_exhausted.clone(),
            exhausted_seen: AtomicU64::new(0),
            pauses: self.pauses.clone(),
            pauses_seen: Mutex::default(),
            bypassed: self.bypassed.clone(),
        }
    }
}

impl LaneMetrics {
    pub fn show(&self, lane: LaneGauges) {
        self.limit.set(count(lane.limit));
        self.queue_depth.set(count(lane.queued));
        self.pause_remaining.set(lane.pause_remaining.as_secs_f64());
        let now = lane.retries_exhausted;
        let seen = self.exhausted_seen.fetch_max(now, Ordering::Relaxed);
        self.budget_exhausted.inc_by(now.saturating_sub(seen));
    }

    /// So many pauses have begun since the start. `cause` is one of the code's own words.
    pub fn paused(&self, cause: &'static str, times: u64) {
        let counted = self.pauses.with_label_values(&[&*self.lane, cause]);
        let mut seen = self.pauses_seen.lock();
        let seen = seen.entry(cause).or_default();
        counted.inc_by(times.saturating_sub(*seen));
        *seen = times.max(*seen);
    }

    /// A request that wanted this lane takes another. `reason` is one of the code's own words.
    pub fn bypassed(&self, reason: &'static str) {
        self.bypassed
            .with_label_values(&[&*self.lane, reason])
            .inc();
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn a_lane_that_is_built_anew_counts_its_pauses_on() {
        let lanes = Lanes::new(&Registry::new()).unwrap();
        lanes.handles("lane").paused("refused", 3);

        let anew = lanes.handles("lane");
        for times in [0, 1, 1, 2] {
            anew.paused("refused", times);
        }

        let pauses = lanes.pauses.with_label_values(&["lane", "refused"]);
        assert_eq!(pauses.get(), 5);
    }

    #[test]
    fn a_lane_shows_what_it_is_told_under_the_names_of_the_contract() {
        let registry = Registry::new();
        let lanes = Lanes::new(&registry).unwrap();
        let (router, other) = (lanes.handles("a → b"), lanes.handles("b"));

        router.show(LaneGauges {
            limit: 512,
            queued: 7,
            pause_remaining: Duration::from_millis(1_500),
            retries_exhausted: 3,
        });
        for retries_exhausted in [1, 4, 4] {
            other.show(LaneGauges {
                retries_exhausted,
                ..LaneGauges::default()
            });
        }
        router.paused("refused", 1);
        router.paused("refused", 2);
        router.bypassed("paused");
        other.bypassed("down");

        let text = TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for line in [
            "concurrency_limit{lane=\"a → b\"} 512",
            "queue_depth{lane=\"a → b\"} 7",
            "queue_depth{lane=\"b\"} 0",
            "pause_remaining_seconds{lane=\"a → b\"} 1.5",
            "pause_remaining_seconds{lane=\"b\"} 0",
            "retry_budget_exhausted_total 7",
            "lane_pauses_total{cause=\"refused\",lane=\"a → b\"} 2",
            "bypassed_total{lane=\"a → b\",reason=\"paused\"} 1",
            "bypassed_total{lane=\"b\",reason=\"down\"} 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}");
        }
    }
}
