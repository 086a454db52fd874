//! Which ways out are there, and which of them does a model take?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;

use super::snapshot::BuildError;
use super::way_out::{DirectUpstream, Parts, lane_name, policy};
use crate::config::{Bypass, Config, Origin};
use crate::routing::{DirectModel, RouteTable};
use crate::telemetry::LaneGauges;
use crate::upstream::lane::Policy;
use crate::upstream::peer::DirectServer;

/// Providers that callers of the egress port may name and have a lane of their own, beside the configured.
const NAMED_BY_CALLERS: usize = 32;

/// All lanes. Those through one host share its connections and its jar.
pub(super) struct Lanes {
    parts: Parts,
    servers: BTreeMap<Origin, Arc<DirectServer>>,
    /// While these are built: the lanes before them.
    known: BTreeMap<String, Arc<DirectUpstream>>,
    /// By name. Grows only by what callers of the egress port name.
    all: RwLock<BTreeMap<String, Arc<DirectUpstream>>>,
    /// By [`DirectModel::index`].
    models: Vec<Ways>,
    configured: usize,
}

/// The lanes of one model.
struct Ways {
    usual: Arc<DirectUpstream>,
    bypass: Option<Arc<DirectUpstream>>,
}

/// The servers that requests may go to, beside LiteLLM's.
pub(super) fn called(config: &Config, routes: &RouteTable) -> BTreeSet<Origin> {
    let past_router = config.direct.bypass == Bypass::Provider;
    let mut origins = BTreeSet::new();
    for model in routes.direct() {
        origins.insert(model.target.base.origin.clone());
        let bypass = model.target.bypass.as_ref().filter(|_| past_router);
        origins.extend(bypass.map(|target| target.base.origin.clone()));
    }
    if let Some(egress) = &config.egress {
        origins.extend(egress.allow.iter().map(|host| https(host)));
        origins.extend(egress.providers.iter().filter(|_| past_router).cloned());
    }
    origins
}

impl Lanes {
    /// With what is known of the lanes `before` these.
    pub fn build(
        parts: Parts,
        routes: &RouteTable,
        before: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let servers = called(&parts.config, routes)
            .into_iter()
            .map(|origin| {
                let known = before.and_then(|before| before.servers.get(&origin));
                Ok((origin.clone(), parts.server(&origin, known)?))
            })
            .collect::<Result<_, BuildError>>()?;
        let mut lanes = Self {
            parts,
            servers,
            known: before.map_or_else(BTreeMap::new, |before| before.all.read().clone()),
            all: RwLock::default(),
            models: Vec::new(),
            configured: 0,
        };
        for model in routes.direct() {
            let ways = lanes.ways(model)?;
            lanes.models.push(ways);
        }
        lanes.open_egress()?;
        lanes.configured = lanes.all.read().len();
        let known = std::mem::take(&mut lanes.known);
        lanes.take_over(&known);
        Ok(lanes)
    }

    /// Lanes that callers of the egress port named, as far as they may still.
    fn take_over(&self, known: &BTreeMap<String, Arc<DirectUpstream>>) {
        let egress = self.parts.config.egress.as_ref();
        let mut all = self.all.write();
        for (name, upstream) in known {
            let allowed =
                egress.is_some_and(|egress| egress.allow.contains(&upstream.server.origin.host));
            let same = self.servers.get(&upstream.server.origin);
            let same = same.is_some_and(|server| Arc::ptr_eq(server, &upstream.server));
            if allowed && same && !all.contains_key(name) {
                all.insert(name.clone(), Arc::clone(upstream));
            }
        }
    }

    /// Each goes by this configuration from now on, but for a limit that is set by hand.
    pub fn follow(&self, limit: impl Fn(&str) -> Option<usize>) {
        let policy = policy(&self.parts.config);
        for upstream in self.all.read().values() {
            let max_concurrency = limit(upstream.name()).unwrap_or(policy.max_concurrency);
            upstream.lane.follow(Policy {
                max_concurrency,
                ..policy
            });
        }
    }

    /// Those that are gone show nothing more.
    pub fn take_over_from(&self, before: &Self) {
        let all = self.all.read();
        for gone in before.all.read().values() {
            if !all.contains_key(gone.name()) {
                gone.metrics.carry(0);
                gone.lane_metrics.show(LaneGauges::default());
            }
        }
    }

    pub fn of(&self, model: &DirectModel) -> Option<&Arc<DirectUpstream>> {
        Some(&self.models.get(model.index)?.usual)
    }

    pub fn bypass_of(&self, model: &DirectModel) -> Option<&Arc<DirectUpstream>> {
        self.models.get(model.index)?.bypass.as_ref()
    }

    pub fn all(&self) -> Vec<Arc<DirectUpstream>> {
        self.all.read().values().cloned().collect()
    }

