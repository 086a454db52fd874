//! Does a request carry the operator's own key?

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Fingerprint, Presented};
use crate::config::Secret;

/// Whether one of the presented credentials is `key`; takes the same time whatever was presented.
pub fn bears(headers: &HeaderMap, key: &Secret) -> bool {
    let expected = Fingerprint::of(key.reveal());
    let presented = Presented::of(headers, None);
    presented
        .credentials
        .iter()
        .any(|credential| Fingerprint::of(credential) == expected)
}

/// The same, or as a browser says it: as the password of any name.
pub fn opens(headers: &HeaderMap, key: &Secret) -> bool {
    let expected = Fingerprint::of(key.reveal());
    let password = password(headers).map(|password| Fingerprint::of(&password));
    bears(headers, key) || password.is_some_and(|password| password == expected)
}

fn password(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, packed) = said.split_once(' ')?;
    let pair = STANDARD.decode(packed.trim()).ok()?;
    let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_opens_where_it_is_the_key() {
        let key = Secret::new("sk-operator");
        let said = |pair: &str| {
            let value = format!("basic {}", STANDARD.encode(pair));
            [(AUTHORIZATION, value.parse().unwrap())]
                .into_iter()
                .collect()
        };

        assert!(opens(&said("me:sk-operator"), &key));
        assert!(opens(&said(":sk-operator"), &key));
        for wrong in ["sk-operator:", "me:sk-operator2", "sk-operator", ""] {
            assert!(!opens(&said(wrong), &key), "{wrong}");
        }
    }

    #[test]
    fn only_the_key_itself_opens() {
        let key = Secret::new("sk-operator");
        let with = |value: &'static str| {
            [(http::header::AUTHORIZATION, value.parse().unwrap())]
                .into_iter()
                .collect()
        };

        assert!(bears(&with("Bearer sk-operator"), &key));
        assert!(!bears(&with("Bearer sk-operato"), &key));
        assert!(!bears(&HeaderMap::new(), &key));
    }
}
