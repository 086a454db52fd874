//! Who stands in front of the gateway in `scripts/storm`? Many closed-loop streaming clients, carried by one thread.
//!
//! It reads its orders from the JSON file that its argument names and writes one JSON line per finished request; what is still
//! open when the window closes is given up, and only counted.

mod common;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use common::{chain, epoch};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    url: String,
    model: String,
    /// How long new requests are sent and answers count.
    seconds: f64,
    groups: Vec<Group>,
    /// The message is as long.
    body_bytes: usize,
    /// What a client waits after an error that names no time, as the SDKs do.
    after_error: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    clients: usize,
    /// How many keys the clients share.
    callers: usize,
    /// Requests of each client; none means until the window closes.
    requests: Option<u32>,
    /// The one key that all of them use instead of their own.
    key: Option<String>,
    /// What their messages say, for rules of the simulator.
    word: Option<String>,
    /// Each request is a session of its own; else each client is one.
    fresh: bool,
}

/// One request, times in seconds since the window opened.
#[derive(Serialize)]
struct Told<'a> {
    group: &'a str,
    client: usize,
    number: u32,
    start: f64,
    end: f64,
    #[serde(flatten)]
    ending: &'a Ending,
}

#[derive(Serialize)]
struct Ending {
    first: Option<f64>,
    status: u16,
    kind: Kind,
    route: Option<String>,
    attempts: Option<String>,
    /// How it failed, if it did.
    said: Option<String>,
    #[serde(skip)]
    wait: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A 200 whose stream came to its proper end.
    Whole,
    /// A 200 that broke off.
    Cut,
    /// A 200 that ended in an `error` event.
    ErrorEvent,
    /// An error of the edge itself, in whichever wrapping.
    Edge,
    /// 503 or 529 of whoever stands before the edge.
    Refused,
    /// Any other status.
    Status,
    /// No answer at all.
    Transport,
}

struct Crew {
    http: Client,
    orders: Orders,
    began: Instant,
    started: AtomicUsize,
    told: UnboundedSender<Vec<u8>>,
}

struct Member {
    crew: Arc<Crew>,
    group: usize,
    number: usize,
    key: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args()
        .nth(1)
        .ok_or("usage: storm_client ORDERS")?;
    let orders: Orders = serde_json::from_slice(&std::fs::read(file)?)?;
    // reqwest wants one even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Client::builder()
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .build()?;
    let (told, mut lines) = unbounded_channel::<Vec<u8>>();
    let window = Duration::from_secs_f64(orders.seconds);
    let mut out = io::stdout();
    writeln!(out, "{{\"began\": {}}}", epoch())?;
    out.flush()?;
    let crew = Arc::new(Crew {
        http,
        orders,
        began: Instant::now(),
        started: AtomicUsize::new(0),
        told,
    });
    let members = members(&crew);
    let mut work = tokio::task::JoinSet::new();
    for member in members {
        work.spawn(member.toil());
    }
    let end = tokio::time::sleep(window);
    tokio::pin!(end);
    loop {
        tokio::select! {
            Some(line) = lines.recv() => {
                out.write_all(&line)?;
                while let Ok(line) = lines.try_recv() {
                    out.write_all(&line)?;
                }
                out.flush()?;
            }
            () = &mut end => break,
            done = work.join_next() => if done.is_none() { break },
        }
    }
    while let Ok(line) = lines.try_recv() {
        out.write_all(&line)?;
    }
    let started = crew.started.load(Ordering::Relaxed);
    writeln!(out, "{{\"started\": {started}}}")?;
    out.flush()?;
    Ok(())
}

fn members(crew: &Arc<Crew>) -> Vec<Member> {
    let groups = crew.orders.groups.iter().enumerate();
    let members = groups.flat_map(|(group, about)| {
        (0..about.clients).map(move |number| Member {
            crew: Arc::clone(crew),
            group,
            number,
            key: about.key.clone().unwrap_or_else(|| {
                format!("sk-storm-{}-{}", about.name, number % about.callers.max(1))
            }),
        })
    });
    members.collect()
}

impl Member {
    async fn toil(self) {
        let most = self.about().requests.unwrap_or(u32::MAX);
        for number in 0..most {
            self.crew.started.fetch_add(1, Ordering::Relaxed);
            let start = self.crew.seconds();
            let ending = self.ask(number).await;
            self.tell(number, start, &ending);
            if let Some(wait) = ending.wait {
                tokio::time::sleep(wait).await;
            }
        }
    }

