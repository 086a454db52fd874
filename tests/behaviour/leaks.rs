//! What does the program write, asked to tell all, while secrets come in by every door? Of them, nothing.

mod operated;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use http::HeaderMap;
use memgate::auth::Fingerprint;
use memgate::sim::cloudflare::{self, CookieGate};
use memgate::sim::{
    Answer, At, Edge, EdgeOptions, How, LiteLlm, LiteLlmOptions, VirtualKey, answer,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::certificates::{Pair, PairFiles};
use crate::harness::*;
use crate::listed_keys::{entry, keys};
use crate::spans::Collector;
use crate::wire::{H2, Raw, tls};

/// In everything that must not be told.
const CANARY: &str = "zq7canary";
/// `user:zq7canary` as `Basic` says it.
const BASIC: &str = "dXNlcjp6cTdjYW5hcnk=";
const ADMIN: &str = "sk-admin-zq7canary-5513";
const VIRTUAL: &str = "sk-virtual-zq7canary-5513";
const LISTED: &str = "sk-mg-zq7canary-of-nobody-else-5513";
/// By which the gateway itself asks LiteLLM.
const SERVICE: &str = "sk-service-zq7canary-5513";
/// Whose memory a listed key means; called by a digest where others read it.
const LISTED_USER: &str = "user-of-the-listed-key";

const PLAIN: usize = 0;
const H2C: usize = 1;
const TLS: usize = 2;

/// The program with its log at its finest, and what it wrote so far.
struct Program {
    child: Child,
    wrote: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl Program {
    fn start(folder: TempDir) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_memgate"))
            .args(["run", "--config"])
            .arg(folder.path().join("memgate.yaml"))
            .env_clear()
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let wrote = Arc::new(Mutex::new(Vec::new()));
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for pipe in pipes {
            let wrote = Arc::clone(&wrote);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    wrote
                        .lock()
                        .push(String::from_utf8_lossy(&line).into_owned());
                }
            });
        }
        Self {
            child,
            wrote,
            folder,
        }
    }

    /// The addresses that it says after `text`, once it has said so many.
    async fn addresses(&self, text: &str, count: usize) -> Vec<SocketAddr> {
        let said = || -> Vec<SocketAddr> {
            let lines = self.wrote.lock();
            let told = lines.iter().filter(|line| line.contains(text));
            told.filter_map(|line| line.rsplit(' ').next()?.parse().ok())
                .collect()
        };
        assert!(becomes_true(|| said().len() >= count).await, "{text}");
        said()
    }

    /// Stops it as a service manager does: all that it wrote.
    async fn end(mut self) -> (Vec<String>, TempDir) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status();
        assert!(told.unwrap().success());
        let ended = tokio::task::spawn_blocking(move || {
            self.child.wait().unwrap();
            self
        });
        let ended = soon(ended).await.unwrap();
        // The readers let go at the end of their pipes.
        assert!(becomes_true(|| Arc::strong_count(&ended.wrote) == 1).await);
        let wrote = std::mem::take(&mut *ended.wrote.lock());
        (wrote, ended.folder)
    }
}

/// The program between an edge and a LiteLLM, with a port of every kind.
struct World {
    edge: Edge,
    litellm: LiteLlm,
    program: Program,
    pair: Pair,
    files: PairFiles,
    collector: Collector,
    ports: Vec<SocketAddr>,
    admin: SocketAddr,
    egress: SocketAddr,
    /// Answers that are the gateway's own, and where they came from.
    own: Vec<(String, String)>,
}

