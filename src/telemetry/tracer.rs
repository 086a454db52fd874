//! How do spans get to the collector without a request ever waiting for it? By a bounded queue and a thread; what finds
//! no room, or nobody who takes it, is lost and counted.

use std::io;
use std::sync::mpsc as done;
use std::thread;
use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::exporter::{Exporter, Unusable};
use super::metrics::ReportingMetrics;
use super::record::AccessRecord;
use super::span::span_of;
use crate::config::{Otlp, Traces};

/// Spans that wait.
const ROOM: usize = 2048;
/// Spans that are sent together, at the latest after this time.
const BATCH: usize = 512;
const GATHERING: Duration = Duration::from_secs(1);
/// How long the end waits for the collector.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error(transparent)]
    Exporter(#[from] Unusable),
    #[error("no thread: {0}")]
    Thread(#[from] io::Error),
}

/// Is told of the end of every request. Dropping it sends what waits.
pub struct Tracer {
    sample: f64,
    queue: Option<Queue>,
}

/// The way to the thread.
struct Queue {
    spans: Mutex<Option<mpsc::Sender<SpanData>>>,
    /// Says that the thread is done by being closed.
    done: Mutex<done::Receiver<()>>,
    lost: IntCounter,
}

impl Tracer {
    pub fn start(settings: &Traces, metrics: &ReportingMetrics) -> Result<Self, TracesError> {
        let queue = settings
            .otlp
            .as_ref()
            .map(|otlp| Queue::start(otlp, metrics));
        Ok(Self {
            sample: settings.sample,
            queue: queue.transpose()?,
        })
    }

    /// Whether a trace that begins here is recorded: `traceparent` says so, and so it has to be true.
    pub fn samples(&self) -> bool {
        self.queue.is_some() && fastrand::f64() < self.sample
    }

    pub fn end(&self, record: &AccessRecord<'_>) {
        if let (Some(queue), Some(context)) = (&self.queue, record.trace)
            && context.is_sampled()
        {
            queue.put(|| span_of(record, context));
        }
    }

    /// Sends what waits, but does not wait long; later spans are lost.
    pub fn close(&self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn start(otlp: &Otlp, metrics: &ReportingMetrics) -> Result<Self, TracesError> {
        let (spans, waiting) = mpsc::channel(ROOM);
        let (doing, done) = done::channel();
        let courier = Courier {
            waiting,
            exporter: Exporter::new(otlp)?,
            sent: metrics.spans_sent.clone(),
            lost: metrics.spans_lost.clone(),
            failing: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::Builder::new().name("spans".to_owned());
        thread.spawn(move || {
            runtime.block_on(courier.run());
            drop(doing);
        })?;
        Ok(Self {
            spans: Mutex::new(Some(spans)),
            done: Mutex::new(done),
            lost: metrics.spans_lost.clone(),
        })
    }

    /// Made only where there is room.
    fn put(&self, span: impl FnOnce() -> SpanData) {
        let spans = self.spans.lock();
        match spans.as_ref().and_then(|spans| spans.try_reserve().ok()) {
            Some(place) => place.send(span()),
            None => self.lost.inc(),
        }
    }

    fn close(&self) {
        self.spans.lock().take();
        // Nothing is ever said: it ends, or it takes too long.
        let _ = self.done.lock().recv_timeout(PATIENCE);
    }
}

/// The thread's own.
struct Courier {
    waiting: mpsc::Receiver<SpanData>,
    exporter: Exporter,
    sent: IntCounter,
    lost: IntCounter,
    failing: bool,
}

impl Courier {
    async fn run(mut self) {
        let mut batch = Vec::new();
        while self.waiting.recv_many(&mut batch, BATCH).await > 0 {
            self.gather(&mut batch).await;
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    /// Until there are enough, or it is time.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        let deadline = Instant::now() + GATHERING;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            match timeout_at(deadline, self.waiting.recv_many(batch, room)).await {
                Ok(more) if more > 0 => {}
                _ => return,
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = batch.len() as u64;
        match self.exporter.send(batch).await {
            Ok(()) => {
                self.sent.inc_by(count);
                self.failing = false;
            }
            Err(failure) => {
                self.lost.inc_by(count);
                // Once, until it works again.
                if !std::mem::replace(&mut self.failing, true) {
                    log::warn!(target: "memgate::traces", "spans are lost, the collector does not take them: {failure}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::metrics::Metrics;
    use super::super::record::tests::record;
    use super::super::trace_context::TraceContext;
    use super::*;
    use crate::config::{BaseUrl, Origin};

    fn traces(port: u16) -> Traces {
        let origin = Origin {
            tls: false,
            host: "127.0.0.1".to_owned(),
            port,
        };
        let path = "/v1/traces".to_owned();
        Traces {
            otlp: Some(Otlp {
                url: BaseUrl { origin, path },
                headers: Vec::new(),
            }),
            sample: 0.5,
        }
    }

    #[test]
    fn a_collector_that_hangs_costs_spans_and_no_time() {
        let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
        let metrics = Metrics::new(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let (metrics, port) = (metrics.reporting(), hanging.local_addr().unwrap().port());
        let tracer = Tracer::start(&traces(port), metrics).unwrap();

        for _ in 0..ROOM + BATCH + 100 {
            tracer.end(&record());
        }

        let lost = metrics.spans_lost.get();
        assert!((100..=100 + BATCH as u64).contains(&lost), "{lost}");
        assert_eq!(metrics.spans_sent.get(), 0);
        // So that the end need not wait for it.
        drop(hanging);
    }

    #[test]
    fn only_what_is_sampled_becomes_a_span() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let metrics = Metrics::new(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let port = nobody.local_addr().unwrap().port();
        drop(nobody);
        let tracer = Tracer::start(&traces(port), metrics.reporting()).unwrap();

        for sampled in [true, false, true] {
            let trace = Some(TraceContext::new(sampled));
            tracer.end(&AccessRecord { trace, ..record() });
        }
        tracer.end(&AccessRecord {
            trace: None,
            ..record()
        });
        tracer.close();

        assert_eq!(metrics.reporting().spans_lost.get(), 2);
        let some = (0..1000).filter(|_| tracer.samples()).count();
        assert!((300..700).contains(&some), "{some}");
    }
}
