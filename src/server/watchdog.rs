//! Does the service manager hear of us? As long as every thread that serves clients moves, and not when one is stuck:
//! it starts us anew then.

use std::time::Duration;

use super::services::BEAT;
use super::systemd;
use crate::gateway::Gateway;

/// A thread may miss some of its beats on a busy machine.
const MISSED: u32 = 3;
/// How often it is told within its time.
const TIMES: u32 = 4;

/// For ever.
pub(super) async fn keep_told(gateway: &Gateway) {
    let Some(interval) = systemd::watchdog() else {
        return std::future::pending().await;
    };
    let most = interval.max(MISSED * BEAT);
    let mut warned = false;
    loop {
        let silence = silence(gateway, most);
        if let Some(silence) = silence
            && !warned
        {
            log::error!(target: "memgate::server", "a thread has not moved for {silence:?}: the service manager is told no more that all is well");
        }
        if silence.is_none() {
            systemd::alive();
        }
        warned = silence.is_some();
        tokio::time::sleep(interval / TIMES).await;
    }
}

fn silence(gateway: &Gateway, most: Duration) -> Option<Duration> {
    let now = gateway.snapshot().clock.now();
    gateway.pulse.silence(now, most)
}
