//! Who holds the body, and for how long? Reads a routed request's body whole, within every bound, or its beginning.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header;
use pingora_core::{Error, ErrorType};
use pingora_proxy::Session;

use crate::body::{Budget, Share};
use crate::config::Limits;
use crate::gateway::Rejection;

/// How long a request waits for room among the bodies in flight.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// What counts as progress within `limits.body_timeout`.
const PROGRESS: usize = 64 * 1024;
/// The type of the error that a body is that does not come.
pub(super) const TOO_SLOW: &str = "BodyTooSlow";
/// However steady the progress, a body must be in by then.
const WHOLE_BODY: Duration = Duration::from_secs(600);
/// How much is looked at of a body that is not held.
const PEEKED: usize = 1024 * 1024;
/// The first reservation, before a byte of the body is there.
const START: usize = 64 * 1024;

/// Why a body did not come.
pub(super) enum Unread {
    Rejected(Rejection),
    /// The client left or broke HTTP: there is nobody to answer.
    Gone(Box<Error>),
}

impl From<Rejection> for Unread {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// The whole body and its share of `limits.bodies_in_flight`.
pub(super) async fn read(
    session: &mut Session,
    limits: &Limits,
    budget: &Budget,
) -> Result<(Bytes, Share), Unread> {
    let declared = declared_length(session)?;
    if declared.is_some_and(|length| length > limits.body) {
        return Err(Rejection::BodyTooLarge { limit: limits.body }.into());
    }
    let full = |_| Unread::Rejected(Rejection::BodiesFull);
    let mut share = budget
        .reserve(declared.unwrap_or(START).min(START), PATIENCE)
        .await
        .map_err(full)?;
    invite(session).await?;
    let mut whole = Gathered::new(declared.unwrap_or_default());
    let mut pace = Pace::new(limits.body_timeout, Instant::now());
    while !session.is_body_done() {
        let Some(piece) = next_piece(session, &pace).await? else {
            break;
        };
        if whole.len() + piece.len() > limits.body {
            return Err(Rejection::BodyTooLarge { limit: limits.body }.into());
        }
        if whole.len() + piece.len() > share.bytes() {
            // Who only promises a body takes no room from others; who sends it takes the rest at once, so
            // that two halves do not wait for each other.
            let doubled = share.bytes().max(piece.len());
            let rest = declared.map(|length| length.saturating_sub(share.bytes()));
            let more = rest.unwrap_or(doubled).max(piece.len());
            share.grow(more, PATIENCE).await.map_err(full)?;
        }
        pace.progress(piece.len(), Instant::now());
        whole.push(piece);
    }
    let whole = whole.into_bytes();
    share.shrink_to(whole.len());
    Ok((whole, share))
}

/// The beginning of a body that goes on by itself, all of a small one. It waits for no room and refuses nobody.
pub(super) async fn peek(
    session: &mut Session,
    limits: &Limits,
    budget: &Budget,
) -> Result<Option<(Bytes, Share)>, Unread> {
    let Ok(mut share) = budget.reserve(0, Duration::ZERO).await else {
        return Ok(None);
    };
    let mut beginning = Gathered::new(0);
    let mut pace = Pace::new(limits.body_timeout, Instant::now());
    while beginning.len() < PEEKED && !session.is_body_done() {
        let full = beginning.len() + PROGRESS > share.bytes()
            && share.grow(PROGRESS, Duration::ZERO).await.is_err();
        if full {
            break;
        }
        let Some(piece) = next_piece(session, &pace).await? else {
            break;
        };
        pace.progress(piece.len(), Instant::now());
        beginning.push(piece);
    }
    let beginning = beginning.into_bytes();
    share.shrink_to(beginning.len());
    Ok(Some((beginning, share)))
}

/// Answers `Expect: 100-continue`, which Pingora leaves unanswered while the client waits.
pub(super) async fn invite(session: &mut Session) -> Result<(), Unread> {
    if !session.req_header().headers.contains_key(header::EXPECT) {
        return Ok(());
    }
    let keepalive = session.get_keepalive();
    session
        .write_continue_response()
        .await
        .map_err(Unread::Gone)?;
    // Pingora took it for an answer before the end of the body, after which it closes.
    session.set_keepalive(keepalive);
    Ok(())
}

fn declared_length(session: &Session) -> Result<Option<usize>, Rejection> {
    let Some(value) = session.req_header().headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let digits = value
        .to_str()
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let Some(digits) = digits else {
        return Err(Rejection::Head("Content-Length must be a number"));
    };
    // A number too large for the machine is too large for any limit.
    Ok(Some(digits.parse().unwrap_or(usize::MAX)))
}

async fn next_piece(session: &mut Session, pace: &Pace) -> Result<Option<Bytes>, Unread> {
    let read = tokio::time::timeout_at(pace.deadline().into(), session.read_request_body()).await;
    match read {
        Err(_elapsed) => Err(Rejection::BodyTooSlow.into()),
        Ok(Err(error)) if *error.etype() == ErrorType::ReadTimedout => {
            Err(Rejection::BodyTooSlow.into())
        }
        Ok(Err(error)) if is_bad_framing(&error) => Err(bad_framing(session).into()),
        Ok(Err(error)) => Err(Unread::Gone(error.into_down())),
        Ok(Ok(piece)) => Ok(piece),
    }
}

/// Nobody knows where the next request would begin, though Pingora takes the body for done.
pub(super) fn bad_framing(session: &mut Session) -> Rejection {
    session.set_keepalive(None);
    Rejection::Head("the body's framing is not valid HTTP")
}

/// The client is there, but the body that streams from it does not come.
pub(super) fn is_too_slow(error: &Error) -> bool {
    *error.etype() == ErrorType::Custom(TOO_SLOW)
}

/// The client sent what is no body, which it may want to know; any other error means that it left.
pub(super) fn is_bad_framing(error: &Error) -> bool {
    // Pingora keeps the names of its own to itself.
    matches!(
        error.etype(),
        ErrorType::InvalidHTTPHeader | ErrorType::Custom("InvalidChunk" | "InvalidTrailerEnd")
    )
}

/// Until when the next progress must come.
pub(super) struct Pace {
    timeout: Duration,
    window_since: Instant,
    window_bytes: usize,
    last: Instant,
}

impl Pace {
    pub(super) fn new(timeout: Duration, now: Instant) -> Self {
        Self {
            timeout,
            window_since: now,
            window_bytes: 0,
            last: now + WHOLE_BODY,
        }
    }

