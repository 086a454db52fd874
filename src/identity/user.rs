//! What may stand in `x-sm-user-id`?

use std::fmt;

use http::HeaderValue;

const LONGEST: usize = 256;

/// The person whose memory is meant: a short line of text that is safe in a header.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MemoryUser(HeaderValue);

impl MemoryUser {
    /// `None` for what is empty, longer than 256 bytes, or holds control characters.
    pub fn new(id: &str) -> Option<Self> {
        let id = id.trim();
        if id.is_empty() || id.len() > LONGEST || id.chars().any(char::is_control) {
            return None;
        }
        HeaderValue::from_bytes(id.as_bytes()).ok().map(Self)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.as_bytes()).unwrap_or_default()
    }

    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for MemoryUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_short_line_of_text() {
        for id in ["team", "alice@example.org", "zoë", "two words"] {
            assert_eq!(MemoryUser::new(id).unwrap().as_str(), id);
        }
        assert_eq!(MemoryUser::new(" padded ").unwrap().as_str(), "padded");
        for id in [
            "",
            "  ",
            "a\r\nx-evil: 1",
            "a\0",
            "a\u{85}b",
            &"u".repeat(257),
        ] {
            assert!(MemoryUser::new(id).is_none(), "{id:?}");
        }
    }
}
