//! What does one way out hold: connections, cookies, numbers?

use std::sync::Arc;

use http::HeaderValue;
use parking_lot::Mutex;

use super::snapshot::BuildError;
use crate::clock::Clock;
use crate::config::{Config, Origin};
use crate::cookies::{CookieJars, Jar};
use crate::telemetry::{LaneGauges, LaneMetrics, LaneSample, Metrics, UpstreamMetrics};
use crate::upstream::lane::{Cause, CircuitPolicy, Lane, Policy};
use crate::upstream::peer::DirectServer;
use crate::upstream::resolve::Resolver;
use crate::upstream::shares::Shares;

/// Repeats that a lane may always have in flight, so that a quiet one has them at all.
const RETRIES_FREE: usize = 3;

/// A lane that the gateway serves itself: the host called and the provider behind it.
pub struct DirectUpstream {
    pub server: Arc<DirectServer>,
    pub jar: Arc<Jar>,
    /// Host as it stands in requests: equal to the TLS name, with a port that is not 443.
    pub authority: HeaderValue,
    pub metrics: UpstreamMetrics,
    pub lane_metrics: Arc<LaneMetrics>,
    /// Whether a connection could be made at the start; `None`: not tried.
    pub reachable: Mutex<Option<bool>>,
    pub lane: Arc<Lane>,
}

impl DirectUpstream {
    pub fn host(&self) -> &str {
        &self.server.origin.host
    }

    /// Tried and not reached: a way that leads nowhere.
    pub fn is_out_of_reach(&self) -> bool {
        *self.reachable.lock() == Some(false)
    }

    pub fn name(&self) -> &str {
        self.lane.name()
    }

    pub(super) fn sample(&self) -> LaneSample {
        let view = self.lane.view();
        LaneSample {
            in_flight: view.in_flight,
            limit: view.limit,
            queued: view.queued,
            paused: !view.pause_remaining().is_zero(),
        }
    }

    /// Reads the gauges now.
    pub(super) fn show(&self) {
        let view = self.lane.view();
        self.metrics.hold_cookies(self.jar.list().len());
        self.metrics.carry(view.in_flight);
        for cause in Cause::ALL {
            let times = view.pauses.of(cause);
            self.lane_metrics.paused(cause.as_str(), times);
        }
        self.lane_metrics.show(LaneGauges {
            limit: view.limit,
            queued: view.queued,
            pause_remaining: view.pause_remaining(),
            retries_exhausted: view.retries.exhausted,
        });
    }
}

/// What lanes are made from.
pub(super) struct Parts {
    pub config: Arc<Config>,
    pub clock: Arc<dyn Clock>,
    pub resolver: Arc<Resolver>,
    pub jars: Arc<CookieJars>,
    pub metrics: Arc<Metrics>,
}

impl Parts {
    pub fn server(
        &self,
        origin: &Origin,
        known: Option<&Arc<DirectServer>>,
    ) -> Result<Arc<DirectServer>, BuildError> {
        let host = self
            .resolver
            .host(&origin.host, origin.port)
            .ok_or_else(|| BuildError::Host(origin.host.clone()))?;
        let limits = &self.config.limits;
        if let Some(known) = known.filter(|known| known.is_of(&host, limits)) {
            return Ok(Arc::clone(known));
        }
        let shares = Shares::of(&self.config.server);
        let server = DirectServer::new(origin.clone(), host, limits, shares);
        Ok(Arc::new(server))
    }

    /// As it is `known`, or with the lane that is: its limit, its pauses and who waits for it.
    pub fn upstream(
        &self,
        server: &Arc<DirectServer>,
        name: String,
        known: Option<&Arc<DirectUpstream>>,
    ) -> Result<Arc<DirectUpstream>, BuildError> {
        let origin = &server.origin;
        let jar = self.jars.jar(&origin.host, &self.config.cookies.egress);
        let same = |known: &&Arc<DirectUpstream>| {
            Arc::ptr_eq(&known.server, server) && Arc::ptr_eq(&known.jar, &jar)
        };
        if let Some(known) = known.filter(same) {
            return Ok(Arc::clone(known));
        }
        let authority = origin.authority();
        let unknown = |_| BuildError::Host(origin.host.clone());
        Ok(Arc::new(DirectUpstream {
            jar,
            authority: HeaderValue::try_from(authority.as_str()).map_err(unknown)?,
            metrics: self.metrics.upstream(&authority, &name),
            lane_metrics: match known {
                Some(known) => Arc::clone(&known.lane_metrics),
                None => Arc::new(self.metrics.lane(&name)),
            },
            server: Arc::clone(server),
            // Of another server nobody knows yet.
            reachable: Mutex::new(None),
            lane: match known {
                Some(known) => Arc::clone(&known.lane),
                None => Lane::new(name, policy(&self.config), Arc::clone(&self.clock)),
            },
        }))
    }
}

pub(super) fn policy(config: &Config) -> Policy {
    let (direct, circuit) = (&config.direct, &config.direct.circuit);
    Policy {
        max_concurrency: direct.max_concurrency,
        queue_max: direct.queue.max,
        queue_timeout: direct.queue.timeout,
        before_bypass: direct.queue.before_bypass,
        retry_share: config.retry.budget,
        retry_min: RETRIES_FREE,
        circuit: CircuitPolicy {
            failures: circuit.failures,
            requests: circuit.requests,
            window: circuit.window,
            open: circuit.open,
        },
    }
}

/// `host called → provider behind it`, or the host alone where it is the provider.
pub(super) fn lane_name(origin: &Origin, provider: &str) -> String {
    let called = origin.authority();
    if origin.host == provider {
        called
    } else {
        format!("{called} → {provider}")
    }
}
