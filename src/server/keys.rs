//! Does the keys file say something else by now? Looked at every second; what is wrong in it changes nothing.

use std::path::Path;
use std::time::Duration;

use crate::config::{KeysFile, ListedKey};
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
    let (mut last, mut judged) = (None, None);
    loop {
        let reading = Some(read(&file.path).await);
        if reading == last && reading != judged {
            // The first is the one that the gateway began with.
            let is_news = judged.is_some();
            take_over(snapshot, &file.path, reading.as_ref(), is_news);
            judged = reading;
        } else {
            last = reading;
        }
        snapshot.clock.sleep(EVERY).await;
    }
}

async fn read(path: &Path) -> Reading {
    let path = path.to_owned();
    let text = tokio::task::spawn_blocking(move || KeysFile::text(&path)).await;
    let text = text.map_err(|stopped| stopped.to_string())?;
    text.map_err(|error| error.to_string())
}

fn take_over(snapshot: &Snapshot, path: &Path, reading: Option<&Reading>, is_news: bool) {
    let file = path.to_string_lossy();
    let keys = match reading {
        Some(Ok(text)) => KeysFile::parse(text, &file).map_err(|faults| faults.to_string()),
        Some(Err(error)) => Err(format!("{file}: {error}")),
        None => return,
    };
    match keys {
        Ok(keys) => {
            snapshot.keys.list(&keys);
            if is_news {
                snapshot.metrics.keys_file_loaded(true);
                tell(&file, &keys);
            }
        }
        Err(problem) => {
            snapshot.metrics.keys_file_loaded(false);
            log::error!(target: "memgate::auth", "the keys stay as they were: {problem}");
        }
    }
}

fn tell(file: &str, keys: &[ListedKey]) {
    let disabled = keys.iter().filter(|key| key.disabled).count();
    log::info!(target: "memgate::auth", "{file} has changed: {} keys, {disabled} of them disabled", keys.len());
}
