//! The checked configuration, section by section (the names of `conf/memgate.yaml`).

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{Identity, KeysFile, Log, Models, Prices, Secret, Traces, Translation, UsageLog};

/// Everything one `memgate.yaml` and the LiteLLM file it names say.
#[derive(Clone)]
pub struct Config {
    pub listen: Vec<Listener>,
    pub admin: Option<SocketAddr>,
    /// Opens the admin port beyond loopback for more than health and metrics.
    pub admin_key: Option<Secret>,
    pub litellm: LiteLlm,
    pub direct: Direct,
    pub cookies: Cookies,
    pub retry: Retry,
    pub auth: Auth,
    pub limits: Limits,
    /// What tokens cost.
    pub prices: Prices,
    pub trusted_proxies: Vec<IpNet>,
    pub server: Server,
    pub drain: Drain,
    pub reload: Reload,
    pub translation: Translation,
    pub usage_log: UsageLog,
    pub log: Log,
    pub traces: Traces,
    /// LiteLLM's own way out; `None` is none.
    pub egress: Option<Egress>,
    /// `model_list` and what belongs to it, as LiteLLM would read it.
    pub models: Models,
    /// `user_id_mappings` of LiteLLM's file.
    pub identity: Identity,
}

impl Config {
    /// Those that open what is for operators alone.
    pub fn operators_keys(&self) -> impl Iterator<Item = &Secret> {
        self.admin_key.iter().chain(&self.auth.master_key)
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    pub tls: Option<TlsFiles>,
    /// HTTP/2 without TLS, by prior knowledge. Off by default: such a port has no deadline before its preface.
    pub h2c: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Scheme, host and port of a server: what a connection is made to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub tls: bool,
    /// Host name or IP literal (IPv6 without brackets), lower case.
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// `host[:port]` as a Host header says it: without the scheme's own port.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == if self.tls { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.origin.authority(), self.path)
    }
}

/// An origin and the path in front of every request path, kept byte for byte (`//` inside it is meant).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BaseUrl {
    pub origin: Origin,
    /// Without trailing slash; empty for a bare origin.
    pub path: String,
}

#[derive(Clone)]
pub struct LiteLlm {
    /// One or more replicas.
    pub urls: Vec<BaseUrl>,
    /// Replaces the client's credential towards LiteLLM; `None` passes the client's through.
    pub api_key: Option<Secret>,
    pub expose: Expose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expose {
    /// LiteLLM's inference and discovery paths only.
    Inference,
    /// Its UI and admin API as well.
    All,
}

#[derive(Clone)]
pub struct Direct {
    /// A model whose `api_base` is at or below one of these is called by the gateway itself.
    pub domains: Vec<String>,
    /// `host:port` → address, like curl's `--resolve`; SNI and Host stay.
    pub resolve: BTreeMap<(String, u16), SocketAddr>,
    /// A CA bundle added to the platform's roots.
    pub ca_file: Option<PathBuf>,
    pub bypass: Bypass,
    /// How long a session that was bypassed stays there, so that its prompt cache is not lost twice.
    pub bypass_sticky: Duration,
    /// Safety stop of the adaptive limit, per lane.
    pub max_concurrency: usize,
    pub queue: Queue,
    pub circuit: Circuit,
}

/// Where a request goes while the lane to the router is paused, down or full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// To the provider's own host: [`bypass`](super::DirectTarget::bypass).
    Provider,
    LiteLlm,
    /// Nowhere: it waits in the queue.
    None,
}

/// The line in front of a lane's limit.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    pub max: usize,
    pub timeout: Duration,
    /// The wait that a request with another way out accepts.
    pub before_bypass: Duration,
}

/// When a lane that keeps failing is down.
#[derive(Clone, Copy, Debug)]
pub struct Circuit {
    /// Share of failures, in (0, 1].
    pub failures: f64,
    /// Within `window`, at least so many requests.
    pub requests: usize,
    pub window: Duration,
    /// The first time; it doubles while the lane stays down.
    pub open: Duration,
}

/// A port through which LiteLLM itself reaches the hosts that are allowed.
#[derive(Clone, Debug)]
pub struct Egress {
    pub listen: SocketAddr,
    /// At least one; the first is meant where a path names none.
    pub allow: Vec<String>,
    /// The providers that the model list leads to, here or through LiteLLM: no others are called without
    /// an allowed host in front of them.
    pub providers: Vec<Origin>,
}

#[derive(Clone)]
pub struct Cookies {
    /// The names that may be captured and shared; any other name never is.
    pub share: Vec<String>,
    /// The egress identity that keys the jar beside the upstream.
    pub egress: String,
    /// Where the jar is kept over restarts.
    pub file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Attempts in all, the first one included.
    pub attempts: u32,
    pub initial_delay: Duration,
    pub max_delay: Duration,
    /// Share of a lane's requests that may be repeats, in [0, 1].
    pub budget: f64,
}

#[derive(Clone)]
pub struct Auth {
    /// `general_settings.master_key` of LiteLLM's file, else `LITELLM_MASTER_KEY`.
    pub master_key: Option<Secret>,
    /// It may do what any other key may, beside administration.
    pub accept_master_key: bool,
    pub keys_file: Option<KeysFile>,
    /// Ask LiteLLM's `/key/info` about keys we do not know.
    pub litellm: bool,
    pub allow_anonymous: bool,
    /// Host names a request may carry while anonymous callers are allowed, loopback names beside them.
    pub hosts: Vec<String>,
    /// Per address; then it is told to wait.
    pub failed_attempts_per_minute: NonZeroU32,
}

impl Auth {
    /// Whether a key can be good at all.
    pub fn knows_keys(&self) -> bool {
        let master = self.master_key.is_some() && self.accept_master_key;
        master || self.litellm || self.keys_file.is_some()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one held body.
    pub body: usize,
    /// Bytes of all held bodies together.
    pub bodies_in_flight: usize,
    /// Fields of a request's head.
    pub headers: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of a request's target.
    pub uri: usize,
    pub header_timeout: Duration,
    /// Without 64 KiB of progress.
    pub body_timeout: Duration,
    /// For one piece of an answer to a client that reads slowly.
    pub write_timeout: Duration,
    /// Silence of a client between two requests.
    pub keepalive_timeout: Duration,
    pub connect_timeout: Duration,
    /// To the upstream's final response head.
    pub first_byte_timeout: Duration,
    /// Silence between two reads of an upstream body.
    pub idle_timeout: Duration,
    /// Clients' connections at one time.
    pub connections: usize,
    /// Those of one address on which no valid key was presented.
    pub connections_per_address: usize,
    /// Requests of one connection.
    pub connection_requests: usize,
    pub connection_age: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub threads: usize,
    /// Whether threads share their tasks, or each keeps the connections that it was given.
    pub work_stealing: bool,
    pub pid_file: Option<PathBuf>,
    /// Where `memgate ctl` speaks to it.
    pub control_socket: Option<PathBuf>,
    pub upstream_keepalive_pool_size: usize,
}

/// How a gateway stops that still has work.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// How long it goes on accepting after it has said that it will stop.
    pub grace: Duration,
    /// How long what is in flight may take after that.
    pub timeout: Duration,
}

/// When the files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// When a SIGHUP asks for it.
    Signal,
    /// When one of them changes, too.
    Watch,
}
