//! What carries a connection: a TCP socket, plain or inside TLS, that can be torn down on purpose.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub(super) struct Io {
    carrier: Carrier,
    end: End,
}

enum Carrier {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How the connection will end, decided by whoever knows, whoever holds the socket by then.
#[derive(Clone, Default)]
pub(super) struct End(Arc<Mutex<Ending>>);

#[derive(Default)]
struct Ending {
    abort: bool,
    last_words: Bytes,
}

impl End {
    /// With a TCP reset.
    pub(super) fn abort(&self) {
        self.0.lock().abort = true;
    }

    pub(super) fn is_abort(&self) -> bool {
        self.0.lock().abort
    }

    /// With these bytes.
    pub(super) fn say(&self, last_words: Bytes) {
        self.0.lock().last_words = last_words;
    }
}

impl Io {
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self::over(Carrier::Plain(tcp))
    }

    pub(super) fn tls(tls: TlsStream<TcpStream>) -> Self {
        Self::over(Carrier::Tls(Box::new(tls)))
    }

    fn over(carrier: Carrier) -> Self {
        Self {
            carrier,
            end: End::default(),
        }
    }

    pub(super) fn end(&self) -> End {
        self.end.clone()
    }

    fn tcp(&self) -> &TcpStream {
        match &self.carrier {
            Carrier::Plain(tcp) => tcp,
            Carrier::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Returns when the peer has closed its side, without reading what it still had to say.
    /// Unread bytes keep the socket readable, so this looks again now and then instead of waiting.
    pub(super) async fn peer_closed(&self) {
        const LOOK_AGAIN: Duration = Duration::from_millis(20);
        while let Ok(ready) = self.tcp().ready(Interest::READABLE).await {
            if ready.is_read_closed() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Io {
    fn say_at_once(&mut self, words: &[u8]) -> io::Result<()> {
        match &mut self.carrier {
            Carrier::Plain(tcp) => tcp.try_write(words).map(drop),
            Carrier::Tls(tls) => {
                let (tcp, session) = tls.get_mut();
                session.writer().write_all(words)?;
                session.write_tls(&mut AtOnce(tcp)).map(drop)
            }
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        let Ending { abort, last_words } = std::mem::take(&mut *self.end.0.lock());
        // A socket that takes neither the words nor the option closes in the ordinary way.
        if !last_words.is_empty() {
            let _ = self.say_at_once(&last_words);
        }
        if abort {
            let _ = self.tcp().set_zero_linger();
        }
    }
}

/// Writes what fits now and never waits: the last chance of a socket about to be dropped.
struct AtOnce<'s>(&'s TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Carrier::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Carrier::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Carrier::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Carrier::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
