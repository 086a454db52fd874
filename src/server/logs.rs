//! What happens to log files that were moved away? They are opened anew.

use crate::gateway::Gateway;

/// SIGUSR1, as log rotation sends it.
pub(super) fn reopen(gateway: &Gateway) {
    let snapshot = gateway.snapshot();
    let access = snapshot.access_log.reopen();
    let usage = snapshot.ledger.as_ref().map(|ledger| ledger.reopen());
    if access || usage.is_some() {
        log::info!(target: "memgate::server", "SIGUSR1: the log files are opened anew");
    } else {
        log::warn!(target: "memgate::server", "SIGUSR1: there is no log file to reopen; nothing changed");
    }
}

/// What still waits for the disk or the collector goes there before the process ends.
pub(super) fn finish(gateway: &Gateway) {
    let snapshot = gateway.snapshot();
    snapshot.access_log.flush();
    if let Some(ledger) = &snapshot.ledger {
        ledger.flush();
    }
    snapshot.traces.close();
}
