//! What goes on beside the requests? Names, replicas, keys and certificates are kept fresh, cookies are kept
//! on disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_core::services::background::BackgroundService;

use super::certificate::{self, Certificate};
use super::{keys, reach};
use crate::gateway::{Gateway, Snapshot};

/// Changes within this time are one save.
const SAVE_PAUSE: Duration = Duration::from_secs(1);

/// The background work of the gateway's configuration, until shutdown.
pub(super) struct Upkeep {
    pub gateway: Arc<Gateway>,
    pub conf: Arc<ServerConf>,
    pub certificates: Vec<Arc<Certificate>>,
}

#[async_trait]
impl BackgroundService for Upkeep {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let snapshot = self.gateway.snapshot();
        let backends = Arc::clone(&snapshot.litellm.backends);
        let health = backends.start(shutdown.clone());
        tokio::select! {
            _ = async {
                let reach = reach::check(&snapshot, &self.conf);
                let certificates = certificate::follow(&self.certificates, &snapshot);
                tokio::join!(
                    snapshot.resolver.run(),
                    health,
                    keep_cookies(&snapshot),
                    keys::watch(&snapshot),
                    certificates,
                    reach
                )
            } => {}
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }
}

/// Takes up the cookies of the last run; without them the gateway begins with an empty jar.
pub(super) fn load_cookies(snapshot: &Snapshot) {
    let Some(file) = &snapshot.config.cookies.file else {
        return;
    };
    match snapshot.jars.load(file, snapshot.clock.wall()) {
        Ok(loaded) => log::info!(target: "memgate::cookies", "{}: {loaded:?}", file.display()),
        Err(error) => log::error!(target: "memgate::cookies", "{error}"),
    }
}

pub(super) fn save_cookies(snapshot: &Snapshot) {
    let Some(file) = &snapshot.config.cookies.file else {
        return;
    };
    if let Err(error) = snapshot.jars.save(file, snapshot.clock.wall()) {
        log::error!(target: "memgate::cookies", "{error}");
    }
}

/// Saves soon after a change; changes that come together are saved together.
async fn keep_cookies(snapshot: &Arc<Snapshot>) {
    if snapshot.config.cookies.file.is_none() {
        return std::future::pending().await;
    }
    loop {
        snapshot.jars.changed().await;
        snapshot.clock.sleep(SAVE_PAUSE).await;
        let snapshot = Arc::clone(snapshot);
        let saved = tokio::task::spawn_blocking(move || save_cookies(&snapshot)).await;
        if let Err(error) = saved {
            log::error!(target: "memgate::cookies", "saving stopped: {error}");
        }
    }
}
