//! By which id do client, log and upstream speak of a request?

use http::HeaderValue;

const LONGEST: usize = 128;

/// The client's id if it is sane, else one of ours.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    pub fn new(client: Option<&HeaderValue>) -> Self {
        match client {
            Some(id) if is_sane(id.as_bytes()) => Self(id.clone()),
            _ => Self::random(),
        }
    }

    fn random() -> Self {
        const HEX: [u8; 16] = *b"0123456789abcdef";
        let mut bits = fastrand::u128(..);
        let id: [u8; 32] = std::array::from_fn(|_| {
            let digit = HEX.get((bits & 15) as usize).copied().unwrap_or(b'0');
            bits >>= 4;
            digit
        });
        // Hex digits always make a header value.
        Self(HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("none")))
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_client(id: &str) -> String {
        RequestId::new(Some(&HeaderValue::from_str(id).unwrap()))
            .as_str()
            .to_owned()
    }

    #[test]
    fn a_sane_id_of_the_client_is_kept() {
        assert_eq!(of_client("req_01.A-b"), "req_01.A-b");
        assert_eq!(of_client(&"a".repeat(128)), "a".repeat(128));
    }

    #[test]
    fn any_other_id_is_replaced_by_a_fresh_one() {
        for id in ["", "two words", "a\"b", "a/b", &"a".repeat(129)] {
            let ours = of_client(id);
            assert_eq!(ours.len(), 32);
            assert!(ours.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        assert_ne!(RequestId::new(None).as_str(), RequestId::new(None).as_str());
    }
}
