//! The counters and gauges operators see, all named `memgate_…`.

use std::time::SystemTime;

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, Result, TextEncoder};

use super::certificates::Certificates;
use super::connections::ConnectionMetrics;
use super::edge_errors::EdgeErrors;
use super::lanes::{LaneMetrics, Lanes};
use super::panics;
use super::record::AccessRecord;
use super::requests::Requests;
use super::spending::Spending;
use super::upstreams::{UpstreamMetrics, Upstreams};

pub struct Metrics {
    registry: Registry,
    requests: Requests,
    upstreams: Upstreams,
    lanes: Lanes,
    edge: EdgeErrors,
    spending: Spending,
    events: Events,
    connections: ConnectionMetrics,
    bodies_in_flight_bytes: IntGauge,
}

/// Things that happen now and then.
struct Events {
    retries: IntCounterVec,
    possible_duplicates: IntCounter,
    cookies_captured: IntCounterVec,
    stream_errors: IntCounterVec,
    client_disconnects: IntCounter,
    direct_model_elsewhere: IntCounter,
    config_reloads: IntCounterVec,
    keys_file_loads: IntCounterVec,
    certificates: Certificates,
}

impl Metrics {
    /// `started`: when the process began. Fails only if two metrics had one name.
    pub fn new(started: SystemTime) -> Result<Self> {
        let registry = Registry::new_custom(Some("memgate".to_owned()), None)?;
        about_the_process(&registry, started)?;
        panics::register(&registry)?;
        let bodies_in_flight_bytes =
            IntGauge::new("bodies_in_flight_bytes", "Bytes of request bodies held.")?;
        registry.register(Box::new(bodies_in_flight_bytes.clone()))?;
        Ok(Self {
            requests: Requests::new(&registry)?,
            upstreams: Upstreams::new(&registry)?,
            lanes: Lanes::new(&registry)?,
            edge: EdgeErrors::new(&registry)?,
            spending: Spending::new(&registry)?,
            events: Events::new(&registry)?,
            connections: ConnectionMetrics::new(&registry)?,
            bodies_in_flight_bytes,
            registry,
        })
    }

    /// The end of a request: counts it and writes its access line.
    pub fn finish(&self, record: &AccessRecord<'_>) {
        self.requests.count(record);
        self.spending.count(record);
        record.write();
    }

    /// Handles for one upstream, to be kept by whoever calls it.
    pub fn upstream(&self, upstream: &str, lane: &str) -> UpstreamMetrics {
        self.upstreams.handles(upstream, lane)
    }

    /// Handles for one lane, to be kept by whoever guards it.
    pub fn lane(&self, lane: &str) -> LaneMetrics {
        self.lanes.handles(lane)
    }

    /// Handles for whoever lets clients in.
    pub fn connections(&self) -> ConnectionMetrics {
        self.connections.clone()
    }

    /// Requests under way by lane, for the status page.
    pub fn in_flight(&self) -> Vec<(String, i64)> {
        self.upstreams.lanes()
    }

    pub fn retried(&self, reason: &'static str) {
        self.events.retries.with_label_values(&[reason]).inc();
    }

    /// A request goes the same way again although a memory may have been written.
    pub fn possible_duplicate(&self) {
        self.events.possible_duplicates.inc();
    }

    /// `name` is one of the allow-listed names.
    pub fn captured_cookie(&self, name: &str) {
        self.events
            .cookies_captured
            .with_label_values(&[name])
            .inc();
    }

    /// `zone` and `code` as the error page gave them.
    pub fn edge_error(&self, zone: Option<&str>, code: Option<u16>) {
        self.edge.count(zone, code);
    }

    /// A limit of its key turned a request away; `limit` is its name in the configuration.
    pub fn limited(&self, limit: &'static str) {
        self.spending.limited(limit);
    }

    pub fn stream_broke(&self, kind: &'static str) {
        self.events.stream_errors.with_label_values(&[kind]).inc();
    }

    pub fn client_left(&self) {
        self.events.client_disconnects.inc();
    }

    /// A direct model was named on a path that only LiteLLM serves.
    pub fn direct_model_elsewhere(&self) {
        self.events.direct_model_elsewhere.inc();
    }

    /// The configuration was read again, and used or left.
    pub fn config_reloaded(&self, good: bool) {
        let outcome = if good { "ok" } else { "failed" };
        self.events
            .config_reloads
            .with_label_values(&[outcome])
            .inc();
    }

    /// The keys file was read again, and used or left.
    pub fn keys_file_loaded(&self, good: bool) {
        let outcome = if good { "ok" } else { "failed" };
        self.events
            .keys_file_loads
            .with_label_values(&[outcome])
            .inc();
    }

    /// The certificate in a file that the configuration names; `None` where it does not say when it ends.
    pub fn show_certificate(&self, file: &str, not_after: Option<SystemTime>) {
        if let Some(not_after) = not_after {
            self.events.certificates.show(file, not_after);
        }
    }

    /// Certificate files changed: they were taken up, or the old ones stayed.
    pub fn reloaded_certificate(&self, usable: bool) {
        self.events.certificates.reloaded(usable);
    }

