//! Do the files of the configuration say something else by now? Told from outside, without holding what they say.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Which file it is, how long, and when it was written; `None`: it cannot be looked at.
type Stamp = Option<(u64, u64, SystemTime)>;

pub(super) struct Files {
    named: Vec<PathBuf>,
    /// As they were when they were read; `None`: nobody has looked yet.
    judged: Option<Vec<Stamp>>,
    last: Option<Vec<Stamp>>,
}

impl Files {
    pub(super) fn new(named: Vec<PathBuf>) -> Self {
        let stamps = stamps(&named);
        Self {
            named,
            judged: Some(stamps),
            last: None,
        }
    }

    /// They are read now.
    pub(super) fn judged(&mut self) {
        self.judged = Some(stamps(&self.named));
        self.last = None;
    }

    /// These are they from now on.
    pub(super) fn follow(&mut self, named: Vec<PathBuf>) {
        if self.named != named {
            self.named = named;
            self.judged();
        }
    }

    /// A file may be half written when it is looked at, so that a change counts when it is there for the second time.
    pub(super) async fn have_changed(&mut self) -> bool {
        let named = self.named.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || stamps(&named)).await else {
            return false;
        };
        let settled = self.last.as_ref() == Some(&now);
        let changed = settled && self.judged.as_ref() != Some(&now);
        self.last = Some(now);
        changed
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Stamp {
    let about = fs::metadata(file).ok()?;
    Some((about.ino(), about.len(), about.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_counts_once_and_not_before_it_was_seen_twice() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        fs::write(&one, "a").unwrap();
        let mut files = Files::new(vec![one.clone(), two.clone()]);
        assert!(!files.have_changed().await);
        assert!(!files.have_changed().await, "nothing has changed");

        fs::write(&two, "b").unwrap();

        assert!(!files.have_changed().await, "it may be half written");
        fs::write(&two, "but").unwrap();
        assert!(!files.have_changed().await, "it was");
        assert!(files.have_changed().await);
        files.judged();
        assert!(!files.have_changed().await);
        assert!(!files.have_changed().await, "it was read");
        fs::remove_file(&one).unwrap();
        assert!(!files.have_changed().await);
        assert!(
            files.have_changed().await,
            "a file that is gone is a change"
        );
    }
}
