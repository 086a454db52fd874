//! What does a request show of its sender?

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::config::Secret;

const LITELLM: HeaderName = HeaderName::from_static("x-litellm-api-key");
const AZURE: HeaderName = HeaderName::from_static("api-key");
const ANTHROPIC: HeaderName = HeaderName::from_static("x-api-key");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// More keys than any client sends; what is beyond is not looked at.
const MOST: usize = 8;

/// The parts of a request's head that say who sends it, as claimed.
pub struct Presented<'r> {
    pub(super) credentials: Vec<&'r str>,
    pub(super) host: Option<&'r str>,
    pub(super) origin: Option<&'r HeaderValue>,
    pub(super) cross_site: bool,
}

impl<'r> Presented<'r> {
    /// The first credential, as LiteLLM would read it.
    pub fn first(&self) -> Option<Secret> {
        self.credentials.first().map(|key| Secret::new(*key))
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
        }
    }
}

/// Claude Code sends two at once, so all are looked at, in LiteLLM's order.
fn credentials(headers: &HeaderMap) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for name in [LITELLM, AUTHORIZATION, AZURE, ANTHROPIC] {
        for value in headers.get_all(&name) {
            let Some(key) = value.to_str().ok().and_then(|value| key(&name, value)) else {
                continue;
            };
            if found.len() < MOST && !found.contains(&key) {
                found.push(key);
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

/// A key's SHA-256: what keys are compared and remembered by.
pub(super) type Fingerprint = [u8; 32];

pub(super) fn fingerprint(key: &str) -> Fingerprint {
    Sha256::digest(key.as_bytes()).into()
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

    #[test]
    fn every_header_that_clients_use_is_read_in_litellms_order() {
        let headers = headers(&[
            ("x-api-key", "four"),
            ("api-key", "three"),
            ("authorization", "bearer two"),
            ("x-litellm-api-key", "Bearer one"),
        ]);

        let presented = Presented::of(&headers, None);

        assert_eq!(presented.credentials, ["one", "two", "three", "four"]);
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

        assert_eq!(Presented::of(&headers, None).credentials, ["same"]);
    }

    #[test]
    fn no_more_than_a_few_credentials_are_looked_at() {
        let mut headers = HeaderMap::new();
        for n in 0..100 {
            headers.append(ANTHROPIC, HeaderValue::from(n));
        }

        assert_eq!(Presented::of(&headers, None).credentials.len(), MOST);
    }
}
