//! Until when do the certificates last that we show, and were they renewed?

use std::time::SystemTime;

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry, Result};

use super::metrics::outcomes;

/// By the file that the configuration names.
pub(super) struct Certificates {
    not_after: GaugeVec,
    reloads: IntCounterVec,
}

impl Certificates {
    pub fn new(registry: &Registry) -> Result<Self> {
        let not_after = Opts::new(
            "certificate_not_after_seconds",
            "The last moment of a certificate, in seconds since 1970.",
        );
        let not_after = GaugeVec::new(not_after, &["file"])?;
        registry.register(Box::new(not_after.clone()))?;
        Ok(Self {
            not_after,
            reloads: outcomes(
                registry,
                "certificate_reloads_total",
                "Changed certificate files, taken up or found unusable.",
            )?,
        })
    }

    pub fn show(&self, file: &str, not_after: SystemTime) {
        let since = not_after.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.unwrap_or_default().as_secs_f64();
        self.not_after.with_label_values(&[file]).set(seconds);
    }

    pub fn reloaded(&self, good: bool) {
        let outcome = if good { "ok" } else { "failed" };
        self.reloads.with_label_values(&[outcome]).inc();
    }
}
