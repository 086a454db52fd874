//! The gateway as operators see it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use crate::auth::{Presented, Refusal};
use crate::clock::stamp;
use crate::cookies::Jar;
use crate::gateway::{Gateway, Reloads, Snapshot};

use super::explain::explain;
use super::respond::View;
use super::scene::scene;
use super::why::why;
use super::{keys, lanes, numbers, recent};

/// A thread that does not move for so long does not come back by itself.
const STUCK: Duration = Duration::from_secs(30);

pub(super) struct GatewayView {
    gateway: Arc<Gateway>,
    started: Instant,
}

impl GatewayView {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let started = gateway.snapshot().clock.now();
        Self { gateway, started }
    }
}

impl View for GatewayView {
    fn on_loopback(&self) -> bool {
        let address = self.gateway.snapshot().config.admin;
        address.is_some_and(|address| address.ip().is_loopback())
    }

    fn admit(&self, presented: &Presented<'_>) -> Result<(), Refusal> {
        let snapshot = self.gateway.snapshot();
        let mut keys = snapshot.config.operators_keys().peekable();
        if keys.peek().is_none() {
            return Err(Refusal::Off);
        }
        snapshot.keys.admit_operator(presented, keys)
    }

    fn stuck(&self) -> Option<Duration> {
        let now = self.gateway.snapshot().clock.now();
        self.gateway.pulse.silence(now, STUCK)
    }

    fn unready(&self) -> Vec<&'static str> {
        let snapshot = self.gateway.snapshot();
        let direct = !snapshot.routes.direct().is_empty() && snapshot.keys.is_open();
        let mut reasons = Vec::new();
        if self.gateway.traffic.is_draining() {
            reasons.push("draining");
        }
        if !direct && !snapshot.litellm.backends.any_healthy() {
            reasons.push("no route can serve");
        }
        if self.gateway.doorway.is_full() {
            reasons.push("no room for another connection");
        }
        reasons
    }

    fn metrics(&self) -> Result<String, prometheus::Error> {
        self.gateway.snapshot().render_metrics()
    }

    fn explain(&self, query: &str) -> Result<Value, String> {
        explain(&self.gateway.snapshot(), query)
    }

    fn status(&self) -> Value {
        let snapshot = self.gateway.snapshot();
        let (unready, wall) = (self.unready(), snapshot.clock.wall());
        let (recent, counted) = (snapshot.metrics.recent(), snapshot.metrics.counted());
        let in_flight: Map<String, Value> = snapshot
            .in_flight()
            .into_iter()
            .map(|(lane, requests)| (lane, requests.into()))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "time": stamp(wall),
            "why": why(&scene(&self.gateway, &snapshot, &counted)).json(),
            "uptime_seconds": (snapshot.clock.now() - self.started).as_secs(),
            "ready": unready.is_empty(),
            "reasons": unready,
            "in_flight": {"total": self.gateway.traffic.in_flight(), "lanes": in_flight},
            "last_minute": recent::last_minute(recent, wall),
            "direct_route_open": snapshot.keys.is_open(),
            "lanes": snapshot.lanes().iter().map(|upstream| lanes::lane(upstream)).collect::<Vec<_>>(),
            "edge_errors": snapshot.edge_errors.last().iter().rev().map(lanes::edge_error).collect::<Vec<_>>(),
            "edge_error_counts": numbers::edge_errors(&counted),
            "failures": recent.failures().iter().map(recent::failed).collect::<Vec<_>>(),
            "retries": numbers::retries(&counted),
            "upstreams": numbers::upstreams(&counted),
            "clients": numbers::clients(&counted),
            "memory": numbers::memory(&counted),
            "tokens": numbers::tokens(&counted),
            "history": recent::history(recent, wall),
            "configuration": configuration(&self.gateway.reloads.lock()),
            "set_by_hand": by_hand(&snapshot),
            "routes": routes(&snapshot),
            "keys": keys::keys(&snapshot),
            "jars": snapshot.jars.all().iter().map(|jar| jar_shown(jar, wall)).collect::<Vec<_>>(),
        })
    }
}

/// What goes before the configuration, and how long still.
fn by_hand(snapshot: &Snapshot) -> Vec<Value> {
    let shown = snapshot.valve.shown(snapshot.clock.now());
    shown
        .into_iter()
        .map(|(what, left)| json!({"what": what, "remaining_seconds": left.map(|left| left.as_secs())}))
        .collect()
}

/// How it went when it was read again.
fn configuration(reloads: &Reloads) -> Value {
    let failure = reloads.failure.as_ref();
    json!({
        "since": stamp(reloads.since),
        "reloads": reloads.taken,
        "failed": reloads.failed,
        "failure": failure.map(|failed| json!({"at": stamp(failed.at), "why": failed.why})),
        "needs_restart": reloads.waiting,
    })
}

/// How each name of the model list resolves, wildcards by their pattern.
fn routes(snapshot: &Snapshot) -> Vec<Value> {
    let groups = snapshot.config.models.groups.iter();
    let aliases = snapshot.config.models.aliases.iter();
    groups
        .map(|group| &group.name)
        .chain(aliases.map(|alias| &alias.name))
        .filter_map(|name| {
            let bypass = snapshot.config.direct.bypass;
            serde_json::to_value(snapshot.routes.describe(name, bypass)).ok()
        })
        .collect()
}

