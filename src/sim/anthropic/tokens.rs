//! The provider's own limit: a token bucket for each key and model.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde::Deserialize;

use crate::sim::reply::Reply;

/// What each key may ask of each model.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRule {
    pub per_second: f64,
    pub burst: f64,
    /// 429, or 529 for a provider that calls itself overloaded.
    #[serde(default = "too_many")]
    pub status: u16,
}

fn too_many() -> u16 {
    429
}

impl TokenRule {
    pub fn per_second(per_second: f64) -> Self {
        Self {
            per_second,
            burst: per_second.max(1.0),
            status: too_many(),
        }
    }

    pub fn burst(mut self, burst: f64) -> Self {
        self.burst = burst;
        self
    }

    /// 529 instead of 429.
    pub fn overloaded(mut self) -> Self {
        self.status = 529;
        self
    }
}

/// The buckets; clones share them, as the ways to one provider do.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Mutex<Buckets>>);

#[derive(Debug, Default)]
struct Buckets {
    rule: Option<TokenRule>,
    levels: HashMap<(String, String), (f64, Instant)>,
}

impl Tokens {
    pub fn limited(rule: TokenRule) -> Self {
        let tokens = Self::default();
        tokens.set(Some(rule));
        tokens
    }

    /// Full buckets under this rule; `None` is no limit.
    pub fn set(&self, rule: Option<TokenRule>) {
        *self.0.lock() = Buckets {
            rule,
            levels: HashMap::new(),
        };
    }

    /// The refusal of whoever finds the bucket empty.
    pub(super) fn take(&self, key: &str, model: &str, now: Instant) -> Result<(), Reply> {
        /// Pairs remembered; a client that invents names must not fill the memory.
        const MOST: usize = 4096;
        let mut buckets = self.0.lock();
        let Some(rule) = buckets.rule else {
            return Ok(());
        };
        if buckets.levels.len() >= MOST {
            buckets.levels.clear();
        }
        let who = (key.to_owned(), model.to_owned());
        let (level, since) = buckets.levels.entry(who).or_insert((rule.burst, now));
        let earned = now.saturating_duration_since(*since).as_secs_f64() * rule.per_second;
        *level = (*level + earned).min(rule.burst);
        *since = now;
        if *level >= 1.0 {
            *level -= 1.0;
            return Ok(());
        }
        Err(refusal(rule, 1.0 - *level))
    }
}

fn refusal(rule: TokenRule, missing: f64) -> Reply {
    let wait = (missing / rule.per_second.max(1e-3))
        .ceil()
        .clamp(1.0, 3600.0);
    let reply = match rule.status {
        529 => super::error(529, "overloaded_error", "Overloaded"),
        status => super::error(
            status,
            "rate_limit_error",
            "This request would exceed your account's rate limit. Please try again later.",
        ),
    };
    reply.with("retry-after", format!("{wait:.0}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_runs_dry_and_fills_again() {
        let tokens = Tokens::limited(TokenRule::per_second(2.0));
        let now = Instant::now();
        let take = |later| tokens.take("k", "m", now + Duration::from_millis(later));

        assert!(take(0).is_ok() && take(0).is_ok());
        let refused = take(0).unwrap_err();
        assert!(take(400).is_err(), "not a whole token yet");
        assert!(take(500).is_ok());

        assert_eq!(refused.status, 429);
        let wait = ("retry-after".to_owned(), "1".to_owned());
        assert!(refused.headers.contains(&wait));
    }

    #[test]
    fn each_key_and_model_has_a_bucket_of_its_own() {
        let tokens = Tokens::limited(TokenRule::per_second(1.0).overloaded());
        let now = Instant::now();
        let status = |key, model| tokens.take(key, model, now).map_err(|reply| reply.status);

        assert_eq!(status("a", "m"), Ok(()));
        assert_eq!(status("a", "m"), Err(529));
        assert_eq!(status("b", "m"), Ok(()));
        assert_eq!(status("a", "n"), Ok(()));
    }
}
