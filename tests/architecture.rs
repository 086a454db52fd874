//! Who may import whom: modules stand on floors and look down only.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// Each module's floor. It imports from lower floors only, never from its own.
const FLOORS: &[(&str, u8)] = &[
    ("main", 7),
    ("cli", 6),
    ("server", 5),
    ("proxy", 4),
    ("admin", 4),
    ("gateway", 3),
    ("auth", 2),
    ("identity", 2),
    ("routing", 2),
    ("cookies", 2),
    ("upstream", 2),
    ("body", 2),
    ("translate", 2),
    ("limits", 2),
    ("telemetry", 1),
    ("wire", 1),
    // Both import nothing of ours, so telemetry may stamp its lines.
    ("clock", 0),
    ("config", 0),
];

/// Stands beside the floors: imports nothing of the gateway, and only the command line imports it.
const SIMULATOR: &str = "sim";

/// Where Pingora may be seen.
const PINGORA: &[&str] = &[
    "proxy/",
    "admin/",
    "server/",
    "upstream/peer.rs",
    "upstream/backends.rs",
    // Which of its log's targets are written.
    "cli/logger.rs",
];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "types", "utils", "util", "common", "helpers", "helper", "misc",
];

const BUDGET: usize = 350;
/// Files over the budget, each with the reason for which it stays whole.
const OVER_BUDGET: &[(&str, &str)] = &[];

/// A file below `src`: its path there, and its code without comments and tests.
struct Source {
    path: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        static COMMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^\s*//.*$").unwrap());
        let production = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        Self {
            path: path.to_owned(),
            code: COMMENT.replace_all(production, "").into_owned(),
        }
    }

    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Test files are declared by their parents under `cfg(test)`.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs")
    }

    /// The top-level modules it names.
    fn imports(&self) -> Vec<&str> {
        static PATH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bcrate::(\w+)").unwrap());
        PATH.captures_iter(&self.code)
            .filter_map(|path| Some(path.get(1)?.as_str()))
            .collect()
    }

    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.name_faults().into_iter().collect();
        if self.is_test() || self.path == "lib.rs" {
            return faults;
        }
        faults.extend(self.import_faults());
        let sees = self.code.contains("pingora")
            && Regex::new(r"\bpingora(_\w+)?::")
                .unwrap()
                .is_match(&self.code);
        if sees && !PINGORA.iter().any(|place| self.path.starts_with(place)) {
            faults.push(format!(
                "{}: Pingora is for {}",
                self.path,
                PINGORA.join(", ")
            ));
        }
        faults
    }

    fn import_faults(&self) -> Vec<String> {
        let (module, path) = (self.module(), &self.path);
        let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
        let mut faults = Vec::new();
        if self.code.contains("crate::{") || self.climbs_out() {
            faults.push(format!("{path}: write `use crate::MODULE::…`, one line a module, so that imports can be read"));
        }
        let Some(floor) = floors.get(module) else {
            let strangers = self
                .imports()
                .into_iter()
                .filter(|import| *import != SIMULATOR);
            return match module == SIMULATOR {
                true => faults
                    .into_iter()
                    .chain(strangers.map(|import| {
                        format!("{path}: the simulator imports `{import}` of the gateway")
                    }))
                    .collect(),
                false => vec![format!("{path}: `{module}` has no floor here")],
            };
        };
        for import in self
            .imports()
            .into_iter()
            .filter(|import| *import != module)
        {
            let allowed = match floors.get(import) {
                Some(other) => other < floor,
                None => import == SIMULATOR && module == "cli",
            };
            if !allowed {
                faults.push(format!(
                    "{path}: `{module}` (floor {floor}) imports `{import}`"
                ));
            }
        }
        faults
    }

    /// `super` as often as it takes to leave the module.
    fn climbs_out(&self) -> bool {
        let depth = self.path.matches('/').count() + usize::from(!self.path.ends_with("mod.rs"));
        depth > 0 && self.code.contains(&"super::".repeat(depth))
    }

    fn name_faults(&self) -> Option<String> {
        let said = self
            .path
            .split('/')
            .find(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs")));
        said.map(|name| format!("{}: `{name}` says nothing, name what is in it", self.path))
    }
}

fn sources() -> Vec<(Source, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.push((Source::new(&name, &text), text));
            }
        }
    }
    found
}

#[test]
fn every_module_looks_down_only() {
    let sources = sources();

    let faults: Vec<String> = sources
        .iter()
        .flat_map(|(source, _)| source.faults())
        .collect();

    assert!(sources.len() > 100, "the sources were found");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_answers_one_question_within_its_budget() {
    let mut faults = Vec::new();
    for (source, text) in sources() {
        if !text.starts_with("//! ") {
            faults.push(format!(
                "{}: begin with the question that the file answers (`//!`)",
                source.path
            ));
        }
        let production = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = production.lines().count();
        let excused = OVER_BUDGET.iter().any(|(path, _)| *path == source.path);
        if !source.is_test() && (lines > BUDGET) != excused {
            faults.push(format!(
                "{}: {lines} lines, the budget is {BUDGET}",
                source.path
            ));
        }
    }

    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn each_kind_of_fault_is_found() {
    let faulty = |path: &str, text: &str| !Source::new(path, text).faults().is_empty();

    for (path, text) in [
        ("cookies/jar.rs", "use crate::gateway::Snapshot;"),
        ("cookies/jar.rs", "fn f() { crate::auth::x() }"),
        ("telemetry/metrics.rs", "use crate::wire::Dialect;"),
        ("config/load.rs", "use crate::clock::Clock;"),
        ("config/load.rs", "use super::super::clock::Clock;"),
        ("config/mod.rs", "use super::clock::Clock;"),
        ("proxy/mod.rs", "use crate::{auth, body};"),
        ("proxy/mod.rs", "use crate::admin::view;"),
        ("server/mod.rs", "use crate::sim::Edge;"),
        ("sim/edge.rs", "use crate::config::Config;"),
        ("auth/cache.rs", "use pingora_core::Error;"),
        ("upstream/resolve.rs", "fn f(e: pingora::Error) {}"),
        ("newcomer/mod.rs", ""),
        ("auth/utils.rs", ""),
        ("auth/helpers/x.rs", ""),
    ] {
        assert!(faulty(path, text), "{path}: {text}");
    }
    for (path, text) in [
        (
            "cookies/jar.rs",
            "use crate::config::Secret;\nuse crate::cookies::date;",
        ),
        (
            "cookies/jar.rs",
            "// as crate::gateway does\n#[cfg(test)]\nmod tests { use crate::gateway::X; }",
        ),
        ("cookies/date/x.rs", "use super::super::jar;"),
        (
            "proxy/mod.rs",
            "use crate::auth::Caller;\nuse pingora_core::Error;",
        ),
        ("upstream/peer.rs", "use pingora_core::Error;"),
        ("cli/demo.rs", "use crate::sim::Edge;"),
        ("sim/edge.rs", "use crate::sim::tls;"),
    ] {
        assert!(!faulty(path, text), "{path}: {text}");
    }
}
