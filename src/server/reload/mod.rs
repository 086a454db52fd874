//! How does a changed configuration take the running one's place? All of it at once, or none of it.

mod files;
mod restart;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};

use self::files::Files;
use super::DNS_PATIENCE;
use super::sockets::{BoundListener, Listeners};
use crate::config::{Config, Faults, Loaded};
use crate::gateway::{Gateway, Snapshot};

/// More than these wait for nobody.
const ORDERS: usize = 8;
/// Between two looks at the files.
const EVERY: Duration = Duration::from_secs(1);

/// Reads the configuration as it was read at the start.
pub type Read = Arc<dyn Fn() -> Result<Loaded, Faults> + Send + Sync>;

/// Whoever waits is told why the configuration stayed as it was.
type Order = oneshot::Sender<Result<(), String>>;

pub(super) type Orders = mpsc::Receiver<Order>;

/// Orders a reload.
#[derive(Clone)]
pub struct Reload(mpsc::Sender<Order>);

impl Reload {
    pub(super) fn new() -> (Self, Orders) {
        let (order, orders) = mpsc::channel(ORDERS);
        (Self(order), orders)
    }

    /// Comes back when the configuration is another, or stays for a reason.
    pub async fn now(&self) -> Result<(), String> {
        let gone = || "the gateway is stopping".to_owned();
        let (tell, told) = oneshot::channel();
        self.0.send(tell).await.map_err(|_order| gone())?;
        told.await.map_err(|_dropped| gone())?
    }
}

/// Carries orders out, one after the other.
pub(super) struct Reloader {
    gateway: Arc<Gateway>,
    listeners: watch::Sender<Listeners>,
    orders: Mutex<Orders>,
    source: Option<Source>,
}

/// Where the configuration comes from.
pub(super) struct Source {
    pub read: Read,
    /// As they were named at the start.
    pub files: Vec<PathBuf>,
}

impl Reloader {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        listeners: watch::Sender<Listeners>,
        orders: Orders,
        source: Option<Source>,
    ) -> Self {
        Self {
            gateway,
            listeners,
            orders: Mutex::new(orders),
            source,
        }
    }

    /// For ever.
    pub(super) async fn run(&self) {
        let mut orders = self.orders.lock().await;
        let named = self.source.as_ref().map(|source| source.files.clone());
        let mut files = Files::new(named.unwrap_or_default());
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                () = self.changed(&mut files) => None,
            };
            // What is read from here on need not be read again.
            files.judged();
            let taken = self.reload(&mut files).await;
            if let Some(order) = order {
                // Nobody may wait for it any longer.
                let _ = order.send(taken);
            }
        }
    }

    /// Waits for a change of the files, where the configuration wants that.
    async fn changed(&self, files: &mut Files) {
        let mut succession = self.gateway.succession();
        loop {
            let snapshot = self.gateway.snapshot();
            if snapshot.config.reload != crate::config::Reload::Watch {
                // Nobody looks, and so nobody need wake up for it. The gateway outlives this.
                let _ = succession.changed().await;
                continue;
            }
            snapshot.clock.sleep(EVERY).await;
            if files.have_changed().await {
                return;
            }
        }
    }

    async fn reload(&self, files: &mut Files) -> Result<(), String> {
        let (before, reloads) = (self.gateway.snapshot(), &self.gateway.reloads);
        let taken = self.take(&before, files).await;
        let now = before.clock.wall();
        before.metrics.config_reloaded(taken.is_ok());
        match taken {
            Ok(waiting) => {
                for key in &waiting {
                    log::warn!(target: "memgate::config", "`{key}` has changed: it needs a restart");
                }
                reloads.lock().took(waiting, now);
                log::info!(target: "memgate::config", "reloaded");
                Ok(())
            }
            Err(why) => {
                reloads.lock().failed(&why, now);
                log::error!(target: "memgate::config", "the configuration stays as it was: {why}");
                Err(why)
            }
        }
    }

    /// The keys that wait for a restart.
    async fn take(
        &self,
        before: &Arc<Snapshot>,
        files: &mut Files,
    ) -> Result<Vec<&'static str>, String> {
        let Some(source) = &self.source else {
            return Err("it was not read from files".to_owned());
        };
        let read = Arc::clone(&source.read);
        let loaded = tokio::task::spawn_blocking(move || read()).await;
        let loaded = loaded.map_err(|stopped| stopped.to_string())?;
        let Loaded {
            mut config,
            warnings,
            files: named,
            ..
        } = loaded.map_err(|faults| faults.to_string())?;
        for warning in &warnings {
            log::warn!(target: "memgate::config", "{warning}");
        }
        files.follow(named);
        let waiting = restart::keep_back(&mut config, &before.config);
        let listeners = self.listeners(&config)?;
        let snapshot = before.succeeded_by(config);
        let snapshot = snapshot.map_err(|error| error.to_string())?;
        snapshot.resolver.prime(DNS_PATIENCE).await;
        if !Arc::ptr_eq(&snapshot.litellm.backends, &before.litellm.backends) {
            snapshot.litellm.backends.refresh().await;
        }
        self.listeners.send_replace(listeners);
        self.gateway.succeed(snapshot);
        Ok(waiting)
    }

    /// Those that stay, and new ones, bound.
    fn listeners(&self, config: &Config) -> Result<Listeners, String> {
        let open = Arc::clone(&self.listeners.borrow());
        let wanted = BoundListener::in_place_of(&open, &config.listen);
        let wanted = wanted.map_err(|error| error.to_string())?;
        let is_in = |some: &Listeners, one| some.iter().any(|other| Arc::ptr_eq(other, one));
        for new in wanted.iter().filter(|one| !is_in(&open, one)) {
            log::info!(target: "memgate::server", "serving on {}", new.address);
        }
        for old in open.iter().filter(|one| !is_in(&wanted, one)) {
            log::info!(target: "memgate::server", "{} takes no new connections as it did", old.address);
        }
        Ok(wanted)
    }
}
