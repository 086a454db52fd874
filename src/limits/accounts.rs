//! Who has used how much? One account for each key, whatever becomes of the configuration that named it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::{KeyLimits, Price};
use crate::wire::usage::Usage;

use super::account::{Account, AccountView, Admission};
use super::refusal::Refusal;

/// More keys than any team has.
const MOST: usize = 10_000;

/// The accounts by what identifies a key without being it.
pub struct Accounts<K> {
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<K, Arc<Account>>>,
}

/// Whose account it is, and what it may use.
pub struct Holder<'a> {
    pub name: &'a str,
    pub limits: KeyLimits,
}

impl<K: Eq + Hash + Copy> Accounts<K> {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            known: Mutex::default(),
        }
    }

    /// Lets a request of this key in. What its answer takes is charged at the price; until that is known, what is
    /// expected is set aside.
    pub fn admit(
        &self,
        key: K,
        holder: &Holder<'_>,
        price: Price,
        expected: &Usage,
    ) -> Result<Admission, Refusal> {
        self.of(key).admit(holder, price, expected)
    }

    /// Every account, the dearest of today first.
    pub fn views(&self) -> Vec<AccountView> {
        let accounts: Vec<Arc<Account>> = self.known.lock().values().cloned().collect();
        let mut views: Vec<AccountView> = accounts.iter().map(|account| account.view()).collect();
        views.sort_by(|one, other| {
            let by_money = other.usd_today.total_cmp(&one.usd_today);
            by_money.then_with(|| one.name.cmp(&other.name))
        });
        views
    }

    fn of(&self, key: K) -> Arc<Account> {
        let mut known = self.known.lock();
        if let Some(account) = known.get(&key) {
            return Arc::clone(account);
        }
        if known.len() >= MOST {
            make_room(&mut known);
        }
        let account = Arc::new(Account::new(Arc::clone(&self.clock)));
        known.insert(key, Arc::clone(&account));
        account
    }
}

/// Forgets those that owe nothing; where all do, a tenth of them, those that were used longest ago.
fn make_room<K: Eq + Hash + Copy>(known: &mut HashMap<K, Arc<Account>>) {
    known.retain(|_, account| !account.is_blank());
    if known.len() < MOST {
        return;
    }
    let mut idle: Vec<_> = known
        .iter()
        .filter_map(|(key, account)| Some((account.idle_since()?, *key)))
        .collect();
    idle.sort_unstable_by_key(|(since, _)| *since);
    for (_, key) in idle.iter().take(MOST / 10) {
        known.remove(key);
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
