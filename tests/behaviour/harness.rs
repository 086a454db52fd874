//! A gateway in this process, in front of a simulated world, and the ways to call it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memgate::clock::SystemClock;
use memgate::config::*;
use memgate::server::{Bound, Running};
use memgate::sim::{Edge, LiteLlm as SimLiteLlm};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

pub const MASTER: &str = "sk-test-master-0001";
pub const PROVIDER_KEY: &str = "sk-ant-test-provider";
pub const SUPERMEMORY_KEY: &str = "sm-test-key";
pub const MODEL: &str = "claude-sonnet-4.5";
pub const UPSTREAM_MODEL: &str = "claude-sonnet-4-5-20250929";

/// The gateway under test; it stops when dropped.
pub struct TestGateway {
    running: Option<Running>,
    http: reqwest::Client,
    _ca: NamedTempFile,
}

pub struct Builder {
    config: Config,
    ca: NamedTempFile,
}

impl TestGateway {
    /// A gateway whose direct model is behind the edge, and everything else behind LiteLLM if there is one.
    pub fn in_front_of(edge: &Edge) -> Builder {
        let ca = NamedTempFile::new().unwrap();
        edge.write_ca(ca.path()).unwrap();
        let mut config = default_config();
        config.direct.ca_file = Some(ca.path().to_owned());
        config.direct.resolve =
            BTreeMap::from([(("api.supermemory.ai".to_owned(), 443), edge.addr())]);
        Builder { config, ca }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().addresses[0]
    }

    pub fn admin(&self) -> String {
        format!("http://{}", self.running.as_ref().unwrap().admin.unwrap())
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .post(self.url(path))
            .bearer_auth(MASTER)
            .header("content-type", "application/json")
    }

    /// One plain turn with the direct model.
    pub async fn message(&self, text: &str) -> reqwest::Response {
        self.post("/v1/messages")
            .body(turn(text).to_string())
            .send()
            .await
            .unwrap()
    }

    pub fn stop(mut self) {
        self.running.take().unwrap().stop();
    }
}

impl Builder {
    pub fn with_litellm(mut self, litellm: &SimLiteLlm) -> Self {
        self.config.litellm.urls = vec![base_url(litellm.addr())];
        self
    }

    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub async fn start(self) -> TestGateway {
        let _ = env_logger::builder().is_test(true).try_init();
        let bound = Bound::new(self.config, Arc::new(SystemClock)).unwrap();
        let running = bound.spawn();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        TestGateway {
            running: Some(running),
            http,
            _ca: self.ca,
        }
    }
}

pub fn turn(text: &str) -> Value {
    json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": text}]})
}

pub fn base_url(addr: SocketAddr) -> BaseUrl {
    BaseUrl {
        origin: Origin {
            tls: false,
            host: addr.ip().to_string(),
            port: addr.port(),
        },
        path: String::new(),
    }
}

fn default_config() -> Config {
    Config {
        listen: vec![Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            h2c: false,
        }],
        admin: Some("127.0.0.1:0".parse().unwrap()),
        admin_key: None,
        litellm: memgate::config::LiteLlm {
            urls: vec![],
            api_key: None,
            expose: Expose::Inference,
        },
        direct: Direct {
            domains: vec!["supermemory.ai".into()],
            resolve: BTreeMap::new(),
            ca_file: None,
            max_concurrency: 512,
        },
        cookies: Cookies {
            share: ["cf_clearance", "__cf_bm", "_cfuvid", "__cfruid"]
                .map(str::to_owned)
                .to_vec(),
            egress: "default".into(),
            file: None,
        },
        retry: Retry {
            attempts: 3,
            initial_delay: Duration::from_millis(5),
            max_delay: Duration::from_millis(50),
        },
        auth: Auth {
            master_key: Some(Secret::new(MASTER)),
            litellm: false,
            allow_anonymous: false,
            hosts: vec![],
        },
        limits: Limits {
            body: 32 << 20,
            bodies_in_flight: 1 << 30,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
        },
        trusted_proxies: vec![],
        server: Server {
            threads: 2,
            work_stealing: true,
            pid_file: None,
            upgrade_sock: None,
            upstream_keepalive_pool_size: 128,
        },
        models: Models {
            groups: vec![ModelGroup {
                name: MODEL.into(),
                deployments: vec![Arc::new(direct_model())],
            }],
            aliases: vec![],
        },
        identity: Identity {
            custom_header: None,
            header_patterns: vec![],
            default_user_id: Some("team".into()),
        },
    }
}

fn direct_model() -> Deployment {
    Deployment {
        id: None,
        model: UPSTREAM_MODEL.into(),
        weight: 1,
        direct: Some(DirectTarget {
            base: BaseUrl {
                origin: Origin {
                    tls: true,
                    host: "api.supermemory.ai".into(),
                    port: 443,
                },
                path: "/v3/https://api.anthropic.com".into(),
            },
            provider_host: "api.anthropic.com".into(),
            dialect: ProviderDialect::Anthropic,
            api_key: Some(Secret::new(PROVIDER_KEY)),
            extra_headers: vec![(
                "x-supermemory-api-key".parse().unwrap(),
                SUPERMEMORY_KEY.parse().unwrap(),
            )],
            router: true,
        }),
    }
}
