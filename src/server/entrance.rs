//! How does a client come in? Counted first, then through TLS where its door has it, all within one deadline:
//! Pingora's own for a handshake is fixed at a minute, and for the first byte after it there is none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::protocols::l4::stream::Stream as Plain;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::sync::watch;

use super::answering::OwnCalls;
use super::connection::Connection;
use crate::gateway::{Gateway, Guest};
use crate::proxy::Proxy;

/// A listener, as its clients find it.
pub(super) struct Door {
    pub tls: Option<Acceptor>,
    /// Only LiteLLM comes here, which is one address with many connections.
    pub private: bool,
}

/// Takes connections from a listener, and gives each a life of its own.
pub(super) struct Entrance {
    pub door: Arc<Door>,
    pub proxy: Arc<HttpProxy<Proxy>>,
    pub gateway: Arc<Gateway>,
    pub own_calls: Arc<OwnCalls>,
}

impl Entrance {
    fn receive(&self, stream: &Stream) -> Option<Guest> {
        let snapshot = self.gateway.snapshot();
        let caller = caller(stream);
        if let Some(caller) = caller {
            self.own_calls.arrived(caller);
        }
        let from = caller.filter(|_| !self.door.private);
        let from = from.map(|caller| caller.ip());
        let config = &snapshot.config;
        let doorway = &self.gateway.doorway;
        doorway.enter(
            from,
            &config.limits,
            &config.trusted_proxies,
            Instant::now(),
        )
    }
}

fn caller(stream: &Stream) -> Option<SocketAddr> {
    match stream.get_socket_digest()?.peer_addr()? {
        PeerAddr::Inet(address) => Some(*address),
        PeerAddr::Unix(_) => None,
    }
}

/// The stream inside TLS, or itself where the door has none.
async fn secured(stream: Stream, door: &Door) -> Option<Stream> {
    let Some(acceptor) = &door.tls else {
        return Some(stream);
    };
    let plain = stream.into_any().downcast::<Plain>().ok()?;
    // Boxed: large, and soon over.
    match Box::pin(acceptor.tls_handshake(*plain)).await {
        Ok(stream) => Some(Box::new(stream)),
        Err(error) => {
            log::debug!(target: "memgate::server", "no TLS with a client: {}", error.etype().as_str());
            None
        }
    }
}

#[async_trait]
impl ServerApp for Entrance {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let guest = self.receive(&stream)?;
        let (end, ends) = watch::channel(*shutdown.borrow());
        let connection = Arc::new(Connection {
            proxy: Arc::clone(&self.proxy),
            limits: self.gateway.snapshot().config.limits,
            gateway: Arc::clone(&self.gateway),
            guest: Arc::new(guest),
            end,
        });
        let served = async {
            let stream = secured(stream, &self.door).await?;
            connection.process_new(stream, &ends).await
        };
        connection.until_closed(served, shutdown).await;
        None
    }
}
