//! How many tokens did whom and which model take, and whose limits were reached?
//!
//! Names of models and users come from clients, so only so many of each have a label of their own.

use std::collections::{HashMap, HashSet};

use parking_lot::RwLock;
use prometheus::{IntCounter, IntCounterVec, Registry, Result};

use super::metrics::counters;
use super::record::{AccessRecord, Tokens};

const MODELS: usize = 64;
const USERS: usize = 512;
/// Of a model and a user together: each is four series.
const PAIRS: usize = 4096;
/// No name that is longer has a label.
const LONGEST: usize = 128;
const OTHER: &str = "other";
const UNKNOWN: &str = "unknown";

pub(super) struct Spending {
    tokens: IntCounterVec,
    limited: IntCounterVec,
    seen: RwLock<Seen>,
}

/// The handles by model and user, looked up when they first count.
#[derive(Default)]
struct Seen {
    models: HashMap<Box<str>, HashMap<Box<str>, Kinds>>,
    users: HashSet<Box<str>>,
    pairs: usize,
}

struct Kinds {
    input: IntCounter,
    cache_read: IntCounter,
    cache_write: IntCounter,
    output: IntCounter,
}

impl Spending {
    pub fn new(registry: &Registry) -> Result<Self> {
        Ok(Self {
            tokens: counters(
                registry,
                "tokens_total",
                "Tokens that answers took, by what they said.",
                &["model", "user", "kind"],
            )?,
            limited: counters(
                registry,
                "limited_total",
                "Requests turned away because a limit of their key was reached.",
                &["limit"],
            )?,
            seen: RwLock::default(),
        })
    }

    /// A user is the person whose memory was meant, else whose key it was.
    pub fn count(&self, record: &AccessRecord<'_>) {
        let Some(tokens) = &record.spent.tokens else {
            return;
        };
        let model = record.asked.model.unwrap_or(UNKNOWN);
        let user = record.person.user.or(record.person.caller);
        self.took(model, user.unwrap_or(UNKNOWN), tokens);
    }

    /// `limit` is its name in the configuration.
    pub fn limited(&self, limit: &'static str) {
        self.limited.with_label_values(&[limit]).inc();
    }

    fn took(&self, model: &str, user: &str, tokens: &Tokens) {
        let seen = self.seen.read();
        if let Some(kinds) = seen.models.get(model).and_then(|users| users.get(user)) {
            return kinds.add(tokens);
        }
        drop(seen);
        let mut seen = self.seen.write();
        let (model, user) = seen.labels(model, user);
        let Seen { models, pairs, .. } = &mut *seen;
        let users = models.entry(model.into()).or_default();
        let kinds = users.entry(user.into()).or_insert_with(|| {
            *pairs += 1;
            Kinds::of(&self.tokens, model, user)
        });
        kinds.add(tokens);
    }
}

impl Seen {
    /// The names themselves while there is room for them.
    fn labels<'n>(&mut self, model: &'n str, user: &'n str) -> (&'n str, &'n str) {
        let room = self.models.len() < MODELS && model.len() <= LONGEST;
        let model = match room || self.models.contains_key(model) {
            true => model,
            false => OTHER,
        };
        let room = self.users.len() < USERS && user.len() <= LONGEST;
        if room && !self.users.contains(user) {
            self.users.insert(user.into());
        }
        let known = self
            .models
            .get(model)
            .is_some_and(|users| users.contains_key(user));
        let user = match known || (self.users.contains(user) && self.pairs < PAIRS) {
            true => user,
            false => OTHER,
        };
        (model, user)
    }
}

impl Kinds {
    fn of(tokens: &IntCounterVec, model: &str, user: &str) -> Self {
        let kind = |kind: &str| tokens.with_label_values(&[model, user, kind]);
        Self {
            input: kind("input"),
            cache_read: kind("cache_read"),
            cache_write: kind("cache_write"),
            output: kind("output"),
        }
    }

    fn add(&self, tokens: &Tokens) {
        self.input.inc_by(tokens.input);
        self.cache_read.inc_by(tokens.cache_read);
        self.cache_write.inc_by(tokens.cache_write);
        self.output.inc_by(tokens.output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: u64) -> Tokens {
        Tokens {
            input,
            output: 1,
            ..Tokens::default()
        }
    }

    fn counted(registry: &Registry) -> Vec<(Vec<String>, f64)> {
        let families = registry.gather();
        let series = families.iter().flat_map(|family| family.get_metric());
        series
            .map(|metric| {
                let labels = metric.get_label().iter();
                let labels = labels.map(|label| label.value().to_owned()).collect();
                (labels, metric.get_counter().get_value())
            })
            .collect()
    }

    #[test]
    fn tokens_are_counted_by_model_user_and_kind() {
        let registry = Registry::new();
        let spending = Spending::new(&registry).unwrap();

        spending.took("opus", "anna", &tokens(5));
        spending.took("opus", "anna", &tokens(7));
        spending.took("opus", "ben", &tokens(1));

        let counted = counted(&registry);
        for (kind, user, count) in [
            ("input", "anna", 12.0),
            ("output", "anna", 2.0),
            ("cache_read", "anna", 0.0),
            ("input", "ben", 1.0),
        ] {
            let labels = [kind, "opus", user].map(str::to_owned).to_vec();
            assert!(counted.contains(&(labels, count)), "{kind} {user}");
        }
    }

    #[test]
    fn names_beyond_all_measure_share_a_label() {
        let registry = Registry::new();
        let spending = Spending::new(&registry).unwrap();

        for n in 0..2000 {
            spending.took(&format!("m{n}"), "anna", &tokens(1));
            spending.took("m0", &format!("u{n}"), &tokens(1));
        }
        spending.took(&"m".repeat(200), &"u".repeat(200), &tokens(1));

        let counted = counted(&registry);
        let inputs = counted.iter().filter(|(labels, _)| labels[0] == "input");
        let (models, users): (HashSet<&str>, HashSet<&str>) = inputs
            .map(|(labels, _)| (labels[1].as_str(), labels[2].as_str()))
            .unzip();
        assert_eq!((models.len(), users.len()), (MODELS + 1, USERS + 1));
        let all: f64 = counted
            .iter()
            .filter(|(labels, _)| labels[0] == "input")
            .map(|(_, count)| count)
            .sum();
        assert_eq!(all, 4001.0, "none is lost");
    }

    #[test]
    fn pairs_of_a_model_and_a_user_are_bounded_too() {
        let registry = Registry::new();
        let spending = Spending::new(&registry).unwrap();

        for model in 0..MODELS {
            for user in 0..USERS {
                spending.took(&format!("m{model}"), &format!("u{user}"), &tokens(1));
            }
        }

        let counted = counted(&registry);
        let inputs: Vec<_> = counted
            .iter()
            .filter(|(labels, _)| labels[0] == "input")
            .collect();
        let all: f64 = inputs.iter().map(|(_, count)| count).sum();
        assert!(inputs.len() <= PAIRS + MODELS, "{}", inputs.len());
        assert_eq!(all, (MODELS * USERS) as f64, "none is lost");
    }
}
