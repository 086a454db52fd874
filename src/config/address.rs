//! Which server does a URL or an address in the configuration name?

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::settings::{BaseUrl, Origin};

impl BaseUrl {
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