    /// The one of this name, or the only one whose name has this part.
    pub fn named(&self, name: &str) -> Result<Arc<DirectUpstream>, String> {
        let all = self.all.read();
        if let Some(found) = all.get(name) {
            return Ok(Arc::clone(found));
        }
        let mut like = all
            .values()
            .filter(|upstream| upstream.name().contains(name));
        match (like.next(), like.next()) {
            (Some(only), None) => Ok(Arc::clone(only)),
            _ => {
                let names: Vec<&str> = all.keys().map(String::as_str).collect();
                let names = names.join("; ");
                Err(format!("{name:?} is not one lane, these are: {names}"))
            }
        }
    }

    /// The lanes past a router.
    pub fn bypasses(&self) -> Vec<Arc<DirectUpstream>> {
        let past = |upstream: &&Arc<DirectUpstream>| {
            let origin = &upstream.server.origin;
            let mut of_models = self.models.iter().filter_map(|ways| ways.bypass.as_ref());
            of_models.any(|bypass| Arc::ptr_eq(bypass, upstream)) || self.is_provider(origin)
        };
        self.all.read().values().filter(past).cloned().collect()
    }

    /// The lane of the egress port through an allowed host; `None` where it is not allowed. A provider that is
    /// one too many shares a lane with others like it.
    pub fn egress(&self, host: &str, provider: &str) -> Option<Arc<DirectUpstream>> {
        let allowed = &self.parts.config.egress.as_ref()?.allow;
        let server = self
            .servers
            .get(&https(host))
            .filter(|_| allowed.iter().any(|allowed| allowed == host))?;
        let name = lane_name(&server.origin, provider);
        if let Some(known) = self.all.read().get(&name) {
            return Some(Arc::clone(known));
        }
        let mut all = self.all.write();
        let full = all.len() >= self.configured + NAMED_BY_CALLERS;
        let name = if full {
            lane_name(&server.origin, "other")
        } else {
            name
        };
        if let Some(known) = all.get(&name) {
            return Some(Arc::clone(known));
        }
        let upstream = self.parts.upstream(server, name.clone(), None).ok()?;
        all.insert(name, Arc::clone(&upstream));
        Some(upstream)
    }

    /// The lane to a provider itself, for the egress port: only to those that the configuration names.
    pub fn egress_bypass(&self, provider: &Origin) -> Option<Arc<DirectUpstream>> {
        if !self.is_provider(provider) {
            return None;
        }
        let name = lane_name(provider, &provider.host);
        self.all.read().get(&name).cloned()
    }

    fn is_provider(&self, origin: &Origin) -> bool {
        let config = &self.parts.config;
        let egress = config.egress.as_ref();
        config.direct.bypass == Bypass::Provider
            && egress.is_some_and(|egress| egress.providers.contains(origin))
    }

    fn ways(&mut self, model: &DirectModel) -> Result<Ways, BuildError> {
        let target = &model.target;
        let past_router = self.parts.config.direct.bypass == Bypass::Provider;
        let bypass = target.bypass.as_ref().filter(|_| past_router);
        let bypass = bypass.map(|target| {
            let origin = &target.base.origin;
            self.lane(origin, &origin.host)
        });
        Ok(Ways {
            usual: self.lane(&target.base.origin, &target.provider_host)?,
            bypass: bypass.transpose()?,
        })
    }

    /// The egress port's lanes to the providers that are known.
    fn open_egress(&self) -> Result<(), BuildError> {
        let Some(egress) = &self.parts.config.egress else {
            return Ok(());
        };
        for provider in &egress.providers {
            for host in &egress.allow {
                self.lane(&https(host), &provider.host)?;
            }
            if self.is_provider(provider) {
                self.lane(provider, &provider.host)?;
            }
        }
        Ok(())
    }

    fn lane(&self, origin: &Origin, provider: &str) -> Result<Arc<DirectUpstream>, BuildError> {
        let name = lane_name(origin, provider);
        let mut all = self.all.write();
        if let Some(known) = all.get(&name) {
            return Ok(Arc::clone(known));
        }
        let server = self.servers.get(origin);
        let server = server.ok_or_else(|| BuildError::Host(origin.host.clone()))?;
        let known = self.known.get(&name);
        let upstream = self.parts.upstream(server, name.clone(), known)?;
        all.insert(name, Arc::clone(&upstream));
        Ok(upstream)
    }
}

