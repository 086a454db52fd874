//! What does LiteLLM still allow a key, or a team?

use std::num::{NonZeroU32, NonZeroU64};

use serde::Deserialize;

use super::Refusal;
use crate::config::KeyLimits;

/// In LiteLLM's words, of which each may be missing.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Allowance {
    rpm_limit: Option<f64>,
    tpm_limit: Option<f64>,
    max_parallel_requests: Option<f64>,
    max_budget: Option<f64>,
    spend: Option<f64>,
}

impl Allowance {
    /// Where the first is silent the second holds; what was spent is the first's.
    pub fn or(self, other: Option<Self>) -> Self {
        let other = other.unwrap_or_default();
        Self {
            rpm_limit: self.rpm_limit.or(other.rpm_limit),
            tpm_limit: self.tpm_limit.or(other.tpm_limit),
            max_parallel_requests: self.max_parallel_requests.or(other.max_parallel_requests),
            max_budget: self.max_budget.or(other.max_budget),
            spend: self.spend,
        }
    }

    /// The lower limit of both, whoever sets it.
    pub fn and(self, other: Self) -> Self {
        Self {
            rpm_limit: lower(self.rpm_limit, other.rpm_limit),
            tpm_limit: lower(self.tpm_limit, other.tpm_limit),
            max_parallel_requests: lower(self.max_parallel_requests, other.max_parallel_requests),
            ..self
        }
    }

    /// LiteLLM's rule for a key.
    pub fn is_spent(&self) -> bool {
        self.max_budget
            .is_some_and(|budget| self.spend.unwrap_or_default() >= budget)
    }

    /// LiteLLM's rule for a team.
    pub fn is_overspent(&self) -> bool {
        self.max_budget
            .is_some_and(|budget| self.spend.unwrap_or_default() > budget)
    }

    /// A limit of nothing lets nothing pass.
    pub fn limits(&self) -> Result<KeyLimits, Refusal> {
        Ok(KeyLimits {
            requests_per_minute: whole(self.rpm_limit)?.map(narrow),
            tokens_per_minute: whole(self.tpm_limit)?,
            concurrent_requests: whole(self.max_parallel_requests)?.map(narrow),
            // LiteLLM's budgets are counted by LiteLLM.
            usd_per_day: None,
        })
    }
}

fn lower(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn whole(limit: Option<f64>) -> Result<Option<NonZeroU64>, Refusal> {
    // A float beyond the integers becomes the largest, one below them 0.
    limit
        .map(|limit| NonZeroU64::new(limit as u64).ok_or(Refusal::Blocked))
        .transpose()
}

fn narrow(limit: NonZeroU64) -> NonZeroU32 {
    NonZeroU32::try_from(limit).unwrap_or(NonZeroU32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn allowance(said: Value) -> Allowance {
        serde_json::from_value(said).unwrap()
    }

    #[test]
    fn litellms_limits_are_ours_in_other_words_and_no_word_is_no_limit() {
        let said =
            json!({"rpm_limit": 60, "tpm_limit": 1e12, "max_parallel_requests": 4.0, "spend": 0.5});
        let limits = allowance(said).limits().unwrap();

        assert_eq!(limits.requests_per_minute, NonZeroU32::new(60));
        assert_eq!(limits.tokens_per_minute, NonZeroU64::new(1_000_000_000_000));
        assert_eq!(limits.concurrent_requests, NonZeroU32::new(4));
        assert_eq!(limits.usd_per_day, None);
        for none in [json!({}), json!({"rpm_limit": null, "max_budget": null})] {
            assert_eq!(allowance(none).limits(), Ok(KeyLimits::default()));
        }
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_pass() {
        for none in [json!({"rpm_limit": 0}), json!({"tpm_limit": -1})] {
            assert_eq!(allowance(none).limits(), Err(Refusal::Blocked));
        }
    }

    #[test]
    fn a_budget_is_spent_when_it_is_reached_and_a_teams_when_it_is_passed() {
        let spent = |spend: f64| allowance(json!({"max_budget": 10.0, "spend": spend}));

        assert!(!spent(9.99).is_spent());
        assert!(spent(10.0).is_spent() && !spent(10.0).is_overspent());
        assert!(spent(10.01).is_overspent());
        assert!(!allowance(json!({"spend": 1e9})).is_spent());
    }

    #[test]
    fn the_lower_limit_of_key_and_team_holds_and_a_named_budget_fills_gaps() {
        let key = allowance(json!({"rpm_limit": 60, "spend": 3.0}));
        let named = allowance(json!({"rpm_limit": 5, "max_budget": 2.0, "spend": null}));
        let team = allowance(json!({"rpm_limit": 30, "tpm_limit": 1000}));

        let filled = key.or(Some(named));
        let both = filled.and(team).limits().unwrap();

        assert!(filled.is_spent(), "of the named budget, by the key");
        assert_eq!(both.requests_per_minute, NonZeroU32::new(30));
        assert_eq!(both.tokens_per_minute, NonZeroU64::new(1000));
    }
}
