//! Why may a caller not?

use std::time::Duration;

use thiserror::Error;

/// Ordered by how much it tells: of several credentials' refusals, the greatest is reported.
/// None repeats what was presented.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    #[error("no key was sent: use `Authorization: Bearer` or `x-api-key`")]
    Missing,
    #[error("the key is not known")]
    Unknown,
    #[error("the key is blocked")]
    Blocked,
    #[error("the key has expired")]
    Expired,
    #[error("the key's budget is used up")]
    OverBudget,
    #[error("the master key is for administration here, use a key of your own")]
    MasterKey,
    #[error("the key may not use this model")]
    ModelNotAllowed,
    #[error("too many failed attempts from this address")]
    TooManyFailures { retry_after: Duration },
    #[error("the key cannot be checked now, because LiteLLM does not answer")]
    CannotAsk,
    #[error(
        "this route is off: there is no master key and no keys file, and LiteLLM is not asked about keys"
    )]
    Off,
    #[error("callers without a key must use a host name of this gateway")]
    ForeignHost,
    #[error("callers without a key may not come from another site's page")]
    ForeignOrigin,
}

impl Refusal {
    /// What was presented is no key, or none any more: somebody may be guessing.
    pub(super) fn is_failed_attempt(self) -> bool {
        matches!(self, Self::Unknown | Self::Blocked | Self::Expired)
    }

    pub fn status(self) -> u16 {
        match self {
            Self::Missing | Self::Unknown | Self::Blocked | Self::Expired => 401,
            Self::OverBudget => 422,
            Self::TooManyFailures { .. } => 429,
            Self::MasterKey | Self::ModelNotAllowed | Self::ForeignHost | Self::ForeignOrigin => {
                403
            }
            Self::CannotAsk | Self::Off => 503,
        }
    }

    /// A stable word for programs and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing_api_key",
            Self::Unknown => "invalid_api_key",
            Self::Blocked => "blocked_api_key",
            Self::Expired => "expired_api_key",
            Self::OverBudget => "budget_exceeded",
            Self::MasterKey => "master_key_not_accepted",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::TooManyFailures { .. } => "too_many_failed_attempts",
            Self::CannotAsk => "key_check_unavailable",
            Self::Off => "direct_route_off",
            Self::ForeignHost => "foreign_host",
            Self::ForeignOrigin => "foreign_origin",
        }
    }
}
