//! How is a server connected to? The Pingora peers of direct upstreams and of LiteLLM replicas.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::TcpKeepalive;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::upstreams::peer::{ALPN, HttpPeer, HttpUpstreamRequestPolicy, PeerOptions};
use pingora_core::{Error, ErrorType, OkOrErr, OrErr, Result};
use tokio::net::TcpStream;

use super::connect_gate::{ConnectGate, Entry, Turn};
use super::resolve::Host;
use super::shares::Shares;
use crate::config::{Limits, Origin};

/// Streams on one HTTP/2 connection; edges commonly allow 100 to 256.
const STREAMS: u32 = 100;
/// What may come of one answer before its client has read any. All streams together fit into the connection's window,
/// so that clients who do not read hold up nobody else.
const STREAM_WINDOW: u32 = 256 * 1024;
/// A blocked write must end some day, also when the peer never opens its window.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Pingora takes a connection out of its pool while it opens a stream on it, so that others miss it for
/// a moment. Opening one takes far longer than looking twice.
const SECOND_LOOK: Duration = Duration::from_millis(1);
/// Edges close idle connections after some minutes (Cloudflare: 900 s for HTTP/2).
const DIRECT_IDLE: Duration = Duration::from_secs(240);
/// Uvicorn, LiteLLM's server, closes idle connections after 5 s: let go of them first.
const LITELLM_IDLE: Duration = Duration::from_secs(4);

/// A server the gateway calls itself, over TLS.
pub struct DirectServer {
    pub origin: Origin,
    /// One for each share of the connections.
    gates: Vec<ConnectGate>,
    shares: Shares,
    host: Arc<Host>,
    options: PeerOptions,
}

impl DirectServer {
    pub fn new(origin: Origin, host: Arc<Host>, limits: &Limits, shares: Shares) -> Self {
        let mut options = common_options(limits);
        options.idle_timeout = Some(DIRECT_IDLE);
        options.alpn = ALPN::H2H1;
        options.max_h2_streams = STREAMS as usize;
        options.h2_stream_window_size = Some(STREAM_WINDOW);
        options.h2_connection_window_size = Some(STREAM_WINDOW * STREAMS);
        options.h2_ping_interval = Some(PING_INTERVAL);
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        Self {
            origin,
            gates: (0..shares.count())
                .map(|_| ConnectGate::new(STREAMS as usize))
                .collect(),
            shares,
            host,
            options,
        }
    }

    /// Whether one made of these would be no other.
    pub fn is_of(&self, host: &Arc<Host>, limits: &Limits) -> bool {
        let fresh = common_options(limits);
        Arc::ptr_eq(&self.host, host)
            && self.options.connection_timeout == fresh.connection_timeout
            && self.options.read_timeout == fresh.read_timeout
    }

    /// The peer to connect to now; `None` while the name was never resolved. Without an opener it may
    /// open a connection whenever it finds none.
    pub fn peer(&self, opener: Option<Arc<Opener>>) -> Option<HttpPeer> {
        let mut peer = HttpPeer::new(self.host.address()?, true, self.origin.host.clone());
        peer.options = self.options.clone();
        peer.options.custom_l4 = opener.map(|opener| opener as _);
        peer.group_key = self.shares.own() as u64;
        Some(peer)
    }

    /// For an attempt that looked for a connection so many times before.
    pub fn opener(&self, looks: u32) -> Option<Arc<Opener>> {
        let gate = self.gate()?.clone();
        Some(Arc::new(Opener {
            looks,
            gate,
            turn: Mutex::default(),
        }))
    }

    /// What its connections turned out to speak.
    pub fn learned(&self, multiplexes: bool) {
        if let Some(gate) = self.gate() {
            gate.learned(multiplexes);
        }
    }

    fn gate(&self) -> Option<&ConnectGate> {
        self.gates.get(self.shares.own())
    }

    /// A connection to `address` could not be made.
    pub fn failed(&self, address: SocketAddr) {
        self.host.failed(address);
    }
}

/// One attempt's way through the gate. Pingora comes here only when its pool has no connection with room.
#[derive(Debug)]
pub struct Opener {
    looks: u32,
    gate: ConnectGate,
    /// Held while this attempt's connection is being made.
    turn: Mutex<Option<Turn>>,
}

/// The type of the error that sends an attempt back to the pool.
pub const LOOK_AGAIN: ErrorType = ErrorType::Custom("LookAgain");

impl Opener {
    /// The attempt has its connection: those who waited for it may look.
    pub fn opened(&self) {
        self.turn.lock().take();
    }

    /// The attempt has none. Was it its own connection that failed, and not one that it waited for?
    pub fn failed(&self, timed_out: bool) -> bool {
        let turn = self.turn.lock().take();
        turn.map(|turn| turn.failed(timed_out)).is_some()
    }
}

