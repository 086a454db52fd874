//! The bytes of a configuration file, or why it cannot be read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::finding::{Notes, Place};
use super::yaml::{Document, MAX_BYTES, parse};

/// Marks a value of our own file that stands alone in another one: `file:/run/secrets/key`.
pub(super) const FILE_PREFIX: &str = "file:";
/// More than any key has.
const MAX_LINE: u64 = 64 << 10;

/// How a file is called in findings: as the operator wrote it.
pub(super) fn label(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

/// Reads and parses a file; `said_at` is where the operator named it.
pub(super) fn read(path: &Path, said_at: &Place, notes: &mut Notes) -> Option<Document> {
    let text = text(path, said_at, notes)?;
    parse(&text, &label(path))
        .map_err(|faults| notes.extend_faults(faults))
        .ok()
}

/// Reads a file.
pub(super) fn text(path: &Path, said_at: &Place, notes: &mut Notes) -> Option<Vec<u8>> {
    let unreadable = |error| format!("cannot read {}: {}", path.display(), reason(&error));
    bytes(path)
        .map_err(|error| notes.fault(said_at, unreadable(error)))
        .ok()
}

pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // One byte more than is allowed, so that the parser can tell.
    beginning(path, MAX_BYTES as u64 + 1)
}

fn beginning(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The value that a file holds and nothing else, without the end of its line; or why there is none.
pub(super) fn line(path: &Path) -> Result<String, String> {
    let bytes = beginning(path, MAX_LINE + 1).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > MAX_LINE {
        return Err("it is longer than any key, name a file that holds one".to_owned());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_binary| "it is not text, name a file that holds a key".to_owned())?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("it is empty, write the value into it".to_owned()),
        value => Ok(value.to_owned()),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file, correct the name".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory, name a file in it".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this user may not read it, change its owner or mode".to_owned()
        }
        _ => format!("{error}, make it a readable file"),
    }
}

/// The directory that relative names in a file start from.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Tried and not asked, as rights alone do not tell. What is tried in the folder has no name and leaves nothing.
pub(super) fn writable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if path.is_file() {
        OpenOptions::new().append(true).open(path)?;
    }
    let folder = directory(path);
    let here = folder.as_os_str().is_empty();
    tempfile::tempfile_in(if here { Path::new(".") } else { folder })?;
    Ok(())
}

/// A path without `.` and `..`, as text alone tells: links are not followed.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
