//! How a running simulator is asked and told: `/__stats`, `/__script`, `/__gates` and their like.

mod orders;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub(super) use self::orders::Orders;
use self::orders::{CapacityOrder, GateOrders, PaceOrder};
use super::head::{Asked, Head};
use super::hosts::Hosts;
use super::reply::Reply;
use super::server::Server;

pub(super) fn owns(path: &str) -> bool {
    path.starts_with("/__")
}

/// An order is carried out by the host that the query names, or by the first.
pub(super) fn reply(hosts: &Hosts, asked: &Asked) -> Reply {
    let head = &asked.head;
    let server = hosts.named(head.query("host").unwrap_or_default());
    match (head.method.as_str(), head.path()) {
        ("GET", "/__stats") => stats(hosts, server, head),
        ("GET", "/__timeline") => timeline(server),
        ("GET", "/__body") => kept_body(server, head),
        ("POST", "/__script") => obey(asked, |orders: Orders| {
            orders.give(server);
            Ok(json!({"script_waiting": server.script.waiting()}))
        }),
        ("POST", "/__capacity") => obey(asked, |order: CapacityOrder| {
            order.give(server)?;
            Ok(gates(server))
        }),
        ("POST", "/__gates") => obey(asked, |orders: GateOrders| {
            orders.give(server)?;
            Ok(gates(server))
        }),
        ("POST", "/__pace") => obey(asked, |order: PaceOrder| {
            order.give(server);
            Ok(json!({}))
        }),
        ("POST", "/__expire_cookies") => {
            server.door.expire_cookies();
            Reply::new(204)
        }
        ("POST", "/__reset") => {
            match head.query("host") {
                Some(_) => server.reset(),
                None => hosts.all().for_each(|server| server.reset()),
            }
            Reply::new(204)
        }
        _ => Reply::json(404, &json!({"error": USAGE})),
    }
}

const USAGE: &str = "GET /__stats[?requests=0], /__body?id=N, /__timeline; POST /__script, /__capacity, /__gates, \
                     /__pace, /__expire_cookies, /__reset; all take ?host=NAME";

fn obey<Order: DeserializeOwned>(
    asked: &Asked,
    act: impl FnOnce(Order) -> Result<Value, String>,
) -> Reply {
    let order = serde_json::from_slice(&asked.body).map_err(|error| error.to_string());
    match order.and_then(act) {
        Ok(said) => Reply::json(200, &said),
        Err(error) => Reply::json(400, &json!({"error": error})),
    }
}

fn stats(hosts: &Hosts, server: &Server, head: &Head) -> Reply {
    let of = |server: &Server| json!({"stats": server.recorder.stats(), "gates": gates(server)});
    let every: Map<String, Value> = hosts
        .all()
        .map(|server| (server.name.clone(), of(server)))
        .collect();
    let mut stats = json!({
        "host": server.name,
        "stats": server.recorder.stats(),
        "gates": gates(server),
        "script_waiting": server.script.waiting(),
        "hosts": every,
    });
    if head.query("requests") != Some("0") {
        stats["requests"] = json!(server.recorder.requests());
    }
    Reply::json(200, &stats)
}

/// What is kept of a remembered request's body.
fn kept_body(server: &Server, head: &Head) -> Reply {
    let id = head.query("id").and_then(|id| id.parse().ok());
    let requests = server.recorder.requests();
    match requests.into_iter().find(|seen| Some(seen.id) == id) {
        Some(seen) => Reply::text(200, "application/octet-stream", seen.body.kept),
        None => Reply::json(404, &json!({"error": "no such request is remembered"})),
    }
}

fn gates(server: &Server) -> Value {
    json!(server.door.capacity.room())
}

fn timeline(server: &Server) -> Reply {
    let mut timeline = json!(server.door.capacity.timeline());
    timeline["host"] = json!(server.name);
    Reply::json(200, &timeline)
}
