//! The counters and gauges operators see, all named `memgate_…`.

use std::time::SystemTime;

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, Result, TextEncoder};

use super::certificates::Certificates;
use super::connections::ConnectionMetrics;
use super::counted::Counted;
use super::edge_errors::EdgeErrors;
use super::lanes::{LaneMetrics, Lanes};
use super::panics;
use super::process::Process;
use super::recent::Recent;
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
    recent: Recent,
    process: Process,
    reporting: ReportingMetrics,
}

/// What is told to others, and what of it is lost.
pub struct ReportingMetrics {
    pub lines_lost: IntCounter,
    pub spans_sent: IntCounter,
    pub spans_lost: IntCounter,
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
        Ok(Self {
            requests: Requests::new(&registry)?,
            upstreams: Upstreams::new(&registry)?,
            lanes: Lanes::new(&registry)?,
            edge: EdgeErrors::new(&registry)?,
            spending: Spending::new(&registry)?,
            events: Events::new(&registry)?,
            connections: ConnectionMetrics::new(&registry)?,
            bodies_in_flight_bytes: gauge(
                &registry,
                "bodies_in_flight_bytes",
                "Bytes of request bodies held.",
            )?,
            process: Process::new(&registry)?,
            reporting: ReportingMetrics::new(&registry)?,
            recent: Recent::default(),
            registry,
        })
    }

    /// The end of a request.
    pub fn finish(&self, record: &AccessRecord<'_>) {
        self.requests.count(record);
        self.spending.count(record);
        self.recent.note(record);
    }

    /// Handles for whoever writes lines to files and sends spans away, and may lose some.
    pub fn reporting(&self) -> &ReportingMetrics {
        &self.reporting
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

    /// The last hour, the last failures, and what goes wrong.
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Everything as it is now.
    pub fn counted(&self) -> Counted {
        Counted::new(self.registry.gather())
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<String> {
        self.process.look();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl ReportingMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        Ok(Self {
            lines_lost: counter(
                registry,
                "log_lines_lost_total",
                "Lines that did not get into their file: no room, or the disk refused them.",
            )?,
            spans_sent: counter(
                registry,
                "spans_exported_total",
                "Spans that the collector took.",
            )?,
            spans_lost: counter(
                registry,
                "spans_lost_total",
                "Spans that the collector did not take, or for which there was no room.",
            )?,
        })
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
            config_reloads: outcomes(
                registry,
                "config_reloads_total",
                "Times the configuration was read again, and taken over or not.",
            )?,
            keys_file_loads: outcomes(
                registry,
                "keys_file_loads_total",
                "Changes of the keys file, taken over or not.",
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

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
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

/// Of `ok` and `failed`, both there from the start: from nothing to one would be no increase.
pub(super) fn outcomes(registry: &Registry, name: &str, help: &str) -> Result<IntCounterVec> {
    let vec = counters(registry, name, help, &["outcome"])?;
    for outcome in ["ok", "failed"] {
        vec.with_label_values(&[outcome]);
    }
    Ok(vec)
}
