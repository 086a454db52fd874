//! Which file do the next lines go to? To the one with the name; a full one gives way to a new one, and of the older
//! ones so many stay: `name.1` is the youngest.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file that is appended to, whole lines at a time.
pub(super) struct Sheet {
    path: PathBuf,
    file: File,
    size: u64,
    turning: Option<Turning>,
    /// The last write failed, perhaps within a line.
    torn: bool,
}

/// When a file is full, and how many older ones stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turning {
    pub max_size: u64,
    pub keep: usize,
}

impl Sheet {
    pub fn open(path: &Path, turning: Option<Turning>) -> io::Result<Self> {
        let file = append(path)?;
        Ok(Self {
            path: path.to_owned(),
            size: file.metadata()?.len(),
            file,
            turning,
            torn: false,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where no new file can be had, the old one goes on growing.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.turn_before(lines.len() as u64) {
            let path = self.path.display();
            log::error!(target: "memgate::log", "{path} is full and cannot be moved away: {error}; it goes on");
            // Tried again when as much has come again.
            self.size = 0;
        }
        let written = self.append(lines);
        self.torn = written.is_err();
        written
    }

    /// What comes from now on goes to the file that has the name now.
    pub fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path, self.turning)?;
        Ok(())
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn turn_before(&mut self, more: u64) -> io::Result<()> {
        match self.turning {
            Some(turning) if self.size > 0 && self.size + more > turning.max_size => {
                put_away(&self.path, turning.keep)?;
                self.reopen()
            }
            _ => Ok(()),
        }
    }
}

/// Moves each one on by one; the oldest goes.
fn put_away(path: &Path, keep: usize) -> io::Result<()> {
    if keep == 0 {
        return unless_missing(fs::remove_file(path));
    }
    for number in (1..keep).rev() {
        let moved = fs::rename(numbered(path, number), numbered(path, number + 1));
        unless_missing(moved)?;
    }
    unless_missing(fs::rename(path, numbered(path, 1)))
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// A new one is the owner's, and the group's to read, whatever the umask; who may read one that is there has been
/// decided.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(0o640))?;
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder, and the name of a file in it.
    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.jsonl");
        (folder, path)
    }

    fn read(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    fn small(keep: usize) -> Option<Turning> {
        Some(Turning { max_size: 10, keep })
    }

    #[test]
    fn a_full_file_gives_way_between_two_lines_and_so_many_older_ones_stay() {
        let (_folder, path) = folder();
        let mut sheet = Sheet::open(&path, small(2)).unwrap();

        for line in ["1234\n", "5678\n", "a\n", "longer than all\n", "b\n", "c\n"] {
            sheet.write(line.as_bytes()).unwrap();
        }

        assert_eq!(read(&path).as_deref(), Some("b\nc\n"));
        assert_eq!(
            read(&numbered(&path, 1)).as_deref(),
            Some("longer than all\n")
        );
        assert_eq!(read(&numbered(&path, 2)).as_deref(), Some("a\n"));
        assert_eq!(
            read(&numbered(&path, 3)),
            None,
            "the first two lines are gone"
        );
    }

    #[test]
    fn where_none_is_kept_the_full_one_goes() {
        let (folder, path) = folder();
        let mut sheet = Sheet::open(&path, small(0)).unwrap();

        for line in ["12345678\n", "abc\n"] {
            sheet.write(line.as_bytes()).unwrap();
        }

        assert_eq!(read(&path).as_deref(), Some("abc\n"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_there_before_counts_and_a_file_that_is_moved_away_is_left() {
        let (_folder, path) = folder();
        fs::write(&path, "12345678\n").unwrap();
        let mut sheet = Sheet::open(&path, small(1)).unwrap();
        sheet.write(b"abc\n").unwrap();
        assert_eq!(read(&numbered(&path, 1)).as_deref(), Some("12345678\n"));

        fs::remove_file(&path).unwrap();
        sheet.write(b"def\n").unwrap();
        sheet.reopen().unwrap();
        sheet.write(b"ghi\n").unwrap();

        assert_eq!(read(&path).as_deref(), Some("ghi\n"));
    }

    #[test]
    fn where_no_new_file_can_be_had_the_old_one_goes_on() {
        let (_folder, path) = folder();
        let mut sheet = Sheet::open(&path, small(1)).unwrap();
        sheet.write(b"12345678\n").unwrap();
        fs::create_dir_all(numbered(&path, 1).join("in the way")).unwrap();

        sheet.write(b"abc\n").unwrap();

        assert_eq!(read(&path).as_deref(), Some("12345678\nabc\n"));
    }

    #[test]
    fn after_a_write_that_failed_lines_begin_anew() {
        let (_folder, path) = folder();
        let mut sheet = Sheet::open(&path, None).unwrap();
        sheet.write(b"half of a li").unwrap();
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let whole = std::mem::replace(&mut sheet.file, full);

        assert!(sheet.write(b"lost\n").is_err());
        sheet.file = whole;
        sheet.write(b"next\n").unwrap();

        assert_eq!(read(&path).as_deref(), Some("half of a li\nnext\n"));
    }

    #[test]
    fn a_new_file_is_for_its_owner_and_the_group_to_read() {
        let (_folder, path) = folder();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

        drop(Sheet::open(&path, None).unwrap());
        assert_eq!(mode(&path), 0o640);

        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        drop(Sheet::open(&path, None).unwrap());
        assert_eq!(mode(&path), 0o600, "as somebody has decided");
    }
}
