//! Everything that is built from one configuration.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use http::HeaderValue;
use parking_lot::Mutex;

use crate::auth::{ClientError, KeyRing, LiteLlmApi, LiteLlmClient};
use crate::body::Budget;
use crate::clock::Clock;
use crate::config::{Config, Origin};
use crate::cookies::{CookieJars, Jar};
use crate::identity::IdentityRules;
use crate::routing::{DirectModel, RouteTable};
use crate::telemetry::{Metrics, UpstreamMetrics};
use crate::upstream::backends::Backends;
use crate::upstream::peer::DirectServer;
use crate::upstream::resolve::Resolver;
use crate::upstream::verdict::RetryPolicy;

/// One configuration at work. A request keeps the snapshot it began with.
pub struct Snapshot {
    pub config: Arc<Config>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub resolver: Arc<Resolver>,
    pub jars: Arc<CookieJars>,
    pub routes: RouteTable,
    pub identity: IdentityRules,
    pub keys: KeyRing,
    pub litellm: LiteLlm,
    pub bodies: Budget,
    pub retry: RetryPolicy,
    /// By [`DirectModel::index`].
    direct: Vec<Arc<DirectUpstream>>,
    /// Direct models that were named on LiteLLM's paths: warned of once each.
    elsewhere: Mutex<HashSet<Arc<str>>>,
}

/// LiteLLM and what is counted of it.
pub struct LiteLlm {
    pub backends: Arc<Backends>,
    /// For questions of the gateway's own.
    pub api: Arc<dyn LiteLlmApi>,
    pub metrics: UpstreamMetrics,
}

/// A lane that the gateway serves itself: the host called and the provider behind it.
pub struct DirectUpstream {
    pub server: Arc<DirectServer>,
    pub jar: Arc<Jar>,
    /// Host as it stands in requests: equal to the TLS name, with a port that is not 443.
    pub authority: HeaderValue,
    pub metrics: UpstreamMetrics,
    lane: String,
}

/// What a configuration that parsed still cannot do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    LiteLlm(#[from] ClientError),
    #[error("api_base host {0:?} is not a host name")]
    Host(String),
}

impl Snapshot {
    pub fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::new(clock.wall())?);
        let routes = RouteTable::new(&config.models);
        let called = routes
            .direct()
            .iter()
            .map(|model| &model.target.base.origin);
        let hosts = called.chain(config.litellm.urls.iter().map(|url| &url.origin));
        let resolver = Arc::new(Resolver::new(
            hosts.map(|o| (o.host.clone(), o.port)),
            &config.direct.resolve,
        ));
        let jars = Arc::new(CookieJars::new(&config.cookies.share));
        let direct = Lanes {
            config: &config,
            resolver: &resolver,
            jars: &jars,
            metrics: &metrics,
        }
        .build(&routes)?;
        let replicas = config.litellm.urls.iter().filter_map(|url| {
            Some((
                url.clone(),
                resolver.host(&url.origin.host, url.origin.port)?,
            ))
        });
        let names = Arc::clone(&resolver);
        let api: Arc<dyn LiteLlmApi> = Arc::new(LiteLlmClient::new(
            &config.litellm.urls,
            config.direct.ca_file.as_deref(),
            Arc::new(move |name: &str| names.addresses(name)),
        )?);
        let asked = (!config.litellm.urls.is_empty()).then(|| Arc::clone(&api));
        let litellm = LiteLlm {
            backends: Arc::new(Backends::new(replicas.collect())),
            api: Arc::clone(&api),
            metrics: metrics.upstream("litellm", "litellm"),
        };
        Ok(Self {
            identity: IdentityRules::new(&config.identity),
            keys: KeyRing::new(&config.auth, &config.litellm, asked, Arc::clone(&clock)),
            bodies: Budget::new(config.limits.bodies_in_flight),
            retry: RetryPolicy::new(config.retry),
            resolver,
            config,
            clock,
            metrics,
            jars,
            routes,
            litellm,
            direct,
            elsewhere: Mutex::default(),
        })
    }

    /// All metrics in Prometheus' text format, the gauges read now.
    pub fn render_metrics(&self) -> prometheus::Result<String> {
        for upstream in &self.direct {
            upstream.metrics.hold_cookies(upstream.jar.list().len());
        }
        self.metrics.hold_bodies(self.bodies.in_use() as u64);
        self.metrics.render()
    }

    /// A direct model was named on a path that only LiteLLM serves: beside cookies, limits and memory.
    pub fn note_direct_elsewhere(&self, model: &DirectModel) {
        self.metrics.direct_model_elsewhere();
        // Its configured name: a wildcard takes as many names as clients can think of.
        let name = &model.group;
        if self.elsewhere.lock().insert(Arc::clone(name)) {
            log::warn!(
                target: "memgate::routing",
                "direct model {name:?} was named on a path that LiteLLM serves: such requests do not pass the gateway's own route"
            );
        }
    }

    pub fn upstream_of(&self, model: &DirectModel) -> Option<&Arc<DirectUpstream>> {
        self.direct.get(model.index)
    }
}

