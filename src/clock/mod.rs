//! What time is it, and how long until then? The one source of time, so that tests can drive it.

mod manual;
mod stamp;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

pub use manual::ManualClock;
pub use stamp::{parse_stamp, stamp};

pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

pub trait Clock: Send + Sync {
    /// For measuring and waiting; never jumps.
    fn now(&self) -> Instant;

    /// For what is agreed with others: cookie expiry, dates in headers.
    fn wall(&self) -> SystemTime;

    fn sleep(&self, time: Duration) -> Sleep;
}

/// The machine's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, time: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(time))
    }
}
