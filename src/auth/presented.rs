//! What does a request show of its sender?

use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Secret;

const LITELLM: HeaderName = HeaderName::from_static("x-litellm-api-key");
const AZURE: HeaderName = HeaderName::from_static("api-key");
const ANTHROPIC: HeaderName = HeaderName::from_static("x-api-key");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// More keys than any client sends; what is beyond is not looked at.
const MOST: usize = 8;

/// The parts of a request that say who sends it, as claimed, and from where.
pub struct Presented<'r> {
    pub(super) credentials: Credentials<'r>,
    pub(super) host: Option<&'r str>,
    pub(super) origin: Option<&'r HeaderValue>,
    pub(super) cross_site: bool,
    /// The client's address, where it is known.
    pub(super) address: Option<IpAddr>,
}

/// The first few keys of a request.
#[derive(Clone, Copy, Default)]
pub(super) struct Credentials<'r>([Option<&'r str>; MOST]);

impl<'r> Credentials<'r> {
    pub fn iter(&self) -> impl Iterator<Item = &'r str> {
        self.0.iter().map_while(|key| *key)
    }

    /// Said twice it counts once; what is one too many is not looked at.
    fn add(&mut self, key: &'r str) {
        for place in &mut self.0 {
            match place {
                Some(known) if *known == key => return,
                Some(_) => {}
                None => return *place = Some(key),
            }
        }
    }
}

impl<'r> Presented<'r> {
    /// The first credential, as LiteLLM would read it.
    pub fn first(&self) -> Option<Secret> {
        self.credentials.iter().next().map(Secret::new)
    }

    /// Says where the request came from: failed attempts are counted by address.
    #[must_use]
    pub fn at(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// `authority`: of the request's target, where HTTP/2 says its host.
    pub fn of(headers: &'r HeaderMap, authority: Option<&'r str>) -> Self {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        Self {
            credentials: credentials(headers),
            host: authority.or(host),
            origin: headers.get(ORIGIN),
            cross_site: headers
                .get(FETCH_SITE)
                .is_some_and(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site")),
            address: None,
        }
    }
}

/// Claude Code sends two at once, so all are looked at, in LiteLLM's order.
fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let mut found = Credentials::default();
    for name in [LITELLM, AUTHORIZATION, AZURE, ANTHROPIC] {
        for value in headers.get_all(&name) {
            if let Some(key) = value.to_str().ok().and_then(|value| key(&name, value)) {
                found.add(key);
            }
        }
    }
    found
}

fn key<'v>(name: &HeaderName, value: &'v str) -> Option<&'v str> {
    let value = value.trim();
    let key = match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer ") => key.trim_start(),
        _ if *name == AUTHORIZATION => return None,
        _ => value,
    };
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn shown(headers: &HeaderMap) -> Vec<&str> {
        Presented::of(headers, None).credentials.iter().collect()
    }

    #[test]
    fn every_header_that_clients_use_is_read_in_litellms_order() {
        let headers = headers(&[
            ("x-api-key", "four"),
            ("api-key", "three"),
            ("authorization", "bearer two"),
            ("x-litellm-api-key", "Bearer one"),
        ]);

        assert_eq!(shown(&headers), ["one", "two", "three", "four"]);
    }

    #[test]
    fn what_is_empty_said_twice_or_no_bearer_token_is_no_credential() {
        let headers = headers(&[
            ("authorization", "Basic dXNlcjpwYXNz"),
            ("authorization", "Bearer "),
            ("authorization", "Bearer same"),
            ("x-api-key", "same"),
            ("api-key", " "),
        ]);

        assert_eq!(shown(&headers), ["same"]);
    }

    #[test]
    fn no_more_than_a_few_credentials_are_looked_at() {
        let mut headers = HeaderMap::new();
        for n in 0..100 {
            headers.append(ANTHROPIC, HeaderValue::from(n));
        }

        assert_eq!(shown(&headers).len(), MOST);
    }
}
