//! Who calls the gateway in `scripts/steady`? Requests at a steady rate and streams side by side, which count everything that is not
//! perfect as a failure.
//!
//! It reads its orders from the JSON file that its argument names, works until the file `until` is there, lets what is under way
//! come to its end, and writes JSON lines: each failure when it happens, a count every second.

mod common;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use common::{chain, epoch};

/// No answer may take longer, and no stream pause longer.
const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    /// Base URLs; a client has each in turn.
    urls: Vec<String>,
    /// Who signed the certificates of those that have one.
    ca: PathBuf,
    key: String,
    models: Vec<String>,
    /// Requests a second.
    rate: u32,
    /// Streams at a time.
    streams: usize,
    /// Clients with connections of their own.
    clients: usize,
    until: PathBuf,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    streams: AtomicU64,
    failed: AtomicU64,
    slowest_ms: AtomicU64,
    longest_silence_ms: AtomicU64,
}

struct Crew {
    orders: Orders,
    /// Those that keep their connections, and one that never does.
    http: Vec<Client>,
    counts: Counts,
}

/// What one request is.
#[derive(Clone, Copy)]
struct Kind<'c> {
    url: &'c str,
    model: &'c str,
    dialect: Dialect,
    stream: bool,
}

#[derive(Clone, Copy)]
enum Dialect {
    Messages,
    Chat,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args()
        .nth(1)
        .ok_or("usage: steady_client ORDERS")?;
    let orders: Orders = serde_json::from_slice(&std::fs::read(file)?)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut http = Vec::new();
    for _ in 0..orders.clients {
        http.push(client(&orders, true)?);
    }
    http.push(client(&orders, false)?);
    let crew = Arc::new(Crew {
        orders,
        http,
        counts: Counts::default(),
    });
    let mut work = JoinSet::new();
    for number in 0..crew.orders.streams {
        work.spawn(stream_on(Arc::clone(&crew), number));
    }
    let watch = tokio::spawn(report(Arc::clone(&crew)));
    send(&crew, &mut work).await;
    while work.join_next().await.is_some() {}
    watch.abort();
    crew.tell(&crew.summary());
    Ok(())
}

/// Nothing is sent again unless it was never sent.
fn client(orders: &Orders, keeps: bool) -> Result<Client, Box<dyn std::error::Error>> {
    let ca = Certificate::from_pem(&std::fs::read(&orders.ca)?)?;
    let client = Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .retry(reqwest::retry::never())
        .tls_certs_only([ca]);
    let client = match keeps {
        true => client,
        false => client.http1_only().pool_max_idle_per_host(0),
    };
    Ok(client.build()?)
}

/// Requests at the rate, whatever becomes of those before.
async fn send(crew: &Arc<Crew>, work: &mut JoinSet<()>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut due, mut number) = (0.0, 0);
    while !crew.is_over() {
        ticks.tick().await;
        due += f64::from(crew.orders.rate) * TICK.as_secs_f64();
        while due >= 1.0 {
            due -= 1.0;
            let crew = Arc::clone(crew);
            work.spawn(async move {
                crew.ask(number, false).await;
            });
            number += 1;
        }
        while work.try_join_next().is_some() {}
    }
}

/// One stream after the other.
async fn stream_on(crew: Arc<Crew>, number: usize) {
    // Not all at once.
    tokio::time::sleep(Duration::from_millis(20) * u32::try_from(number).unwrap_or(0)).await;
    let mut turn = number;
    while !crew.is_over() {
        if !crew.ask(turn, true).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        turn += crew.orders.streams;
    }
}

async fn report(crew: Arc<Crew>) {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        crew.tell(&crew.summary());
    }
}

impl Crew {
    fn is_over(&self) -> bool {
        self.orders.until.exists()
    }