#[async_trait]
impl Connect for Opener {
    async fn connect(&self, address: &PeerAddr) -> Result<Stream> {
        if self.looks == 0 && self.gate.multiplexes() {
            tokio::time::sleep(SECOND_LOOK).await;
            return Error::e_explain(LOOK_AGAIN, "nobody opens a connection at first sight");
        }
        match self.gate.enter().await {
            Entry::LookAgain => Error::e_explain(LOOK_AGAIN, "another request opened a connection"),
            Entry::Failed { timed_out } => {
                let kind = if timed_out {
                    ErrorType::ConnectTimedout
                } else {
                    ErrorType::ConnectError
                };
                Error::e_explain(kind, "another request's connection failed")
            }
            Entry::Open(turn) => {
                *self.turn.lock() = Some(turn);
                let address = address
                    .as_inet()
                    .or_err(ErrorType::InternalError, "not an address")?;
                let stream = TcpStream::connect(address).await;
                Ok(stream.or_err(ErrorType::ConnectError, "connecting")?.into())
            }
        }
    }
}

/// A LiteLLM replica at `address`.
pub fn litellm_peer(origin: &Origin, address: SocketAddr, limits: &Limits) -> HttpPeer {
    let sni = if origin.tls {
        origin.host.clone()
    } else {
        String::new()
    };
    let mut peer = HttpPeer::new(address, origin.tls, sni);
    let mut options = common_options(limits);
    options.idle_timeout = Some(LITELLM_IDLE);
    options.alpn = ALPN::H1;
    peer.options = options;
    peer
}

fn common_options(limits: &Limits) -> PeerOptions {
    let mut options = PeerOptions::new();
    options.connection_timeout = Some(limits.connect_timeout);
    options.total_connection_timeout = Some(limits.connect_timeout);
    // The finer deadlines are the relay's; this one ends what the relay cannot see.
    options.read_timeout = Some(limits.first_byte_timeout.max(limits.idle_timeout));
    options.write_timeout = Some(WRITE_TIMEOUT);
    options.verify_cert = true;
    options.verify_hostname = true;
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::from_secs(30),
    });
    options
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::resolve::Resolver;
    use super::*;

    fn limits() -> Limits {
        let second = Duration::from_secs(1);
        Limits {
            connect_timeout: 5 * second,
            first_byte_timeout: 600 * second,
            idle_timeout: 300 * second,
            ..Limits::default()
        }
    }

    fn server() -> DirectServer {
        let origin = Origin {
            tls: true,
            host: "192.0.2.1".to_owned(),
            port: 443,
        };
        let resolver = Resolver::new([(origin.host.clone(), origin.port)], &BTreeMap::new());
        let host = resolver.host(&origin.host, origin.port).unwrap();
        DirectServer::new(origin, host, &limits(), Shares::ONE)
    }

    #[test]
    fn a_direct_server_is_verified_shared_pinged_and_given_up_timed_out() {
        let peer = server().peer(None).unwrap();

        let options = &peer.options;
        assert!(options.verify_cert && options.verify_hostname);
        assert_eq!(options.max_h2_streams, 100);
        assert!(
            options
                .h2_ping_interval
                .is_some_and(|every| every <= Duration::from_secs(60))
        );
        assert!(options.tcp_keepalive.is_some());
        assert_eq!(
            options.total_connection_timeout,
            Some(Duration::from_secs(5))
        );
        assert!(options.write_timeout.is_some() && options.read_timeout.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_opens_a_connection_at_first_sight() {
        let server = server();
        let address = PeerAddr::Inet("192.0.2.1:443".parse().unwrap());

        let first = server.opener(0).unwrap().connect(&address).await;

        assert_eq!(*first.err().unwrap().etype(), LOOK_AGAIN);
    }

    #[tokio::test]
    async fn who_waited_looks_again_or_shares_in_the_failure() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = PeerAddr::Inet(nobody.local_addr().unwrap());
        let server = server();
        let [first, second, third] = [(); 3].map(|()| server.opener(1).unwrap());
        let _stream = first.connect(&address).await.unwrap();

        let (waited, ()) = tokio::join!(second.connect(&address), async { first.opened() });
        let _stream = second.connect(&address).await.unwrap();
        let fails = async { second.failed(true) };
        let (failed, own) = tokio::join!(third.connect(&address), fails);

        assert_eq!(*waited.err().unwrap().etype(), LOOK_AGAIN);
        assert_eq!(*failed.err().unwrap().etype(), ErrorType::ConnectTimedout);
        assert!(own && !third.failed(true), "one connection failed, not two");
    }
}
