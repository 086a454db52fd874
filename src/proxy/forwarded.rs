//! Who is calling, as LiteLLM is told? What a trusted proxy says of its client; of anybody else only the address.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use pingora_core::{ErrorType, OrErr, Result};
use pingora_proxy::Session;

use super::client::{self, FORWARDED_FOR as FOR};
use super::upstream_head::remove_prefixed;

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
const SAID_WHOLE: [HeaderName; 6] = [
    header::FORWARDED,
    header::EXPECT,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("true-client-ip"),
];

/// Puts what we know in the place of what the client says. `host` is LiteLLM's.
pub(super) fn write(
    headers: &mut HeaderMap,
    host: HeaderValue,
    session: &Session,
    trusted: &[IpNet],
) -> Result<()> {
    let peer = client::peer(session).map(|peer| peer.to_canonical());
    let proxy = peer.is_some_and(|peer| client::is_trusted(trusted, peer));
    let said = |name| headers.get_all(name).iter().filter(|_| proxy);
    // A proxy may add a field of its own behind the one that it was sent: they are one list.
    let clients: Vec<&str> = said(FOR).filter_map(|field| field.to_str().ok()).collect();
    let clients = clients.join(", ");
    let scheme = said(PROTO).next_back().cloned();
    remove_prefixed(headers, &SAID);
    for name in &SAID_WHOLE {
        headers.remove(name);
    }
    if let Some(called) = headers.insert(header::HOST, host) {
        headers.insert(HOST, called);
    }
    let ours = if is_tls(session) { "https" } else { "http" };
    let scheme = scheme.filter(|said| said == "https" || said == "http");
    headers.insert(
        PROTO,
        scheme.unwrap_or_else(|| HeaderValue::from_static(ours)),
    );
    if let Some(peer) = peer {
        let chain = match &*clients {
            "" => peer.to_string(),
            said => format!("{said}, {peer}"),
        };
        let chain = HeaderValue::from_maybe_shared(Bytes::from(chain))
            .or_err(ErrorType::InternalError, "not a header value")?;
        headers.insert(FOR, chain);
    }
    Ok(())
}

fn is_tls(session: &Session) -> bool {
    session
        .digest()
        .is_some_and(|digest| digest.ssl_digest.is_some())
}
