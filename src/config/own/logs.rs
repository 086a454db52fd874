//! What does the `log` section say?

use std::path::Path;
use std::time::Duration;

use super::super::finding::Notes;
use super::super::logs::{AccessLog, Log, Slow};
use super::super::reference::Key;
use super::super::section::Section;
use super::super::yaml::{Node, Value};

const HOUR: Duration = Duration::from_secs(3600);
/// With a shorter one, whoever knows the names could find out which is whose.
const SHORTEST_KEY: usize = 16;

const KEYS: &[Key] = &[
    (
        "access",
        "Where the lines go: with everything else that is logged, into a file that SIGUSR1 opens anew, or nowhere.",
    ),
    (
        "sample",
        "How many of the good answers have a line; whatever failed or was slow always has one.",
    ),
    (
        "slow",
        "When a request has a line with its phases besides (`memgate::slow`).",
    ),
    (
        "user_key",
        "Users are called by their HMAC-SHA256 under this key, in logs, metrics and spans; without it by their ids. At least 16 characters.",
    ),
];

const SLOW: &[Key] = &[
    ("first_byte", "The first byte took longer; `0s`: never."),
    ("whole", "The whole answer took longer; `0s`: never."),
];

pub(super) fn read(node: Option<&Node>, base: &Path, notes: &mut Notes) -> Log {
    let mut section = Section::open("log", node, KEYS, &[], notes);
    let user_key = section.secret("user_key");
    if user_key
        .as_ref()
        .is_some_and(|key| key.reveal().len() < SHORTEST_KEY)
    {
        section.fault(
            "user_key",
            "is shorter than 16 characters and could be guessed, make one with `openssl rand -hex 24`",
        );
    }
    Log {
        access: access(&mut section, base),
        sample: section.share("sample", 100, 0..=100),
        slow: slow(node.and_then(|node| node.present("slow")), section.notes),
        user_key,
    }
}

fn access(section: &mut Section, base: &Path) -> AccessLog {
    let off =
        |node: &Node| matches!(node.value, Value::Bool(false)) || node.as_str() == Some("off");
    section.takes("access", "`stderr`, `off` or the name of a file");
    section.defaults_to("access", "stderr");
    match section.get("access") {
        None => AccessLog::Stderr,
        Some(node) if off(node) => AccessLog::Off,
        Some(node) if node.as_str() == Some("stderr") => AccessLog::Stderr,
        Some(node) if node.as_str().is_none() => {
            let kind = node.kind();
            section.fault(
                "access",
                format!("is {kind}, it takes `stderr`, `off` or a file's name"),
            );
            AccessLog::Stderr
        }
        Some(_) => match section.file_to_write("access", base) {
            Some(path) => AccessLog::File(path),
            None => AccessLog::Stderr,
        },
    }
}

fn slow(node: Option<&Node>, notes: &mut Notes) -> Slow {
    let mut section = Section::open("log.slow", node, SLOW, &[], notes);
    let default = Slow::default();
    Slow {
        first_byte: section.duration("first_byte", default.first_byte, Duration::ZERO..=HOUR),
        whole: section.duration("whole", default.whole, Duration::ZERO..=24 * HOUR),
    }
}