/// Names and expiry; never a value.
fn jar_shown(jar: &Jar, now: SystemTime) -> Value {
    let left = |expires: SystemTime| expires.duration_since(now).unwrap_or_default().as_secs();
    let cookies: Vec<Value> = jar
        .list()
        .into_iter()
        .map(|cookie| {
            json!({
                "name": cookie.name,
                "domain": cookie.domain,
                "path": cookie.path,
                "expires": cookie.expires.map(stamp),
                "expires_in_seconds": cookie.expires.map(left),
            })
        })
        .collect();
    json!({"upstream": jar.host(), "egress": jar.egress(), "cookies": cookies})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use crate::clock::{Clock, ManualClock};
    use crate::config::{
        Auth, BaseUrl, Bypass, Circuit, Config, Cookies, Deployment, Direct, DirectTarget, Drain,
        Expose, Identity, Limits, LiteLlm, Log, ModelGroup, Models, Origin, Prices,
        ProviderDialect, Queue, Reload, Retry, Secret, Server, Traces, Translation, UsageLog,
    };

    use super::*;

    fn origin(host: &str) -> Origin {
        Origin {
            tls: true,
            host: host.into(),
            port: 443,
        }
    }

    fn models() -> Models {
        let target = DirectTarget {
            base: BaseUrl {
                origin: origin("api.example.com"),
                path: "/v3/https://api.anthropic.com".into(),
            },
            provider_host: "api.anthropic.com".into(),
            dialect: ProviderDialect::Anthropic,
            api_key: Some(Secret::new("sk-provider")),
            extra_headers: Vec::new(),
            router: true,
            bypass: None,
            defaults: serde_json::Map::new(),
            defaults_at: std::collections::BTreeMap::new(),
        };
        let deployment = Deployment {
            id: None,
            model: "claude-sonnet".into(),
            weight: 1,
            direct: Some(target),
        };
        Models {
            groups: vec![ModelGroup {
                name: "sonnet".into(),
                deployments: vec![Arc::new(deployment)],
            }],
            aliases: Vec::new(),
        }
    }

    fn auth(master: Option<&str>) -> Auth {
        Auth {
            master_key: master.map(Secret::new),
            accept_master_key: true,
            keys_file: None,
            litellm: false,
            allow_anonymous: false,
            hosts: Vec::new(),
            failed_attempts_per_minute: NonZeroU32::MIN,
        }
    }

    fn config(admin: &str, master: Option<&str>) -> Config {
        Config {
            listen: Vec::new(),
            admin: admin.parse().ok(),
            admin_key: Some(Secret::new("sk-admin")),
            litellm: LiteLlm {
                urls: Vec::new(),
                api_key: None,
                expose: Expose::Inference,
            },
            direct: Direct {
                domains: vec!["example.com".into()],
                resolve: BTreeMap::new(),
                ca_file: None,
                bypass: Bypass::Provider,
                bypass_sticky: Duration::ZERO,
                max_concurrency: 1,
                queue: Queue {
                    max: 1,
                    timeout: Duration::ZERO,
                    before_bypass: Duration::ZERO,
                },
                circuit: Circuit {
                    failures: 0.5,
                    requests: 1,
                    window: Duration::ZERO,
                    open: Duration::ZERO,
                },
            },
            cookies: Cookies {
                share: vec!["__cf_bm".into()],
                egress: "default".into(),
                file: None,
            },
            retry: Retry {
                attempts: 1,
                initial_delay: Duration::ZERO,
                max_delay: Duration::ZERO,
                budget: 0.2,
            },
            auth: auth(master),
            limits: Limits::default(),
            prices: Prices::default(),
            trusted_proxies: Vec::new(),
            translation: Translation::default(),
            drain: Drain::default(),
            reload: Reload::Signal,
            usage_log: UsageLog::default(),
            log: Log::default(),
            traces: Traces::default(),
            server: Server {
                threads: 1,
                work_stealing: false,
                pid_file: None,
                control_socket: None,
                upstream_keepalive_pool_size: 1,
            },
            egress: None,
            models: models(),
            identity: Identity::default(),
        }
    }

    fn view(config: Config) -> GatewayView {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let snapshot = Snapshot::build(config, clock).unwrap_or_else(|error| panic!("{error}"));
        GatewayView::new(Arc::new(Gateway::new(snapshot)))
    }

    #[test]
    fn status_shows_routes_lanes_and_jars_and_no_secret() {
        let view = view(config("127.0.0.1:0", Some("sk-master")));
        let status = view.status();

        assert_eq!(status["ready"], true);
        assert_eq!(status["routes"][0]["ways"][0]["model"], "claude-sonnet");
        assert_eq!(status["jars"][0]["upstream"], "api.example.com");
        assert_eq!(
            status["in_flight"]["lanes"]["api.example.com → api.anthropic.com"],
            0
        );
        assert!(!status.to_string().contains("sk-"));
    }

    #[test]
    fn it_is_unready_when_no_route_can_serve_and_from_the_moment_a_drain_begins() {
        let able = view(config("127.0.0.1:0", Some("sk-master")));
        let unable = view(config("127.0.0.1:0", None));

        able.gateway.traffic.begin_drain();

        assert_eq!(able.unready(), ["draining"]);
        assert_eq!(unable.unready(), ["no route can serve"]);
    }

    #[test]
    fn a_port_beyond_loopback_is_known_as_such() {
        assert!(view(config("[::1]:0", None)).on_loopback());
        assert!(!view(config("0.0.0.0:0", None)).on_loopback());
    }
}