impl World {
    async fn new() -> Self {
        // A gateway in this process would have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let edge = Edge::start(EdgeOptions {
            cookie_gate: Some(CookieGate::default()),
            ..EdgeOptions::default()
        });
        let edge = edge.await.unwrap();
        let litellm = LiteLlm::start(LiteLlmOptions {
            keys: vec![VirtualKey::new(VIRTUAL), VirtualKey::new(SERVICE)],
            master_key: Some(MASTER.into()),
            ..LiteLlmOptions::default()
        });
        let litellm = litellm.await.unwrap();
        let pair = Pair::new();
        let files = PairFiles::holding(&pair);
        let folder = tempfile::tempdir().unwrap();
        let collector = Collector::start().await;
        write_config(&folder, &edge, &litellm, &files);
        operated::write_config(&folder, &collector);
        let program = Program::start(folder);
        let ports = program.addresses("serving on", 3).await;
        let admin = program.addresses("admin port on", 1).await[0];
        let egress = program.addresses("egress port on", 1).await[0];
        Self {
            edge,
            litellm,
            program,
            pair,
            files,
            collector,
            ports,
            admin,
            egress,
            own: Vec::new(),
        }
    }

    /// Sends it and reads the answer; errors of the gateway's own are kept, the provider's words are not.
    async fn ask(&mut self, what: &str, request: reqwest::RequestBuilder) {
        // Some of what is asked breaks its connection.
        let Ok(mut answer) = soon(request.send()).await else {
            return;
        };
        let (body, _) = soon(read_out(&mut answer)).await;
        self.keep(what, answer.headers(), &body);
    }

    fn keep(&mut self, what: &str, head: &HeaderMap, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        let route = head.get("x-memgate-route");
        if route.is_none_or(|route| route == "local") {
            self.own.push((what.to_owned(), format!("{head:?} {body}")));
            return;
        }
        // The head is the provider's, and the body but for errors that we put in its place or at its end.
        let id = head["x-request-id"].to_str().unwrap();
        let told = body.lines().map(|line| line.trim_start_matches("data: "));
        let ours = told.filter(|text| is_own_error(text, id));
        let ours = ours.map(|error| (format!("{what}, amid"), error.to_owned()));
        self.own.extend(ours);
    }

    /// The same over HTTP/2, with every field that there is.
    async fn ask_by(&mut self, mut h2: H2, path: &str) {
        let all: Vec<(&str, &str)> = HEADERS.iter().map(|name| (*name, CANARY)).collect();
        let mut exchange = h2.post(path, &all).await;
        exchange
            .send(turn("hello").to_string().as_bytes(), 100)
            .await;
        let answer = exchange.reply().await;
        self.keep("over HTTP/2", &answer.headers, &answer.body);
    }

    /// Comes back when a line holds this text.
    async fn told(&self, text: &str) {
        let is_there = || {
            self.program
                .wrote
                .lock()
                .iter()
                .any(|line| line.contains(text))
        };
        assert!(becomes_true(is_there).await, "{text}");
    }

    fn post(&self, port: SocketAddr, path: &str) -> reqwest::RequestBuilder {
        // Of its own connection, and so without one that was broken before.
        let client = Down::H1.client();
        let request = client.post(format!("http://{port}{path}"));
        request.header("content-type", "application/json")
    }
}

/// Anthropic's form with our id of the request, or OpenAI's with one of our words for a code: providers' are numbers.
fn is_own_error(text: &str, id: &str) -> bool {
    let error: Value = serde_json::from_str(text).unwrap_or_default();
    let code = error["error"]["code"].as_str().unwrap_or_default();
    let is_word = |word: &str| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    error["request_id"] == id || !code.is_empty() && is_word(code)
}

fn write_config(folder: &TempDir, edge: &Edge, litellm: &LiteLlm, files: &PairFiles) {
    let path = |name: &str| folder.path().join(name);
    edge.write_ca(path("ca.pem")).unwrap();
    let tls = files.listen();
    let tls = tls.trim_start_matches("listen: [").trim_end_matches(']');
    let (at, url) = (edge.addr(), litellm.url());
    let service = path("service.key");
    let service = service.display();
    let own = format!(
        "listen: ['127.0.0.1:0', {{address: '127.0.0.1:0', h2c: true}}, {tls}]\n\
         admin: 127.0.0.1:0\nadmin_key: {ADMIN}\n\
         egress: {{listen: '127.0.0.1:0'}}\n\
         litellm: {{config: config.yaml, urls: ['{url}'], api_key: 'file:{service}'}}\n\
         auth: {{keys_file: keys.yaml}}\n\
         trusted_proxies: [127.0.0.1]\n\
         cookies: {{file: jar.json}}\n\
         direct: {{ca_file: ca.pem, bypass: none, resolve: {{'api.supermemory.ai:443': '{at}'}}}}\n\
         retry: {{attempts: 2, initial_delay: 1ms, max_delay: 1s}}\n"
    );
    std::fs::write(path("memgate.yaml"), own).unwrap();
    std::fs::write(path("service.key"), format!("{SERVICE}\n")).unwrap();
    // Its name is told, and its digest is not.
    let listed = entry("listed", LISTED, &format!(", user: {LISTED_USER}"));
    std::fs::write(path("keys.yaml"), keys(&[listed])).unwrap();
    let models = MODELS.replace(PROVIDER_KEY, "sk-ant-zq7canary-provider");
    let models = models.replace(SUPERMEMORY_KEY, "sm-zq7canary-memory");
    std::fs::write(path("config.yaml"), models).unwrap();
}

