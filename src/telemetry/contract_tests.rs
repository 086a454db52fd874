//! Is every metric explained, and does every metric that is named anywhere exist?

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::metrics_tests::exercised;

/// What dashboards and scripts have been promised, without its prefix.
const CONTRACT: [&str; 20] = [
    "requests_total{dialect,route,status}",
    "request_seconds",
    "first_byte_seconds",
    "overhead_seconds",
    "upstream_attempts_total{outcome,upstream}",
    "upstream_connections_total{reused,upstream}",
    "in_flight{lane}",
    "concurrency_limit{lane}",
    "queue_depth{lane}",
    "queue_wait_seconds",
    "pause_remaining_seconds{lane}",
    "retries_total{reason}",
    "retry_budget_exhausted_total",
    "cookies{upstream}",
    "cookies_captured_total{name}",
    "edge_errors_total{code,zone}",
    "tokens_total{kind,model,user}",
    "stream_errors_total{kind}",
    "client_disconnects_total",
    "bodies_in_flight_bytes",
];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Names of all families.
fn families() -> BTreeSet<String> {
    let text = exercised().render().unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = types.filter_map(|rest| rest.split(' ').next());
    names.map(str::to_owned).collect()
}

/// Metrics that a text names; the parts of a histogram are the histogram.
fn named(text: &str) -> BTreeSet<String> {
    let name = Regex::new("memgate_[a-z][a-z_]*[a-z]").unwrap();
    let part = Regex::new("_(bucket|sum|count)$").unwrap();
    name.find_iter(text)
        .map(|name| part.replace(name.as_str(), "").into_owned())
        .collect()
}

#[test]
fn every_family_of_the_contract_is_there_with_its_labels() {
    let text = exercised().render().unwrap();

    for entry in CONTRACT {
        let (name, labels) = entry.split_once('{').unwrap_or((entry, ""));
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty());
        let labels: Vec<String> = labels
            .map(|label| format!(r#"{label}="([^"\\]|\\.)*""#))
            .collect();
        let series = match labels.as_slice() {
            [] => format!("(?m)^memgate_{name}(_count)? "),
            labels => format!("(?m)^memgate_{name}\\{{{}\\}} ", labels.join(",")),
        };
        assert!(
            Regex::new(&series).unwrap().is_match(&text),
            "{series}\n{text}"
        );
    }
}

#[test]
fn every_family_says_what_it_is_and_stands_in_the_handbook() {
    let text = exercised().render().unwrap();
    let handbook = named(&read("docs/operations.md"));

    let families = families();

    assert!(families.len() > 35, "{}", families.len());
    for family in &families {
        let help = format!("# HELP {family} ");
        let help = text.lines().find_map(|line| line.strip_prefix(&help));
        let help = help.unwrap_or_else(|| panic!("{family} has no help"));
        assert!(help.len() > 10 && help.ends_with('.'), "{family}: {help}");
        assert!(
            handbook.contains(family),
            "{family} is not in docs/operations.md"
        );
    }
    let unknown: Vec<_> = handbook.difference(&families).collect();
    assert!(unknown.is_empty(), "the handbook knows more: {unknown:?}");
}

#[test]
fn whatever_the_dashboard_and_the_alerts_ask_for_exists() {
    let families = families();
    let dashboard: Value = serde_json::from_str(&read("conf/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let shown: String = targets
        .flatten()
        .map(|target| target["expr"].to_string())
        .collect();
    let alerts: serde_yaml::Value =
        serde_yaml::from_str(&read("conf/prometheus-alerts.yaml")).unwrap();
    let alerts = serde_yaml::to_string(&alerts).unwrap();

    for (what, named) in [("dashboard", named(&shown)), ("alerts", named(&alerts))] {
        let unknown: Vec<_> = named.difference(&families).collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
        assert!(named.len() > 10, "{what}: {named:?}");
    }
    let unseen: Vec<_> = families.difference(&named(&shown)).cloned().collect();
    assert!(unseen.is_empty(), "no panel shows {unseen:?}");
}

#[test]
fn every_alert_is_explained_and_tried() {
    let alert = Regex::new(r"(?m)^\s*- alert: (\w+)$").unwrap();
    let alerts = read("conf/prometheus-alerts.yaml");
    let alerts: Vec<&str> = alert
        .captures_iter(&alerts)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    let (handbook, tried) = (
        read("docs/operations.md"),
        read("scripts/e2e_lib/alerts_test.yaml"),
    );

    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(
            handbook.contains(&format!("| `{alert}` |")),
            "{alert} is not in docs/operations.md"
        );
        let tries = tried.matches(&format!("alertname: {alert}")).count();
        assert_eq!(tries, 2, "{alert} has to fire once, and to be silent once");
    }
}
