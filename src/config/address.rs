//! Which server does a URL or an address in the configuration name?

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::settings::{BaseUrl, Egress, Origin};

/// The path in front of the provider's URL in a call to Supermemory's router.
const ROUTER_PREFIX: &str = "/v3/";

impl BaseUrl {
    /// The provider's own URL in a path to the router: `/v3/https://HOST/…` or `/v3/HOST/…`.
    pub fn behind_router(path: &str) -> Result<Option<Self>, String> {
        if path == ROUTER_PREFIX.trim_end_matches('/') {
            return Err("the `api_base` names no provider, write it behind `/v3/`, such as `/v3/https://api.anthropic.com`".to_owned());
        }
        let Some(url) = path.strip_prefix(ROUTER_PREFIX) else {
            return Ok(None);
        };
        if url.starts_with("http:/") {
            return Err("the provider behind `/v3/` is plain HTTP, write `https://`".to_owned());
        }
        let rest = url.strip_prefix("https://").unwrap_or(url);
        let behind = Self::parse(&format!("https://{rest}")).map_err(|problem| {
            let authority = rest.split('/').next().unwrap_or_default();
            if authority.contains('@') {
                return format!("the `api_base` {problem}");
            }
            format!("`{authority}` behind `/v3/` is no provider, write a URL or host such as `api.anthropic.com`")
        })?;
        Ok(Some(behind))
    }

    /// Reads `http(s)://host[:port][/path]`; the path is kept byte for byte but for slashes at its end.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = split_scheme(text).ok_or_else(|| {
            "is not a URL, write `http://HOST:PORT` or `https://HOST/PATH`".to_owned()
        })?;
        if let Some(c) = rest.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(format!("holds the character {c:?}, which no URL may hold"));
        }
        if rest.contains(['?', '#']) {
            return Err(
                "has a query or a fragment, keep only scheme, host, port and path".to_owned(),
            );
        }
        let path_at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        if authority.contains('@') {
            return Err("holds a user name or password, set the key in `api_key`".to_owned());
        }
        let (host, port) = split_port(authority)
            .ok_or_else(|| format!("names no server by `{authority}`, write HOST or HOST:PORT"))?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            origin: Origin { tls, host, port },
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

impl Egress {
    /// The allowed host that a path means, and the path there: `/HOST/…` where it begins with a host, else all
    /// of it at the first. `None`: that host is not allowed.
    pub fn host_of<'a>(&'a self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = path.strip_prefix('/')?;
        let segment = rest.split('/').next().unwrap_or_default();
        match self.allow.iter().find(|host| *host == segment) {
            Some(host) => Some((host, rest.get(segment.len()..)?)),
            None if segment.contains('.') => None,
            None => Some((self.allow.first()?, path)),
        }
    }

    /// The provider that an `api_base` on this port leads to.
    pub(super) fn provider_of(&self, base: &BaseUrl) -> Option<Origin> {
        if base.origin.tls || base.origin.port != self.listen.port() {
            return None;
        }
        let (_, path) = self.host_of(&base.path)?;
        Some(BaseUrl::behind_router(path).ok()??.origin)
    }
}

fn split_scheme(url: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Some((true, rest)),
        "http" => Some((false, rest)),
        _ => None,
    }
}

/// `host`, `host:port` or `[v6]:port`: the host in lower case and without brackets or last dot.
pub(super) fn split_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host.parse::<Ipv6Addr>().ok()?.to_string(), after)
        }
        None => {
            let (host, after) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (host_name(host)?, after)
        }
    };
    if port.is_empty() {
        return Some((host, None));
    }
    let digits = port
        .strip_prefix(':')
        .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?;
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    Some((host, Some(number)))
}

/// A DNS name or IPv4 address in lower case without its last dot.
pub(super) fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= 253 && name.split('.').all(label_fits)).then_some(name)
}

/// Whether a host is a domain or a name below it.
pub(super) fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether two sockets cannot both be bound: the same port, and one address covers the other.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    // Linux binds `::` for IPv4 too; port 0 is a different one each time.
    let covers =
        |x: IpAddr, y: IpAddr| x == y || (x.is_unspecified() && (x.is_ipv6() || y.is_ipv4()));
    a.port() != 0 && a.port() == b.port() && (covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}
