//! A gateway in this process, in front of a simulated world, and the ways to call it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memgate::clock::{Clock, SystemClock};
use memgate::config::{Config, Env, Loaded, Sources};
use memgate::gateway::Gateway;
use memgate::server::{Bound, Running};
use memgate::sim::{Console, Edge, LiteLlm, SeenRequest};
use memgate::upstream::lane::Cause;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use crate::patience::*;

pub const MASTER: &str = "sk-test-master-0001";
pub const PROVIDER_KEY: &str = "sk-ant-test-provider";
pub const SUPERMEMORY_KEY: &str = "sm-test-key";
/// The direct model's public name, and its name at the provider.
pub const MODEL: &str = "claude-sonnet-4.5";
pub const UPSTREAM_MODEL: &str = "claude-sonnet-4-5-20250929";
/// A model that only LiteLLM serves.
pub const OTHER: &str = "gpt-test";
/// LiteLLM's file: one model behind Supermemory, one of LiteLLM's own.
pub const MODELS: &str = r#"model_list:
  - model_name: claude-sonnet-4.5
    litellm_params:
      model: anthropic/claude-sonnet-4-5-20250929
      api_base: https://api.supermemory.ai/v3/https://api.anthropic.com
      api_key: sk-ant-test-provider
      extra_headers: {x-supermemory-api-key: sm-test-key}
  - model_name: gpt-test
    litellm_params: {model: openai/gpt-test}
general_settings: {master_key: sk-test-master-0001}
user_id_mappings: {custom_header: x-memory-user-id, default_user_id: team}
"#;

/// The gateway under test; it stops when dropped.
pub struct TestGateway {
    // Before the gateway, which gives those who are connected a moment to ask.
    http: reqwest::Client,
    running: Option<Running>,
    folder: TempDir,
}

/// A gateway about to start.
pub struct Builder {
    own: String,
    models: String,
    clock: Arc<dyn Clock>,
    env: Vec<(&'static str, &'static str)>,
    folder: TempDir,
}

impl TestGateway {
    /// A gateway whose direct model is behind this edge. Waits between attempts are short.
    pub fn in_front_of(edge: &Edge) -> Builder {
        let folder = tempfile::tempdir().unwrap();
        edge.write_ca(folder.path().join("ca.pem")).unwrap();
        let own = format!(
            "listen: ['127.0.0.1:0']\nadmin: 127.0.0.1:0\nauth: {{litellm: false}}\n\
             direct: {{ca_file: ca.pem, bypass: none, resolve: {{'api.supermemory.ai:443': '{}'}}}}\n\
             retry: {{attempts: 3, initial_delay: 5ms, max_delay: 2s}}\ndrain: {{timeout: 5s}}\n",
            edge.addr()
        );
        Builder {
            own,
            models: MODELS.to_owned(),
            clock: Arc::new(SystemClock),
            env: Vec::new(),
            folder,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.running().addresses[0]
    }

    /// The address of the n-th listener.
    pub fn address_of(&self, listener: usize) -> SocketAddr {
        self.running().addresses[listener]
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running().admin.unwrap())
    }

    pub fn egress(&self) -> SocketAddr {
        self.running().egress.unwrap()
    }

    pub fn egress_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.egress())
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.running().gateway
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// A POST with the master key.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let json = ("content-type", "application/json");
        self.http
            .post(self.url(path))
            .bearer_auth(MASTER)
            .header(json.0, json.1)
    }

    /// One plain turn with the direct model.
    pub async fn message(&self, text: &str) -> reqwest::Response {
        self.post("/v1/messages")
            .body(turn(text).to_string())
            .send()
            .await
            .unwrap()
    }

    /// The number of one metric as it is now: for what cannot change any more, and for what was before. `labels`
    /// in any order; 0 while it was never counted.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.metrics().await;
        let has_all = |line: &str| {
            let mut wanted = labels
                .iter()
                .map(|(key, value)| format!("{key}=\"{value}\""));
            wanted.all(|label| line.contains(&label))
        };
        let mut lines = all.lines().filter(|line| {
            let rest = line
                .strip_prefix("memgate_")
                .and_then(|line| line.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && has_all(line)
        });
        let number = lines.next().and_then(|line| line.rsplit(' ').next());
        number.map_or(0.0, |number| number.parse().unwrap())
    }

    /// All metrics, as a scraper gets them.
    pub async fn metrics(&self) -> String {
        self.http
            .get(self.admin_url("/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// As if the edge in front of this host had asked for silence: on every lane through it.
    pub fn pause_host(&self, host: &str, wait: Duration) {
        let lanes = self.gateway().snapshot().lanes();
        for upstream in lanes.iter().filter(|upstream| upstream.host() == host) {
            upstream.lane.pause(wait, Cause::Host);
        }
    }

    /// Puts this in the place of a file beside memgate.yaml, as an editor does: all of it at once.
    pub fn rewrite(&self, name: &str, text: &str) {
        let fresh = self.folder.path().join(format!("{name}.new"));
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.folder.path().join(name)).unwrap();
    }

    /// Puts `new` in the place of `old` in memgate.yaml.
    pub fn rewrite_own(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("memgate.yaml")).unwrap();
        assert!(text.contains(old), "no {old:?} in {text}");
        self.rewrite("memgate.yaml", &text.replacen(old, new, 1));
    }

    /// As SIGHUP does; why nothing changed.
    pub async fn reload(&self) -> Result<(), String> {
        self.running().reload.now().await
    }

    /// Where such a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes such a file away.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    /// Stops as SIGTERM does, and waits for the end.
    pub fn stop(mut self) {
        self.running.take().unwrap().stop();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }
}

