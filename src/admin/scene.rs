//! The gateway as the explanation of its state needs it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::why::{LaneScene, Own, Refused, Scene, WayRound};
use crate::config::Bypass;
use crate::gateway::{Gateway, Reloads, Snapshot};
use crate::telemetry::Counted;

/// A certificate that ends sooner is worth a sentence.
const RENEWAL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Steps of five seconds in five minutes.
const LATELY: u64 = 60;

pub(super) fn scene(gateway: &Gateway, snapshot: &Snapshot, counted: &Counted) -> Scene {
    // So that nothing is told of a moment ago.
    snapshot.sample();
    let now = snapshot.clock.wall();
    let recent = snapshot.metrics.recent();
    let has_litellm = !snapshot.config.litellm.urls.is_empty();
    Scene {
        now,
        gateway: own(gateway, snapshot, counted, now),
        lanes: lanes(snapshot),
        litellm: has_litellm.then(|| snapshot.litellm.backends.any_healthy()),
        troubles: recent.troubles(now),
        edge_errors: snapshot.edge_errors.last(),
        lately: recent.sum(LATELY, now),
    }
}

fn own(gateway: &Gateway, snapshot: &Snapshot, counted: &Counted, now: SystemTime) -> Own {
    let certificates = counted.of("certificate_not_after_seconds").map(|series| {
        let end = Duration::try_from_secs_f64(series.value()).unwrap_or_default();
        (
            series.label("file").to_owned(),
            SystemTime::UNIX_EPOCH + end,
        )
    });
    Own {
        draining: gateway.traffic.is_draining(),
        no_room: gateway.doorway.is_full(),
        open: snapshot.routes.direct().is_empty() || snapshot.keys.is_open(),
        certificates: certificates
            .filter(|(_, end)| *end < now + RENEWAL)
            .collect(),
        refused: refused(&gateway.reloads.lock()),
    }
}

fn refused(reloads: &Reloads) -> Option<Refused> {
    let failed = reloads.failure.as_ref()?;
    Some(Refused {
        at: failed.at,
        why: failed.why.clone(),
        in_place: reloads.since,
    })
}

fn lanes(snapshot: &Snapshot) -> Vec<LaneScene> {
    let ways = ways_round(snapshot);
    let lanes = snapshot.lanes();
    let lanes = lanes.iter().map(|upstream| {
        let view = upstream.lane.view();
        LaneScene {
            name: upstream.name().to_owned(),
            host: upstream.host().to_owned(),
            gate: view.gate,
            queued: view.queued,
            way_round: ways.get(upstream.name()).cloned().unwrap_or(WayRound::None),
        }
    });
    lanes.collect()
}

/// By the lane's name.
fn ways_round(snapshot: &Snapshot) -> BTreeMap<String, WayRound> {
    let by_litellm = snapshot.config.direct.bypass == Bypass::LiteLlm
        && !snapshot.config.litellm.urls.is_empty();
    let models = snapshot.routes.direct().iter();
    let ways = models.filter_map(|model| {
        let lane = snapshot.upstream_of(model)?.name().to_owned();
        let way = match snapshot.bypass_of(model) {
            Some(past) if !past.is_out_of_reach() => WayRound::Provider(past.host().to_owned()),
            _ if by_litellm && model.target.router => WayRound::LiteLlm,
            _ => return None,
        };
        Some((lane, way))
    });
    ways.collect()
}
