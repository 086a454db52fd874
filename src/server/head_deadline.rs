//! How long may a client take to send a request's head? Pingora times single reads only, so that a header
//! line every few seconds would hold a connection for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;

use crate::proxy::{HEAD_ARRIVED, KEEPALIVE, KeptAlive, Proxy};

/// The proxy, with a deadline on every request head of HTTP/1.1.
pub(super) struct HeadDeadline {
    proxy: Arc<HttpProxy<Proxy>>,
    limit: Duration,
}

impl HeadDeadline {
    pub(super) fn new(proxy: HttpProxy<Proxy>, limit: Duration) -> Self {
        Self {
            proxy: Arc::new(proxy),
            limit,
        }
    }
}

#[async_trait]
impl HttpServerApp for HeadDeadline {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if session.is_http2() {
            // The head is there before the session is.
            return self.proxy.process_new_http(session, shutdown).await;
        }
        if let ServerSession::H1(session) = &mut session {
            // Otherwise a request that comes before the last one's answer ends that one unanswered.
            session.set_pipelining_enabled(true);
        }
        // A connection that was kept alive may first be silent for as long as that was promised.
        let mark = session.take_connection_user_context();
        let kept_alive = mark.is_some_and(|mark| mark.is::<KeptAlive>());
        let idle = if kept_alive {
            KEEPALIVE
        } else {
            Duration::ZERO
        };
        let arrived = Arc::new(AtomicBool::new(false));
        let serve = HEAD_ARRIVED.scope(
            Arc::clone(&arrived),
            self.proxy.process_new_http(session, shutdown),
        );
        let mut serve = std::pin::pin!(serve);
        tokio::select! {
            biased;
            served = &mut serve => return served,
            () = tokio::time::sleep(idle + self.limit) => {}
        }
        if arrived.load(Ordering::Relaxed) {
            return serve.await;
        }
        log::debug!(target: "memgate::server", "a request head did not come within {:?}", self.limit);
        None
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
