//! Who is told of a finished request? The access log and the tracing system, in names that they may read.

use std::borrow::Cow;
use std::io;

use super::access_log::AccessLog;
use super::metrics::ReportingMetrics;
use super::pseudonyms::Pseudonyms;
use super::record::AccessRecord;
use super::tracer::{Tracer, TracesError};
use crate::config::{Log, Traces};

pub struct Reporter {
    access_log: AccessLog,
    traces: Tracer,
    pseudonyms: Pseudonyms,
}

/// Why nobody could be told.
#[derive(Debug, thiserror::Error)]
pub enum ReporterError {
    #[error("log.access: {0}")]
    AccessLog(#[from] io::Error),
    #[error("traces.otlp: {0}")]
    Traces(#[from] TracesError),
}

impl Reporter {
    pub fn open(
        log: &Log,
        traces: &Traces,
        metrics: &ReportingMetrics,
    ) -> Result<Self, ReporterError> {
        Ok(Self {
            access_log: AccessLog::open(log, metrics.lines_lost.clone())?,
            traces: Tracer::start(traces, metrics)?,
            pseudonyms: Pseudonyms::new(log.user_key.as_ref()),
        })
    }

    /// The end of a request.
    pub fn finish(&self, record: &AccessRecord<'_>) {
        self.access_log.write(record);
        self.traces.end(record);
    }

    /// What a user is called in all that others read.
    pub fn name_of<'u>(&self, user: &'u str) -> Cow<'u, str> {
        self.pseudonyms.of(user)
    }

    /// Whether a trace that begins here is recorded.
    pub fn samples(&self) -> bool {
        self.traces.samples()
    }

    /// Log files were moved away: from now on lines go to new ones. Whether there are any.
    pub fn reopen(&self) -> bool {
        self.access_log.reopen()
    }

    /// Waits until the files have everything, but not long.
    pub fn flush(&self) {
        self.access_log.flush();
    }

    /// What waits for the disk and for the collector goes there, as far as that takes no time; later spans are lost.
    pub fn close(&self) {
        self.access_log.flush();
        self.traces.close();
    }
}