impl Builder {
    pub fn with_litellm(self, litellm: &LiteLlm) -> Self {
        let url = litellm.url();
        self.own(&format!("litellm: {{urls: ['{url}']}}\n"))
    }

    /// Adds lines to memgate.yaml. Sections of [`TestGateway::in_front_of`] are replaced when named again.
    pub fn own(mut self, yaml: &str) -> Self {
        for line in yaml.lines() {
            let section = line.split(':').next().unwrap_or_default();
            if !section.is_empty() && !section.starts_with([' ', '#']) {
                let others = self
                    .own
                    .lines()
                    .filter(|old| old.split(':').next() != Some(section));
                self.own = others.map(|old| format!("{old}\n")).collect();
            }
        }
        self.own.push_str(yaml);
        self.own.push('\n');
        self
    }

    /// Nobody waits in line longer.
    pub fn queue_timeout(mut self, time: &str) -> Self {
        let queue = format!("direct: {{queue: {{timeout: {time}}}, ");
        self.own = self.own.replace("direct: {", &queue);
        self
    }

    /// The listener speaks HTTP/2 too, by prior knowledge.
    pub fn with_h2c(self) -> Self {
        self.own("listen: [{address: '127.0.0.1:0', h2c: true}]")
    }

    /// Writes a file beside memgate.yaml.
    pub fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    /// Replaces LiteLLM's file, [`MODELS`].
    pub fn models(mut self, yaml: &str) -> Self {
        self.models = yaml.to_owned();
        self
    }

    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    pub async fn start(self) -> TestGateway {
        crate::logs::record();
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("memgate.yaml"), &self.own).unwrap();
        fs::write(path("config.yaml"), &self.models).unwrap();
        let sources = Sources {
            config: Some(path("memgate.yaml")),
            litellm_config: Some(path("config.yaml")),
            ..Sources::new(Env::from_pairs(self.env))
        };
        let Loaded {
            mut config, files, ..
        } = match Config::load(&sources) {
            Ok(loaded) => loaded,
            Err(faults) => panic!("the test's configuration is wrong:\n{faults}"),
        };
        choose_runtime(&mut config);
        let (clock, stealing) = (self.clock, config.server.work_stealing);
        let read = move || {
            let mut again = Config::load(&sources)?;
            again.config.server.work_stealing = stealing;
            Ok(again)
        };
        // Building it looks names up on a runtime of its own.
        let running = tokio::task::spawn_blocking(move || {
            let bound = Bound::new(config, clock).unwrap();
            bound.reading_again(files, Arc::new(read)).spawn()
        });
        TestGateway {
            running: Some(running.await.unwrap()),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            folder: self.folder,
        }
    }
}

/// Set where the gateway runs on the runtime that is shipped; each process starts one gateway then.
pub const SHIPPED_RUNTIME: &str = "MEMGATE_TEST_SHIPPED_RUNTIME";

/// Pingora knows the runtime of a thread that does not share tasks by a number, and the threads of the next gateway
/// in the same process get the numbers of the last one's. So the usual runtime here is the other one.
fn choose_runtime(config: &mut Config) {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if std::env::var_os(SHIPPED_RUNTIME).is_none() {
        config.server.work_stealing = true;
        return;
    }
    assert!(!config.server.work_stealing, "that is not what is shipped");
    let second = STARTED.swap(true, Ordering::Relaxed);
    assert!(!second, "a second gateway in one process");
}

/// The body of a plain turn with the direct model.
pub fn turn(text: &str) -> Value {
    json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": text}]})
}

/// The body of a streamed turn with `model`, in either dialect.
pub fn streamed(model: &str, text: &str) -> String {
    let mut turn = turn(text);
    turn["model"] = json!(model);
    turn["stream"] = json!(true);
    turn.to_string()
}

/// How a client speaks to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    H1,
    H2,
}

impl Down {
    pub const BOTH: [Self; 2] = [Self::H1, Self::H2];

    /// A client of its own, with connections of its own.
    pub fn client(self) -> reqwest::Client {
        let builder = reqwest::Client::builder().no_proxy();
        let builder = match self {
            Self::H1 => builder.http1_only(),
            Self::H2 => builder.http2_prior_knowledge(),
        };
        builder.build().unwrap()
    }
}

/// All of an answer's body, and whether it ended as a whole one does.
pub async fn read_out(answer: &mut reqwest::Response) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return (body, true),
            Err(_) => return (body, false),
        }
    }
}

/// Reads on until the body holds `text`.
pub async fn read_until(answer: &mut reqwest::Response, text: &str) -> Vec<u8> {
    let mut body = Vec::new();
    while memchr::memmem::find(&body, text.as_bytes()).is_none() {
        match answer.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            end => panic!(
                "{end:?} before {text:?}, after {:?}",
                String::from_utf8_lossy(&body)
            ),
        }
    }
    body
}

/// What clients asked of a simulator; the gateway's own probes aside.
pub fn asked(console: &Console) -> Vec<SeenRequest> {
    let mut seen = console.requests();
    seen.retain(|request| request.path() != "/health/liveliness");
    seen
}
