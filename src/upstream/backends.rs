//! Which LiteLLM replica serves a request? Healthy ones in turn, never one that just failed it.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Extensions, Uri};
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::health_check::HttpHealthCheck;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends as Pool, LoadBalancer};

use super::resolve::Host;
use crate::config::BaseUrl;

const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// `/health` calls every model and costs money; this path only says that the process lives.
const HEALTH_PATH: &str = "/health/liveliness";
const CANDIDATES: usize = 64;

/// The LiteLLM replicas of one configuration.
pub struct Backends {
    balancer: LoadBalancer<RoundRobin>,
}

/// The replica chosen for an attempt.
#[derive(Clone)]
pub struct Replica {
    pub address: SocketAddr,
    pub base: Arc<BaseUrl>,
}

impl Backends {
    /// `replicas` are the configured URLs with the hosts that the resolver keeps fresh.
    pub fn new(replicas: Vec<(BaseUrl, Arc<Host>)>) -> Self {
        let probe = replicas.first().map(|(base, _)| health_check(base));
        let replicas = replicas
            .into_iter()
            .map(|(base, host)| (Arc::new(base), host))
            .collect();
        let mut pool = Pool::new(Box::new(Replicas(replicas)));
        if let Some(probe) = probe {
            pool.set_health_check(probe);
        }
        let mut balancer = LoadBalancer::from_backends(pool);
        balancer.health_check_frequency = Some(HEALTH_INTERVAL);
        balancer.update_frequency = Some(HEALTH_INTERVAL);
        balancer.parallel_health_check = true;
        Self { balancer }
    }

    /// Takes the addresses that the resolver knows by now.
    pub async fn refresh(&self) {
        if let Err(error) = self.balancer.update().await {
            log::warn!(target: "memgate::litellm", "replicas not refreshed: {error}");
        }
    }

    /// The next replica that is not among `tried`: a healthy one, or any when none is known to be.
    pub fn choose(&self, tried: &[SocketAddr]) -> Option<Replica> {
        let untried = |backend: &Backend| {
            backend
                .addr
                .as_inet()
                .is_some_and(|address| !tried.contains(address))
        };
        let backend = self
            .balancer
            .select_with(b"", CANDIDATES, |backend, healthy| {
                healthy && untried(backend)
            })
            .or_else(|| {
                self.balancer
                    .select_with(b"", CANDIDATES, |backend, _| untried(backend))
            })?;
        let base = backend.ext.get::<Arc<BaseUrl>>()?;
        Some(Replica {
            address: *backend.addr.as_inet()?,
            base: Arc::clone(base),
        })
    }

    /// Whether at least one replica is believed to be alive.
    pub fn any_healthy(&self) -> bool {
        self.balancer
            .select_with(b"", CANDIDATES, |_, healthy| healthy)
            .is_some()
    }
}

/// Health checks and refreshes, until shutdown.
#[async_trait]
impl BackgroundService for Backends {
    async fn start(&self, shutdown: ShutdownWatch) {
        self.balancer.start(shutdown).await;
    }
}

fn health_check(base: &BaseUrl) -> Box<HttpHealthCheck> {
    let mut check = HttpHealthCheck::new(&base.origin.host, base.origin.tls);
    check.consecutive_success = 1;
    check.consecutive_failure = 2;
    check.peer_template.options.connection_timeout = Some(Duration::from_secs(1));
    check.peer_template.options.read_timeout = Some(Duration::from_secs(3));
    if let Ok(uri) = format!("{}{HEALTH_PATH}", base.path).parse::<Uri>() {
        check.req.set_uri(uri);
    }
    Box::new(check)
}

struct Replicas(Vec<(Arc<BaseUrl>, Arc<Host>)>);

#[async_trait]
impl ServiceDiscovery for Replicas {
    async fn discover(&self) -> pingora_core::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        for (base, host) in &self.0 {
            for address in host.addresses().iter() {
                let mut ext = Extensions::new();
                ext.insert(Arc::clone(base));
                found.insert(Backend {
                    addr: (*address).into(),
                    weight: 1,
                    ext,
                });
            }
        }
        Ok((found, HashMap::new()))
    }
}
