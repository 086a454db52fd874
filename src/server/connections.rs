//! How does a client's connection live from request to request? Pingora times single reads of a head only, so
//! that a line every few seconds would hold a connection for ever, and it closes after every failed attempt.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::{
    HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream,
};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;

use crate::gateway::Gateway;
use crate::proxy::{Custody, KeptAlive, Proxy, carry, refuse_head};

/// How long an idle client connection is kept. Timed here alone, though a client may ask Pingora for less.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The proxy, and the loop of each HTTP/1.1 connection around it.
pub(super) struct Connections {
    proxy: Arc<HttpProxy<Proxy>>,
    gateway: Arc<Gateway>,
    limit: Duration,
}

impl Connections {
    pub(super) fn new(proxy: HttpProxy<Proxy>, gateway: Arc<Gateway>) -> Self {
        Self {
            proxy: Arc::new(proxy),
            limit: gateway.snapshot().config.limits.header_timeout,
            gateway,
        }
    }

    async fn serve(
        &self,
        mut session: Box<ServerSession>,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if let ServerSession::H1(session) = &mut *session {
            // Otherwise a request that comes before the last one's answer ends that one unanswered.
            session.set_pipelining_enabled(true);
        }
        self.read_head(&mut session, shutdown.clone()).await?;
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        let custody = Custody::default();
        let carried = carry(session, &custody);
        let served = self.proxy.process_new_http(carried, shutdown);
        match custody.during(served).await {
            Some(reused) => Some(reused),
            None => reuse(custody.kept()?).await,
        }
    }

    /// `None` when there is nothing to serve: nobody spoke, or not in time, or not HTTP.
    async fn read_head(
        &self,
        session: &mut ServerSession,
        mut shutdown: ShutdownWatch,
    ) -> Option<()> {
        // A connection that was kept alive may first be silent for as long as that was promised.
        let mark = session.take_connection_user_context();
        let kept_alive = mark.is_some_and(|mark| mark.is::<KeptAlive>());
        let idle = if kept_alive {
            KEEPALIVE
        } else {
            Duration::ZERO
        };
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(idle + self.limit, session.read_request()) => read,
            _ = shutdown.wait_for(|closing| *closing) => return None,
        };
        match read {
            Ok(Ok(true)) => Some(()),
            Ok(Ok(false)) => None,
            Ok(Err(error)) => {
                refuse_head(session, &error, &self.gateway).await;
                None
            }
            Err(_elapsed) => {
                log::debug!(target: "memgate::server", "a request head did not come within {:?}", self.limit);
                None
            }
        }
    }
}

/// The connection of an exchange that failed and was told so; Pingora would close it.
async fn reuse(session: Box<ServerSession>) -> Option<ReusedHttpStream> {
    let mut settings = HttpPersistentSettings::for_session(&session);
    settings.set_user_context(Box::new(KeptAlive));
    let stream = session.finish().await.ok().flatten()?;
    Some(ReusedHttpStream::from_reusable_stream(stream, settings))
}

impl HttpServerApp for Connections {
    // By hand, so that the future holds the session's box and not the session, which is large.
    fn process_new_http<'life0, 'life1, 'async_trait>(
        self: &'life0 Arc<Self>,
        session: ServerSession,
        shutdown: &'life1 ShutdownWatch,
    ) -> Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        if session.is_http2() {
            // The head is there before the session is.
            return self.proxy.process_new_http(session, shutdown);
        }
        let session = Box::new(session);
        Box::pin(self.serve(session, shutdown))
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    fn http_cleanup<'life0, 'async_trait>(
        &'life0 self,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        self.proxy.http_cleanup()
    }
}
