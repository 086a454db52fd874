//! How is a server connected to? The Pingora peers of direct upstreams and of LiteLLM replicas.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::TcpKeepalive;
use pingora_core::upstreams::peer::{ALPN, HttpPeer, HttpUpstreamRequestPolicy, PeerOptions};

use super::connect_gate::ConnectGate;
use super::resolve::Host;
use crate::config::{Limits, Origin};

/// Streams on one HTTP/2 connection; edges commonly allow 100 to 256.
const STREAMS: usize = 100;
/// A blocked write must end some day, also when the peer never opens its window.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Edges close idle connections after some minutes (Cloudflare: 900 s for HTTP/2).
const DIRECT_IDLE: Duration = Duration::from_secs(240);
/// Uvicorn, LiteLLM's server, closes idle connections after 5 s: let go of them first.
const LITELLM_IDLE: Duration = Duration::from_secs(4);

/// A server the gateway calls itself, over TLS.
pub struct DirectServer {
    pub origin: Origin,
    pub gate: ConnectGate,
    host: Arc<Host>,
    options: PeerOptions,
}

impl DirectServer {
    pub fn new(origin: Origin, host: Arc<Host>, limits: &Limits) -> Self {
        let mut options = common_options(limits);
        options.idle_timeout = Some(DIRECT_IDLE);
        options.alpn = ALPN::H2H1;
        options.max_h2_streams = STREAMS;
        options.h2_ping_interval = Some(PING_INTERVAL);
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        Self {
            origin,
            gate: ConnectGate::default(),
            host,
            options,
        }
    }

    /// The peer to connect to now; `None` while the name was never resolved.
    pub fn peer(&self) -> Option<HttpPeer> {
        let mut peer = HttpPeer::new(self.host.address()?, true, self.origin.host.clone());
        peer.options = self.options.clone();
        Some(peer)
    }

    /// A connection to `address` could not be made.
    pub fn failed(&self, address: SocketAddr) {
        self.host.failed(address);
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
