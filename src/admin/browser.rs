//! How does a browser say the admin key, and by which name does it call?

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderValue};

/// A password, of whatever name, stands for a bearer token.
pub(super) fn as_bearer(headers: &HeaderMap) -> Cow<'_, HeaderMap> {
    let token = password(headers).map(|password| format!("Bearer {password}"));
    let Some(Ok(token)) = token.map(HeaderValue::try_from) else {
        return Cow::Borrowed(headers);
    };
    let mut headers = headers.clone();
    headers.insert(AUTHORIZATION, token);
    Cow::Owned(headers)
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

/// By a name that means this machine. A page from elsewhere can have a browser of this machine call us by a name of
/// its own that leads here, and then read the answer.
pub(super) fn is_called_locally(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let host = host.to_str().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_a_token_and_nothing_else_is_touched() {
        let said = |value: &str| -> HeaderMap {
            [(AUTHORIZATION, value.parse().unwrap())]
                .into_iter()
                .collect()
        };
        let basic = |pair: &str| said(&format!("basic {}", STANDARD.encode(pair)));
        let token = |headers: &HeaderMap| as_bearer(headers)[AUTHORIZATION].clone();

        assert_eq!(token(&basic("me:sk-operator")), "Bearer sk-operator");
        assert_eq!(token(&basic(":sk-operator")), "Bearer sk-operator");
        for other in ["Bearer sk-operator", "Basic ???", "Basic", ""] {
            assert_eq!(token(&said(other)), other);
        }
    }
}
