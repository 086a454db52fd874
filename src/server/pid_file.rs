//! Which process is it? Written down for those who ask for it, and gone with the process.

use std::fs;
use std::path::{Path, PathBuf};

use super::StartError;

/// The file with our process id; dropping it removes the file.
pub(super) struct PidFile(Option<PathBuf>);

impl PidFile {
    pub(super) fn write(path: Option<&Path>) -> Result<Self, StartError> {
        if let Some(path) = path {
            fs::write(path, format!("{}\n", std::process::id())).map_err(StartError::PidFile)?;
        }
        Ok(Self(path.map(Path::to_owned)))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            log::warn!(target: "memgate::server", "{} stays behind: {error}", path.display());
        }
    }
}