    fn about(&self) -> &Group {
        &self.crew.orders.groups[self.group]
    }

    async fn ask(&self, number: u32) -> Ending {
        let about = self.about();
        let session = match about.fresh {
            true => format!("{}-{}-{number}", about.name, self.number),
            false => format!("{}-{}", about.name, self.number),
        };
        let request = self
            .crew
            .http
            .post(&self.crew.orders.url)
            .bearer_auth(&self.key)
            .header("content-type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .header("x-claude-code-session-id", &session)
            .header("x-sm-user-id", &session)
            .body(self.body(&session, number));
        match request.send().await {
            Ok(answer) => self.read(answer).await,
            Err(error) => Ending {
                said: Some(chain(&error)),
                wait: Some(self.usual_wait()),
                ..Ending::new(0, Kind::Transport)
            },
        }
    }

    /// No two bodies are alike, so that the simulator's digests tell who was sent twice.
    fn body(&self, session: &str, number: u32) -> String {
        let word = self.about().word.as_deref().unwrap_or("storm");
        let filler = "word ".repeat(self.crew.orders.body_bytes / 5);
        let model = &self.crew.orders.model;
        format!(
            r#"{{"model":"{model}","max_tokens":64,"stream":true,"messages":[{{"role":"user","content":"{word} {session}-{number} {filler}"}}]}}"#
        )
    }

    async fn read(&self, mut answer: Response) -> Ending {
        let status = answer.status().as_u16();
        let header = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let (route, attempts) = (header("x-memgate-route"), header("x-memgate-attempts"));
        let retry_after = header("retry-after").and_then(|text| text.parse::<f64>().ok());
        let mut ending = Ending {
            route,
            attempts,
            ..Ending::new(status, Kind::Cut)
        };
        if status == 200 {
            self.follow(&mut answer, &mut ending).await;
        } else {
            ending.first = Some(self.crew.seconds());
            let text = answer.text().await.unwrap_or_default();
            ending.kind = kind_of_error(status, &text);
            ending.said = Some(text.chars().take(200).collect());
        }
        if ending.kind != Kind::Whole {
            let usual = self.usual_wait();
            ending.wait = Some(retry_after.map_or(usual, |s| usual.max(seconds(s))));
        }
        ending
    }

    /// Reads a stream to its end; only its last bytes are kept.
    async fn follow(&self, answer: &mut Response, ending: &mut Ending) {
        const TAIL: usize = 512;
        let mut tail: Vec<u8> = Vec::with_capacity(4 * TAIL);
        let clean = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => {
                    ending.first.get_or_insert_with(|| self.crew.seconds());
                    if tail.len() > 3 * TAIL {
                        tail.drain(..tail.len() - TAIL);
                    }
                    tail.extend_from_slice(&chunk);
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let text = String::from_utf8_lossy(&tail);
        ending.kind = if text.contains("event: error") {
            Kind::ErrorEvent
        } else if clean && text.contains("event: message_stop") {
            Kind::Whole
        } else {
            Kind::Cut
        };
        if ending.kind != Kind::Whole {
            let last = tail.len().saturating_sub(200);
            ending.said = Some(String::from_utf8_lossy(&tail[last..]).into_owned());
        }
    }

    fn usual_wait(&self) -> Duration {
        seconds(self.crew.orders.after_error)
    }

    fn tell(&self, number: u32, start: f64, ending: &Ending) {
        let told = Told {
            group: &self.about().name,
            client: self.number,
            number,
            start,
            end: self.crew.seconds(),
            ending,
        };
        if let Ok(mut line) = serde_json::to_vec(&told) {
            line.push(b'\n');
            // Nobody listens any more once the window has closed.
            let _ = self.crew.told.send(line);
        }
    }
}

impl Crew {
    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

impl Ending {
    fn new(status: u16, kind: Kind) -> Self {
        Self {
            first: None,
            status,
            kind,
            wait: None,
            route: None,
            attempts: None,
            said: None,
        }
    }
}

fn kind_of_error(status: u16, text: &str) -> Kind {
    const EDGE: [&str; 8] = [
        "error 1200",
        "error 1015",
        "cloudflare_error",
        "cf-error",
        "error code: ",
        "Error 1200",
        "cache_connection_limit",
        "temporarily rate limited",
    ];
    if EDGE.iter().any(|mark| text.contains(mark)) {
        Kind::Edge
    } else if matches!(status, 503 | 529) {
        Kind::Refused
    } else {
        Kind::Status
    }
}

/// What a server asks for, bounded as the SDKs bound it.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 60.0))
}
