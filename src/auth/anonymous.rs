//! May a caller without a key be let in?
//!
//! Without keys, a web page that somebody opens could call the gateway from within: by a name that its
//! owner points at us, or by a plain cross-site request. The Host and Origin a browser sends tell.

use std::collections::HashSet;
use std::net::IpAddr;

use super::{Presented, Refusal};

/// The host names by which callers without a key may call: the configured ones and loopback's.
pub(super) struct Hosts(HashSet<String>);

impl Hosts {
    pub fn new(names: &[String]) -> Self {
        Self(
            names
                .iter()
                .map(|name| host_of(name).to_ascii_lowercase())
                .collect(),
        )
    }

    pub fn admit(&self, presented: &Presented<'_>) -> Result<(), Refusal> {
        if !presented.host.is_some_and(|host| self.has(host)) {
            return Err(Refusal::ForeignHost);
        }
        let from_here = presented.origin.is_none_or(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            origin
                .split_once("://")
                .is_some_and(|(_, host)| self.has(host))
        });
        if presented.cross_site || !from_here {
            return Err(Refusal::ForeignOrigin);
        }
        Ok(())
    }

    fn has(&self, authority: &str) -> bool {
        let host = host_of(authority).to_ascii_lowercase();
        is_loopback(&host) || self.0.contains(&host)
    }
}

/// The host of `host:port`, without brackets and the root's dot.
fn host_of(authority: &str) -> &str {
    if let Some(v6) = authority.strip_prefix('[') {
        return v6.split_once(']').map_or("", |(host, _)| host);
    }
    let host = match authority.rsplit_once(':') {
        // More than one colon is an address without brackets.
        Some((host, _)) if !host.contains(':') => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn judged(pairs: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        Hosts::new(&["Gateway.Example".into()]).admit(&Presented::of(&headers, None))
    }

    #[test]
    fn loopback_and_configured_names_are_let_in_on_any_port() {
        for host in [
            "localhost",
            "localhost:8764",
            "127.0.0.1:8764",
            "127.8.8.8",
            "[::1]:8764",
            "app.localhost",
            "gateway.example.:443",
            "GATEWAY.example",
        ] {
            assert_eq!(judged(&[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_name_somebody_points_at_us_is_not() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.5:8764",
            "[",
            "",
        ] {
            assert_eq!(
                judged(&[("host", host)]),
                Err(Refusal::ForeignHost),
                "{host}"
            );
        }
        assert_eq!(judged(&[]), Err(Refusal::ForeignHost));
    }

    #[test]
    fn a_page_of_another_site_is_not() {
        let host = ("host", "localhost:8764");

        for origin in ["https://evil.example", "null", "file://", "localhost"] {
            assert_eq!(
                judged(&[host, ("origin", origin)]),
                Err(Refusal::ForeignOrigin),
                "{origin}"
            );
        }
        assert_eq!(
            judged(&[host, ("sec-fetch-site", "cross-site")]),
            Err(Refusal::ForeignOrigin)
        );
        assert_eq!(judged(&[host, ("origin", "http://127.0.0.1:3000")]), Ok(()));
        assert_eq!(judged(&[host, ("sec-fetch-site", "same-origin")]), Ok(()));
    }
}
