//! What does a mapping hold when a key comes twice?

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::node::{Entry, Value};

/// A set's members: what stands beside them says nothing.
pub(super) fn without_values(entries: Vec<Entry>) -> Vec<Entry> {
    let alone = |mut entry: Entry| {
        entry.value.value = Value::Null;
        entry
    };
    entries.into_iter().map(alone).collect()
}

/// The entries of a mapping, each key once.
#[derive(Default)]
pub(super) struct Mapping {
    pub(super) entries: Vec<Entry>,
    places: HashMap<String, usize>,
}

impl Mapping {
    /// Sets a key; true if it was there. Like a Python dict, the first spelling of the key stays.
    pub(super) fn put(&mut self, entry: Entry) -> bool {
        let Some(identity) = entry.key.key_identity() else {
            return false;
        };
        match self.places.entry(identity) {
            Slot::Vacant(slot) => {
                slot.insert(self.entries.len());
                self.entries.push(entry);
                false
            }
            Slot::Occupied(slot) => {
                if let Some(old) = self.entries.get_mut(*slot.get()) {
                    old.value = entry.value;
                }
                true
            }
        }
    }
}
