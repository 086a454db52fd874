//! What are users called where others read it? By their ids, or by digests that only the holder of the key can match.

use std::borrow::Cow;
use std::fmt::Write;

use ring::hmac;

use crate::config::Secret;

/// Bytes of the digest that are shown: enough to tell all users apart.
const SHOWN: usize = 16;

pub struct Pseudonyms(Option<hmac::Key>);

impl Pseudonyms {
    /// Without a key users keep their names.
    pub fn new(key: Option<&Secret>) -> Self {
        Self(key.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes())))
    }

    pub fn of<'u>(&self, user: &'u str) -> Cow<'u, str> {
        let Some(key) = &self.0 else {
            return user.into();
        };
        let digest = hmac::sign(key, user.as_bytes());
        let mut name = String::from("hmac:");
        for byte in digest.as_ref().iter().take(SHOWN) {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_one_name_under_one_key() {
        let (one, other) = (Secret::new("k".repeat(16)), Secret::new("l".repeat(16)));
        let (one, other) = (Pseudonyms::new(Some(&one)), Pseudonyms::new(Some(&other)));

        assert_eq!(one.of("anna"), one.of("anna"));
        assert_ne!(one.of("anna"), one.of("ben"));
        assert_ne!(one.of("anna"), other.of("anna"));
        assert_eq!(Pseudonyms::new(None).of("anna"), "anna");
    }

    #[test]
    fn it_is_what_openssl_says() {
        // printf %s anna | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkk
        let key = Secret::new("k".repeat(16));

        assert_eq!(
            Pseudonyms::new(Some(&key)).of("anna"),
            "hmac:cd0789a7f9790dc915626de8110540e9"
        );
    }
}
