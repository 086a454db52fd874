//! How do operators and probes come in? Each exchange within a time; where there is no room, whoever came first goes:
//! on this port a connection is soon of no use.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::apps::http_app::HttpServer;
use pingora_core::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Admin;

/// Connections at one time.
const PLACES: usize = 128;
/// From the first byte of a request to the last of its answer.
const EXCHANGE: Duration = Duration::from_secs(30);
/// The silence that Pingora's server promises between two requests.
const IDLE: Duration = Duration::from_secs(60);

/// The admin port as its clients find it.
pub struct Entrance {
    http: Arc<HttpServer<Admin>>,
    /// Whoever came first stands first.
    inside: Mutex<VecDeque<Arc<Notify>>>,
}

/// A connection's place, until it is dropped.
struct Place<'e> {
    entrance: &'e Entrance,
    leave: Arc<Notify>,
}

impl Entrance {
    pub(super) fn new(http: HttpServer<Admin>) -> Self {
        Self {
            http: Arc::new(http),
            inside: Mutex::default(),
        }
    }

    fn place(&self) -> Place<'_> {
        let leave = Arc::new(Notify::new());
        let mut inside = self.inside.lock();
        if inside.len() >= PLACES
            && let Some(first) = inside.pop_front()
        {
            first.notify_one();
        }
        inside.push_back(Arc::clone(&leave));
        Place {
            entrance: self,
            leave,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inside = self.entrance.inside.lock();
        inside.retain(|other| !Arc::ptr_eq(other, &self.leave));
    }
}

#[async_trait]
impl ServerApp for Entrance {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let place = self.place();
        let connection = Arc::new(Connection {
            http: Arc::clone(&self.http),
            is_kept: AtomicBool::new(false),
        });
        tokio::select! {
            _ = connection.process_new(stream, shutdown) => {}
            () = place.leave.notified() => {}
        }
        None
    }
}

/// One connection, exchange by exchange.
struct Connection {
    http: Arc<HttpServer<Admin>>,
    /// It had an answer, and may be silent for as long as that promised.
    is_kept: AtomicBool,
}

#[async_trait]
impl HttpServerApp for Connection {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let limit = match self.is_kept.swap(true, Ordering::Relaxed) {
            true => IDLE + EXCHANGE,
            false => EXCHANGE,
        };
        let served = self.http.process_new_http(session, shutdown);
        timeout(limit, served).await.ok().flatten()
    }
}
