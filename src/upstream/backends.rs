//! Which LiteLLM replica serves a request? Healthy ones in turn, never one that just failed it.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use http::{Extensions, HeaderValue};
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::health_check::{HealthCheck, HttpHealthCheck};
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends as Pool, LoadBalancer};

use super::resolve::Host;
use crate::config::BaseUrl;

const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// Whoever takes so long to say that he lives is as good as dead: requests would hang there.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// `/health` calls every model and costs money; this path only says that the process lives.
const HEALTH_PATH: &str = "/health/liveliness";
const CANDIDATES: usize = 64;

/// The LiteLLM replicas of one configuration.
pub struct Backends {
    balancer: LoadBalancer<RoundRobin>,
    /// The only replica, where there is no choice to make.
    only: Arc<ArcSwapOption<Replica>>,
}

/// The replica chosen for an attempt.
#[derive(Clone)]
pub struct Replica {
    pub address: SocketAddr,
    pub base: Arc<BaseUrl>,
    /// Host as it stands in requests.
    pub authority: HeaderValue,
}

impl Backends {
    /// `replicas` are the configured URLs with the hosts that the resolver keeps fresh.
    pub fn new(replicas: Vec<(BaseUrl, Arc<Host>)>) -> Self {
        let sites = replicas
            .into_iter()
            .map(|(base, host)| Arc::new(Site::new(base, host)));
        let only = Arc::default();
        let mut pool = Pool::new(Box::new(Replicas {
            sites: sites.collect(),
            only: Arc::clone(&only),
        }));
        pool.set_health_check(Box::new(Liveliness));
        let mut balancer = LoadBalancer::from_backends(pool);
        balancer.health_check_frequency = Some(HEALTH_INTERVAL);
        balancer.update_frequency = Some(HEALTH_INTERVAL);
        balancer.parallel_health_check = true;
        Self { balancer, only }
    }

    /// Takes the addresses that the resolver knows by now.
    pub async fn refresh(&self) {
        if let Err(error) = self.balancer.update().await {
            log::warn!(target: "memgate::litellm", "replicas not refreshed: {error}");
        }
    }

    /// The next replica that is not among `tried`: a healthy one, or any when none is known to be.
    pub fn choose(&self, tried: &[SocketAddr]) -> Option<Replica> {
        if let Some(only) = &*self.only.load() {
            // It is asked whatever its health: there is nobody else.
            return tried.is_empty().then(|| Replica::clone(only));
        }
        let untried =
            |backend: &Backend| place(backend).is_some_and(|place| !tried.contains(&place.address));
        let backend = self
            .balancer
            .select_with(b"", CANDIDATES, |backend, healthy| {
                healthy && untried(backend)
            })
            .or_else(|| {
                self.balancer
                    .select_with(b"", CANDIDATES, |backend, _| untried(backend))
            })?;
        let Place { site, address } = place(&backend)?;
        Some(site.at(*address))
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

/// What the pool carries of a replica.
#[derive(Clone)]
struct Place {
    site: Arc<Site>,
    address: SocketAddr,
}

fn place(backend: &Backend) -> Option<&Place> {
    backend.ext.get()
}

/// One configured URL.
struct Site {
    base: Arc<BaseUrl>,
    authority: HeaderValue,
    host: Arc<Host>,
    /// Its own, because each replica may have a host name and a path of its own.
    probe: HttpHealthCheck,
}

impl Site {
    fn new(base: BaseUrl, host: Arc<Host>) -> Self {
        let mut probe = HttpHealthCheck::new(&base.origin.host, base.origin.tls);
        probe.peer_template.options.connection_timeout = Some(Duration::from_secs(1));
        probe.peer_template.options.read_timeout = Some(PROBE_PATIENCE);
        if let Ok(uri) = format!("{}{HEALTH_PATH}", base.path).parse() {
            probe.req.set_uri(uri);
        }
        // A host that the configuration let pass is always a header value.
        let authority = HeaderValue::try_from(base.origin.authority());
        Self {
            authority: authority.unwrap_or(HeaderValue::from_static("litellm")),
            base: Arc::new(base),
            host,
            probe,
        }
    }

    fn at(&self, address: SocketAddr) -> Replica {
        Replica {
            address,
            base: Arc::clone(&self.base),
            authority: self.authority.clone(),
        }
    }
}

/// Asks each replica by the probe of its own.
struct Liveliness;

#[async_trait]
impl HealthCheck for Liveliness {
    async fn check(&self, target: &Backend) -> pingora_core::Result<()> {
        let Some(Place { site, address }) = place(target) else {
            return Ok(());
        };
        let target = Backend {
            addr: (*address).into(),
            ..target.clone()
        };
        site.probe.check(&target).await
    }

    fn health_threshold(&self, success: bool) -> usize {
        if success { 1 } else { 2 }
    }

    fn backend_summary(&self, target: &Backend) -> String {
        match place(target) {
            Some(place) => format!("LiteLLM at {}{}", place.address, place.site.base.path),
            None => "LiteLLM".to_owned(),
        }
    }
}

struct Replicas {
    sites: Vec<Arc<Site>>,
    only: Arc<ArcSwapOption<Replica>>,
}

#[async_trait]
impl ServiceDiscovery for Replicas {
    async fn discover(&self) -> pingora_core::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut found = BTreeSet::new();
        let mut last = None;
        for (number, site) in (0..).zip(&self.sites) {
            for address in site.host.addresses().iter() {
                last = Some(site.at(*address));
                let mut ext = Extensions::new();
                ext.insert(Place {
                    site: Arc::clone(site),
                    address: *address,
                });
                found.insert(Backend {
                    addr: label(address, number).into(),
                    weight: 1,
                    ext,
                });
            }
        }
        let only = last.filter(|_| found.len() == 1);
        self.only.store(only.map(Arc::new));
        Ok((found, HashMap::new()))
    }
}

/// The pool tells backends apart by their addresses alone, but two URLs may lead to one address: behind an
/// ingress the path, or the name, makes the replica. The number of the URL makes two of them.
fn label(address: &SocketAddr, number: u32) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddrV6::new(ip, address.port(), number, 0).into()
}