/// Headers of clients, balancers and tools; each value is a canary of its own.
const HEADERS: &[&str] = &[
    "x-api-key",
    "api-key",
    "x-litellm-api-key",
    "x-goog-api-key",
    "proxy-authorization",
    "cookie",
    "x-sm-user-id",
    "x-sm-conversation-id",
    // By which the master key names another user.
    "x-memory-user-id",
    "x-supermemory-api-key",
    "x-memgate-note",
    "x-memgate-memory",
    "x-litellm-tags",
    "cf-connecting-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded",
    "via",
    "user-agent",
    "referer",
    "origin",
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "x-claude-code-session-id",
    "x-stainless-retry-count",
    "anthropic-beta",
    "anthropic-version",
    "accept",
    "accept-encoding",
    "accept-language",
    "content-encoding",
    "range",
    "if-none-match",
    "x-unknown-thing",
];

/// Bodies with a prompt, whole and broken, plain and to be translated, most of them refused. An error names the id
/// of the call it is about, so ids hold nothing here.
fn bodies() -> Vec<(&'static str, String)> {
    let said = |content: Value| json!([{"role": "user", "content": content}]);
    let chat = |more: Value| {
        let mut body = turn(CANARY);
        let fields = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        ("/v1/chat/completions", body.to_string())
    };
    let whole = turn(CANARY).to_string();
    let mut bodies = vec![
        ("/v1/messages", whole.clone()),
        ("/v1/messages", whole.replace('}', "")),
        ("/v1/messages", whole.replace("\"model\"", "\"zq7canary\"")),
        ("/v1/messages", format!("{CANARY}{whole}")),
        ("/v1/messages", whole.replace(MODEL, OTHER)),
        ("/v1/messages/count_tokens", whole.clone()),
        ("/v1/embeddings", whole.clone()),
        ("/v1/responses", whole.clone()),
        ("/key/generate", whole.clone()),
        ("/v1/chat/completions", whole.replace(MODEL, OTHER)),
        ("/v1/chat/completions", whole.replace('}', "")),
    ];
    let refused = [
        json!({"n": 2}),
        json!({"logprobs": CANARY}),
        json!({"user": CANARY, "metadata": {CANARY: CANARY}}),
        json!({"temperature": CANARY}),
        json!({"stop": {"a": CANARY}}),
        json!({"reasoning_effort": CANARY}),
        json!({"tool_choice": {"type": "function", "function": {"name": CANARY}}}),
        json!({"tools": [{"type": CANARY}]}),
        json!({"tools": [{"type": "function", "function": {"name": "zq7canary!", "parameters": CANARY}}]}),
        json!({"response_format": {"type": CANARY}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": CANARY, "schema": {"type": CANARY}}}}),
        json!({"system": CANARY, "stop_sequences": [CANARY]}),
        json!({"audio": CANARY, "modalities": [CANARY]}),
        json!({"messages": said(json!([{"type": CANARY}]))}),
        json!({"messages": said(json!([{"type": "image_url", "image_url": {"url": CANARY}}]))}),
        json!({"messages": said(json!([{"type": "image_url", "image_url": {"url": "data:image/zq7canary;base64,zq7canary"}}]))}),
        json!({"messages": said(json!([{"type": "file", "file": {"file_data": "data:zq7canary", "filename": CANARY}}]))}),
        json!({"messages": [{"role": CANARY, "content": CANARY}]}),
        json!({"messages": [{"role": "tool", "tool_call_id": CANARY, "content": CANARY}]}),
        json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "call-1", "type": "function", "function": {"name": CANARY, "arguments": CANARY}}]}]}),
        json!({"zq7_unknown": CANARY}),
        json!({"stream": CANARY}),
        json!({"max_tokens": CANARY}),
    ];
    bodies.extend(refused.into_iter().map(chat));
    bodies
}

