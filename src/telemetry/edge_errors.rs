//! How many errors did which edge make?

use std::collections::BTreeSet;

use parking_lot::Mutex;
use prometheus::{IntCounterVec, Registry, Result};

use super::metrics::counters;

/// How many zones may have a label of their own; errors can name any zone they like.
const ZONES: usize = 32;

/// Errors of the edge in front of an upstream.
pub(super) struct EdgeErrors {
    total: IntCounterVec,
    zones: Mutex<BTreeSet<String>>,
}

impl EdgeErrors {
    pub fn new(registry: &Registry) -> Result<Self> {
        let total = counters(
            registry,
            "edge_errors_total",
            "Errors made by an edge, by the zone and code they name.",
            &["zone", "code"],
        )?;
        Ok(Self {
            total,
            zones: Mutex::default(),
        })
    }

    pub fn count(&self, zone: Option<&str>, code: Option<u16>) {
        let zone = zone.map_or_else(|| "unknown".to_owned(), |zone| self.zone(zone));
        let code = match code {
            Some(code @ (520..=530 | 1000..=1299)) => code.to_string(),
            Some(_) => "other".to_owned(),
            None => "unknown".to_owned(),
        };
        self.total.with_label_values(&[&zone, &code]).inc();
    }

    /// The first few zones keep their names.
    fn zone(&self, zone: &str) -> String {
        let is_host = zone.len() <= 253
            && zone
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        let zone = zone.to_ascii_lowercase();
        let mut zones = self.zones.lock();
        if zones.contains(&zone) || (is_host && zones.len() < ZONES && zones.insert(zone.clone())) {
            zone
        } else {
            "other".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn zones_and_codes_that_errors_make_up_share_one_label() {
        let registry = Registry::new();
        let errors = EdgeErrors::new(&registry).unwrap();
        for zone in 0..100 {
            errors.count(Some(&format!("zone-{zone}.example")), Some(1200));
        }
        errors.count(Some("a\"b\nc"), Some(7));

        let text = TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        let series = text
            .lines()
            .filter(|line| line.starts_with("edge_errors_total{"));
        assert_eq!(series.count(), ZONES + 2);
        assert!(text.contains("{code=\"1200\",zone=\"other\"} 68"));
        assert!(text.contains("{code=\"other\",zone=\"other\"} 1"));
    }
}
