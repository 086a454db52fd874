//! Does a request carry the operator's own key?

use http::HeaderMap;

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

#[cfg(test)]
mod tests {
    use super::*;

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
