//! From which address does a client speak? The peer's own, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_proxy::Session;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client behind however many trusted proxies.
pub(super) fn address(session: &Session, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer(session)?;
    let headers = &session.req_header().headers;
    if !is_trusted(trusted, peer) && headers.contains_key(FORWARDED_FOR) {
        tell_of_proxy(peer);
    }
    Some(behind(peer, headers, trusted))
}

/// Once: if it is a balancer, its operator wants to know.
fn tell_of_proxy(peer: IpAddr) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        log::warn!(target: "memgate::server", "{peer} sends X-Forwarded-For, and nobody believes it: if that is a balancer, name it in `trusted_proxies`, or all of its clients count as one address");
    }
}

pub(super) fn peer(session: &Session) -> Option<IpAddr> {
    match session.client_addr()? {
        PeerAddr::Inet(address) => Some(SocketAddr::ip(address)),
        PeerAddr::Unix(_) => None,
    }
}

/// Each proxy added whom it heard at the end; who stands in front of the last stranger may be made up.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    let fields = headers.get_all(FORWARDED_FOR).iter().rev();
    let said = fields.filter_map(|field| field.to_str().ok());
    for hop in said.flat_map(|field| field.rsplit(',')) {
        if !is_trusted(trusted, client) {
            break;
        }
        let Some(hop) = hop_at(hop.trim()) else { break };
        client = hop;
    }
    client
}

/// Some proxies add the port, or the brackets of a URL.
fn hop_at(said: &str) -> Option<IpAddr> {
    let bare = || said.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || Some(said.parse::<SocketAddr>().ok()?.ip());
    said.parse().ok().or_else(bare).or_else(with_port)
}

pub(super) fn is_trusted(trusted: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, said: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for field in said {
            headers.append(FORWARDED_FOR, field.parse().unwrap());
        }
        behind(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            client("10.0.0.1", &["203.0.113.9, 198.51.100.7"]),
            "198.51.100.7",
            "what the client itself said stands in front"
        );
        assert_eq!(
            client("10.0.0.1", &["198.51.100.7", "10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7:5678"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }
}