/// Heads that nobody can read, and bytes that are no HTTP at all.
fn broken_heads() -> Vec<Vec<u8>> {
    let with = |line: &str| {
        let head = format!(
            "POST /v1/messages?key={CANARY} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {CANARY}\r\n{line}\r\n\r\n"
        );
        head.into_bytes()
    };
    let long = CANARY.repeat(5000);
    vec![
        with("zq7canary"),
        with("zq7canary zq7canary: x"),
        with("x: zq7canary\u{1}"),
        with(" folded: zq7canary"),
        with("content-length: zq7canary"),
        with("content-length: 3\r\ncontent-length: 4"),
        with("content-length: -3"),
        with("transfer-encoding: zq7canary"),
        with("transfer-encoding: chunked\r\ncontent-length: 9"),
        with("transfer-encoding: chunked\r\n\r\nzq7canary"),
        with("host: zq7canary"),
        with(&format!("x: {long}")),
        with("expect: zq7canary\r\ncontent-length: 0"),
        with("connection: upgrade\r\nupgrade: zq7canary\r\ncontent-length: 0"),
        format!("GET /v1/models?{long} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(),
        b"zq7canary zq7canary zq7canary\r\n\r\n".to_vec(),
        b"GET http://user:zq7canary@x/v1/models HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"CONNECT zq7canary:443 HTTP/1.1\r\nhost: zq7canary:443\r\n\r\n".to_vec(),
        b"TRACE / HTTP/1.1\r\nhost: x\r\nx-api-key: zq7canary\r\n\r\n".to_vec(),
        b"PROXY TCP4 zq7canary 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nzq7canary zq7canary zq7canary".to_vec(),
        b"GET / HTTP/1.1\r\nhost: x\r\nx-api-key: zq7canary".to_vec(),
    ]
}

/// Answers of providers and of what is before them, sound and unsound.
fn answers() -> Vec<Answer> {
    let event = format!("event: zq7canary\ndata: {{\"text\":\"{CANARY}\"}}\n\n");
    let stream = || answer::stream([event.clone(), format!("data: {CANARY}\n\n")]);
    let html = || answer::status(503).body(format!("<html>{CANARY}</html>"));
    let usual = || answer::usual();
    vec![
        answer::message(CANARY),
        answer::provider_error(400, CANARY, CANARY),
        answer::provider_error(401, "authentication_error", CANARY),
        answer::provider_error(529, "overloaded_error", CANARY),
        answer::json(200, &json!({"zq7canary": CANARY})),
        answer::json(200, &json!(CANARY)),
        answer::status(200).body(CANARY),
        answer::status(302).header("location", format!("https://x/?key={CANARY}")),
        answer::status(403).header("www-authenticate", CANARY),
        html()
            .header("server", "cloudflare")
            .header("content-type", "text/html"),
        html().header("retry-after", CANARY),
        cloudflare::queue_full()
            .zone("api.anthropic.com")
            .retry_after(0),
        cloudflare::challenge().header("set-cookie", "cf_clearance=zq7canary; Secure; HttpOnly"),
        cloudflare::rate_limited_page().retry_after(0),
        cloudflare::denied(),
        cloudflare::worker_crashed(),
        usual().header("set-cookie", "__cf_bm=zq7canary; Path=/; Secure"),
        usual().header("set-cookie", "_cfuvid=zq7canary\u{1}x; Secure"),
        usual().header("set-cookie", "session=zq7canary; Domain=zq7canary.example"),
        usual()
            .header("x-zq7canary", CANARY)
            .trailer("x-trailer", CANARY),
        usual().informational(103),
        usual().header("x-supermemory-error", CANARY),
        usual().cut(At::AfterBytes(20), How::Truncate),
        usual().cut(At::BeforeHead, How::Abort),
        usual().cut(At::BeforeHead, How::Reset(2)),
        stream(),
        stream().cut(At::AfterEvents(1), How::Abort),
        answer::stream([format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{CANARY}\",\"message\":\"{CANARY}\"}}}}\n\n"
        )]),
        answer::stream_error(CANARY),
        answer::unfinished(),
        answer::raw("HTTP/1.1 200 OK\r\nbad header zq7canary\r\n\r\n"),
        answer::raw("HTTP/1.1 200 OK\r\ncontent-length: zq7canary\r\n\r\nzq7canary"),
        answer::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzq7canary\r\nzq7canary"),
        answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokzq7canary zq7canary"),
        answer::raw("zq7canary zq7canary\r\n\r\n"),
    ]
}

