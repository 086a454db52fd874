//! Does anybody ever see what is another's? Two hundred clients, each with a key, a memory and a secret of its own, on
//! shared connections and on their own, while attempts fail, clients leave, and keys, certificates and the rest of the
//! configuration change.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use memgate::clock::ManualClock;
use memgate::sim::{
    Answer, At, Edge, EdgeOptions, How, LiteLlm, LiteLlmOptions, Retention, Rule, SeenRequest,
    answer, cloudflare,
};
use parking_lot::Mutex;
use regex::Regex;
use serde_json::json;
use tokio::task::JoinSet;

use crate::certificates::{Pair, PairFiles};
use crate::harness::*;
use crate::listed_keys::{entry, keys};
use crate::logs;
use crate::two_ways::*;

const STRANGERS: usize = 200;
const ROUNDS: usize = 3;
const RELOADS: usize = 3;
/// Whoever says this hears the beginning of an answer.
const SILENT: &str = "and now silence";
/// What the gateway waits for an upstream that fell silent, in the machine's own time: far below [`PATIENCE`].
const SILENCE: &str = "{idle_timeout: 2s, first_byte_timeout: 15s}";

fn key(number: usize) -> String {
    format!("sk-mg-key-{number:03}-of-a-stranger")
}

/// The keys file for the n-th time: the same people in another order, their memories by other names.
fn keys_file(reload: usize) -> String {
    let people = (0..STRANGERS).map(|place| {
        let number = (place * 7 + reload * 31) % STRANGERS;
        let user = format!(", user: user-{number:03}-{reload}");
        entry(&format!("name-{number:03}"), &key(number), &user)
    });
    keys(&people.collect::<Vec<_>>())
}

/// Whose marks a text bears.
fn marks(text: &str) -> BTreeSet<usize> {
    static MARK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?:secret|user|key|name)-(\d{3})").unwrap());
    let numbers = MARK.captures_iter(text);
    numbers.map(|found| found[1].parse().unwrap()).collect()
}

fn mishaps() -> Vec<Answer> {
    let usual = answer::usual;
    vec![
        usual().cut(At::BeforeHead, How::Abort),
        usual().cut(At::BeforeHead, How::Reset(7)),
        usual().cut(At::BeforeHead, How::Disown),
        answer::provider_error(529, "overloaded_error", "busy").retry_after(0),
        usual().cut(At::BeforeHead, How::Reset(7)),
        usual().cut(At::AfterHead, How::GoAway(0)),
        usual().cut(At::AfterBytes(20), How::Truncate),
        usual().cut(At::AfterEvents(2), How::Abort),
        usual().cut(At::AfterEvents(3), How::Reset(2)),
        usual().cut(At::AfterEvents(1), How::Pause(20)),
        usual().cut(At::AfterEvents(2), How::Stall),
        usual().delay(Duration::from_millis(20)),
        usual().goaway(),
        answer::provider_error(529, "overloaded_error", "busy").retry_after(0),
        answer::stream_error("overloaded_error"),
        full().retry_after(1),
        answer::status(503),
    ]
}

/// One mishap in five answers.
fn script() -> Vec<Answer> {
    let between = || answer::usual().times(4);
    mishaps()
        .into_iter()
        .flat_map(|mishap| [between(), mishap])
        .collect()
}

struct World {
    edge: Edge,
    litellm: LiteLlm,
    gateway: TestGateway,
    files: PairFiles,
    pairs: Vec<Pair>,
    /// Stops the clock.
    over: Arc<AtomicBool>,
}