    /// The combinations in turn.
    fn kind(&self, number: usize, stream: bool) -> Kind<'_> {
        let (urls, models) = (&self.orders.urls, &self.orders.models);
        let dialect = match number / (urls.len() * models.len()) % 2 {
            0 => Dialect::Messages,
            _ => Dialect::Chat,
        };
        Kind {
            url: &urls[number % urls.len()],
            model: &models[number / urls.len() % models.len()],
            dialect,
            stream,
        }
    }

    /// Whether all went well.
    async fn ask(&self, number: usize, stream: bool) -> bool {
        let kind = self.kind(number, stream);
        let combinations = 2 * self.orders.urls.len() * self.orders.models.len();
        let http = &self.http[number / combinations % self.http.len()];
        let began = Instant::now();
        let failure = match self.exchange(http, kind).await {
            Ok(silence) => {
                let silence = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
                let slowest = match stream {
                    true => &self.counts.longest_silence_ms,
                    false => &self.counts.slowest_ms,
                };
                slowest.fetch_max(silence, Ordering::Relaxed);
                None
            }
            Err(why) => Some(why),
        };
        let counted = match stream {
            true => &self.counts.streams,
            false => &self.counts.requests,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        if let Some(why) = &failure {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
            self.tell(&json!({
                "failed": kind.name(), "at": epoch(), "after": began.elapsed().as_secs_f64(), "why": why,
            }));
        }
        failure.is_none()
    }

    /// The longest wait for a piece of the answer, or what was wrong.
    async fn exchange(&self, http: &Client, kind: Kind<'_>) -> Result<Duration, String> {
        let request = http
            .post(format!("{}{}", kind.url, kind.dialect.path()))
            .bearer_auth(&self.orders.key)
            .header("content-type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .body(kind.body());
        let mut began = Instant::now();
        let late = |_| "nothing came in time".to_owned();
        let sent = timeout(PATIENCE, request.send()).await.map_err(late)?;
        let mut answer: Response = sent.map_err(|error| chain(&error))?;
        let (status, mut longest) = (answer.status(), began.elapsed());
        let mut text = Vec::new();
        loop {
            began = Instant::now();
            let piece = timeout(PATIENCE, answer.chunk()).await.map_err(late)?;
            longest = longest.max(began.elapsed());
            match piece {
                Ok(Some(piece)) => text.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => return Err(format!("cut: {}: {}", chain(&error), tail(&text))),
            }
        }
        if status != 200 {
            return Err(format!("{status}: {}", tail(&text)));
        }
        match kind.is_whole(&text) {
            true => Ok(longest),
            false => Err(format!("not whole: {}", tail(&text))),
        }
    }

    fn summary(&self) -> Value {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        json!({
            "requests": count(&self.counts.requests),
            "streams": count(&self.counts.streams),
            "failed": count(&self.counts.failed),
            "slowest_ms": count(&self.counts.slowest_ms),
            "longest_silence_ms": count(&self.counts.longest_silence_ms),
        })
    }

    fn tell(&self, line: &Value) {
        // Nobody listening any more is no reason to stop.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

impl Dialect {
    fn path(self) -> &'static str {
        match self {
            Self::Messages => "/v1/messages",
            Self::Chat => "/v1/chat/completions",
        }
    }
}

impl Kind<'_> {
    fn name(self) -> String {
        let way = if self.stream { "stream" } else { "request" };
        format!("{way} {}{} {}", self.url, self.dialect.path(), self.model)
    }

    fn body(self) -> String {
        let Self { model, stream, .. } = self;
        format!(
            r#"{{"model":"{model}","max_tokens":64,"stream":{stream},"messages":[{{"role":"user","content":"steady"}}]}}"#
        )
    }

    fn is_whole(self, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text);
        let end = match (self.stream, self.dialect) {
            (false, Dialect::Messages) => r#""end_turn""#,
            (false, Dialect::Chat) => r#""finish_reason":"stop""#,
            (true, Dialect::Messages) => "event: message_stop",
            (true, Dialect::Chat) => "data: [DONE]",
        };
        text.contains(end) && !text.contains("event: error") && !text.contains("data: {\"error\"")
    }
}

fn tail(text: &[u8]) -> String {
    let last = text.len().saturating_sub(200);
    String::from_utf8_lossy(&text[last..]).into_owned()
}
