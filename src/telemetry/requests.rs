//! How many requests were answered how, and how fast?

use once_cell::sync::OnceCell;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, Result};

use super::metrics::counters;
use super::record::{AccessRecord, RouteLabel};

/// 100 µs to 10 min, two or three steps a decade.
const SECONDS: [f64; 21] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 25.0, 60.0, 120.0, 300.0, 600.0,
];

/// Statuses with a number of their own; the others count as their class.
const STATUSES: [u16; 34] = [
    200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 422,
    429, 499, 500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 525, 529, 530,
];
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
/// Anthropic, OpenAI.
const DIALECTS: usize = 2;

pub(super) struct Requests {
    total: IntCounterVec,
    /// A handle per label set, looked up when it first counts.
    handles: Vec<OnceCell<IntCounter>>,
    seconds: Histogram,
    first_byte_seconds: Histogram,
    overhead_seconds: Histogram,
    queue_wait_seconds: Histogram,
    memory: IntCounterVec,
}

impl Requests {
    pub fn new(registry: &Registry) -> Result<Self> {
        let total = IntCounterVec::new(
            Opts::new("requests_total", "Requests answered."),
            &["route", "dialect", "status"],
        )?;
        registry.register(Box::new(total.clone()))?;
        let slots = RouteLabel::ALL.len() * DIALECTS * (STATUSES.len() + CLASSES.len());
        Ok(Self {
            total,
            handles: std::iter::repeat_with(OnceCell::new).take(slots).collect(),
            seconds: histogram(
                registry,
                "request_seconds",
                "From request to end of answer.",
            )?,
            first_byte_seconds: histogram(
                registry,
                "first_byte_seconds",
                "From request to first byte of the answer.",
            )?,
            overhead_seconds: histogram(
                registry,
                "overhead_seconds",
                "The gateway's own part of the time to the first byte.",
            )?,
            queue_wait_seconds: histogram(
                registry,
                "queue_wait_seconds",
                "How long those waited for a lane that had to.",
            )?,
            memory: counters(
                registry,
                "memory_total",
                "Answers by what became of the memory in them.",
                &["state"],
            )?,
        })
    }

    pub fn count(&self, record: &AccessRecord<'_>) {
        let (asked, answer) = (&record.asked, &record.answer);
        self.answered(answer.route, asked.dialect, answer.status);
        self.seconds.observe(record.spent.total.as_secs_f64());
        if let Some(time) = record.spent.first_byte {
            self.first_byte_seconds.observe(time.as_secs_f64());
        }
        if let Some(time) = record.spent.overhead {
            self.overhead_seconds.observe(time.as_secs_f64());
        }
        if let Some(time) = record.spent.queue_wait {
            self.queue_wait_seconds.observe(time.as_secs_f64());
        }
        if let Some(state) = record.person.memory {
            self.memory.with_label_values(&[state]).inc();
        }
    }

    fn answered(&self, route: RouteLabel, dialect: &'static str, status: u16) {
        let status = status_slot(status);
        let spoken = usize::from(dialect != "anthropic");
        let pair = route as usize * DIALECTS + spoken;
        let slot = pair * (STATUSES.len() + CLASSES.len()) + status;
        if let Some(handle) = self.handles.get(slot) {
            let counter = handle.get_or_init(|| {
                let status = status_label(status);
                self.total
                    .with_label_values(&[route.as_str(), dialect, &status])
            });
            counter.inc();
        }
    }
}

fn status_slot(status: u16) -> usize {
    STATUSES.binary_search(&status).unwrap_or_else(|_| {
        let class = match status {
            100..=599 => usize::from(status / 100) - 1,
            _ => CLASSES.len() - 1,
        };
        STATUSES.len() + class
    })
}

fn status_label(slot: usize) -> String {
    match STATUSES.get(slot) {
        Some(status) => status.to_string(),
        None => CLASSES
            .get(slot - STATUSES.len())
            .map_or_else(|| "other".to_owned(), |class| (*class).to_owned()),
    }
}

fn histogram(registry: &Registry, name: &str, help: &str) -> Result<Histogram> {
    let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_in_order_so_that_the_search_finds_them() {
        assert!(STATUSES.is_sorted());
        assert!(SECONDS.is_sorted());
    }

    #[test]
    fn a_status_without_a_number_of_its_own_counts_as_its_class() {
        let labels = [200, 529, 418, 299, 599, 42, 999].map(|s| status_label(status_slot(s)));

        assert_eq!(
            labels,
            ["200", "529", "4xx", "2xx", "5xx", "other", "other"]
        );
    }
}
