//! What does the `usage_log` section say?

use std::path::Path;

use super::super::finding::Notes;
use super::super::reference::Key;
use super::super::section::Section;
use super::super::usage_log::UsageLog;
use super::super::yaml::Node;

const KEYS: &[Key] = &[
    (
        "file",
        "Where the lines go; SIGUSR1 opens it anew. Its folder has to be there.",
    ),
    (
        "max_size",
        "At this size it becomes `….1`, and a new one begins.",
    ),
    ("keep", "How many of the older files stay."),
];

pub(super) fn read(node: Option<&Node>, base: &Path, notes: &mut Notes) -> UsageLog {
    let mut section = Section::open("usage_log", node, KEYS, &[], notes);
    let default = UsageLog::default();
    UsageLog {
        file: section.file_to_write("file", base),
        max_size: section.size("max_size", default.max_size, 64 << 10..=1 << 40) as u64,
        keep: section.count("keep", default.keep, 0..=1000),
    }
}