async fn by_headers(world: &mut World) {
    let body = turn("hello").to_string();
    for path in [
        "/v1/messages?key=zq7canary&userId=zq7canary&api_key=zq7canary",
        "/v1/embeddings?token=zq7canary",
        "/key/info?key=zq7canary",
        "/memory-routing/info?zq7canary",
    ] {
        for credential in [
            format!("Bearer {MASTER}"),
            format!("Bearer {VIRTUAL}"),
            format!("Bearer {LISTED}"),
            format!("Bearer sk-{CANARY}"),
            format!("Basic {BASIC}"),
            CANARY.to_owned(),
        ] {
            let request = world.post(world.ports[PLAIN], path);
            let request = request
                .header("authorization", credential)
                .body(body.clone());
            world.ask(path, request).await;
        }
    }
    for name in HEADERS {
        for path in ["/v1/messages", "/v1/embeddings"] {
            let request = world.post(world.ports[PLAIN], path).bearer_auth(MASTER);
            let request = request.header(*name, format!("{CANARY}-{name}"));
            world.ask(name, request.body(body.clone())).await;
        }
        let egress = world.post(
            world.egress,
            "/v3/api.anthropic.com/v1/messages?key=zq7canary",
        );
        let egress = egress.header(*name, format!("{CANARY}-{name}"));
        world.ask(name, egress.body(body.clone())).await;
    }
    for path in ["/v1/messages?key=zq7canary", "/key/info?key=zq7canary"] {
        let (stream, _) = tls(world.ports[TLS], &world.pair.cert, &["h2"]).await;
        for h2 in [H2::connect(world.ports[H2C]).await, H2::on(stream).await] {
            world.ask_by(h2, path).await;
        }
    }
}

/// Where browsers put a key, for a WebSocket has no other field of theirs.
async fn by_upgrades(world: &mut World) {
    for key in [MASTER, VIRTUAL, LISTED, CANARY] {
        let path = "/v1/realtime?model=zq7canary&key=zq7canary";
        let client = Down::H1.client();
        let request = client.get(format!("http://{}{path}", world.ports[PLAIN]));
        let request = request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "enE3Y2FuYXJ5enE3Y2FuYQ==")
            .header(
                "sec-websocket-protocol",
                format!("realtime, openai-insecure-api-key.{key}"),
            );
        // What is upgraded ends with its connection, which is dropped unread.
        let answer = soon(request.send()).await;
        if let Ok(mut answer) = answer
            && answer.status() != 101
        {
            let (body, _) = soon(read_out(&mut answer)).await;
            world.keep("an upgrade", answer.headers(), &body);
        }
    }
}

async fn by_bodies(world: &mut World) {
    for (path, body) in bodies() {
        for key in [MASTER, VIRTUAL, LISTED] {
            let request = world.post(world.ports[PLAIN], path).bearer_auth(key);
            world.ask(path, request.body(body.clone())).await;
        }
    }
}

async fn by_broken_heads(world: &mut World) {
    for head in broken_heads() {
        for port in world
            .ports
            .iter()
            .copied()
            .chain([world.egress, world.admin])
        {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut socket = TcpStream::connect(port).await.unwrap();
            // It may be refused before it was said.
            let _ = socket.write_all(&head).await;
            let _ = socket.shutdown().await;
            let mut said = Vec::new();
            let _ = soon(socket.read_to_end(&mut said)).await;
            let said = String::from_utf8_lossy(&said).into_owned();
            world.own.push(("a broken head".to_owned(), said));
        }
    }
    // A hello of TLS where none is spoken names its host.
    let hello = b"\x16\x03\x01\x00\x20\x01\x00\x00\x1c\x03\x03zq7canary.example zq7canary";
    let mut raw = Raw::connect(world.ports[PLAIN]).await;
    raw.send(hello).await;
}

