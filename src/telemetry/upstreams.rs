//! What happens towards one upstream: attempts, connections, requests under way, cookies?

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result};

use super::metrics::counters;

pub(super) struct Upstreams {
    attempts: IntCounterVec,
    connections: IntCounterVec,
    in_flight: IntGaugeVec,
    cookies: IntGaugeVec,
}

/// The handles of one upstream, resolved once; its names come from the configuration, so they are few.
pub struct UpstreamMetrics {
    upstream: String,
    attempts: IntCounterVec,
    fresh: IntCounter,
    reused: IntCounter,
    /// Attempts that went well: nearly all, and so without a look-up.
    usual: IntCounter,
    in_flight: IntGauge,
    cookies: IntGauge,
}

/// The outcome of an attempt that was answered well.
const USUAL: &str = "ok";

/// A request under way; dropping it ends it.
pub struct InFlight(IntGauge);

impl Upstreams {
    pub fn new(registry: &Registry) -> Result<Self> {
        Ok(Self {
            attempts: counters(
                registry,
                "upstream_attempts_total",
                "Attempts at an upstream and what came of them.",
                &["upstream", "outcome"],
            )?,
            connections: counters(
                registry,
                "upstream_connections_total",
                "Attempts by whether their connection was already open.",
                &["upstream", "reused"],
            )?,
            in_flight: gauges(registry, "in_flight", "Requests under way.", "lane")?,
            cookies: gauges(
                registry,
                "cookies",
                "Cookies in the upstream's jar.",
                "upstream",
            )?,
        })
    }

    /// Requests under way by lane.
    pub fn lanes(&self) -> Vec<(String, i64)> {
        let family = self.in_flight.collect();
        let lanes = family.iter().flat_map(|family| family.get_metric());
        lanes
            .filter_map(|lane| {
                let name = lane.get_label().first()?.value().to_owned();
                Some((name, lane.get_gauge().get_value() as i64))
            })
            .collect()
    }

    pub fn handles(&self, upstream: &str, lane: &str) -> UpstreamMetrics {
        let connections = |reused: &str| self.connections.with_label_values(&[upstream, reused]);
        UpstreamMetrics {
            upstream: upstream.to_owned(),
            attempts: self.attempts.clone(),
            usual: self.attempts.with_label_values(&[upstream, USUAL]),
            fresh: connections("false"),
            reused: connections("true"),
            in_flight: self.in_flight.with_label_values(&[lane]),
            cookies: self.cookies.with_label_values(&[upstream]),
        }
    }
}

pub(super) fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntGaugeVec> {
    let vec = IntGaugeVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(vec.clone()))?;
    Ok(vec)
}

impl UpstreamMetrics {
    /// `outcome` is one of the code's own words, so that labels stay few.
    pub fn attempted(&self, outcome: &'static str) {
        if outcome == USUAL {
            return self.usual.inc();
        }
        self.attempts
            .with_label_values(&[&*self.upstream, outcome])
            .inc();
    }

    pub fn connected(&self, reused: bool) {
        if reused { &self.reused } else { &self.fresh }.inc();
    }

    /// So many are under way, where somebody else counts.
    pub fn carry(&self, requests: usize) {
        let requests = i64::try_from(requests).unwrap_or(i64::MAX);
        self.in_flight.set(requests);
    }

    #[must_use]
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub fn hold_cookies(&self, count: usize) {
        self.cookies.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