fn https(host: &str) -> Origin {
    Origin {
        tls: true,
        host: host.to_owned(),
        port: 443,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::config::{Env, Sources};
    use crate::gateway::Snapshot;

    /// `here` is called by the gateway itself, `there` by LiteLLM through the egress port.
    const MODELS: &str = "model_list:
- model_name: here
  litellm_params: {model: anthropic/x, api_base: 'https://api.supermemory.ai/v3/https://api.anthropic.com', api_key: os.environ/KEY}
- model_name: there
  litellm_params: {model: openai/x, api_base: 'http://memgate:8767/v3/api.groq.com/openai/v1'}
- model_name: elsewhere
  litellm_params: {model: openai/x, api_base: 'http://memgate:9999/v3/api.mistral.ai'}
user_id_mappings: {default_user_id: team}
";

    fn snapshot(own: &str) -> Snapshot {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.yaml"), MODELS).unwrap();
        let path = folder.path().join("memgate.yaml");
        fs::write(&path, format!("litellm: {{config: config.yaml}}\n{own}")).unwrap();
        let sources = Sources {
            config: Some(path),
            ..Sources::new(Env::from_pairs([("KEY", "sk-0123456789abcdef")]))
        };
        let config = Config::load(&sources).unwrap_or_else(|faults| panic!("{faults}"));
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        Snapshot::build(config.config, clock).unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(upstreams: &[Arc<DirectUpstream>]) -> Vec<&str> {
        upstreams.iter().map(|upstream| upstream.name()).collect()
    }

    #[test]
    fn a_model_behind_the_router_has_a_lane_and_one_past_it() {
        let snapshot = snapshot("");
        let model = &snapshot.routes.direct()[0];

        let usual = snapshot.upstream_of(model).unwrap();
        let bypass = snapshot.bypass_of(model).unwrap();

        assert_eq!(usual.name(), "api.supermemory.ai → api.anthropic.com");
        assert_eq!(bypass.name(), "api.anthropic.com");
        assert!(!Arc::ptr_eq(&usual.jar, &bypass.jar));
        assert!(!Arc::ptr_eq(&usual.server, &bypass.server));
        assert_eq!(names(&snapshot.bypasses()), ["api.anthropic.com"]);
    }

    #[test]
    fn where_no_bypass_to_the_provider_is_wanted_its_host_is_not_known() {
        for bypass in ["none", "litellm"] {
            let snapshot = snapshot(&format!("direct: {{bypass: {bypass}}}\negress: {{}}\n"));
            let model = &snapshot.routes.direct()[0];

            assert!(snapshot.bypass_of(model).is_none());
            assert!(snapshot.egress_bypass_of(&https("api.groq.com")).is_none());
            assert!(snapshot.bypasses().is_empty());
            assert!(snapshot.resolver.host("api.anthropic.com", 443).is_none());
        }
    }

    #[test]
    fn the_egress_port_shares_the_lanes_of_models_and_has_those_of_litellms() {
        let snapshot = snapshot("egress: {}\n");
        let model = &snapshot.routes.direct()[0];

        let shared = snapshot.egress_of("api.supermemory.ai", "api.anthropic.com");

        assert!(Arc::ptr_eq(
            &shared.unwrap(),
            snapshot.upstream_of(model).unwrap()
        ));
        assert_eq!(
            names(&snapshot.lanes()),
            [
                "api.anthropic.com",
                "api.groq.com",
                "api.supermemory.ai → api.anthropic.com",
                "api.supermemory.ai → api.groq.com",
            ]
        );
        let past = |host: &str| snapshot.egress_bypass_of(&https(host));
        assert!(Arc::ptr_eq(
            &past("api.anthropic.com").unwrap(),
            snapshot.bypass_of(model).unwrap()
        ));
        assert!(past("api.groq.com").is_some());
        assert!(past("api.mistral.ai").is_none());
    }

    #[test]
    fn nothing_but_the_allowed_hosts_is_reached_by_the_egress_port() {
        let open = snapshot("egress: {allow: [a.example, b.example]}\n");
        let closed = snapshot("");

        assert!(open.egress_of("a.example", "x.example").is_some());
        assert!(open.egress_of("b.example", "b.example").is_some());
        for host in ["api.supermemory.ai", "api.anthropic.com", "evil.example"] {
            assert!(
                open.egress_of(host, "api.anthropic.com").is_none(),
                "{host}"
            );
        }
        assert!(closed.egress_of("api.supermemory.ai", "x").is_none());
    }

    #[test]
    fn providers_that_callers_make_up_share_a_lane_from_some_number_on() {
        let snapshot = snapshot("egress: {}\n");
        let before = snapshot.lanes().len();

        for number in 0..1_000 {
            let provider = format!("made-up-{number}.example");
            snapshot.egress_of("api.supermemory.ai", &provider).unwrap();
        }

        let lanes = snapshot.lanes();
        assert_eq!(lanes.len(), before + NAMED_BY_CALLERS + 1);
        assert!(names(&lanes).contains(&"api.supermemory.ai → other"));
        assert_eq!(
            snapshot.jars.all().len(),
            3,
            "all of one host share its jar"
        );
    }

    #[test]
    fn a_pause_of_a_host_is_one_of_every_other_lane_through_it() {
        let snapshot = snapshot("egress: {}\n");
        let lanes = snapshot.lanes();
        let through = |upstream: &DirectUpstream| upstream.host() == "api.supermemory.ai";
        let told = lanes.iter().find(|upstream| through(upstream)).unwrap();

        snapshot.pause_beside(told, Duration::from_secs(9));

        for upstream in &lanes {
            let paused = upstream.lane.view().pause_remaining();
            let beside = through(upstream) && !Arc::ptr_eq(upstream, told);
            assert_eq!(paused.as_secs(), if beside { 9 } else { 0 });
        }
    }
}
