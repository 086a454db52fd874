//! How do the jars survive a restart? One small file, always whole: old or new, never torn. Several processes may share
//! it, as two do while one takes the other's place: each adds what it has learned, and hears what the others have.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::jar::Kept;
use super::jars::CookieJars;
use super::set_cookie::{Cookie, MAX_LIFE};

const VERSION: u32 = 1;
/// Far more than full jars need; a larger file is not ours.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// A cookie without an expiry ends with its session, and a restart is nearly that: it is taken
/// over when it was set within the last day, so that a quick restart goes unnoticed.
const SESSION_LIFE: Duration = Duration::from_secs(86_400);

/// What another process wrote may be as much older than its file: it saves in pauses.
const LATE: Duration = Duration::from_secs(5);

/// The file as it was last read or written here, and when that was.
#[derive(Clone, Default)]
pub(super) struct Known {
    stamp: Option<Stamp>,
    at: Option<SystemTime>,
}

/// Which file it is, and when it was written.
type Stamp = (u64, SystemTime);

/// What loading found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Cookies taken over.
    pub cookies: usize,
    /// Cookies left behind: expired, no longer shared, or not valid.
    pub dropped: usize,
}

#[derive(Debug, Error)]
pub enum FileError {
    /// The jars start empty; the file was moved to `aside` for people to look at.
    #[error("cookie file {path} is damaged ({reason}); set aside as {aside}", path = path.display(), aside = aside.display())]
    Damaged {
        path: PathBuf,
        reason: String,
        aside: PathBuf,
    },
    #[error("cookie file {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    cookies: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    host: String,
    egress: String,
    name: String,
    value: String,
    domain: String,
    host_only: bool,
    path: String,
    /// Seconds since 1970.
    expires: Option<u64>,
    set_at: u64,
}

impl CookieJars {
    /// Fills the jars from a file; no file is no cookies. Every error leaves the jars usable.
    pub fn load(&self, path: &Path, now: SystemTime) -> Result<Loaded, FileError> {
        let bytes = match read_bounded(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::default()),
            Err(source) => return Err(io_error(path, source)),
        };
        let document = match parse(&bytes) {
            Ok(document) => document,
            Err(reason) => return Err(set_aside(path, reason, now)),
        };
        self.now_known(path, now);
        let mut loaded = Loaded::default();
        for entry in document.cookies {
            if self.restore(entry, now) {
                loaded.cookies += 1;
            } else {
                loaded.dropped += 1;
            }
        }
        self.changes().settle();
        Ok(loaded)
    }

    /// Takes over what another's jars hold, as far as it is shared here.
    pub fn take_over(&self, others: &Self, now: SystemTime) {
        for jar in others.all() {
            for kept in jar.kept() {
                self.restore(Entry::of(jar.host(), jar.egress(), &kept), now);
            }
        }
        *self.known().lock() = others.known().lock().clone();
        self.changes().note();
    }

    /// Writes all jars: a new file of mode 0600 beside the old one, synced, then put in its place. What another process
    /// has written meanwhile is taken over before.
    pub fn save(&self, path: &Path, now: SystemTime) -> Result<(), FileError> {
        let _turn = turn(path);
        self.learn(path, now);
        self.changes().settle();
        let written = self.write(path, now);
        match written {
            Ok(()) => self.now_known(path, now),
            Err(_) => self.changes().note(),
        }
        written.map_err(|source| io_error(path, source))
    }

    /// Takes over what another process has written since the file was last read or written here: cookies that are newer
    /// than ours, and those that we have not and cannot have dropped meanwhile. A file that is of no use has nothing.
    pub fn learn(&self, path: &Path, now: SystemTime) {
        let (news, since) = {
            let known = self.known().lock();
            (
                stamp(path).filter(|found| known.stamp != Some(*found)),
                known.at,
            )
        };
        if news.is_none() {
            return;
        }
        let document = read_bounded(path).ok().and_then(|bytes| parse(&bytes).ok());
        let since = since.unwrap_or(UNIX_EPOCH);
        for entry in document.into_iter().flat_map(|document| document.cookies) {
            let set_at = moment(entry.set_at);
            let is_news = match self.has_since(&entry) {
                Some(ours) => set_at > moment(seconds(ours)),
                None => set_at + LATE >= since,
            };
            if is_news {
                self.restore(entry, now);
            }
        }
        self.now_known(path, now);
    }

    /// When the cookie that the entry is about was set here, if it was.
    fn has_since(&self, entry: &Entry) -> Option<SystemTime> {
        let jars = self.all();
        let jar = jars
            .iter()
            .find(|jar| jar.host() == entry.host && jar.egress() == entry.egress)?;
        let is_same = |cookie: &Cookie| {
            (&cookie.name, &cookie.domain, &cookie.path)
                == (&entry.name, &entry.domain, &entry.path)
        };
        let kept = jar.kept();
        kept.iter()
            .find(|kept| is_same(&kept.cookie))
            .map(|kept| kept.set_at)
    }

    fn now_known(&self, path: &Path, now: SystemTime) {
        *self.known().lock() = Known {
            stamp: stamp(path),
            at: Some(now),
        };
    }

    fn write(&self, path: &Path, now: SystemTime) -> io::Result<()> {
        let mut cookies = Vec::new();
        for jar in self.all() {
            let kept = jar.kept();
            let lasting = kept.iter().filter(|kept| !kept.cookie.is_expired(now));
            cookies.extend(lasting.map(|kept| Entry::of(jar.host(), jar.egress(), kept)));
        }
        let document = Document {
            version: VERSION,
            cookies,
        };
        let bytes = serde_json::to_vec(&document)?;

        let beside = suffixed(path, "new");
        remove_if_there(&beside)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The rename itself lasts only when its directory is on disk.
        File::open(folder(path))?.sync_all()
    }

    /// A file is outside data: what it says is checked as what an answer says is.
    fn restore(&self, entry: Entry, now: SystemTime) -> bool {
        let set_at = moment(entry.set_at).min(now);
        let expires = entry
            .expires
            .map(|seconds| moment(seconds).min(now + MAX_LIFE));
        let host = entry.host.to_ascii_lowercase();
        let cookie = Cookie {
            name: entry.name,
            value: entry.value,
            domain: entry.domain,
            host_only: entry.host_only,
            path: entry.path,
            expires,
        };
        let sound = expires.unwrap_or(set_at + SESSION_LIFE) > now
            && self.shares(&cookie.name)
            && cookie.is_for_host(&host)
            && cookie.is_sendable()
            && cookie.path.starts_with('/');
        sound
            && self
                .jar(&host, &entry.egress)
                .keep(vec![cookie], set_at, now)
    }
}

