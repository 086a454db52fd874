//! What does the `usage_log` section say?

use std::path::Path;

use super::super::finding::Notes;
use super::super::section::Section;
use super::super::usage_log::UsageLog;
use super::super::yaml::Node;

pub(super) fn read(node: Option<&Node>, base: &Path, notes: &mut Notes) -> UsageLog {
    let known = ["file", "max_size", "keep"];
    let mut section = Section::open("usage_log", node, &known, &[], notes);
    let default = UsageLog::default();
    UsageLog {
        file: section.file_to_write("file", base),
        max_size: section.size("max_size", default.max_size, 64 << 10..=1 << 40) as u64,
        keep: section.count("keep", default.keep, 0..=1000),
    }
}
