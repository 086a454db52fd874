//! How does a client's connection live from request to request? Pingora times single reads of a head only, so
//! that a line every few seconds would hold a connection for ever, and it closes after every failed attempt.

use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use pingora_core::apps::{
    HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream,
};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::config::Limits;
use crate::gateway::{Closed, Gateway, Guest, Visit};
use crate::proxy::{Custody, KeptAlive, Proxy, carry, refuse_head};

/// A request may be on its way by a connection that is about to close: so long whoever is connected may still ask.
pub(super) const LAST_CALL: Duration = Duration::from_secs(1);
/// Streams at one time on an HTTP/2 connection.
const STREAMS: u32 = 100;
/// Streams that the client took back before we looked at them, at one time.
const TAKEN_BACK: usize = 20;
/// Streams that we reset for the client's faults, over a connection's life.
const FAULTY: usize = 64;

/// What a connection is told beside its requests.
enum Sign {
    MustLeave,
    /// The first one's.
    HeadIsDue,
    Closing,
}

/// One client's connection, and the loop of an HTTP/1.1 one.
pub(super) struct Connection {
    pub proxy: Arc<HttpProxy<Proxy>>,
    pub gateway: Arc<Gateway>,
    pub guest: Arc<Guest>,
    /// Tells the connection alone to end when its requests have ended.
    pub end: watch::Sender<bool>,
    pub limits: Limits,
}

impl Connection {
    /// Drives the connection until it has ended, or has to.
    pub(super) async fn until_closed(&self, served: impl Future, shutdown: &ShutdownWatch) {
        let mut served = pin!(served);
        let mut signs = self.signs(shutdown.clone());
        loop {
            tokio::select! {
                biased;
                _ = &mut served => return,
                Some(sign) = signs.next() => match sign {
                    Sign::MustLeave => return,
                    Sign::HeadIsDue if self.guest.has_spoken() => {}
                    Sign::HeadIsDue => return self.was_silent(),
                    Sign::Closing => {
                        self.end.send_replace(true);
                    }
                },
            }
        }
    }

    /// What may end the connection from outside. Each is looked at when it has something to say: a stream wakes its
    /// connection with every event.
    fn signs(&self, mut shutdown: ShutdownWatch) -> FuturesUnordered<BoxFuture<'_, Sign>> {
        let must_leave = self.guest.told_to_leave().map(|()| Sign::MustLeave);
        let head_is_due = sleep(self.limits.header_timeout).map(|()| Sign::HeadIsDue);
        let closing = async move {
            // With an error, too: whoever could say so is gone.
            let _ = shutdown.wait_for(|closing| *closing).await;
            Sign::Closing
        };
        [must_leave.boxed(), head_is_due.boxed(), closing.boxed()]
            .into_iter()
            .collect()
    }

    /// While a drain waits for balancers, whoever asks is told to go elsewhere with the next request.
    fn is_last(&self, visit: &Visit) -> bool {
        visit.last || self.gateway.traffic.is_draining()
    }

    fn was_silent(&self) {
        self.gateway.doorway.closed(Closed::Silent);
        log::debug!(target: "memgate::server", "a request head did not come within {:?}", self.limits.header_timeout);
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
        let visit = self.guest.begin(&self.limits, Instant::now())?;
        if self.is_last(&visit) || *shutdown.borrow() {
            session.set_keepalive(None);
        }
        let custody = Custody::default();
        let carried = carry(session, &custody);
        let served = self.proxy.process_new_http(carried, shutdown);
        match self.guest.during(custody.during(served)).await {
            Some(reused) => Some(reused),
            None => reuse(custody.kept()?).await,
        }
    }

    /// `None` when there is nothing to serve: nobody spoke, or not in time, or not HTTP.
    async fn read_head(&self, session: &mut ServerSession, shutdown: ShutdownWatch) -> Option<()> {
        let mut limit = self.limits.header_timeout;
        // A connection that was kept alive may first be silent for as long as that was promised.
        let mark = session.take_connection_user_context();
        let kept = mark.is_some_and(|mark| mark.is::<KeptAlive>());
        // Whoever had an answer until now asks elsewhere: another one, just as long, would outlast the drain.
        let patience = if kept && *shutdown.borrow() {
            Duration::ZERO
        } else {
            LAST_CALL
        };
        if kept {
            let idle = self.limits.keepalive_timeout;
            // Whatever the client asked for.
            session.set_keepalive(Some(idle.as_secs()));
            limit += idle;
        }
        let read = tokio::select! {
            biased;
            read = timeout(limit, session.read_request()) => read,
            () = last_call(shutdown, patience) => return None,
        };
        match read {
            Ok(Ok(true)) => Some(()),
            Ok(Ok(false)) => None,
            Ok(Err(error)) => {
                refuse_head(session, &error, &self.gateway).await;
                None
            }
            Err(_elapsed) => {
                self.was_silent();
                None
            }
        }
    }
}

/// Resolves when nobody may ask any more.
async fn last_call(mut shutdown: ShutdownWatch, patience: Duration) {
    // With an error, too: whoever could say so is gone.
    let _ = shutdown.wait_for(|closing| *closing).await;
    sleep(patience).await;
}

/// The connection of an exchange that failed and was told so; Pingora would close it.
async fn reuse(session: Box<ServerSession>) -> Option<ReusedHttpStream> {
    let mut settings = HttpPersistentSettings::for_session(&session);
    settings.set_user_context(Box::new(KeptAlive));
    let stream = session.finish().await.ok().flatten()?;
    Some(ReusedHttpStream::from_reusable_stream(stream, settings))
}

impl HttpServerApp for Connection {
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
            let Some(visit) = self.guest.begin(&self.limits, Instant::now()) else {
                return Box::pin(ready(None));
            };
            if self.is_last(&visit) {
                // Streams that are open go on.
                self.end.send_replace(true);
            }
            let served = self.proxy.process_new_http(session, shutdown);
            return Box::pin(async move {
                let _visit = visit;
                self.guest.during(served).await
            });
        }
        let session = Box::new(session);
        Box::pin(self.serve(session, shutdown))
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        // Counted with 32 bytes for each field, and answered by HTTP/2 itself: heads a little too large get our answer.
        let head = self.limits.head + 64 * self.limits.headers;
        options
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(TAKEN_BACK)
            .max_local_error_reset_streams(Some(FAULTY));
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }
}
