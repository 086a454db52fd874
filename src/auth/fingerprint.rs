//! By what are keys compared, remembered and counted? By their SHA-256, never by themselves.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A key's SHA-256. How long a comparison takes tells nothing.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

/// What a caller is counted by: the beginning of its key's SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

impl Fingerprint {
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    pub fn id(&self) -> KeyId {
        let start = self.0.first_chunk().copied().unwrap_or_default();
        KeyId(u64::from_be_bytes(start))
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Fingerprint {}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// The whole digest in hex, as the keys file has it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_the_digest_that_other_programs_make_of_it() {
        let print = Fingerprint::of("password");

        assert_eq!(
            print.to_string(),
            "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
        );
        assert_eq!(print.id().to_string(), "5e884898da280471");
        assert!(print == Fingerprint::of("password"));
        assert!(print != Fingerprint::of("passwore"));
    }
}