    pub(super) fn progress(&mut self, bytes: usize, now: Instant) {
        self.window_bytes += bytes;
        if self.window_bytes >= PROGRESS {
            self.window_bytes = 0;
            self.window_since = now;
        }
    }

    /// For so long it was not the client who was slow.
    pub(super) fn excuse(&mut self, time: Duration) {
        self.window_since += time;
        self.last += time;
    }

    pub(super) fn deadline(&self) -> Instant {
        (self.window_since + self.timeout).min(self.last)
    }
}

/// The pieces of a body; a body that came in one piece is never copied.
enum Gathered {
    Empty { expected: usize },
    One(Bytes, usize),
    Many(BytesMut),
}

impl Gathered {
    fn new(expected: usize) -> Self {
        Self::Empty { expected }
    }

    fn len(&self) -> usize {
        match self {
            Self::Empty { .. } => 0,
            Self::One(piece, _) => piece.len(),
            Self::Many(pieces) => pieces.len(),
        }
    }

    fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        *self = match std::mem::replace(self, Self::Empty { expected: 0 }) {
            Self::Empty { expected } => Self::One(piece, expected),
            Self::One(first, expected) => {
                let mut pieces = BytesMut::with_capacity(expected.max(first.len() + piece.len()));
                pieces.extend_from_slice(&first);
                pieces.extend_from_slice(&piece);
                Self::Many(pieces)
            }
            Self::Many(mut pieces) => {
                pieces.extend_from_slice(&piece);
                Self::Many(pieces)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty { .. } => Bytes::new(),
            Self::One(piece, _) => piece,
            Self::Many(pieces) => pieces.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_the_body_in_order() {
        let mut gathered = Gathered::new(9);
        for piece in ["abc", "", "def", "ghi"] {
            gathered.push(Bytes::from_static(piece.as_bytes()));
        }

        assert_eq!(gathered.into_bytes(), "abcdefghi");
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let piece = Bytes::from(vec![7; 100]);
        let mut gathered = Gathered::new(100);

        gathered.push(piece.clone());

        assert_eq!(gathered.into_bytes().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn a_trickle_does_not_move_the_deadline_but_64_kib_do() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(60), start);

        pace.progress(PROGRESS - 1, start + Duration::from_secs(59));
        let after_a_trickle = pace.deadline();
        pace.progress(1, start + Duration::from_secs(59));

        assert_eq!(after_a_trickle, start + Duration::from_secs(60));
        assert_eq!(pace.deadline(), start + Duration::from_secs(119));
    }

    #[test]
    fn no_pace_outlasts_ten_minutes() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(60), start);

        pace.progress(PROGRESS, start + Duration::from_secs(590));

        assert_eq!(pace.deadline(), start + WHOLE_BODY);
    }

    #[test]
    fn what_an_upstream_holds_up_is_not_the_clients_fault() {
        let (start, held_up) = (Instant::now(), Duration::from_secs(50));
        let mut pace = Pace::new(Duration::from_secs(60), start);

        pace.excuse(held_up);
        let trickling = pace.deadline();
        pace.progress(PROGRESS, start + Duration::from_secs(640));

        assert_eq!(trickling, start + Duration::from_secs(110));
        assert_eq!(pace.deadline(), start + WHOLE_BODY + held_up);
    }
}
