//! Which keys stand in the keys file, and what may each do?

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::allowed::Allowed;
use super::caller::{Key, Memory};
use super::{Fingerprint, Refusal};
use crate::clock::parse_stamp;
use crate::config::ListedKey;

type Verdict = Result<Arc<Key>, Refusal>;

/// The keys of the file as it was last read; a new reading takes their place at once.
pub(super) struct Listed(ArcSwap<HashMap<Fingerprint, Verdict>>);

impl Listed {
    pub fn new(keys: &[ListedKey]) -> Self {
        Self(ArcSwap::from_pointee(by_fingerprint(keys)))
    }

    pub fn replace(&self, keys: &[ListedKey]) {
        self.0.store(Arc::new(by_fingerprint(keys)));
    }

    /// By its name, of keys that are neither disabled nor unreadable.
    pub fn named(&self, name: &str) -> Option<Arc<Key>> {
        let keys = self.0.load();
        let mut good = keys.values().filter_map(|verdict| verdict.as_ref().ok());
        good.find(|key| &*key.name == name).cloned()
    }

    /// `None`: it is no key of the file's.
    pub fn find(&self, print: &Fingerprint) -> Option<Verdict> {
        self.0.load().get(print).cloned()
    }
}

fn by_fingerprint(keys: &[ListedKey]) -> HashMap<Fingerprint, Verdict> {
    let entry = |key: &ListedKey| {
        let print = Fingerprint::from(key.sha256);
        (print, verdict(&print, key))
    };
    keys.iter().map(entry).collect()
}

fn verdict(print: &Fingerprint, key: &ListedKey) -> Verdict {
    if key.disabled {
        return Err(Refusal::Blocked);
    }
    // A date that cannot be read might be in the past.
    let expires = key.expires.as_deref();
    let expires = expires
        .map(|text| parse_stamp(text).ok_or(Refusal::Expired))
        .transpose()?;
    Ok(Arc::new(Key {
        id: print.id(),
        name: Arc::clone(&key.name),
        models: Allowed::new(&key.models),
        team: None,
        expires,
        limits: key.limits,
        memory: Memory {
            user: key.user.clone(),
            impersonate: key.impersonate,
            shared: key.shared,
        },
    }))
}
