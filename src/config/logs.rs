//! What is written of requests, and where: the `log` section.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

#[derive(Clone, PartialEq)]
pub struct Log {
    pub access: AccessLog,
    /// Share of the good answers that have a line, in [0, 1]; all others have one.
    pub sample: f64,
    pub slow: Slow,
    /// Users are called by their digest under it.
    pub user_key: Option<Secret>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// With everything else that is logged.
    Stderr,
    File(PathBuf),
    Off,
}

/// From when on a request is slow; zero: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    pub first_byte: Duration,
    pub whole: Duration,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            access: AccessLog::Stderr,
            sample: 1.0,
            slow: Slow::default(),
            user_key: None,
        }
    }
}

impl Default for Slow {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(30),
            whole: Duration::from_secs(600),
        }
    }
}