impl World {
    async fn new() -> Self {
        let retention = Retention {
            requests: 100_000,
            ..Retention::default()
        };
        let edge = two_hosts_of(EdgeOptions {
            capacity: Some(cloudflare::CapacityGate::of(60).refusing(full().retry_after(1))),
            retention,
            ..EdgeOptions::default()
        });
        let litellm = LiteLlm::start(LiteLlmOptions {
            retention,
            ..LiteLlmOptions::default()
        });
        let (edge, litellm) = (edge.await, litellm.await.unwrap());
        let stall = answer::usual().cut(At::AfterEvents(2), How::Stall);
        litellm.rule(Rule::new(stall).body(SILENT));
        let pairs: Vec<Pair> = (0..=RELOADS).map(|_| Pair::new()).collect();
        let files = PairFiles::holding(&pairs[0]);
        let tls = files.listen();
        let tls = tls.trim_start_matches("listen: [").trim_end_matches(']');
        // Ten times as fast, so that files are looked at while the test lasts.
        let clock = ManualClock::default();
        let time = clock.clone();
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        // A thread of its own: the runtime's are busy.
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                time.advance(Duration::from_millis(50));
            }
        });
        let url = litellm.url();
        let gateway = before(&edge, "bypass: provider")
            .own("auth: {keys_file: keys.yaml, litellm: false}")
            .own(&format!(
                "listen: [{tls}, {{address: '127.0.0.1:0', h2c: true}}, '127.0.0.1:0']"
            ))
            .own(&format!(
                "litellm: {{urls: ['{url}'], api_key: sk-of-the-gateway}}"
            ))
            .own(&format!("limits: {SILENCE}"))
            .queue_timeout("20s")
            .file("keys.yaml", &keys_file(0))
            .clock(Arc::new(clock));
        Self {
            gateway: gateway.start().await,
            edge,
            litellm,
            files,
            pairs,
            over,
        }
    }

    /// Everything reloaded again and again, each time until it is in force; the servers, and so their connections,
    /// are others after each.
    async fn reload(&self) {
        for reload in 1..=RELOADS {
            self.spoil();
            self.gateway.rewrite("keys.yaml", &keys_file(reload));
            self.files.put(&self.pairs[reload]);
            for name in ["keys_file_loads_total", "certificate_reloads_total"] {
                let loaded = async {
                    while self.gateway.metric(name, &[("outcome", "ok")]).await < reload as f64 {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                soon(loaded).await;
            }
            let first_byte = |seconds| format!("first_byte_timeout: {seconds}s");
            let (old, new) = (first_byte(14 + reload), first_byte(15 + reload));
            self.gateway.rewrite_own(&old, &new);
            soon(self.gateway.reload()).await.unwrap();
        }
    }

    fn spoil(&self) {
        for console in [&*self.edge, provider(&self.edge), &*self.litellm] {
            console.script(script());
        }
    }

    /// What became of these requests, as far as anybody knows.
    fn story(&self, ids: &[String]) -> String {
        let mut story = String::new();
        for id in ids {
            story.push_str(&format!("{id} had no answer at all:\n"));
            for console in [&*self.edge, provider(&self.edge), &*self.litellm] {
                for seen in console.requests() {
                    let body = String::from_utf8_lossy(&seen.body.kept);
                    if body.contains(&format!("{id} ")) {
                        story.push_str(&format!(
                            "  {} on {}/{}: {:?} {:?} from {:?} to {:?}\n",
                            seen.target,
                            seen.connection,
                            seen.stream,
                            seen.status,
                            seen.outcome,
                            seen.arrived,
                            seen.ended
                        ));
                    }
                }
            }
            for line in logs::access_lines(id) {
                story.push_str(&format!("  {line}\n"));
            }
        }
        story
    }

    /// Where the n-th stranger connects: alone over TLS by either protocol, or on connections that many share.
    fn clients(&self) -> Vec<(reqwest::Client, String)> {
        let port = |listener: usize| self.gateway.address_of(listener).port();
        let tls = || {
            let trusted = self.pairs.iter();
            let trusted = trusted.map(|pair| reqwest::Certificate::from_pem(pair.cert.as_bytes()));
            reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only(trusted.map(Result::unwrap))
                .resolve("localhost", self.gateway.address_of(0))
        };
        let (h1, h2) = (Down::H1.client(), Down::H2.client());
        let client = |number: usize| match number % 4 {
            0 => (
                tls().http1_only().build().unwrap(),
                format!("https://localhost:{}", port(0)),
            ),
            1 => (
                tls().build().unwrap(),
                format!("https://localhost:{}", port(0)),
            ),
            2 => (h2.clone(), format!("http://127.0.0.1:{}", port(1))),
            _ => (h1.clone(), format!("http://127.0.0.1:{}", port(2))),
        };
        (0..STRANGERS).map(client).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Tally {
    whole: AtomicUsize,
    broken: AtomicUsize,
    refused: AtomicUsize,
    left: AtomicUsize,
    /// Whom nobody ever answered.
    unanswered: Mutex<Vec<String>>,
    /// The reloads are over, and so may the strangers be.
    over: AtomicBool,
}

struct Stranger {
    number: usize,
    http: reqwest::Client,
    url: String,
    dice: fastrand::Rng,
    tally: Arc<Tally>,
}

impl Stranger {
    async fn live(mut self) {
        let mut round = 0;
        while round < ROUNDS || !self.tally.over.load(Ordering::Relaxed) {
            self.ask(round).await;
            round += 1;
            // Whoever asked without a pause would keep the machine from everything else.
            tokio::time::sleep(Duration::from_millis(self.dice.u64(300..1500))).await;
        }
    }

    async fn ask(&mut self, round: usize) {
        let id = format!("stranger-{:03}-{round}", self.number);
        // Some wait out a silence of LiteLLM's.
        let waits = round == 0 && self.number.is_multiple_of(20);
        let request = self.request(&id, waits);
        let patience = match self.dice.u8(..4) {
            0 if !waits => Duration::from_millis(self.dice.u64(1..40)),
            _ => PATIENCE,
        };
        let first_piece_only = self.dice.u8(..4) == 0 && !waits;
        let heard = tokio::time::timeout(patience, self.hear(request, first_piece_only, &id));
        match heard.await {
            Ok(()) => {}
            Err(_) if patience == PATIENCE => self.tally.unanswered.lock().push(id),
            Err(_) => {
                self.tally.left.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn request(&mut self, id: &str, waits: bool) -> reqwest::RequestBuilder {
        let ways = [
            ("/v1/messages", MODEL),
            ("/v1/messages", MODEL),
            ("/v1/chat/completions", MODEL),
            ("/v1/chat/completions", OTHER),
        ];
        let (path, model) = ways[if waits { 3 } else { self.dice.usize(..4) }];
        let filler = "x".repeat(self.dice.usize(..8) * self.dice.usize(..4000));
        let text = format!("secret-{:03} of {id} {filler}", self.number);
        let text = if waits { text + SILENT } else { text };
        let mut body = turn(&text);
        body["model"] = json!(model);
        body["stream"] = json!(waits || self.dice.bool());
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.bearer_auth(key(self.number));
        let request = request.header("x-request-id", id);
        request
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Nothing of it is another's, however far it comes.
    async fn hear(&self, request: reqwest::RequestBuilder, first_piece_only: bool, id: &str) {
        let Ok(mut answer) = request.send().await else {
            self.tally.broken.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let status = answer.status().as_u16();
        assert!(![401, 403].contains(&status), "{id} was taken for another");
        assert_eq!(answer.headers()["x-request-id"], id);
        let head = format!("{:?}", answer.headers());
        if first_piece_only {
            let piece = answer.chunk().await.ok().flatten().unwrap_or_default();
            self.judge(id, &head, &String::from_utf8_lossy(&piece));
            self.tally.left.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (body, whole) = read_out(&mut answer).await;
        let body = String::from_utf8_lossy(&body);
        self.judge(id, &head, &body);
        let is_good = status == 200 && whole && !body.contains("error");
        if is_good {
            let own = format!("secret-{:03} of {id} ", self.number);
            let said: String = spoken(&body);
            assert!(said.contains(&own), "{id} was told {body}");
        }
        let tally = match (status, is_good) {
            (_, true) => &self.tally.whole,
            (200, false) => &self.tally.broken,
            _ => &self.tally.refused,
        };
        tally.fetch_add(1, Ordering::Relaxed);
    }

    fn judge(&self, id: &str, head: &str, body: &str) {
        let mut found = marks(head);
        found.extend(marks(body));
        found.remove(&self.number);
        assert!(found.is_empty(), "{id} sees {found:?}: {head} {body}");
    }
}

/// What an answer says, put together from its pieces where it came in such.
fn spoken(body: &str) -> String {
    static PIECE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#""(?:text|content)":"([^"]*)""#).unwrap());
    let pieces = PIECE.captures_iter(body);
    pieces.map(|piece| piece[1].to_owned()).collect()
}

fn assert_of_one(seen: &SeenRequest, with_memory: bool) {
    let body = String::from_utf8_lossy(&seen.body.kept);
    let persons = marks(&body);
    assert!(persons.len() <= 1, "one body of {persons:?}");
    let head = format!("{} {:?} {:?}", seen.target, seen.headers, seen.cookies);
    assert!(!head.contains("sk-mg-"), "a key went up: {head}");
    let named = marks(seen.header("x-sm-user-id").unwrap_or_default());
    if with_memory && seen.body.complete {
        assert_eq!(named, persons, "whose memory and whose words");
    } else if !with_memory {
        assert_eq!(marks(&head), BTreeSet::new());
    }
}

fn assert_lines_of_one() {
    let lines = logs::lines().into_iter();
    let told = lines.filter(|line| line.text.contains("\"stranger-") && line.text.starts_with('{'));
    let mut count = 0;
    for line in told {
        static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"stranger-(\d{3})").unwrap());
        let number: usize = ID.captures(&line.text).unwrap()[1].parse().unwrap();
        let others: Vec<usize> = marks(&line.text)
            .into_iter()
            .filter(|one| *one != number)
            .collect();
        assert!(others.is_empty(), "{}", line.text);
        count += 1;
    }
    assert!(count >= STRANGERS * ROUNDS, "{count} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_strangers_never_see_a_byte_or_a_memory_of_another() {
    let world = World::new().await;
    world.spoil();
    let tally = Arc::new(Tally::default());
    let mut strangers = JoinSet::new();
    for (number, (http, url)) in world.clients().into_iter().enumerate() {
        let stranger = Stranger {
            number,
            http,
            url,
            dice: fastrand::Rng::with_seed(number as u64),
            tally: Arc::clone(&tally),
        };
        strangers.spawn(stranger.live());
    }

    world.reload().await;
    tally.over.store(true, Ordering::Relaxed);
    while let Some(ended) = strangers.join_next().await {
        ended.unwrap();
    }
    let unanswered = std::mem::take(&mut *tally.unanswered.lock());
    assert!(unanswered.is_empty(), "{}", world.story(&unanswered));
    world.gateway.settled().await;

    let [whole, broken, refused, left] = [&tally.whole, &tally.broken, &tally.refused, &tally.left]
        .map(|count| count.load(Ordering::Relaxed));
    let shown = format!("{whole} whole, {broken} broken, {refused} refused, {left} left");
    assert!(whole > STRANGERS / 2, "{shown}");
    assert!(broken > 0 && left > STRANGERS / 2, "{shown}");
    let again: f64 = world
        .gateway
        .metrics()
        .await
        .lines()
        .filter_map(retries)
        .sum();
    assert!(again > 0.0, "attempts were made again: {again}");
    let reloads = [("outcome", "ok")];
    let reloads = world.gateway.metric("config_reloads_total", &reloads).await;
    assert_eq!(reloads, RELOADS as f64);
    let silent = [("kind", "idle_timeout")];
    let silent = world.gateway.metric("stream_errors_total", &silent).await;
    assert!(silent > 0.0, "nobody ran into a timeout");
    for seen in world.edge.requests() {
        assert_of_one(&seen, true);
    }
    for seen in provider(&world.edge)
        .requests()
        .iter()
        .chain(&asked(&world.litellm))
    {
        assert_of_one(seen, false);
    }
    assert_lines_of_one();
}

fn retries(line: &str) -> Option<f64> {
    line.strip_prefix("memgate_retries_total{")?
        .rsplit(' ')
        .next()?
        .parse()
        .ok()
}
