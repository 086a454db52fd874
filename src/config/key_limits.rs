//! How much may one key spend?

use std::num::{NonZeroU32, NonZeroU64};

/// What a key may spend. `None`: no limit of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KeyLimits {
    pub requests_per_minute: Option<NonZeroU32>,
    /// Input and output together.
    pub tokens_per_minute: Option<NonZeroU64>,
    pub concurrent_requests: Option<NonZeroU32>,
    /// Above 0 and finite.
    pub usd_per_day: Option<f64>,
}

impl KeyLimits {
    /// Whether one of them goes by what answers take.
    pub fn counts_tokens(&self) -> bool {
        self.tokens_per_minute.is_some() || self.usd_per_day.is_some()
    }
}