impl Entry {
    fn of(host: &str, egress: &str, kept: &Kept) -> Self {
        let Cookie {
            name,
            value,
            domain,
            host_only,
            path,
            expires,
        } = kept.cookie.clone();
        Self {
            host: host.to_owned(),
            egress: egress.to_owned(),
            name,
            value,
            domain,
            host_only,
            path,
            expires: expires.map(seconds),
            set_at: seconds(kept.set_at),
        }
    }
}

/// One process after the other, as long as this is held. Where that cannot be had, as on some network file systems,
/// they write as if each were alone.
fn turn(path: &Path) -> Option<File> {
    let folder = File::open(folder(path)).ok()?;
    folder.lock().ok().map(|()| folder)
}

fn folder(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = fs::metadata(path).ok()?;
    Some((about.ino(), about.modified().ok()?))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Its error never quotes the file: a cookie's value could be in it.
fn parse(bytes: &[u8]) -> Result<Document, String> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("larger than {MAX_FILE} bytes"));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("not a cookie file at line {line}, column {column}")
    })?;
    match document.version {
        VERSION => Ok(document),
        other => Err(format!("version {other}, expected {VERSION}")),
    }
}

fn set_aside(path: &Path, reason: String, now: SystemTime) -> FileError {
    let aside = suffixed(path, &format!("damaged-{}", seconds(now)));
    match fs::rename(path, &aside) {
        Ok(()) => FileError::Damaged {
            path: path.to_owned(),
            reason,
            aside,
        },
        Err(source) => io_error(path, source),
    }
}

fn io_error(path: &Path, source: io::Error) -> FileError {
    let path = path.to_owned();
    FileError::Io { path, source }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn seconds(moment: SystemTime) -> u64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Seconds beyond the clock's range are a far future, which the cap then shortens.
fn moment(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(1 << 40))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
