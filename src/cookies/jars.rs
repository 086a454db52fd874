//! All jars of the gateway: one per upstream host and egress identity.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::file::Known;
use super::jar::Jar;

/// Names that carry a person's identity at Cloudflare Access. They are no machine's to share, so no
/// list of names makes a jar take them.
const NEVER_SHARED: [&str; 5] = [
    "CF_Authorization",
    "CF_Binding",
    "CF_AppSession",
    "CF_Session",
    "CF_Device",
];

/// Hands out jars and knows when one of them has something worth saving.
pub struct CookieJars {
    share: Arc<[String]>,
    /// A handful, found by looking at each.
    jars: RwLock<Vec<Arc<Jar>>>,
    changes: Arc<Changes>,
    /// Their file, as it was last read or written.
    known: Mutex<Known>,
}

/// Whether, and that, something changed since the last save.
#[derive(Default)]
pub(super) struct Changes {
    pending: AtomicBool,
    notify: Notify,
}

impl CookieJars {
    /// Jars that take the cookies of these names, letter case included, and no others.
    pub fn new(share: &[String]) -> Self {
        let allowed = share
            .iter()
            .filter(|name| !NEVER_SHARED.contains(&name.as_str()));
        Self {
            share: allowed.cloned().collect(),
            jars: RwLock::default(),
            changes: Arc::default(),
            known: Mutex::default(),
        }
    }

    /// The jar of a host as seen from one egress identity, made when first asked for.
    pub fn jar(&self, host: &str, egress: &str) -> Arc<Jar> {
        let host = host.to_ascii_lowercase();
        let find = |jars: &[Arc<Jar>]| {
            jars.iter()
                .find(|jar| jar.host() == host && jar.egress() == egress)
                .cloned()
        };
        if let Some(jar) = find(&self.jars.read()) {
            return jar;
        }
        let mut jars = self.jars.write();
        find(&jars).unwrap_or_else(|| {
            let (share, changes) = (self.share.clone(), self.changes.clone());
            let jar = Arc::new(Jar::new(&host, egress, share, changes));
            jars.push(jar.clone());
            jar
        })
    }

    /// Every jar there is.
    pub fn all(&self) -> Vec<Arc<Jar>> {
        self.jars.read().clone()
    }

    /// Something changed since the last save.
    pub fn dirty(&self) -> bool {
        self.changes.pending.load(Ordering::Acquire)
    }

    /// Waits for the next change; one that came since the last wait counts. For a single saver.
    pub async fn changed(&self) {
        self.changes.notify.notified().await;
    }

    pub(super) fn shares(&self, name: &str) -> bool {
        self.share.iter().any(|shared| shared == name)
    }

    pub(super) fn known(&self) -> &Mutex<Known> {
        &self.known
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }
}

impl Changes {
    pub(super) fn note(&self) {
        self.pending.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// To be called before the jars are read: what changes while they are being written is pending again.
    pub(super) fn settle(&self) {
        self.pending.store(false, Ordering::Release);
    }
}
