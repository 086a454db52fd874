//! Everything that is built from one configuration.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::edge_errors::EdgeErrors;
use super::lanes::{self, Lanes};
use super::litellm::LiteLlm;
use super::valve::Valve;
use super::way_out::{DirectUpstream, Parts};
use crate::auth::{ClientError, KeyId, KeyRing};
use crate::body::Budget;
use crate::clock::Clock;
use crate::config::{Config, Limits, Origin};
use crate::cookies::CookieJars;
use crate::identity::IdentityRules;
use crate::limits::Accounts;
use crate::routing::{DirectModel, RouteTable};
use crate::telemetry::{AccessLog, AccessRecord, Ledger, Metrics, Pseudonyms, Tracer, TracesError};
use crate::translate::{Defaults, Unusable};
use crate::upstream::lane::Cause;
use crate::upstream::resolve::Resolver;
use crate::upstream::sticky::Sticky;
use crate::upstream::verdict::RetryPolicy;

/// One configuration at work. A request keeps the snapshot it began with.
pub struct Snapshot {
    pub config: Arc<Config>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub access_log: Arc<AccessLog>,
    /// What each request took, where that is written down.
    pub ledger: Option<Arc<Ledger>>,
    pub traces: Arc<Tracer>,
    /// What users are called in all of them.
    pub pseudonyms: Pseudonyms,
    pub resolver: Arc<Resolver>,
    pub jars: Arc<CookieJars>,
    pub routes: RouteTable,
    pub identity: IdentityRules,
    pub keys: KeyRing,
    /// What each key has used; it outlives what is built from a configuration.
    pub accounts: Arc<Accounts<KeyId>>,
    pub litellm: LiteLlm,
    pub bodies: Arc<Budget>,
    /// What of it strangers may have.
    pub strangers_bodies: Arc<Budget>,
    pub retry: RetryPolicy,
    /// Sessions that went round the router.
    pub sticky: Arc<Sticky>,
    /// What operators have set by hand.
    pub valve: Arc<Valve>,
    /// For the status page.
    pub edge_errors: Arc<EdgeErrors>,
    lanes: Lanes,
    /// By [`DirectModel::index`]: what a translated body says where its client is silent.
    defaults: Vec<Defaults>,
    /// Direct models that were named on LiteLLM's paths: warned of once each.
    elsewhere: Arc<Mutex<HashSet<Arc<str>>>>,
}

