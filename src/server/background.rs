//! What goes on beside the requests? Names, replicas, keys and certificates are kept fresh, cookies are kept
//! on disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_core::services::background::BackgroundService;
use tokio::sync::watch;

use super::control::Control;
use super::reload::Reloader;
use super::sockets::Listeners;
use super::{certificate, keys, reach};
use crate::gateway::{Gateway, Snapshot};

/// Changes within this time are one save.
const SAVE_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at what another process has written into the cookies' file.
const LEARN_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at how the lanes stand.
const SAMPLE_PAUSE: Duration = Duration::from_secs(5);

/// The background work of the gateway, until shutdown.
pub(super) struct Upkeep {
    pub gateway: Arc<Gateway>,
    pub conf: Arc<ServerConf>,
    pub listeners: watch::Receiver<Listeners>,
    pub reloader: Reloader,
    pub control: Control,
}

#[async_trait]
impl BackgroundService for Upkeep {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let kept_up = self.keep_up(shutdown.clone());
        tokio::select! {
            _ = async { tokio::join!(self.reloader.run(), self.control.run(), watch_lanes(&self.gateway), kept_up) } => {}
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }
}

impl Upkeep {
    /// Begins anew with each configuration.
    async fn keep_up(&self, shutdown: ShutdownWatch) {
        let mut succession = self.gateway.succession();
        loop {
            succession.mark_unchanged();
            let snapshot = self.gateway.snapshot();
            let listeners = Arc::clone(&self.listeners.borrow());
            let kept = self.keep(&snapshot, &listeners, shutdown.clone());
            tokio::select! {
                () = kept => return,
                _ = succession.changed() => {}
            }
        }
    }

    async fn keep(&self, snapshot: &Arc<Snapshot>, listeners: &Listeners, shutdown: ShutdownWatch) {
        let certificates = listeners.iter().filter_map(|one| one.certificate.clone());
        let certificates: Vec<_> = certificates.collect();
        tokio::join!(
            snapshot.resolver.run(),
            snapshot.litellm.backends.start(shutdown),
            keep_cookies(snapshot),
            keys::watch(snapshot),
            certificate::follow(&certificates, snapshot),
            reach::check(snapshot, &self.conf)
        );
    }
}

/// Keeps the last hour's record.
async fn watch_lanes(gateway: &Gateway) {
    loop {
        let snapshot = gateway.snapshot();
        snapshot.sample();
        tokio::time::sleep(SAMPLE_PAUSE).await;
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

/// Saves soon after a change; changes that come together are saved together. Where nothing changes, what another
/// process has saved is taken over.
async fn keep_cookies(snapshot: &Arc<Snapshot>) {
    let Some(file) = &snapshot.config.cookies.file else {
        return std::future::pending().await;
    };
    loop {
        // It may have changed while another configuration took this one's place.
        let changed = snapshot.jars.dirty()
            || tokio::select! {
                () = snapshot.jars.changed() => true,
                () = snapshot.clock.sleep(LEARN_PAUSE) => false,
            };
        if changed {
            snapshot.clock.sleep(SAVE_PAUSE).await;
        }
        let (snapshot, file) = (Arc::clone(snapshot), file.clone());
        let kept = tokio::task::spawn_blocking(move || match changed {
            true => save_cookies(&snapshot),
            false => snapshot.jars.learn(&file, snapshot.clock.wall()),
        });
        if let Err(error) = kept.await {
            log::error!(target: "memgate::cookies", "saving stopped: {error}");
        }
    }
}
