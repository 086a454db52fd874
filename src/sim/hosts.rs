//! Which of the hosts on one port a request is for: its Host says so, as the SNI did before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::listener::Life;
use super::server::{Server, Visit};

/// The servers behind one port; the first also serves every name that is nobody's.
pub(super) struct Hosts {
    pub(super) first: Arc<Server>,
    others: Vec<Arc<Server>>,
    connections: AtomicU64,
}

impl Hosts {
    pub(super) fn new(first: Arc<Server>, others: Vec<Arc<Server>>) -> Arc<Self> {
        Arc::new(Self {
            first,
            others,
            connections: AtomicU64::new(0),
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Server>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The host of this name, with or without a port.
    pub(super) fn find(&self, authority: &str) -> Option<&Arc<Server>> {
        let name = authority.split(':').next().unwrap_or_default();
        self.all()
            .find(|server| server.name.eq_ignore_ascii_case(name))
    }

    /// A new connection's, before anybody is named.
    pub(super) fn visit(
        self: &Arc<Self>,
        life: watch::Receiver<Life>,
        control_only: bool,
    ) -> Visit {
        Visit {
            hosts: Arc::clone(self),
            server: Arc::clone(&self.first),
            life,
            connection: self.connections.fetch_add(1, Ordering::Relaxed),
            by_name: false,
            control_only,
        }
    }

    pub(super) fn named(&self, authority: &str) -> &Arc<Server> {
        self.find(authority).unwrap_or(&self.first)
    }
}
