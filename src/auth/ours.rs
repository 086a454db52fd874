//! Which keys do we know ourselves? The master key, and those of the keys file.

use http::HeaderMap;

use crate::config::{Auth, ListedKey};

use super::listed::Listed;
use super::presented::holds;
use super::{Caller, Fingerprint, Refusal};

pub(super) struct Ours {
    master: Option<Master>,
    /// `None`: there is no keys file.
    listed: Option<Listed>,
}

struct Master {
    print: Fingerprint,
    length: usize,
    /// It may do what any other key may.
    serves: bool,
}

impl Ours {
    pub fn new(auth: &Auth) -> Self {
        Self {
            master: auth.master_key.as_ref().map(|key| Master {
                print: Fingerprint::of(key.reveal()),
                length: key.reveal().len(),
                serves: auth.accept_master_key,
            }),
            listed: auth.keys_file.as_ref().map(|file| Listed::new(&file.keys)),
        }
    }

    /// Whether one of ours lets anybody in.
    pub fn any(&self) -> bool {
        self.master.as_ref().is_some_and(|master| master.serves) || self.listed.is_some()
    }

    pub fn list(&self, keys: &[ListedKey]) {
        if let Some(listed) = &self.listed {
            listed.replace(keys);
        }
    }

    /// `None`: it is none of ours.
    pub fn find(&self, print: &Fingerprint) -> Option<Result<Caller, Refusal>> {
        match &self.master {
            Some(master) if master.print == *print => {
                let caller = master.serves.then(|| Caller::master(print));
                Some(caller.ok_or(Refusal::MasterKey))
            }
            _ => Some(self.listed.as_ref()?.find(print)?.map(Caller::key)),
        }
    }

    /// Whether a request holds a master key that serves nobody.
    pub fn bars(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        let barred = self.master.as_ref().filter(|master| !master.serves);
        barred.is_some_and(|master| {
            let is_master = |key: &str| master.print == Fingerprint::of(key);
            holds(headers, query, master.length, is_master)
        })
    }
}
