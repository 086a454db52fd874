//! What does a request show of its sender?

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Fingerprint;
use crate::config::Secret;

const LITELLM: HeaderName = HeaderName::from_static("x-litellm-api-key");
const AZURE: HeaderName = HeaderName::from_static("api-key");
const ANTHROPIC: HeaderName = HeaderName::from_static("x-api-key");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What LiteLLM takes away, all of it, where it stands in front of a key.
const SCHEMES: [&str; 3] = ["Bearer ", "bearer ", "Basic "];

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

    /// Whether one of the credentials is this key; takes the same time whatever was presented.
    pub(super) fn is(&self, key: &Fingerprint) -> bool {
        let mut credentials = self.credentials.iter();
        credentials.any(|credential| Fingerprint::of(credential) == *key)
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

/// Whether the head holds such a key of `length` bytes: LiteLLM reads keys from more fields than any client of ours uses,
/// out of AWS signatures and behind schemes that it removes where ever they stand.
pub(super) fn holds(
    headers: &HeaderMap,
    query: Option<&str>,
    length: usize,
    is_key: impl Fn(&str) -> bool,
) -> bool {
    let in_text = |text: &[u8]| begins_there(text, length, &is_key);
    let holds = |text: &[u8]| {
        let mut bare = SCHEMES.iter().filter_map(|scheme| without(text, scheme));
        in_text(text) || bare.any(|text| in_text(&text))
    };
    let pairs = query.unwrap_or_default().split('&');
    let mut values = pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(_, value)| Cow::from(percent_encoding::percent_decode_str(value)));
    values.any(|value| holds(&value)) || headers.values().any(|field| holds(field.as_bytes()))
}

/// At the beginning or behind what may stand before a key.
fn begins_there(text: &[u8], length: usize, is_key: impl Fn(&str) -> bool) -> bool {
    let starts = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| b" \t+,;:=/.\"'".contains(byte))
        .map(|(at, _)| at + 1);
    let mut words = std::iter::once(0)
        .chain(starts)
        .filter_map(|start| std::str::from_utf8(text.get(start..start + length)?).ok());
    words.any(is_key)
}

/// `None`: it is not in there.
fn without(text: &[u8], scheme: &str) -> Option<Vec<u8>> {
    let mut places = memchr::memmem::find_iter(text, scheme).peekable();
    places.peek()?;
    let (mut kept, mut from) = (Vec::new(), 0);
    for at in places {
        kept.extend_from_slice(text.get(from..at)?);
        from = at + scheme.len();
    }
    kept.extend_from_slice(text.get(from..)?);
    Some(kept)
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
    fn a_key_is_found_wherever_litellm_looks_for_one() {
        let is_key = |word: &str| word == "sk-1/=,2";
        let holds = |headers: &HeaderMap, query| holds(headers, query, 8, is_key);
        for (name, value) in [
            ("authorization", "Bearer sk-1/=,2"),
            ("authorization", "Basic sk-1/=,2"),
            ("authorization", "Bearer\tsk-1/=,2"),
            ("authorization", "Bearer Bearer sk-1/=,2"),
            ("authorization", "Bearer sk-Bearer 1/=,2"),
            ("authorization", "Bearer sBearer k-1/=,2"),
            ("authorization", "bearer sk-1/=bearer ,2"),
            ("x-goog-api-key", "sk-1/=,2"),
            ("ocp-apim-subscription-key", "Basic sk-Basic 1/=,2"),
            (
                "sec-websocket-protocol",
                "realtime, openai-insecure-api-key.sk-1/=,2",
            ),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=Bearer sk-1/=,2/20260101/x",
            ),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=sk-1/=,2/20260101/x, Signature=y",
            ),
        ] {
            let headers = headers(&[("accept", "*/*"), (name, value)]);
            assert!(holds(&headers, None), "{name}: {value}");
        }
        let mut odd = headers(&[]);
        let latin = HeaderValue::from_bytes(b"AWS4-HMAC-SHA256 Credential=sk-1/=,2/\xe9").unwrap();
        odd.insert(AUTHORIZATION, latin);
        assert!(holds(&odd, None), "LiteLLM reads what is no UTF-8 too");
        let none = headers(&[("x-api-key", "sk-1/=,"), ("accept", "xsk-1/=,2")]);
        assert!(holds(&none, Some("a=b&key=sk%2D1/=,2")));
        assert!(holds(&none, Some("key=Bearer+sk-1/=,2")));
        assert!(!holds(&none, Some("key=sk-2&sk-1/=,2")));
    }

    #[test]
    fn one_of_the_credentials_is_the_key_itself_or_none_is() {
        let key = Fingerprint::of("sk-operator");
        let shows = |value| Presented::of(&headers(&[("authorization", value)]), None).is(&key);

        assert!(shows("Bearer sk-operator"));
        assert!(!shows("Bearer sk-operato"));
        assert!(!Presented::of(&HeaderMap::new(), None).is(&key));
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
