//! Where is written what each request took?

use std::path::PathBuf;

/// `usage_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageLog {
    /// `None`: nowhere.
    pub file: Option<PathBuf>,
    /// Bytes at which a file gives way to a new one.
    pub max_size: u64,
    /// Older files that stay.
    pub keep: usize,
}

impl Default for UsageLog {
    fn default() -> Self {
        Self {
            file: None,
            max_size: 100 << 20,
            keep: 10,
        }
    }
}
