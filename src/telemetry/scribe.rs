//! How do lines get written without a request ever waiting for it? A thread writes them, many at a time; lines for
//! which there is no room are lost, and counted.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;

use super::sheet::{Sheet, Turning};

/// Bytes of lines that wait to be written.
const ROOM: usize = 4 << 20;
/// How long the first of them waits for more: to wake the thread for each costs a request more than its line.
const GATHERING: Duration = Duration::from_millis(50);
/// How long the end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Dropping it writes what waits.
pub(super) struct Scribe {
    desk: Arc<Desk>,
    lost: IntCounter,
}

#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    text: Vec<u8>,
    /// The thread has lines in its hands.
    busy: bool,
    /// Somebody waits until all is written.
    hurry: bool,
    reopen: bool,
    closed: bool,
}

impl State {
    fn is_done(&self) -> bool {
        self.text.is_empty() && !self.busy && !self.reopen
    }
}

/// What is written on.
enum Paper {
    File(Sheet),
    /// With everything else that is logged, at `info` and with this target.
    Log(&'static str),
}

impl Scribe {
    /// `turning`: when the file gives way to a new one, if ever.
    pub fn of_file(path: &Path, turning: Option<Turning>, lost: IntCounter) -> io::Result<Self> {
        Self::start(Paper::File(Sheet::open(path, turning)?), lost)
    }

    pub fn of_log(target: &'static str, lost: IntCounter) -> io::Result<Self> {
        Self::start(Paper::Log(target), lost)
    }

    fn start(paper: Paper, lost: IntCounter) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let writer = Writer {
            desk: Arc::clone(&desk),
            paper,
            lost: lost.clone(),
            failing: false,
        };
        let thread = thread::Builder::new().name("log-lines".to_owned());
        thread.spawn(move || writer.run())?;
        Ok(Self { desk, lost })
    }

    /// `line` is without its end.
    pub fn write(&self, line: &[u8]) {
        let mut state = self.desk.state.lock();
        if state.text.len() + line.len() >= ROOM {
            return self.lost.inc();
        }
        let first = state.text.is_empty();
        state.text.extend_from_slice(line);
        state.text.push(b'\n');
        drop(state);
        if first {
            self.desk.changed.notify_all();
        }
    }

    /// What comes from now on goes to the file that has the name then.
    pub fn reopen(&self) {
        self.desk.state.lock().reopen = true;
        self.desk.changed.notify_all();
    }

    /// Waits until everything is written, but not long.
    pub fn flush(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.desk.state.lock();
        state.hurry = true;
        self.desk.changed.notify_all();
        while !state.is_done() {
            if self
                .desk
                .changed
                .wait_until(&mut state, deadline)
                .timed_out()
            {
                return;
            }
        }
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.desk.state.lock().closed = true;
        self.flush();
    }
}

/// The thread's own.
struct Writer {
    desk: Arc<Desk>,
    paper: Paper,
    lost: IntCounter,
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        let mut text = Vec::new();
        while let Some(reopen) = self.take(&mut text) {
            self.write(&text);
            text.clear();
            if reopen {
                self.reopen();
            }
        }
    }

    /// Takes what waits, a while after there is something, and whether the file is to be opened again. `None`: this is
    /// the end.
    fn take(&self, text: &mut Vec<u8>) -> Option<bool> {
        let changed = &self.desk.changed;
        let mut state = self.desk.state.lock();
        state.busy = false;
        changed.notify_all();
        while state.is_done() {
            if state.closed {
                return None;
            }
            state.hurry = false;
            changed.wait(&mut state);
        }
        let deadline = Instant::now() + GATHERING;
        while !(state.hurry || state.reopen) {
            if changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.hurry = false;
        state.busy = true;
        std::mem::swap(text, &mut state.text);
        Some(std::mem::take(&mut state.reopen))
    }

    fn write(&mut self, text: &[u8]) {
        let sheet = match &mut self.paper {
            Paper::File(sheet) => sheet,
            Paper::Log(target) => {
                let lines = String::from_utf8_lossy(text.trim_ascii_end());
                return log::info!(target: *target, "{lines}");
            }
        };
        let written = sheet.write(text);
        if let Err(error) = &written {
            self.lost
                .inc_by(memchr::memchr_iter(b'\n', text).count() as u64);
            if !self.failing {
                let path = sheet.path().display();
                log::error!(target: "memgate::log", "{path}: {error}; its lines are lost");
            }
        }
        self.failing = written.is_err();
    }

    fn reopen(&mut self) {
        let Paper::File(sheet) = &mut self.paper else {
            return;
        };
        let opened = sheet.reopen();
        let path = sheet.path().display();
        match opened {
            Ok(()) => log::info!(target: "memgate::log", "{path} is opened again"),
            Err(error) => {
                log::error!(target: "memgate::log", "{path} cannot be opened again: {error}; the old file goes on");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn lost() -> IntCounter {
        IntCounter::new("lost", "lost").unwrap()
    }

    #[test]
    fn lines_are_appended_in_order_and_all_are_there_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        fs::write(&path, "before\n").unwrap();
        let lost = lost();

        let file = Scribe::of_file(&path, None, lost.clone()).unwrap();
        for n in 0..1000 {
            file.write(n.to_string().as_bytes());
        }
        drop(file);

        let lines: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let expected = format!("before\n{}\n", lines.join("\n"));
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn a_file_that_was_moved_away_keeps_its_lines_and_the_next_go_to_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let file = Scribe::of_file(&path, None, lost()).unwrap();
        file.write(b"first");
        file.flush();

        fs::rename(&path, &moved).unwrap();
        file.write(b"second");
        file.flush();
        file.reopen();
        file.flush();
        file.write(b"third");
        drop(file);

        assert_eq!(fs::read_to_string(&moved).unwrap(), "first\nsecond\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
    }

    #[test]
    fn where_it_cannot_be_opened_again_the_old_file_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs").join("log");
        let moved = folder.path().join("moved");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let file = Scribe::of_file(&path, None, lost()).unwrap();

        fs::rename(path.parent().unwrap(), &moved).unwrap();
        file.reopen();
        file.flush();
        file.write(b"late");
        drop(file);

        assert_eq!(fs::read_to_string(moved.join("log")).unwrap(), "late\n");
    }

    #[test]
    fn lines_without_room_and_lines_that_the_disk_refuses_are_counted() {
        let lost = lost();
        // Every write there fails: there is no space left.
        let file = Scribe::of_file(Path::new("/dev/full"), None, lost.clone()).unwrap();

        file.write(b"one");
        file.write(b"two");
        file.flush();
        assert_eq!(lost.get(), 2);

        file.write(&[b'x'; ROOM]);
        assert_eq!(lost.get(), 3);
    }
}
