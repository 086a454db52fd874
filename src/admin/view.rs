//! The gateway as operators see it.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::clock::stamp;
use crate::config::Secret;
use crate::cookies::Jar;
use crate::gateway::{Gateway, Snapshot};

use super::respond::View;

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

    fn key(&self) -> Option<Secret> {
        self.gateway.snapshot().config.admin_key.clone()
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
        reasons
    }

    fn metrics(&self) -> Result<String, prometheus::Error> {
        self.gateway.snapshot().metrics.render()
    }

    fn status(&self) -> Value {
        let snapshot = self.gateway.snapshot();
        let unready = self.unready();
        let lanes: Map<String, Value> = snapshot
            .metrics
            .in_flight()
            .into_iter()
            .map(|(lane, requests)| (lane, requests.into()))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": (snapshot.clock.now() - self.started).as_secs(),
            "ready": unready.is_empty(),
            "reasons": unready,
            "in_flight": {"total": self.gateway.traffic.in_flight(), "lanes": lanes},
            "direct_route_open": snapshot.keys.is_open(),
            "routes": routes(&snapshot),
            "jars": snapshot.jars.all().iter().map(|jar| jar_shown(jar)).collect::<Vec<_>>(),
        })
    }
}

/// How each name of the model list resolves, wildcards by their pattern.
fn routes(snapshot: &Snapshot) -> Vec<Value> {
    let groups = snapshot.config.models.groups.iter();
    let aliases = snapshot.config.models.aliases.iter();
    groups
        .map(|group| &group.name)
        .chain(aliases.map(|alias| &alias.name))
        .filter_map(|name| serde_json::to_value(snapshot.routes.describe(name)).ok())
        .collect()
}

/// Names and expiry; never a value.
fn jar_shown(jar: &Jar) -> Value {
    let cookies: Vec<Value> = jar
        .list()
        .into_iter()
        .map(|cookie| {
            json!({
                "name": cookie.name,
                "domain": cookie.domain,
                "path": cookie.path,
                "expires": cookie.expires.map(stamp),
            })
        })
        .collect();
    json!({"upstream": jar.host(), "egress": jar.egress(), "cookies": cookies})
}
