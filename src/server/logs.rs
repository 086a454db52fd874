//! What happens to log files that were moved away? They are opened anew.

use crate::gateway::Gateway;

/// SIGUSR1, as log rotation sends it.
pub(super) fn reopen(gateway: &Gateway) {
    if gateway.snapshot().reporter.reopen() {
        log::info!(target: "memgate::server", "SIGUSR1: the access log is opened anew");
    } else {
        log::warn!(target: "memgate::server", "SIGUSR1: there is no log file to reopen; nothing changed");
    }
}

/// What still waits for the disk or the collector goes there before the process ends.
pub(super) fn finish(gateway: &Gateway) {
    gateway.snapshot().reporter.close();
}
