//! Which limit of a key is reached, and when may it come again?

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::standing::Standing;

/// What waits for a request under way may be there in the time of a short one.
pub(super) const SOON: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refusal {
    pub limit: Limit,
    pub retry_after: Duration,
    pub standing: Standing,
}

/// The limit that is reached; shown as a sentence for its key's holder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Requests(NonZeroU32),
    Tokens(NonZeroU64),
    Concurrent(NonZeroU32),
    Usd(f64),
}

impl Limit {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests(_) => "requests_per_minute",
            Self::Tokens(_) => "tokens_per_minute",
            Self::Concurrent(_) => "concurrent_requests",
            Self::Usd(_) => "usd_per_day",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(limit) => write!(f, "this key may make {limit} requests a minute")?,
            Self::Tokens(limit) => write!(f, "this key may use {limit} tokens a minute")?,
            Self::Concurrent(limit) => {
                write!(f, "this key may have {limit} requests under way at a time")?;
            }
            Self::Usd(limit) => write!(f, "this key may spend ${limit} a day (UTC)")?,
        }
        write!(f, " (`{}`)", self.as_str())
    }
}
