//! Who holds the client's session while Pingora does not?

use std::sync::Arc;

use parking_lot::Mutex;
use pingora_core::protocols::http::ServerSession;

tokio::task_local! {
    static OF_CONNECTION: Custody;
}

/// The place of a client's session between those who hold it: the connection's loop, Pingora and the relay.
#[derive(Clone, Default)]
pub(crate) struct Custody(Arc<Mutex<Place>>);

#[derive(Default)]
struct Place {
    session: Option<Box<ServerSession>>,
    /// Its exchange is over, and it may serve another.
    over: bool,
}

impl Custody {
    /// The connection's own, where its loop is ours: what is left there outlives Pingora's part.
    pub(crate) fn of_connection() -> Self {
        OF_CONNECTION.try_with(Self::clone).unwrap_or_default()
    }

    pub(crate) async fn during<F: Future>(&self, served: F) -> F::Output {
        OF_CONNECTION.scope(self.clone(), served).await
    }

    /// The session of an exchange that is over.
    pub(crate) fn kept(&self) -> Option<Box<ServerSession>> {
        let mut place = self.0.lock();
        place.session.take().filter(|_| place.over)
    }

    pub(super) fn keep(&self, session: Box<ServerSession>) {
        let mut place = self.0.lock();
        place.session = Some(session);
        place.over = true;
    }

    pub(super) fn put(&self, session: Box<ServerSession>) {
        self.0.lock().session = Some(session);
    }

    pub(super) fn take(&self) -> Option<Box<ServerSession>> {
        self.0.lock().session.take()
    }
}
