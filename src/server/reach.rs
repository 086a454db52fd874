//! Can the providers' own hosts be reached, before a bypass is needed?

use std::sync::Arc;
use std::time::Duration;

use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::server::configuration::ServerConf;

use crate::gateway::{DirectUpstream, Snapshot};

/// How soon a host that could not be reached is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Connects once to each bypass that nobody has reached yet, TLS included, and to those out of reach until they are
/// there.
pub(super) async fn check(snapshot: &Snapshot, conf: &ServerConf) {
    let connector = TransportConnector::new(Some(ConnectorOptions::from_server_conf(conf)));
    let bypasses = snapshot.bypasses();
    let checks = bypasses
        .iter()
        .map(|bypass| until_reached(snapshot, &connector, bypass));
    futures::future::join_all(checks).await;
}

async fn until_reached(
    snapshot: &Snapshot,
    connector: &TransportConnector,
    bypass: &Arc<DirectUpstream>,
) {
    if *bypass.reachable.lock() == Some(true) {
        return;
    }
    let host = bypass.host();
    let mut told = false;
    loop {
        let why = match bypass.server.peer(None) {
            None => "its name is not resolved".to_owned(),
            Some(peer) => match connector.new_stream(&peer).await {
                Ok(_stream) => break,
                Err(error) => error.etype().as_str().to_owned(),
            },
        };
        *bypass.reachable.lock() = Some(false);
        if !told {
            log::warn!(target: "memgate::lane", "the bypass {host} cannot be reached ({why}): while its router is closed, requests wait until it can be");
            told = true;
        }
        snapshot.clock.sleep(AGAIN).await;
    }
    *bypass.reachable.lock() = Some(true);
    bypass.lane.reached();
    if told {
        log::info!(target: "memgate::lane", "the bypass {host} can be reached now");
    }
}
