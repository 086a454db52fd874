//! Does the keys file say something else by now? Looked at every second; what is wrong in it changes nothing.

use std::path::Path;
use std::time::Duration;

use crate::config::{KeysFile, ListedKey, Secret};
use crate::gateway::Snapshot;

const EVERY: Duration = Duration::from_secs(1);

/// What the file held, or why it could not be read.
type Reading = Result<Vec<u8>, String>;

/// Takes over each change of the keys file, for ever. It may be half written when it is looked at, so that a
/// change counts when it is there for the second time.
pub(super) async fn watch(snapshot: &Snapshot) {
    let Some(file) = &snapshot.config.auth.keys_file else {
        return std::future::pending().await;
    };
    let mut judged = Ok(file.text.clone());
    let mut last = None;
    loop {
        let reading = read(&file.path).await;
        if last.as_ref() == Some(&reading) && reading != judged {
            judge(snapshot, &file.path, &reading);
            judged = reading;
        } else {
            last = Some(reading);
        }
        snapshot.clock.sleep(EVERY).await;
    }
}

async fn read(path: &Path) -> Reading {
    let path = path.to_owned();
    let text = tokio::task::spawn_blocking(move || KeysFile::read(&path)).await;
    let text = text.map_err(|stopped| stopped.to_string())?;
    text.map_err(|error| error.to_string())
}

fn judge(snapshot: &Snapshot, path: &Path, reading: &Reading) {
    let file = path.to_string_lossy();
    let master = snapshot.config.auth.master_key.as_ref();
    match keys(reading, &file, master) {
        Ok(keys) => {
            snapshot.keys.list(&keys);
            snapshot.metrics.keys_file_loaded(true);
            let disabled = keys.iter().filter(|key| key.disabled).count();
            log::info!(target: "memgate::auth", "{file} has changed: {} keys, {disabled} of them disabled", keys.len());
        }
        Err(problem) => {
            snapshot.metrics.keys_file_loaded(false);
            log::error!(target: "memgate::auth", "the keys stay as they were: {problem}");
        }
    }
}

/// The keys that may be taken over, by what holds at the start.
fn keys(reading: &Reading, file: &str, master: Option<&Secret>) -> Result<Vec<ListedKey>, String> {
    let said = |what: &String| format!("{file}: {what}");
    let text = reading.as_ref().map_err(said)?;
    let keys = KeysFile::parse(text, file).map_err(|faults| faults.to_string())?;
    match KeysFile::clash(&keys, master) {
        Some(clash) => Err(said(&clash)),
        None => Ok(keys),
    }
}
