//! How connections are accepted, told apart, and ended: a listener that stops when dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::{HandshakeKind, ServerConfig};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::exchange::Exchange;
use super::hosts::Hosts;
use super::io::Io;
use super::server::{Next, Server, Visit};
use super::{h1, h2};

pub(super) struct Listener {
    addr: SocketAddr,
    life: watch::Sender<Life>,
}

/// What a port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    /// Takes no connections; those that are there end with their requests.
    Leaving,
    /// Has ended, with every connection.
    Gone,
}

/// What a port is for.
pub(super) enum Port {
    Plain,
    Tls(Arc<ServerConfig>),
    Control,
}

impl Listener {
    pub(super) fn open(addr: SocketAddr, hosts: &Arc<Hosts>, port: Port) -> io::Result<Self> {
        const BACKLOG: u32 = 4096;
        let socket = match addr {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let (life, lives) = watch::channel(Life::Open);
        tokio::spawn(accept(listener, Arc::clone(hosts), port, lives));
        Ok(Self { addr, life })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns when the port is closed and every connection has ended.
    pub(super) async fn stop(self) {
        self.life.send_replace(Life::Gone);
        self.life.closed().await;
    }

    /// Closes the port, and lets what is under way come to its end.
    pub(super) fn leave(&self) {
        self.life.send_replace(Life::Leaving);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.life.send_replace(Life::Gone);
    }
}

async fn accept(
    listener: TcpListener,
    hosts: Arc<Hosts>,
    port: Port,
    mut life: watch::Receiver<Life>,
) {
    let port = Arc::new(port);
    loop {
        let accepted = tokio::select! {
            _ = life.wait_for(|life| *life != Life::Open) => {
                // Before `life`, whose end says that the port is closed: whoever connected in between would be
                // taken by the kernel and thrown out with his request.
                drop(listener);
                return;
            }
            accepted = listener.accept() => accepted,
        };
        let Ok((tcp, _)) = accepted else {
            // Out of file descriptors, most likely: give others time to close theirs.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let visit = hosts.visit(life.clone(), matches!(*port, Port::Control));
        tokio::spawn(connection(tcp, Arc::clone(&port), visit));
    }
}

async fn connection(tcp: TcpStream, port: Arc<Port>, visit: Visit) {
    // Without it events would wait for the acknowledgement of the ones before.
    let _ = tcp.set_nodelay(true);
    let open = visit.counts().then(|| Open::count(&visit.server));
    let mut life = visit.life.clone();
    tokio::select! {
        _ = life.wait_for(|life| *life == Life::Gone) => {}
        () = Box::pin(speak(tcp, &port, visit, open)) => {}
    }
}

async fn speak(tcp: TcpStream, port: &Port, mut visit: Visit, mut open: Option<Open>) {
    const HANDSHAKE: Duration = Duration::from_secs(10);
    let Port::Tls(config) = port else {
        if visit.counts() {
            visit
                .server
                .recorder
                .count(|stats| stats.connections.h1 += 1);
        }
        return requests(Io::plain(tcp), visit).await;
    };

    let handshake = TlsAcceptor::from(Arc::clone(config)).accept(tcp);
    let Ok(Ok(tls)) = tokio::time::timeout(HANDSHAKE, handshake).await else {
        return;
    };
    let session = tls.get_ref().1;
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let speaks_h2 = session.alpn_protocol() == Some(b"h2");
    if let Some(server) = session
        .server_name()
        .and_then(|name| visit.hosts.find(name))
    {
        visit.server = Arc::clone(server);
        visit.by_name = true;
        if let Some(open) = &mut open {
            open.belongs_to(server);
        }
    }
    visit.server.recorder.count(|stats| {
        stats.connections.tls_full += u64::from(!resumed);
        stats.connections.tls_resumed += u64::from(resumed);
        stats.connections.h1 += u64::from(!speaks_h2);
        stats.connections.h2 += u64::from(speaks_h2);
    });
    if speaks_h2 {
        // However it ended, there is nobody left to tell.
        let _ = h2::serve(Io::tls(tls), visit).await;
    } else {
        requests(Io::tls(tls), visit).await;
    }
}

/// One HTTP/1.1 request after the other.
async fn requests(io: Io, visit: Visit) {
    let mut connection = h1::Connection::new(io);
    let mut number = 0;
    while let Some(head) = connection.next_head().await {
        number += 1;
        let exchange = Exchange::H1(&mut connection);
        if visit.serve(head, exchange, number).await == Next::WebSocket {
            return echo(connection).await;
        }
    }
    connection.close().await;
}

async fn echo(connection: h1::Connection) {
    let (io, read) = connection.into_io();
    let mut socket =
        WebSocketStream::from_partially_read(io, read.to_vec(), Role::Server, None).await;
    while let Some(Ok(frame)) = socket.next().await {
        let echoes = frame.is_text() || frame.is_binary();
        if echoes && socket.send(frame).await.is_err() {
            return;
        }
    }
}

/// Counts a connection for as long as it is open.
struct Open(Arc<Server>);

impl Open {
    fn count(server: &Arc<Server>) -> Self {
        server.recorder.count(|stats| {
            stats.connections.accepted += 1;
            stats.connections.open += 1;
        });
        Self(Arc::clone(server))
    }

    /// The client has named its host.
    fn belongs_to(&mut self, server: &Arc<Server>) {
        if !Arc::ptr_eq(&self.0, server) {
            self.0.recorder.count(|stats| {
                stats.connections.accepted = stats.connections.accepted.saturating_sub(1);
            });
            *self = Self::count(server);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.recorder.count(|stats| {
            stats.connections.open = stats.connections.open.saturating_sub(1);
        });
    }
}
