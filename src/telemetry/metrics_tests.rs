//! Is everything counted under the name that was promised?

use std::time::SystemTime;

use super::lanes::LaneGauges;
use super::metrics::Metrics;
use super::record::tests::record;

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

    let line = "memgate_requests_total{dialect=\"anthropic\",route=\"direct\",status=\"200\"} 2";
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

/// Everything that is counted has been counted.
pub fn exercised() -> Metrics {
    let metrics = metrics();
    let mut record = record();
    record.person.memory = Some("on");
    metrics.finish(&record);
    let lane = metrics.lane("lane");
    lane.show(LaneGauges::default());
    lane.paused("refused", 1);
    lane.bypassed("lane_paused");
    metrics.edge_error(Some("api.example.com"), Some(1200));
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
    metrics
}

#[test]
fn everything_else_counts_under_the_name_of_the_contract() {
    let metrics = exercised();

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
