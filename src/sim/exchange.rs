//! One request and its answer, over either HTTP version: the few moves a script is played with.

use bytes::{Bytes, BytesMut};

use super::reply::Reply;
use super::{h1, h2};

/// The other side is not there any more.
#[derive(Debug)]
pub(super) struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl From<::h2::Error> for Gone {
    fn from(_: ::h2::Error) -> Self {
        Self
    }
}

pub(super) enum Exchange<'c> {
    H1(&'c mut h1::Connection),
    H2(h2::Stream),
}

impl Exchange<'_> {
    pub(super) async fn read_body(&mut self, into: &mut BytesMut) -> Result<(), Gone> {
        match self {
            Self::H1(connection) => connection.read_body(into).await,
            Self::H2(stream) => stream.read_body(into).await,
        }
    }

    pub(super) async fn informational(
        &mut self,
        status: u16,
        headers: &[(String, String)],
    ) -> Result<(), Gone> {
        match self {
            Self::H1(connection) => connection.informational(status, headers).await,
            Self::H2(stream) => stream.informational(status, headers),
        }
    }

    pub(super) async fn send_head(&mut self, reply: &Reply) -> Result<(), Gone> {
        match self {
            Self::H1(connection) => connection.send_head(reply, &[]).await,
            Self::H2(stream) => stream.send_head(reply),
        }
    }

    /// Head and body at once: one write where the wire allows it.
    pub(super) async fn send_whole(&mut self, reply: &Reply, body: &Bytes) -> Result<(), Gone> {
        match self {
            Self::H1(connection) => connection.send_head(reply, body).await,
            Self::H2(stream) => {
                stream.send_head(reply)?;
                stream.send(body.clone(), true).await?;
                stream.finish(&[])
            }
        }
    }

    pub(super) async fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        match self {
            Self::H1(connection) => connection.send(&piece).await,
            Self::H2(stream) => stream.send(piece, false).await,
        }
    }

    pub(super) async fn finish(&mut self, trailers: &[(String, String)]) -> Result<(), Gone> {
        match self {
            Self::H1(connection) => connection.finish(trailers).await,
            Self::H2(stream) => stream.finish(trailers),
        }
    }

    /// Bytes that are no HTTP; over HTTP/2 the nearest thing is a protocol error.
    pub(super) async fn raw(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        match self {
            Self::H1(connection) => connection.raw(bytes).await,
            Self::H2(stream) => {
                stream.reset(::h2::Reason::PROTOCOL_ERROR.into()).await;
                Ok(())
            }
        }
    }

    /// Returns when the client has left.
    pub(super) async fn gone(&mut self) {
        match self {
            Self::H1(connection) => connection.gone().await,
            Self::H2(stream) => stream.gone().await,
        }
    }

    pub(super) async fn reset(&mut self, code: u32) {
        match self {
            Self::H1(connection) => connection.abort(),
            Self::H2(stream) => stream.reset(code).await,
        }
    }

    pub(super) async fn abort(&mut self) {
        match self {
            Self::H1(connection) => connection.abort(),
            Self::H2(stream) => stream.abort().await,
        }
    }

    /// Ends the connection in good order, whatever is unfinished on it.
    pub(super) async fn close(&mut self) {
        match self {
            Self::H1(connection) => connection.close_after(),
            Self::H2(stream) => stream.close().await,
        }
    }

    /// No request after this one: a graceful GOAWAY, or `connection: close`.
    pub(super) fn goaway(&mut self) {
        match self {
            Self::H1(connection) => connection.close_after(),
            Self::H2(stream) => stream.goaway(),
        }
    }

    pub(super) async fn abrupt_goaway(&mut self, code: u32) {
        match self {
            Self::H1(connection) => connection.abort(),
            Self::H2(stream) => stream.abrupt_goaway(code).await,
        }
    }

    pub(super) async fn disown(&mut self) {
        match self {
            Self::H1(connection) => connection.close_after(),
            Self::H2(stream) => stream.disown().await,
        }
    }

    pub(super) fn has_unread_body(&self) -> bool {
        match self {
            Self::H1(connection) => connection.has_unread_body(),
            Self::H2(stream) => stream.has_unread_body(),
        }
    }

    /// No request can follow over HTTP/1.1; a stream of HTTP/2 ends by itself.
    pub(super) fn last_on_connection(&mut self) {
        if let Self::H1(connection) = self {
            connection.close_after();
        }
    }
}
