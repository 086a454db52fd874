//! HTTP/1.1 by hand: requests come in and answers go out in any order a script wants.

mod body;
mod head;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::body::Upload;
use self::head::{Framing, Parsed};
use super::exchange::Gone;
use super::head::{Head, Version};
use super::io::Io;
use super::reply::{Body, Reply};

const MOST_HEAD: usize = 1 << 20;
const MOST_PIPELINED: usize = 64 << 10;

/// One connection, and what is known of the request at work on it.
pub(super) struct Connection {
    io: Io,
    inbox: BytesMut,
    upload: Upload,
    framing: Framing,
    keep_alive: bool,
    answers_head: bool,
}

impl Connection {
    pub(super) fn new(io: Io) -> Self {
        Self {
            io,
            inbox: BytesMut::with_capacity(4096),
            upload: Upload::Done,
            framing: Framing::None,
            keep_alive: true,
            answers_head: false,
        }
    }

    /// The next request's head; `None` when the client is done, or no request can follow.
    pub(super) async fn next_head(&mut self) -> Option<Head> {
        if !self.keep_alive || self.upload != Upload::Done {
            return None;
        }
        loop {
            if !self.inbox.is_empty() {
                match head::parse(&self.inbox) {
                    Parsed::Whole(head, length) => {
                        let _ = self.inbox.split_to(length);
                        self.begin(&head);
                        return Some(head);
                    }
                    Parsed::Partial if self.inbox.len() < MOST_HEAD => {}
                    Parsed::Partial | Parsed::Garbage => {
                        self.refuse().await;
                        return None;
                    }
                }
            }
            self.fill().await.ok()?;
        }
    }

    fn begin(&mut self, head: &Head) {
        let says = |word: &str| {
            head.values("connection")
                .flat_map(|value| value.split(','))
                .any(|token| token.trim().eq_ignore_ascii_case(word))
        };
        self.keep_alive = match head.version {
            Version::Http10 => says("keep-alive"),
            _ => !says("close"),
        };
        self.upload = Upload::announced_by(head);
        self.answers_head = head.method == "HEAD";
        self.framing = match head.version {
            Version::Http10 => Framing::UntilClose,
            _ => Framing::Chunked,
        };
    }

    async fn refuse(&mut self) {
        let head = head::write(400, &[], Framing::Length(0), true);
        // The peer may be gone; then there is nobody to tell.
        let _ = self.write(head.as_bytes()).await;
    }

    /// Reads what is there; an end of the stream is the client's departure.
    async fn fill(&mut self) -> Result<(), Gone> {
        self.inbox.reserve(16 << 10);
        match self.io.read_buf(&mut self.inbox).await {
            Ok(0) | Err(_) => Err(Gone),
            Ok(_) => Ok(()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let written = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        written.await.map_err(Gone::from)
    }

    pub(super) async fn read_body(&mut self, into: &mut BytesMut) -> Result<(), Gone> {
        if self.upload.wants_continue() {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        body::read(self, into).await
    }

    pub(super) async fn informational(
        &mut self,
        status: u16,
        headers: &[(String, String)],
    ) -> Result<(), Gone> {
        let head = head::write(status, headers, Framing::None, false);
        self.write(head.as_bytes()).await
    }

    /// Sends the head, and the body with it when it is one piece that needs no cut.
    pub(super) async fn send_head(&mut self, reply: &Reply, with: &[u8]) -> Result<(), Gone> {
        self.framing = match &reply.body {
            _ if matches!(reply.status, 101 | 204 | 304) => Framing::None,
            Body::Whole(bytes) => Framing::Length(bytes.len()),
            _ if self.framing == Framing::UntilClose => Framing::UntilClose,
            _ => Framing::Chunked,
        };
        if self.framing == Framing::UntilClose {
            self.keep_alive = false;
        }
        let head = head::write(reply.status, &reply.headers, self.framing, !self.keep_alive);
        let mut out = head.into_bytes();
        if !self.bodiless() {
            out.extend_from_slice(with);
        }
        self.write(&out).await
    }

    fn bodiless(&self) -> bool {
        self.answers_head || self.framing == Framing::None
    }

    pub(super) async fn send(&mut self, piece: &Bytes) -> Result<(), Gone> {
        if self.bodiless() || piece.is_empty() {
            return Ok(());
        }
        if self.framing != Framing::Chunked {
            return self.write(piece).await;
        }
        let mut out = format!("{:x}\r\n", piece.len()).into_bytes();
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
        self.write(&out).await
    }

    pub(super) async fn finish(&mut self, trailers: &[(String, String)]) -> Result<(), Gone> {
        if self.bodiless() || self.framing != Framing::Chunked {
            return Ok(());
        }
        let mut out = String::from("0\r\n");
        for (name, value) in trailers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str("\r\n");
        self.write(out.as_bytes()).await
    }

    pub(super) async fn raw(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.keep_alive = false;
        self.write(bytes).await
    }

    /// Returns when the client has left; one that closes its own side only counts as gone too.
    /// Bytes it sends meanwhile are its next request.
    pub(super) async fn gone(&mut self) {
        if self.upload != Upload::Done {
            return self.io.peer_closed().await;
        }
        while self.inbox.len() < MOST_PIPELINED {
            if self.fill().await.is_err() {
                return;
            }
        }
        self.io.peer_closed().await;
    }

    pub(super) fn close_after(&mut self) {
        self.keep_alive = false;
    }

    pub(super) fn abort(&mut self) {
        self.keep_alive = false;
        self.io.end().abort();
    }

    /// Says goodbye in good order; a client that never reads does not hold it up for long.
    pub(super) async fn close(mut self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        if self.io.end().is_abort() {
            return;
        }
        let _ = tokio::time::timeout(PATIENCE, self.io.shutdown()).await;
    }

    pub(super) fn has_unread_body(&self) -> bool {
        self.upload != Upload::Done
    }

    pub(super) fn into_io(self) -> (Io, BytesMut) {
        (self.io, self.inbox)
    }
}
