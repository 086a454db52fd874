//! What is known of one attempt's body and answer, shared by the hooks and the relay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::SocketDigest;
use pingora_http::ResponseHeader;

use crate::body::Share;
use crate::config::Limits;

/// What fits an HTTP/2 stream's first window (RFC 9113 6.9.2) without waiting for the peer.
const FIRST_PIECE: usize = 65_535;
const PIECE: usize = 65_536;
/// With more than this unsent, the next piece may not fit into a connection that has stopped.
const CLOGGED: u32 = 16 * 1024;
/// With more than this it may not fit into one that moves.
const FULL: u32 = 128 * 1024;
/// How much of an error answer is read before it is judged.
const HELD_MAX: usize = 64 * 1024;

/// What is to become of an error answer that was kept back.
pub(crate) enum Decision {
    Deliver(Box<ResponseHeader>, Bytes),
    /// Delivered as far as it was kept; the rest follows as it comes.
    Begin(Box<ResponseHeader>, Bytes),
    /// Nothing reaches the client; the attempt ends as an error that may be retried.
    Again,
}

/// What there is of an answer beyond what was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Nothing,
    /// It was too long to keep.
    Follows,
    /// The upstream broke off, or fell silent.
    Lost,
}

/// Judges a kept answer: its head, what was kept of its body, and what there is beside.
pub(crate) type Judge = Box<dyn FnOnce(Box<ResponseHeader>, Bytes, Rest) -> Decision + Send + Sync>;

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// No final response head in time.
    FirstByte,
    /// Silence in the answer's body.
    Idle,
    /// The gateway stops.
    Stopping,
}

/// The limits of waiting for an answer, and for a body that streams.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub first_byte: Duration,
    pub idle: Duration,
    /// Without progress of the client's.
    pub body: Duration,
    /// How long the upload waits after its first piece for an early answer.
    pub early_answer: Duration,
}

pub(crate) struct Feed {
    /// The body streams from the client, but for a beginning that was read already.
    pub(super) streams: bool,
    body: Bytes,
    /// Given back as soon as no further attempt is possible.
    share: Option<Share>,
    offset: usize,
    first_piece_at: Option<Instant>,
    /// Shows how full a connection of HTTP/1.1 is.
    socket: Option<Arc<SocketDigest>>,
    /// What had arrived there at the last look.
    acked: u64,
    /// The upstream answered with an error: the rest of the body need not go.
    stopped: bool,
    patience: Patience,
    pub(super) deadline: Instant,
    head_seen: bool,
    judge: Option<Judge>,
    /// How much of an answer is kept for its judge.
    keep_max: usize,
    kept: Option<(Box<ResponseHeader>, BytesMut)>,
    expired: Option<Expired>,
    /// The client is told nothing more, whatever the upstream goes on to say.
    closed: bool,
    /// The client has an answer, although the upstream did not end its own.
    told: bool,
}

impl Patience {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            first_byte: limits.first_byte_timeout,
            idle: limits.idle_timeout,
            body: limits.body_timeout,
            early_answer: Duration::ZERO,
        }
    }
}

impl Feed {
    /// `held` is the body and its room; without one the body streams from the client, and only the answer
    /// is watched.
    pub(crate) fn new(held: Option<(Bytes, Share)>, patience: Patience, now: Instant) -> Self {
        let streams = held.is_none();
        let (body, share) = held.unzip();
        Self {
            streams,
            body: body.unwrap_or_default(),
            share,
            offset: 0,
            first_piece_at: None,
            socket: None,
            acked: 0,
            stopped: false,
            patience,
            deadline: now + patience.first_byte,
            head_seen: false,
            judge: None,
            keep_max: HELD_MAX,
            kept: None,
            expired: None,
            closed: false,
            told: false,
        }
    }

    pub(super) fn body_timeout(&self) -> Duration {
        self.patience.body
    }

    /// What was read already of a body that streams: it goes up first.
    pub(crate) fn begin_with(&mut self, beginning: Bytes, share: Share) {
        self.body = beginning;
        self.share = Some(share);
    }

    /// Starts the next attempt from the body's first byte. `early_answer` is worth about a round trip
    /// where an edge may refuse before it reads, and zero elsewhere.
    pub(crate) fn rewind(&mut self, early_answer: Duration, now: Instant) {
        self.offset = 0;
        self.first_piece_at = None;
        self.socket = None;
        self.stopped = false;
        self.patience.early_answer = early_answer;
        self.deadline = now + self.patience.first_byte;
        self.head_seen = false;
        self.judge = None;
        self.kept = None;
        self.expired = None;
        self.closed = false;
        self.told = false;
    }

    /// Another body in the place of the one held.
    pub(crate) fn replace(&mut self, body: Bytes) {
        self.body = body;
        self.offset = 0;
    }

