//! Who is calling, as LiteLLM is told? What a trusted proxy says of its client; of anybody else only the address.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use pingora_core::{ErrorType, OrErr, Result};
use pingora_proxy::Session;

use super::client::{self, FORWARDED_FOR as FOR};
use super::upstream_head::remove_named;

const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What the client says about itself or its way here, or to us alone. LiteLLM may pass the last two on to the router,
/// where they would name a memory.
const SAID: [&str; 5] = [
    "x-memgate-",
    "x-forwarded-",
    "cf-",
    "x-supermemory-",
    "x-sm-",
];
const SAID_WHOLE: [&str; 6] = [
    "forwarded",
    "expect",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
];

/// Puts what we know in the place of what the client says. `host` is LiteLLM's.
pub(super) fn write(
    headers: &mut HeaderMap,
    host: HeaderValue,
    session: &Session,
    trusted: &[IpNet],
) -> Result<()> {
    let peer = client::peer(session).map(|peer| peer.to_canonical());
    let proxys = peer
        .filter(|peer| client::is_trusted(trusted, *peer))
        .map(|_| Said::of(headers))
        .unwrap_or_default();
    remove_named(headers, |name| {
        SAID_WHOLE.contains(&name) || SAID.iter().any(|prefix| name.starts_with(prefix))
    });
    if let Some(called) = headers.insert(header::HOST, host) {
        headers.insert(HOST, called);
    }
    let ours = if is_tls(session) { "https" } else { "http" };
    let scheme = proxys.scheme.unwrap_or(HeaderValue::from_static(ours));
    headers.insert(PROTO, scheme);
    if let Some(peer) = peer {
        let chain = match &*proxys.clients {
            "" => peer.to_string(),
            said => format!("{said}, {peer}"),
        };
        let chain = HeaderValue::from_maybe_shared(Bytes::from(chain))
            .or_err(ErrorType::InternalError, "not a header value")?;
        headers.insert(FOR, chain);
    }
    Ok(())
}

/// What a proxy that is trusted says of its client.
#[derive(Default)]
struct Said {
    clients: String,
    scheme: Option<HeaderValue>,
}

impl Said {
    /// A proxy may add a field of its own behind the one that it was sent: they are one list.
    fn of(headers: &HeaderMap) -> Self {
        let clients = headers.get_all(FOR).iter();
        let clients: Vec<&str> = clients.filter_map(|field| field.to_str().ok()).collect();
        let scheme = headers.get_all(PROTO).iter().next_back();
        let sound = |said: &&HeaderValue| *said == "https" || *said == "http";
        Self {
            clients: clients.join(", "),
            scheme: scheme.filter(sound).cloned(),
        }
    }
}

fn is_tls(session: &Session) -> bool {
    session
        .digest()
        .is_some_and(|digest| digest.ssl_digest.is_some())
}