async fn by_answers(world: &mut World) {
    let chat = |model: &str, stream: bool| match stream {
        true => streamed(model, CANARY),
        false => turn(CANARY).to_string().replace(MODEL, model),
    };
    for said in answers() {
        for stream in [false, true] {
            for (path, model) in [
                ("/v1/messages", MODEL),
                ("/v1/chat/completions", MODEL),
                ("/v1/chat/completions", OTHER),
            ] {
                world.edge.reset();
                world.litellm.reset();
                world.edge.script([said.clone(), said.clone()]);
                world.litellm.script([said.clone(), said.clone()]);
                let request = world.post(world.ports[PLAIN], path).bearer_auth(MASTER);
                world
                    .ask("an answer", request.body(chat(model, stream)))
                    .await;
            }
        }
    }
}

/// Every page, to those who may see it and to those who may not.
async fn by_the_admin_port(world: &mut World) {
    for path in [
        "/",
        "/status",
        "/metrics",
        "/healthz",
        "/readyz",
        "/explain",
        "/explain?model=x&key=zq7canary",
        "/explain?model=x&header=authorization:+Bearer+zq7canary&header=x-sm-user-id:+zq7canary",
        "/explain?model=x&header=zq7canary",
        "/zq7",
    ] {
        for key in [ADMIN, CANARY] {
            let client = Down::H1.client();
            let url = format!("http://{}{path}", world.admin);
            for request in [client.get(&url), client.post(&url).body(CANARY)] {
                let request = request.bearer_auth(key).header("cookie", CANARY);
                world.ask(path, request.header("host", "zq7.example")).await;
            }
        }
    }
}

fn assert_clean(told: impl IntoIterator<Item = (String, String)>) {
    let digest = Fingerprint::of(LISTED).to_string();
    let secrets = [CANARY, BASIC, MASTER, LISTED_USER, &digest];
    let has_any = |text: &str| secrets.iter().any(|one| text.contains(one));
    let leaks: Vec<String> = told
        .into_iter()
        .filter(|(_, text)| has_any(text))
        .map(|(place, text)| format!("{place}: {text}"))
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_that_comes_in_by_any_door_nothing_is_in_any_line_page_or_error() {
    let mut world = World::new().await;

    by_headers(&mut world).await;
    by_bodies(&mut world).await;
    by_upgrades(&mut world).await;
    by_broken_heads(&mut world).await;
    by_answers(&mut world).await;
    operated::by_orders(&mut world).await;
    operated::by_faulty_files(&mut world).await;
    by_the_admin_port(&mut world).await;
    assert!(world.own.len() > 200, "{}", world.own.len());
    let amid = |(what, _): &&(String, String)| what.ends_with("amid");
    let amid = world.own.iter().filter(amid).count();
    assert!(amid > 20, "{amid} errors of ours in others' answers");
    let (lines, folder) = world.program.end().await;
    operated::assert_clean_files(&folder, &mut world.collector);

    assert!(lines.len() > 500, "{}", lines.len());
    let access = lines.iter().filter(|line| line.starts_with('{'));
    assert!(access.count() > 300, "requests were made");
    let slow = lines.iter().filter(|line| line.contains("memgate::slow"));
    assert!(slow.count() > 20, "some of them took a moment");
    assert_clean(world.own);
    assert_clean(lines.into_iter().map(|line| ("a line".to_owned(), line)));

    // And again with what stands in files: a jar that cannot be read is told of, and not shown.
    std::fs::write(
        folder.path().join("jar.json"),
        "{\"version\": \"zq7canary\"}",
    )
    .unwrap();
    let program = Program::start(folder);
    program.addresses("admin port on", 1).await;
    let (lines, _folder) = program.end().await;
    assert!(
        lines.iter().any(|line| line.contains("damaged")),
        "{lines:#?}"
    );
    assert_clean(lines.into_iter().map(|line| ("a line".to_owned(), line)));
}
