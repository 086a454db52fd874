//! stub
use std::time::Duration;
pub struct RetryPolicy(crate::config::Retry);
impl RetryPolicy {
    pub fn new(r: crate::config::Retry) -> Self {
        Self(r)
    }
    pub fn judge(&self, o: &super::outcome::Outcome, n: u32, _f: bool) -> Option<Duration> {
        (o.1 && n < self.0.attempts).then_some(self.0.initial_delay)
    }
}