/// What a configuration that parsed still cannot do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("log.access: {0}")]
    AccessLog(std::io::Error),
    #[error("usage_log.file: {0}")]
    UsageLog(std::io::Error),
    #[error("traces: {0}")]
    Traces(#[from] TracesError),
    #[error(transparent)]
    LiteLlm(#[from] ClientError),
    #[error("api_base host {0:?} is not a host name")]
    Host(String),
    #[error("model {model:?}: {unusable}")]
    Defaults { model: Arc<str>, unusable: Unusable },
}

impl Snapshot {
    pub fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let metrics = Arc::new(Metrics::new(clock.wall())?);
        Self::assemble(config, clock, metrics, None)
    }

    /// One of another configuration, which keeps of this one what that does not touch: cookies, lanes with their
    /// limits and pauses, addresses, what is known of keys, and all that was counted.
    pub fn succeeded_by(&self, config: Config) -> Result<Self, BuildError> {
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        Self::assemble(config, clock, metrics, Some(self))
    }

    fn assemble(
        config: Config,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        before: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let config = Arc::new(config);
        let reporters = Reporters::of(&config, &metrics, before)?;
        let routes = RouteTable::new(&config.models);
        let called = lanes::called(&config, &routes);
        let replicas = config.litellm.urls.iter().map(|url| &url.origin);
        let hosts = called.iter().chain(replicas);
        let resolver = Arc::new(Resolver::after(
            before.map(|before| &*before.resolver),
            hosts.map(|o| (o.host.clone(), o.port)),
            &config.direct.resolve,
        ));
        let jars = jars(&config, &*clock, before);
        let parts = Parts {
            config: Arc::clone(&config),
            clock: Arc::clone(&clock),
            resolver: Arc::clone(&resolver),
            jars: Arc::clone(&jars),
            metrics: Arc::clone(&metrics),
        };
        let valve = kept(before, |b| &b.valve, Valve::default);
        let lanes = Lanes::build(parts, &routes, before.map(|before| &before.lanes))?;
        let defaults = routes.direct().iter().map(|model| defaults(model));
        let defaults = defaults.collect::<Result<_, _>>()?;
        let litellm = LiteLlm::new(&config, &resolver, &metrics, before)?;
        let asked = (!config.litellm.urls.is_empty()).then(|| Arc::clone(&litellm.api));
        let keys = KeyRing::new(&config.auth, asked, Arc::clone(&clock));
        let bodies = bodies(&config.limits, before);
        let bypass_sticky = config.direct.bypass_sticky;
        let sticky = before.filter(|b| b.config.direct.bypass_sticky == bypass_sticky);
        let new_accounts = || Accounts::new(Arc::clone(&clock));
        Ok(Self {
            identity: IdentityRules::new(&config.identity),
            keys: match before {
                Some(before) => keys.after(&before.keys),
                None => keys,
            },
            accounts: kept(before, |b| &b.accounts, new_accounts),
            strangers_bodies: bodies.1,
            bodies: bodies.0,
            retry: RetryPolicy::new(config.retry),
            sticky: kept(sticky, |b| &b.sticky, || Sticky::new(bypass_sticky)),
            edge_errors: kept(before, |b| &b.edge_errors, EdgeErrors::default),
            elsewhere: kept(before, |b| &b.elsewhere, Mutex::default),
            valve,
            access_log: reporters.access_log,
            traces: reporters.traces,
            ledger: reporters.ledger,
            pseudonyms: Pseudonyms::new(config.log.user_key.as_ref()),
            resolver,
            config,
            clock,
            metrics,
            jars,
            routes,
            litellm,
            lanes,
            defaults,
        })
    }

    /// What it shares with the one before it goes by its configuration from now on.
    pub(super) fn take_effect(&self, before: &Self) {
        self.follow_policy();
        self.lanes.take_over_from(&before.lanes);
    }

    /// Lanes go by this configuration, or by what is set by hand.
    pub fn follow_policy(&self) {
        let now = self.clock.now();
        self.lanes.follow(|lane| self.valve.limit(lane, now));
    }

    /// The lane of this name, or the only one whose name has this part.
    pub fn lane(&self, name: &str) -> Result<Arc<DirectUpstream>, String> {
        self.lanes.named(name)
    }

    /// The end of a request: it is counted and written of.
    pub fn finish(&self, record: &AccessRecord<'_>) {
        self.metrics.finish(record);
        self.access_log.write(record);
        self.traces.end(record);
    }

    /// All metrics in Prometheus' text format, the gauges read now.
    pub fn render_metrics(&self) -> prometheus::Result<String> {
        self.show_lanes();
        self.metrics.hold_bodies(self.bodies.in_use() as u64);
        self.metrics.render()
    }

    /// Requests under way by lane; who waits for one is not.
    pub fn in_flight(&self) -> Vec<(String, i64)> {
        self.show_lanes();
        self.metrics.in_flight()
    }

    /// Notes how everything stands, for the last hour's record; to be called every few seconds.
    pub fn sample(&self) {
        let (recent, now) = (self.metrics.recent(), self.clock.wall());
        for upstream in self.lanes() {
            recent.sample(upstream.name(), upstream.sample(), now);
        }
        let has_litellm = !self.config.litellm.urls.is_empty();
        if has_litellm && !self.litellm.backends.any_healthy() {
            recent.stands("litellm", "litellm_down", now);
        }
    }

    fn show_lanes(&self) {
        for upstream in self.lanes() {
            upstream.show();
        }
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

    pub fn defaults_of(&self, model: &DirectModel) -> &Defaults {
        static NONE: LazyLock<Defaults> = LazyLock::new(Defaults::default);
        self.defaults.get(model.index).unwrap_or(&NONE)
    }

    pub fn upstream_of(&self, model: &DirectModel) -> Option<&Arc<DirectUpstream>> {
        self.lanes.of(model)
    }

    /// The lane past the router; `None` where the configuration wants no such way, or there is none.
    pub fn bypass_of(&self, model: &DirectModel) -> Option<&Arc<DirectUpstream>> {
        self.lanes.bypass_of(model)
    }

    /// The egress port's lane through an allowed host; `None` where it is not allowed.
    pub fn egress_of(&self, host: &str, provider: &str) -> Option<Arc<DirectUpstream>> {
        self.lanes.egress(host, provider)
    }

    /// The lane to a provider itself, where the configuration names it.
    pub fn egress_bypass_of(&self, provider: &Origin) -> Option<Arc<DirectUpstream>> {
        self.lanes.egress_bypass(provider)
    }

    /// The edge in front of a host wants silence: also on the lanes beside the one that it told.
    pub fn pause_beside(&self, told: &DirectUpstream, wait: Duration) {
        for upstream in self.lanes.all() {
            if upstream.host() == told.host() && upstream.name() != told.name() {
                upstream.lane.pause(wait, Cause::Host);
            }
        }
    }

    pub fn lanes(&self) -> Vec<Arc<DirectUpstream>> {
        self.lanes.all()
    }

    /// The lanes past a router, whose reachability matters before they are needed.
    pub fn bypasses(&self) -> Vec<Arc<DirectUpstream>> {
        self.lanes.bypasses()
    }
}

/// The jars as they are, or with the cookies that are still shared.
fn jars(config: &Config, clock: &dyn Clock, before: Option<&Snapshot>) -> Arc<CookieJars> {
    let share = &config.cookies.share;
    match before {
        Some(before) if before.config.cookies.share == *share => Arc::clone(&before.jars),
        Some(before) => {
            let jars = CookieJars::new(share);
            jars.take_over(&before.jars, clock.wall());
            Arc::new(jars)
        }
        None => Arc::new(CookieJars::new(share)),
    }
}

/// Room for bodies, and what of it strangers may have.
fn bodies(limits: &Limits, before: Option<&Snapshot>) -> (Arc<Budget>, Arc<Budget>) {
    let sizes = |limits: &Limits| (limits.bodies_in_flight, limits.body);
    match before.filter(|before| sizes(&before.config.limits) == sizes(limits)) {
        Some(before) => (
            Arc::clone(&before.bodies),
            Arc::clone(&before.strangers_bodies),
        ),
        None => {
            let bodies = Budget::new(limits.bodies_in_flight);
            let strangers = bodies.part(limits.body.max(limits.bodies_in_flight / 2));
            (Arc::new(bodies), Arc::new(strangers))
        }
    }
}

fn kept<T>(
    before: Option<&Snapshot>,
    part: impl Fn(&Snapshot) -> &Arc<T>,
    new: impl FnOnce() -> T,
) -> Arc<T> {
    before.map_or_else(|| Arc::new(new()), |before| Arc::clone(part(before)))
}

/// Those who tell others of finished requests.
struct Reporters {
    access_log: Arc<AccessLog>,
    traces: Arc<Tracer>,
    ledger: Option<Arc<Ledger>>,
}

impl Reporters {
    /// Opened once.
    fn of(
        config: &Config,
        metrics: &Metrics,
        before: Option<&Snapshot>,
    ) -> Result<Self, BuildError> {
        if let Some(before) = before {
            return Ok(Self {
                access_log: Arc::clone(&before.access_log),
                traces: Arc::clone(&before.traces),
                ledger: before.ledger.clone(),
            });
        }
        let reporting = metrics.reporting();
        let access_log = AccessLog::open(&config.log, reporting.lines_lost.clone());
        let ledger = Ledger::open(&config.usage_log, reporting.lines_lost.clone());
        Ok(Self {
            access_log: Arc::new(access_log.map_err(BuildError::AccessLog)?),
            traces: Arc::new(Tracer::start(&config.traces, reporting)?),
            ledger: ledger.map_err(BuildError::UsageLog)?.map(Arc::new),
        })
    }
}

fn defaults(model: &DirectModel) -> Result<Defaults, BuildError> {
    Defaults::parse(&model.target.defaults).map_err(|unusable| BuildError::Defaults {
        model: Arc::clone(&model.group),
        unusable,
    })
}
