//! What do the counters say now? The same numbers as `/metrics`, for whoever shows them otherwise.

use prometheus::proto::{Metric, MetricFamily, MetricType};

/// All metrics as they were at one moment.
pub struct Counted(Vec<MetricFamily>);

/// One number and its labels.
#[derive(Clone, Copy)]
pub struct Series<'c> {
    metric: &'c Metric,
    kind: MetricType,
}

impl Counted {
    pub(super) fn new(families: Vec<MetricFamily>) -> Self {
        Self(families)
    }

    /// The series of one metric; `name` is without `memgate_`.
    pub fn of<'c>(&'c self, name: &str) -> impl Iterator<Item = Series<'c>> {
        let is_meant = |family: &&MetricFamily| {
            let rest = family.name().strip_prefix("memgate_");
            rest == Some(name)
        };
        let family = self.0.iter().find(is_meant);
        family.into_iter().flat_map(|family| {
            let kind = family.get_field_type();
            let metrics = family.get_metric().iter();
            metrics.map(move |metric| Series { metric, kind })
        })
    }

    /// The sum over all labels.
    pub fn total(&self, name: &str) -> u64 {
        self.of(name).map(|series| series.count()).sum()
    }
}

impl<'c> Series<'c> {
    /// Empty where there is no such label.
    pub fn label(&self, name: &str) -> &'c str {
        let labels = self.metric.get_label().iter();
        let mut meant = labels.filter(|label| label.name() == name);
        meant.next().map_or("", |label| label.value())
    }

    pub fn value(&self) -> f64 {
        match self.kind {
            MetricType::GAUGE => self.metric.get_gauge().get_value(),
            _ => self.metric.get_counter().get_value(),
        }
    }

    pub fn count(&self) -> u64 {
        self.value() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::Metrics;

    #[test]
    fn what_was_counted_is_read_by_name_and_label() {
        let metrics = Metrics::new(SystemTime::UNIX_EPOCH).unwrap();
        metrics.edge_error(Some("a.example"), Some(1200));
        metrics.edge_error(Some("a.example"), Some(1200));
        metrics.edge_error(Some("b.example"), Some(1015));
        metrics.hold_bodies(7);

        let counted = metrics.counted();

        let errors: Vec<_> = counted
            .of("edge_errors_total")
            .map(|series| (series.label("zone"), series.label("code"), series.count()))
            .collect();
        assert_eq!(errors, [("b.example", "1015", 1), ("a.example", "1200", 2)]);
        assert_eq!(counted.total("edge_errors_total"), 3);
        assert_eq!(counted.total("bodies_in_flight_bytes"), 7);
        assert_eq!(counted.total("nothing_of_the_kind"), 0);
    }
}