/// What lanes are made from.
struct Lanes<'a> {
    config: &'a Config,
    resolver: &'a Resolver,
    jars: &'a CookieJars,
    metrics: &'a Metrics,
}

impl Lanes<'_> {
    /// One upstream per model; models of one lane share it, and lanes of one host its connections.
    fn build(&self, routes: &RouteTable) -> Result<Vec<Arc<DirectUpstream>>, BuildError> {
        let mut servers: BTreeMap<Origin, Arc<DirectServer>> = BTreeMap::new();
        let mut lanes: BTreeMap<String, Arc<DirectUpstream>> = BTreeMap::new();
        let mut upstreams = Vec::new();
        for model in routes.direct() {
            let origin = &model.target.base.origin;
            let server = match servers.get(origin) {
                Some(server) => Arc::clone(server),
                None => {
                    let server = Arc::new(self.server(origin)?);
                    servers.insert(origin.clone(), Arc::clone(&server));
                    server
                }
            };
            let lane = lane_name(origin, &model.target.provider_host);
            let upstream = match lanes.get(&lane) {
                Some(upstream) => Arc::clone(upstream),
                None => {
                    let upstream = Arc::new(self.upstream(server, lane.clone())?);
                    lanes.insert(lane, Arc::clone(&upstream));
                    upstream
                }
            };
            upstreams.push(upstream);
        }
        Ok(upstreams)
    }

    fn server(&self, origin: &Origin) -> Result<DirectServer, BuildError> {
        let unknown = || BuildError::Host(origin.host.clone());
        let host = self
            .resolver
            .host(&origin.host, origin.port)
            .ok_or_else(unknown)?;
        Ok(DirectServer::new(origin.clone(), host, &self.config.limits))
    }

    fn upstream(
        &self,
        server: Arc<DirectServer>,
        lane: String,
    ) -> Result<DirectUpstream, BuildError> {
        let authority = server.origin.authority();
        let unknown = |_| BuildError::Host(server.origin.host.clone());
        Ok(DirectUpstream {
            jar: self
                .jars
                .jar(&server.origin.host, &self.config.cookies.egress),
            authority: HeaderValue::try_from(authority.as_str()).map_err(unknown)?,
            metrics: self.metrics.upstream(&authority, &lane),
            server,
            lane,
        })
    }
}

/// `host called → provider behind it`, or the host alone where it is the provider.
fn lane_name(origin: &Origin, provider: &str) -> String {
    let called = origin.authority();
    if origin.host == provider {
        called
    } else {
        format!("{called} → {provider}")
    }
}

impl DirectUpstream {
    pub fn host(&self) -> &str {
        &self.server.origin.host
    }

    pub fn lane(&self) -> &str {
        &self.lane
    }
}