    pub fn hold_bodies(&self, bytes: u64) {
        self.bodies_in_flight_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Events {
    fn new(registry: &Registry) -> Result<Self> {
        Ok(Self {
            retries: counters(
                registry,
                "retries_total",
                "Attempts made again.",
                &["reason"],
            )?,
            possible_duplicates: counter(
                registry,
                "possible_duplicates_total",
                "Requests sent again the same way although the memory router may have seen them.",
            )?,
            cookies_captured: counters(
                registry,
                "cookies_captured_total",
                "Cookies taken into a jar.",
                &["name"],
            )?,
            stream_errors: counters(
                registry,
                "stream_errors_total",
                "Streams that broke.",
                &["kind"],
            )?,
            client_disconnects: counter(
                registry,
                "client_disconnects_total",
                "Clients that left before their answer ended.",
            )?,
            direct_model_elsewhere: counter(
                registry,
                "direct_model_elsewhere_total",
                "Direct models named on a path that only LiteLLM serves.",
            )?,
            config_reloads: counters(
                registry,
                "config_reloads_total",
                "Times the configuration was read again, and taken over or not.",
                &["outcome"],
            )?,
            keys_file_loads: counters(
                registry,
                "keys_file_loads_total",
                "Changes of the keys file, taken over or not.",
                &["outcome"],
            )?,
            certificates: Certificates::new(registry)?,
        })
    }
}

fn about_the_process(registry: &Registry, started: SystemTime) -> Result<()> {
    let build = Opts::new("build_info", "The version that runs.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let build = IntGauge::with_opts(build)?;
    build.set(1);
    registry.register(Box::new(build))?;
    let start = Gauge::new(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970.",
    )?;
    let since = started.duration_since(SystemTime::UNIX_EPOCH);
    start.set(since.unwrap_or_default().as_secs_f64());
    registry.register(Box::new(start))
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec> {
    let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(vec.clone()))?;
    Ok(vec)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(SystemTime::UNIX_EPOCH).unwrap()
    }

    fn has(metrics: &Metrics, line: &str) -> bool {
        metrics.render().unwrap().lines().any(|have| have == line)
    }

    #[test]
    fn a_finished_request_is_counted_under_its_labels() {
        let metrics = metrics();

        metrics.finish(&record());
        metrics.finish(&record());

        let line =
            "memgate_requests_total{dialect=\"anthropic\",route=\"direct\",status=\"200\"} 2";
        assert!(has(&metrics, line));
        assert!(has(&metrics, "memgate_request_seconds_count 2"));
        assert!(has(&metrics, "memgate_first_byte_seconds_count 2"));
        assert!(has(&metrics, "memgate_overhead_seconds_count 0"));
        assert!(has(&metrics, "memgate_queue_wait_seconds_sum 0.5"));
        let tokens =
            "memgate_tokens_total{kind=\"cache_read\",model=\"claude\\\"\\n\",user=\"team\"} 40";
        assert!(has(&metrics, tokens));
    }

    #[test]
    fn a_request_is_in_flight_until_its_guard_is_dropped() {
        let metrics = metrics();
        let upstream = metrics.upstream("host", "host → provider");
        let first = upstream.enter();
        let _second = upstream.enter();

        drop(first);

        assert!(has(
            &metrics,
            "memgate_in_flight{lane=\"host → provider\"} 1"
        ));
        assert_eq!(metrics.in_flight(), [("host → provider".to_owned(), 1)]);
    }

    #[test]
    fn everything_else_counts_under_the_name_of_the_contract() {
        let metrics = metrics();
        let upstream = metrics.upstream("host", "lane");
        upstream.attempted("ok");
        upstream.connected(true);
        upstream.connected(false);
        upstream.hold_cookies(3);
        metrics.retried("edge_queue");
        metrics.possible_duplicate();
        metrics.captured_cookie("__cf_bm");
        metrics.stream_broke("reset");
        metrics.client_left();
        metrics.direct_model_elsewhere();
        metrics.keys_file_loaded(false);
        metrics.hold_bodies(4096);
        metrics.show_certificate("cert.pem", Some(SystemTime::UNIX_EPOCH));
        metrics.reloaded_certificate(true);
        metrics.reloaded_certificate(false);
        metrics.limited("usd_per_day");
        metrics.connections().open(2);
        metrics.connections().closed("silent");

        for line in [
            "memgate_upstream_attempts_total{outcome=\"ok\",upstream=\"host\"} 1",
            "memgate_upstream_connections_total{reused=\"true\",upstream=\"host\"} 1",
            "memgate_upstream_connections_total{reused=\"false\",upstream=\"host\"} 1",
            "memgate_cookies{upstream=\"host\"} 3",
            "memgate_retries_total{reason=\"edge_queue\"} 1",
            "memgate_possible_duplicates_total 1",
            "memgate_cookies_captured_total{name=\"__cf_bm\"} 1",
            "memgate_stream_errors_total{kind=\"reset\"} 1",
            "memgate_client_disconnects_total 1",
            "memgate_direct_model_elsewhere_total 1",
            "memgate_keys_file_loads_total{outcome=\"failed\"} 1",
            "memgate_bodies_in_flight_bytes 4096",
            "memgate_limited_total{limit=\"usd_per_day\"} 1",
            "memgate_connections 2",
            "memgate_connections_closed_total{reason=\"silent\"} 1",
            "memgate_process_start_time_seconds 0",
            "memgate_certificate_not_after_seconds{file=\"cert.pem\"} 0",
            "memgate_certificate_reloads_total{outcome=\"ok\"} 1",
            "memgate_certificate_reloads_total{outcome=\"failed\"} 1",
        ] {
            assert!(has(&metrics, line), "{line}");
        }
        assert!(
            metrics
                .render()
                .unwrap()
                .contains("memgate_build_info{version=")
        );
    }
}
