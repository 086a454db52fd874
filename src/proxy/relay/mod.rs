//! How does a held body go up, and a refusal come down, without Pingora losing either?
//!
//! For the life of the proxying, the client's session is wrapped in a [`Relay`], a session of our own
//! that stands between Pingora's loop and the client. It does four things that Pingora 0.9 cannot:
//! it feeds the body we hold as often as there are attempts, piece by piece through the loop that also
//! listens for an early answer; it keeps an error answer back until it is judged; it watches the
//! deadlines of the answer's head and of its silences; and it notices the client's departure meanwhile.
//! The wrapped session comes back with [`unwrap`], whatever happened.

mod custody;
mod feed;
mod session;
mod waiting;

use std::mem::replace;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora_core::protocols::http::ServerSession;
use pingora_proxy::Session;

pub(crate) use custody::Custody;
pub(crate) use feed::{Decision, Expired, Feed, Judge, Patience, Rest};
use session::Relay;
pub(crate) use waiting::{AGAIN, CLOSED};

use crate::gateway::InFlight;

/// What the hooks and the wrapped session share; both run on one task, so the lock never waits.
pub(crate) type SharedFeed = Arc<Mutex<Feed>>;

/// Puts a relay between Pingora and the client. Keep-alive and time-outs of the client's session must
/// be set before.
pub(crate) fn wrap(
    session: &mut Session,
    feed: &SharedFeed,
    custody: &Custody,
    in_flight: &InFlight,
) {
    // The box changes hands, not what is in it.
    let client = replace(&mut session.downstream_session, Box::new(vacant()));
    let mut relay = Relay::new(client, Arc::clone(feed), custody.clone());
    relay.time_up = Some(in_flight.time_up());
    relay.traffic = Some(Arc::clone(in_flight.traffic()));
    *session.downstream_session = ServerSession::Custom(Box::new(relay));
}

/// A session that Pingora takes for one whose head is read; [`unwrap`] gives the client's own back.
pub(crate) fn carry(client: Box<ServerSession>, custody: &Custody) -> ServerSession {
    let relay = Relay::new(client, Arc::clone(&NOTHING_HELD), custody.clone());
    ServerSession::Custom(Box::new(relay))
}

/// What a relay goes by that only carries.
static NOTHING_HELD: LazyLock<SharedFeed> = LazyLock::new(|| {
    let day = Duration::from_secs(86_400);
    let patience = Patience {
        first_byte: day,
        idle: day,
        body: day,
        early_answer: Duration::ZERO,
    };
    Arc::new(Mutex::new(Feed::new(None, patience, Instant::now())))
});

/// Gives the client's own session back; where it is in place this does nothing.
pub(crate) fn unwrap(session: &mut Session, custody: &Custody) {
    if !session.downstream_session.is_custom() {
        return;
    }
    // Dropping the relay leaves the client's session in custody.
    drop(replace(&mut *session.downstream_session, vacant()));
    if let Some(client) = custody.take() {
        session.downstream_session = client;
    }
}

/// Leaves the client's session to the connection's loop, for its next request. Pingora must have no use for it
/// any more.
pub(crate) fn keep(session: &mut Session, custody: &Custody) {
    let client = replace(&mut session.downstream_session, Box::new(vacant()));
    custody.keep(client);
}

fn vacant() -> ServerSession {
    ServerSession::Custom(Box::new(()))
}
