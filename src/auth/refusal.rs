//! Why may a caller not?

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
    #[error("the key may not use this model")]
    ModelNotAllowed,
    #[error("the key cannot be checked now, because LiteLLM does not answer")]
    CannotAsk,
    #[error("this route is off: no master key is set, and LiteLLM is not asked about keys")]
    Off,
    #[error("callers without a key must use a host name of this gateway")]
    ForeignHost,
    #[error("callers without a key may not come from another site's page")]
    ForeignOrigin,
}

impl Refusal {
    pub fn status(self) -> u16 {
        match self {
            Self::Missing | Self::Unknown | Self::Blocked | Self::Expired => 401,
            Self::ModelNotAllowed | Self::ForeignHost | Self::ForeignOrigin => 403,
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
            Self::ModelNotAllowed => "model_not_allowed",
            Self::CannotAsk => "key_check_unavailable",
            Self::Off => "direct_route_off",
            Self::ForeignHost => "foreign_host",
            Self::ForeignOrigin => "foreign_origin",
        }
    }
}
