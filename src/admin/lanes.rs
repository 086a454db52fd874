//! How does each lane stand, and what did edges say lately? For the status page.

use serde_json::{Value, json};

use crate::clock::stamp;
use crate::gateway::{DirectUpstream, EdgeErrorNote};
use crate::upstream::lane::{Cause, GateView, LaneView};

pub(super) fn lane(upstream: &DirectUpstream) -> Value {
    let view = upstream.lane.view();
    json!({
        "lane": upstream.name(),
        "host": upstream.host(),
        "state": state(&view),
        "pause": pause(&view),
        "pauses": view.pauses.all(),
        "limit": view.limit,
        "in_flight": view.in_flight,
        "queued": view.queued,
        "retries": {
            "in_flight": view.retries.in_flight,
            "allowed": view.retries.allowed,
            "exhausted": view.retries.exhausted,
        },
        "circuit": {"failures": view.circuit.failures, "requests": view.circuit.requests},
        "reachable": *upstream.reachable.lock(),
    })
}

pub(super) fn state(view: &LaneView) -> &'static str {
    match view.gate {
        GateView::Open => "open",
        GateView::Opening => "opening",
        GateView::Paused {
            cause: Cause::Circuit,
            ..
        } => "down",
        GateView::Paused { .. } => "paused",
    }
}

fn pause(view: &LaneView) -> Option<Value> {
    let GateView::Paused { remaining, cause } = view.gate else {
        return None;
    };
    Some(json!({
        "remaining_seconds": remaining.as_secs_f64(),
        "cause": cause.as_str(),
    }))
}

/// What the error said; none of it is the client's.
pub(super) fn edge_error(error: &EdgeErrorNote) -> Value {
    json!({
        "time": stamp(error.time),
        "lane": error.lane,
        "status": error.status,
        "code": error.code,
        "zone": error.zone,
        "ray_id": error.ray_id,
        "request_id": error.request_id,
    })
}