    /// While Pingora writes to a connection that takes nothing more, it is deaf to an answer: so nothing is
    /// handed to it that would not fit. Over HTTP/2 many share a connection, and it says nothing of one.
    pub(crate) fn pace_by(&mut self, socket: Option<Arc<SocketDigest>>) {
        self.socket = socket;
    }

    /// Whether a look at the connection is due, after so much of a body. What fits the first piece never waits.
    pub(super) fn is_paced(&self, sent: usize) -> bool {
        self.socket.is_some() && sent >= FIRST_PIECE && !self.stopped
    }

    pub(super) fn is_clogged(&mut self) -> bool {
        let Some(info) = self.socket.as_ref().and_then(|socket| socket.tcp_info()) else {
            return false;
        };
        let before = std::mem::replace(&mut self.acked, info.tcpi_bytes_acked);
        let most = if before == self.acked { CLOGGED } else { FULL };
        info.tcpi_notsent_bytes > most && !self.stopped
    }

    /// The answer is no success: send no more of the body. It is kept for `judge`; without one it is final.
    pub(crate) fn stop(&mut self, judge: Option<Judge>) {
        self.stopped = true;
        if judge.is_none() {
            self.release();
        }
        self.judge = judge;
        self.keep_max = HELD_MAX;
    }

    /// The answer began well, and so much of it is kept for `judge`.
    pub(crate) fn keep(&mut self, judge: Judge, most: usize) {
        self.release();
        self.judge = Some(judge);
        self.keep_max = most;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The upload ended early, with a part of the body unsent.
    pub(super) fn is_cut(&self) -> bool {
        self.stopped && !self.is_sent()
    }

    /// Lets go of the body and its room: no further attempt can be made. What is still on its way up goes on.
    pub(crate) fn release(&mut self) {
        self.share = None;
        if self.is_sent() {
            self.offset = 0;
            self.body = Bytes::new();
        }
    }

    pub(crate) fn expired(&self) -> Option<Expired> {
        self.expired
    }

    /// Ends the client's answer with what is on its way, and lets go of the upstream.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn has_told(&self) -> bool {
        self.told
    }

    pub(super) fn tell(&mut self) {
        self.told = true;
    }

    pub(super) fn is_sent(&self) -> bool {
        self.offset >= self.body.len()
    }

    pub(super) fn sent(&self) -> usize {
        self.offset
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// When the next piece may go: `None` for now.
    pub(super) fn next_piece_at(&self) -> Option<Instant> {
        self.first_piece_at
            .map(|at| at + self.patience.early_answer)
    }

    pub(super) fn next_piece(&mut self, now: Instant) -> Bytes {
        if self.stopped && !self.streams {
            return Bytes::new();
        }
        let limit = if self.offset == 0 { FIRST_PIECE } else { PIECE };
        let end = self.body.len().min(self.offset + limit);
        let piece = self.body.slice(self.offset..end);
        self.offset = end;
        self.first_piece_at.get_or_insert(now);
        if self.streams && self.is_sent() {
            // The rest is nowhere to be had again, and so there is no other attempt.
            self.release();
        }
        piece
    }

    /// The client is still sending: the upstream need not answer yet.
    pub(super) fn sending(&mut self, now: Instant) {
        if !self.head_seen {
            self.deadline = now + self.patience.first_byte;
        }
    }

    /// The upstream said something: its silence begins anew.
    pub(super) fn heard(&mut self, final_head: bool, now: Instant) {
        self.head_seen |= final_head;
        if self.head_seen {
            self.deadline = now + self.patience.idle;
        }
    }

    pub(super) fn expire(&mut self, stopping: bool) -> Expired {
        let expired = if stopping {
            Expired::Stopping
        } else if self.head_seen {
            Expired::Idle
        } else {
            Expired::FirstByte
        };
        self.expired = Some(expired);
        expired
    }

    pub(super) fn keeps_answer(&self) -> bool {
        self.judge.is_some()
    }

    pub(super) fn keep_head(&mut self, head: Box<ResponseHeader>) {
        self.kept = Some((head, BytesMut::new()));
    }

    /// Whether there is room for more of the answer's body.
    pub(super) fn keep_body(&mut self, bytes: &[u8]) -> bool {
        let Some((_, kept)) = self.kept.as_mut() else {
            return false;
        };
        // Whole pieces, so that what was kept can be delivered.
        kept.extend_from_slice(bytes);
        kept.len() < self.keep_max
    }

    /// The judgement on what was kept; `None` when nothing was.
    pub(super) fn judgement(&mut self, rest: Rest) -> Option<Decision> {
        let judge = self.judge.take()?;
        let (head, body) = self.kept.take()?;
        Some(judge(head, body.freeze(), rest))
    }
}
